// Light or dark: as the system says, until the reader presses the button; then as he said, on all pages of this folder.
(() => {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
  const remember = (value) => { try { localStorage.setItem("hypojax-theme", value); } catch { /* not allowed: this page only */ } };
  const remembered = () => { try { return localStorage.getItem("hypojax-theme"); } catch { return null; } };
  const dark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => {
      button.textContent = dark() ? "Light" : "Dark";
      document.dispatchEvent(new CustomEvent("themechange", { detail: { dark: dark() } }));
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      remember(root.dataset.theme);
      show();
    });
    system.addEventListener("change", show);
    show();
  });
})();
