// The page of a scan: outlines on and off, how strong they are, and keys. Works without the viewer and without rating.
(() => {
  "use strict";
  const root = document.documentElement, button = document.getElementById("outlines"), opacity = document.getElementById("opacity");

  const shown = () => !root.classList.contains("no-outlines");
  const show = (on) => {
    root.classList.toggle("no-outlines", !on);
    if (button) button.setAttribute("aria-pressed", String(on));
    document.dispatchEvent(new CustomEvent("outlines", { detail: { shown: on } }));
  };
  if (button) button.addEventListener("click", () => show(!shown()));
  if (opacity) opacity.addEventListener("input", () => root.style.setProperty("--outlines", opacity.value));

  const go = (selector) => {
    const link = document.querySelector(selector);
    if (link) location.href = link.href;
  };
  // Keys act on the page, not where somebody writes or chooses; a button that is in focus keeps the space key for itself.
  const busy = (target, key) => target.closest("input, textarea, select, [contenteditable], dialog") || (key === " " && target.closest("button, a, summary"));
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || busy(event.target, event.key)) return;
    const act = { ArrowLeft: () => go("a[rel=prev]"), ArrowRight: () => go("a[rel=next]"), " ": () => show(!shown()) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
