// The page in the browser: files are sent, sections moved through, tables sorted, news read aloud. Gradio runs `connect` for each part that sends events.
globalThis.hypojaxApp = (() => {
  "use strict";
  const triggers = new Map(); // id of a part -> what sends an event of it

  // Language: of the browser, or as chosen on the page.
  const speak = () => { const said = document.querySelector("#first-line [lang]"); if (said) document.documentElement.lang = said.lang; };
  const choose = (language) => {
    document.cookie = `hypojax-language=${language}; path=/; max-age=31536000; samesite=strict`;
    location.reload();
  };

  // News for people who cannot see them: one region that stays, so that every reader notices its changes.
  const live = () => {
    let region = document.getElementById("live");
    if (!region) {
      region = document.createElement("div");
      region.id = "live";
      region.className = "visually-hidden";
      region.setAttribute("role", "status");
      document.body.append(region);
    }
    return region;
  };
  const announce = (element) => {
    const text = [...element.querySelectorAll("[data-say]")].map((said) => said.dataset.say).join(" ").trim();
    if (text && live().textContent !== text) live().textContent = text;
  };

  // Files: chosen or dropped, folders with all that is in them.
  const all = (reader) => new Promise((done, failed) => {
    const found = [];
    const more = () => reader.readEntries((entries) => (entries.length ? (found.push(...entries), more()) : done(found)), failed);
    more();
  });
  const within = async (entry) => {
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    return (await Promise.all((await all(entry.createReader())).map(within))).flat();
  };
  const dropped = async (transfer) => {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    return entries.length ? (await Promise.all(entries.map(within))).flat() : [...transfer.files];
  };

  const upload = (files, progress) => new Promise((done, failed) => {
    const form = new FormData(), request = new XMLHttpRequest();
    files.forEach((file) => form.append("files", file, file.name));
    request.upload.onprogress = (event) => event.lengthComputable && progress(Math.floor((100 * event.loaded) / event.total));
    request.onload = () => (request.status === 200 ? done(JSON.parse(request.responseText)) : failed(new Error(String(request.status))));
    request.onerror = () => failed(new Error("0"));
    request.open("POST", new URL("gradio_api/upload", document.baseURI));
    request.send(form);
  });

  const send = async (element, files, trigger) => {
    const place = element.querySelector("[data-drop]"), say = place.querySelector("[data-progress]");
    if (!files.length || place.dataset.busy) return;
    const tell = (text, bad = false) => { say.textContent = text; say.hidden = !text; say.classList.toggle("bad", bad); };
    place.dataset.busy = "true";
    live().textContent = place.dataset.sending.replace("{percent}", "0");
    try {
      const paths = await upload(files, (percent) => tell(place.dataset.sending.replace("{percent}", percent)));
      tell("");
      trigger("submit", { act: "send", paths });
    } catch (error) {
      tell(["413", "507"].includes(error.message) ? place.dataset.tooLarge : place.dataset.notSent, true);
      live().textContent = say.textContent;
    }
    delete place.dataset.busy;
    place.querySelectorAll("input[type=file]").forEach((input) => { input.value = ""; });
  };

  // Sections: all are there, one is shown.
  const move = (slider) => {
    const plane = slider.closest("[data-plane]");
    for (const picture of plane.querySelectorAll("[data-mm]")) {
      picture.hidden = picture.dataset.mm !== slider.value;
      if (!picture.hidden) {
        plane.querySelector("output").textContent = picture.dataset.place;
        slider.setAttribute("aria-valuetext", picture.dataset.place);
      }
    }
  };
  const outlines = (button) => {
    const hidden = button.closest("[data-sections]").classList.toggle("no-outlines");
    button.setAttribute("aria-pressed", String(!hidden));
  };

  // Tables: rows by the column whose heading was pressed, missing values last; a table that is drawn again keeps its order.
  const value = (row, column) => row.cells[column].querySelector("data")?.value ?? row.cells[column].textContent.trim();
  const order = (table, column, down) => {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    headings[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = (a, b) => {
      const [x, y] = [value(a, column), value(b, column)], [p, q] = [Number(x), Number(y)];
      if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
      return (down ? -1 : 1) * (Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y, undefined, { numeric: true }) : p - q);
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  };
  const sort = (button) => {
    const heading = button.closest("th");
    const down = heading.getAttribute("aria-sort") === "ascending";
    order(heading.closest("table"), heading.cellIndex, down);
    return { column: heading.cellIndex, down };
  };

  // The viewer of the scan's own page: nothing else of it is shown here.
  const ALONE = `.skip, .top, .bottom, .pager, .kicker, h1, main > :not([aria-labelledby=viewer-title]), #viewer-title { display: none !important; }
    body { padding: 0 !important; max-width: none !important; } main > section { margin: 0 !important; }`;
  const alone = (frame) => {
    const page = frame.contentDocument;
    if (!page?.getElementById("viewer")) return void (frame.hidden = true);
    const style = page.createElement("style");
    style.textContent = ALONE;
    page.head.append(style);
    const fit = () => { frame.style.height = `${page.documentElement.offsetHeight + 2}px`; };
    fit();
    new ResizeObserver(fit).observe(page.body);
    frame.classList.add("ready"); // seen only now: before, other parts stand where its buttons will be, and nothing hears them
  };
  document.addEventListener("load", (event) => event.target.matches?.("iframe[data-viewer]") && alone(event.target), true);

  // Gradio's lists of options scroll, so that browsers stop at them although they close then: the keyboard would be nowhere.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab") document.querySelectorAll("ul.options").forEach((list) => { list.tabIndex = -1; });
  }, true);

  // Wide tables of model cards scroll: the keyboard has to get there.
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#tab-about")) return;
    requestAnimationFrame(() => document.querySelectorAll("#tab-about .prose table").forEach((table) => { table.tabIndex = 0; }));
  });

  const tab = (name) => document.getElementById(`tab-${name}-button`)?.click();
  // What a tab shows that is about to open: said in a cookie, since parts of a tab that is not open hear nothing.
  const point = (name, what, value) => {
    document.cookie = `hypojax-${what}=${encodeURIComponent(value)}; path=/; max-age=3; samesite=strict`;
    tab(name);
  };

  const connect = (element, trigger, watch) => {
    const part = element.closest("[id]");
    triggers.set(part?.id, trigger);
    const sender = (files) => send(element, files, trigger);
    let sorted = null;
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button, a");
      if (!button) return;
      if (button.dataset.sort !== undefined) sorted = sort(button);
      else if (button.dataset.outlines !== undefined) outlines(button);
      else if (button.dataset.cohort) point("cohort", "cohort", button.dataset.cohort);
      else if (button.dataset.language) choose(button.dataset.language);
      else if (button.dataset.look) point("one_scan", "scan", button.dataset.look);
      else if (button.dataset.act) trigger("submit", { act: button.dataset.act, id: button.dataset.id ?? "" });
    });
    element.addEventListener("input", (event) => {
      if (event.target.matches("[data-slider]")) move(event.target);
      if (event.target.matches("[data-opacity]")) event.target.closest("[data-sections]").style.setProperty("--outlines", event.target.value);
    });
    element.addEventListener("change", (event) => {
      if (event.target.matches("select[data-act]")) trigger("submit", { act: event.target.dataset.act, id: event.target.value });
      if (event.target.matches("input[type=file]")) sender([...event.target.files]);
    });
    const over = (event, on) => {
      const place = event.target.closest?.("[data-drop]");
      if (!place) return false;
      event.preventDefault();
      place.classList.toggle("over", on);
      return true;
    };
    element.addEventListener("dragover", (event) => over(event, true));
    element.addEventListener("dragleave", (event) => over(event, false));
    element.addEventListener("drop", async (event) => { if (over(event, false)) sender(await dropped(event.dataTransfer)); });
    // Forms: their fields, and the button that was pressed as what is to be done.
    element.addEventListener("submit", (event) => {
      event.preventDefault();
      trigger("submit", { ...Object.fromEntries(new FormData(event.target)), act: event.submitter?.value ?? "" });
    });
    // A part that is drawn again keeps the keyboard where it was.
    let last = {};
    document.addEventListener("focusin", (event) => { last = element.contains(event.target) ? { ...event.target.dataset } : {}; });
    const focus = () => {
      if (!last.act || document.activeElement !== document.body) return;
      [...element.querySelectorAll("button[data-act]")].find((button) => button.dataset.act === last.act && button.dataset.id === last.id)?.focus();
    };
    const again = () => {
      const table = element.querySelector("table.sorted");
      if (table && sorted) order(table, sorted.column, sorted.down);
    };
    watch("value", () => { again(); announce(element); speak(); focus(); });
    speak();
  };
  return { connect };
})();
