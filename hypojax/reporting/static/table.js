// The table of all scans on a cohort page, from the data in #scans-data: sorted, filtered, and drawn only as far as it is seen.
// Events of `document`: "scanschosen" (detail: rows, by) filters to rows that were chosen in the plots; "scanlit" (detail: row or null, by)
// is told when a row is pointed at.
"use strict";
(() => {
  const told = document.getElementById("scans-data");
  if (!told) return;
  const data = JSON.parse(told.textContent);
  const element = (id) => document.getElementById(id);
  const HEIGHT = 32, MARGIN = 12, PRINTED = 200;
  const frame = element("scans"), view = element("scans-window"), table = element("scans-table"), body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells], filters = [...frame.querySelectorAll("select[data-filter]")];
  const columns = data.columns.map(opened), place = Object.fromEntries(columns.map((column, number) => [column.name, number]));
  const rank = new Array(data.order.length);
  data.order.forEach((row, number) => { rank[row] = number; });
  const collator = new Intl.Collator("en", {numeric: true, sensitivity: "base"});
  const drawn = new Map();
  let shown = data.order, sorting = {column: null, way: 1}, chosen = null, words = null;

  // Columns as values by row: numbers (NaN where missing), text, or lists of sentences.
  function opened(column) {
    let values;
    if (column.numbers !== undefined) {
      const bytes = Uint8Array.from(atob(column.numbers), (letter) => letter.charCodeAt(0)), numbers = new DataView(bytes.buffer);
      values = Float64Array.from({length: bytes.length / 8}, (_, row) => numbers.getFloat64(row * 8, true));
    } else if (column.kind === "doubts") values = data.order.map((_, row) => column.sentences[row] ?? []);
    else values = column.texts ?? column.codes.map((code) => column.unique[code]);
    const format = new Intl.NumberFormat("en", {minimumFractionDigits: column.whole ? 0 : column.digits, maximumFractionDigits: column.whole ? 0 : column.digits});
    return {...column, values, format};
  }

  function text(column, row) {
    const value = column.values[row];
    if (column.kind === "number") return Number.isNaN(value) ? "" : column.format.format(value).replace("-", "−");
    if (column.kind === "doubts") return value.length > 1 ? `${value[0]} (and ${value.length - 1} more)` : value[0] ?? "";
    return column.name === "flags" ? value.replaceAll("_", " ") : value;
  }

  // Columns are as wide as their longest text, so that they do not move while rows come and go.
  function widen() {
    columns.forEach((column, number) => {
      let longest = heads[number].textContent.length + 2;
      for (const row of data.order) longest = Math.max(longest, text(column, row).length);
      heads[number].style.minWidth = `min(${Math.round(0.5 * longest + 3)}em, ${column.kind === "doubts" ? 24 : 12}em)`;
    });
  }

  // Sorting: numbers as numbers, missing ones last either way; without a column the most doubtful scan comes first.
  function sorted(rows) {
    if (sorting.column === null) return rows;
    const column = columns[sorting.column], {way} = sorting, values = column.values;
    const kinds = {
      number: [(row) => Number.isNaN(values[row]), (a, b) => values[a] - values[b]],
      doubts: [(row) => !values[row].length, (a, b) => rank[b] - rank[a]],
    };
    const [missing, compare] = kinds[column.kind] ?? [(row) => values[row] === "", (a, b) => collator.compare(values[a], values[b])];
    const known = rows.filter((row) => !missing(row)), others = rows.filter(missing);
    return [...known.sort((a, b) => way * compare(a, b) || rank[a] - rank[b]), ...others];
  }

  function sortBy(number) {
    const first = columns[number].kind === "doubts" ? -1 : 1;
    if (sorting.column !== number) sorting = {column: number, way: first};
    else sorting = sorting.way === first ? {column: number, way: -first} : {column: null, way: 1};
    heads.forEach((head, own) => {
      if (own === sorting.column) head.setAttribute("aria-sort", sorting.way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    show();
  }

  // Filters.
  function haystack(row) {
    words ??= data.order.map((_, own) => columns.filter((column) => column.kind !== "number").map((column) => {
      const value = column.values[own];
      return column.kind === "doubts" ? value.join(" ") : `${value} ${text(column, own)}`;
    }).join("\n").toLowerCase());
    return words[row];
  }

  function isKept() {
    const asked = element("scans-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const doubts = columns[place.doubts].values, ratings = columns[place.rating].values;
    const tests = [];
    if (chosen) tests.push((row) => chosen.has(row));
    if (element("scans-doubtful").checked) tests.push((row) => doubts[row].length > 0);
    if (element("scans-unrated").checked) tests.push((row) => ratings[row] === "");
    for (const filter of filters.filter((one) => one.value)) {
      const {values, name} = columns[filter.dataset.filter];
      tests.push(name === "flags" ? (row) => values[row].split(" ").includes(filter.value) : (row) => values[row] === filter.value);
    }
    if (asked.length) tests.push((row) => asked.every((word) => haystack(row).includes(word)));
    return tests;
  }

  function show() {
    const tests = isKept();
    shown = sorted(tests.length ? data.order.filter((row) => tests.every((test) => test(row))) : [...data.order]);
    const all = data.order.length, doubtful = shown.filter((row) => columns[place.doubts].values[row].length).length;
    const of = shown.length === all ? "" : ` of ${all.toLocaleString("en")}`;
    element("scans-count").textContent = `${shown.length.toLocaleString("en")}${of} ${all === 1 ? "scan" : "scans"}, ${doubtful.toLocaleString("en")} doubtful`;
    element("scans-all").hidden = !tests.length;
    element("scans-chosen").hidden = !chosen;
    element("scans-chosen").textContent = chosen ? `chosen in the plots: ${chosen.size} ✕` : "";
    table.setAttribute("aria-rowcount", shown.length + 1);
    for (const line of drawn.values()) line.remove();
    drawn.clear();
    view.scrollTop = 0;
    draw();
  }

  // Rows are made where they are seen; those that stay in view stay, and with them the focus.
  function draw(least = 0) {
    const first = Math.max(0, Math.floor(view.scrollTop / HEIGHT) - MARGIN);
    const last = Math.min(shown.length, Math.max(least, Math.ceil((view.scrollTop + (view.clientHeight || 600)) / HEIGHT) + MARGIN));
    const wanted = new Set(shown.slice(first, last));
    for (const [row, line] of drawn) if (!wanted.has(row)) { line.remove(); drawn.delete(row); }
    body.querySelectorAll("tr.space").forEach((line) => line.remove());
    let before = null;
    for (let number = last - 1; number >= first; number--) {
      const row = shown[number];
      let line = drawn.get(row);
      if (!line) { line = made(row); drawn.set(row, line); }
      line.setAttribute("aria-rowindex", number + 2);
      if (line.nextSibling !== before || line.parentNode !== body) body.insertBefore(line, before);
      before = line;
    }
    if (first > 0) body.prepend(space(first * HEIGHT));
    if (last < shown.length) body.append(space((shown.length - last) * HEIGHT));
    if (!shown.length) body.append(space(0, "No scan is like this."));
  }

  function space(height, said = "") {
    const line = document.createElement("tr"), cell = document.createElement("td");
    line.className = "space";
    line.setAttribute("aria-hidden", said ? "false" : "true");
    cell.colSpan = columns.length;
    if (said) cell.className = "none";
    else cell.style.height = height + "px";
    cell.textContent = said;
    line.append(cell);
    return line;
  }

  function made(row) {
    const line = document.createElement("tr");
    line.dataset.row = row;
    for (const column of columns) {
      const cell = document.createElement(column.kind === "scan" ? "th" : "td"), said = text(column, row);
      cell.className = column.kind;
      if (column.kind === "scan") {
        cell.scope = "row";
        cell.title = said;
        const page = data.pages[row];
        const link = document.createElement(page ? "a" : "span");
        if (page) link.href = page;
        else link.tabIndex = -1;
        link.textContent = said;
        cell.append(link);
      } else {
        cell.textContent = said || (column.kind === "number" ? "–" : "");
        if (column.kind === "doubts" && said) cell.title = column.values[row].join("\n");
        else if (column.kind === "text" && said.length > 20) cell.title = said;
        if (column.kind === "number" && !said) cell.classList.add("missing");
        if (column.name === "status" && said === "failed") cell.classList.add("failed");
      }
      line.append(cell);
    }
    return line;
  }

  // Keys: arrows, Page Up and Down, Home and End go from row to row.
  function step(event) {
    const line = event.target.closest("tr[data-row]");
    const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity}[event.key];
    if (!line || steps === undefined) return;
    event.preventDefault();
    focus(Math.min(Math.max(shown.indexOf(Number(line.dataset.row)) + steps, 0), shown.length - 1));
  }

  function focus(number) {
    const top = number * HEIGHT, room = view.clientHeight - 2.5 * HEIGHT;
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top > view.scrollTop + room) view.scrollTop = top - room;
    draw();
    drawn.get(shown[number])?.querySelector("th > *").focus({preventScroll: true});
  }

  // What is shown, as a file: numbers to the last digit as in volumes.tsv, text as hypojax.tables.cells spells it.
  function tsv() {
    const lines = [columns.map((column) => spelled(column.name)), ...shown.map((row) => columns.map((column) => cell(column, row)))];
    return lines.map((cells) => cells.join("\t") + "\n").join("");
  }

  function cell(column, row) {
    const value = column.values[row];
    if (column.kind === "number") return Number.isNaN(value) ? "n/a" : column.whole ? String(value) : number(value);
    return spelled(column.kind === "doubts" ? value.join("; ") : value) || "n/a";
  }

  function spelled(said) {
    return Object.hasOwn(data.spelled, said) ? data.spelled[said] : said;
  }

  // A number as Python writes it: 3.0, 1e-05.
  function number(value) {
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e16)) return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
    return Number.isInteger(value) ? `${Object.is(value, -0) ? "-0" : value}.0` : String(value);
  }

  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([tsv()], {type: "text/tab-separated-values"}));
    link.download = "scans.tsv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function light(event) {
    const line = event.type === "mouseleave" ? null : event.target.closest("tr[data-row]");
    document.dispatchEvent(new CustomEvent("scanlit", {detail: {row: line ? Number(line.dataset.row) : null, by: "table"}}));
  }

  function showAll() {
    element("scans-search").value = "";
    for (const box of ["scans-doubtful", "scans-unrated"]) element(box).checked = false;
    for (const filter of filters) filter.value = "";
    unchoose();
  }

  function unchoose() {
    if (chosen) document.dispatchEvent(new CustomEvent("scanschosen", {detail: {rows: [], by: "table"}}));
    chosen = null;
    show();
  }

  let waiting = 0;
  element("scans-search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(show, 80); });
  for (const control of [...filters, element("scans-doubtful"), element("scans-unrated")]) control.addEventListener("change", show);
  heads.forEach((head, number) => head.firstElementChild.addEventListener("click", () => sortBy(number)));
  view.addEventListener("scroll", () => draw(), {passive: true});
  window.addEventListener("resize", () => draw());
  window.addEventListener("beforeprint", () => draw(PRINTED));
  body.addEventListener("keydown", step);
  body.addEventListener("mouseover", light);
  body.addEventListener("mouseleave", light);
  body.addEventListener("focusin", light);
  element("scans-all").addEventListener("click", showAll);
  element("scans-chosen").addEventListener("click", unchoose);
  element("scans-save").addEventListener("click", save);
  document.addEventListener("scanschosen", (event) => {
    if (event.detail.by === "table") return;
    chosen = event.detail.rows.length ? new Set(event.detail.rows) : null;
    show();
  });
  frame.querySelector(".scans-filters").hidden = false;
  view.hidden = false;
  widen();
  show();
})();
