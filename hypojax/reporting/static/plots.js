// Draws the linked plots of a cohort page from the data in #plots-data, and links them with each other and with the table.
// Events of `document`: "scanschosen" (detail: rows, by) when scans are chosen here or elsewhere, "scanlit" (detail: row or null, by).
"use strict";
(() => {
  const told = document.getElementById("plots-data");
  if (!told || !window.Bokeh) return;
  const data = JSON.parse(told.textContent);
  if (!data.document) return;
  const element = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim() || "#808080";
  const plots = {};
  let source, lit, profile, boxes, quiet = false, region = null, measure = null, grouping = null;
  let litRow = null, litBy = null, pointed = null, pointing = 0;

  async function draw() {
    const {Document} = Bokeh.require("document");
    // Without this, a button that is held down 0.3 s before the mouse moves draws no box, and a slow click opens no page.
    Bokeh.require("core/ui_gestures").UIGestures.press_threshold = 1e8;
    const book = Document.from_json(data.document), models = book.roots(), all = [...book._all_models.values()];
    for (const model of models) plots[model.name] = model;
    const named = (name) => all.find((model) => model.name === name && model.type === "ColumnDataSource");
    [source, lit, profile, boxes] = ["scans", "lit", "profile", "boxes"].map(named);
    const groupings = Object.keys(data.groupings);
    region = element("plots-region")?.value ?? null;
    measure = element("plots-measure")?.value ?? null;
    grouping = groupings[0] ?? null;
    source.selected.properties.indices.change.connect(() => { if (!quiet) tellChosen([...source.selected.indices].sort((a, b) => a - b)); });
    source.inspect.connect(() => pointedAt(source.inspected.indices[0]));
    for (const model of all) {
      if (model.type === "ColumnDataSource" && model.name?.startsWith("beyond ")) {
        model.inspect.connect(() => pointedAt(model.data.row[model.inspected.indices[0]]));
      }
    }
    for (const plot of models) plot.on_event("tap", (event) => setTimeout(() => tapped(plot, event), 0));
    element("plots-colour")?.addEventListener("change", (event) => paint(event.target.value));
    element("plots-region")?.addEventListener("change", (event) => { region = event.target.value; showGroups(); });
    element("plots-grouping")?.addEventListener("change", (event) => { grouping = event.target.value; showGroups(); });
    element("plots-measure")?.addEventListener("change", (event) => { measure = event.target.value; showMeasure(); });
    element("plots-clear")?.addEventListener("click", () => choose([], "plots"));
    legend(grouping);
    showGroups();
    dress();
    document.querySelector(".plots-controls")?.removeAttribute("hidden");
    await Bokeh.embed.add_document_standalone(book, document.body, book.all_roots.map((model) => element(`plot-${model.name}-canvas`)));
    document.documentElement.dataset.plots = "drawn";
  }

  // What the mouse points at: each renderer of a plot tells its own, one after the other, and most of them tell nothing.
  function pointedAt(row) {
    pointed ??= row ?? null;
    clearTimeout(pointing);
    pointing = setTimeout(() => {
      if (pointed !== null || litBy === "plots") light(pointed, "plots");
      pointed = null;
    }, 0);
  }

  // One scan lit in all plots: a ring in each, and its line through all regions.
  function light(row, by) {
    if (row === litRow) return;
    [litRow, litBy] = [row, by];
    const points = {x: [], y: [], plot: []};
    const line = {x: [], y: []};
    if (row !== null) {
      for (const [name, plot] of Object.entries(data.plots)) {
        if (!plot.x) continue;
        const [x, y] = [source.data[plot.x][row], source.data[plot.y][row]];
        if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
        points.x.push(bounded(x, plot.ends[0], plot.ends[1])); points.y.push(bounded(y, plot.ends[2], plot.ends[3])); points.plot.push(name);
      }
      data.regions.forEach((entry, place) => {
        const share = source.data[entry.column]?.[row];
        if (Number.isFinite(share)) { line.x.push(bounded(share, data.plots.regions.ends[0], data.plots.regions.ends[1])); line.y.push(-place); }
      });
    }
    lit.data = points;
    if (profile) profile.data = line;
    if (by === "plots") document.dispatchEvent(new CustomEvent("scanlit", {detail: {row, by}}));
    say();
  }

  function bounded(value, low, high) {
    const inside = (high - low) * 0.0133;
    return Math.min(Math.max(value, low + inside), high - inside);
  }

  // Choosing scans: in all plots, and told to whoever listens.
  function choose(rows, by) {
    quiet = by !== "plots";
    source.selected.indices = rows;
    quiet = false;
    say();
  }

  function tellChosen(rows) {
    document.dispatchEvent(new CustomEvent("scanschosen", {detail: {rows, by: "plots"}}));
    say();
  }

  function say() {
    const chosen = source.selected.indices, status = element("plots-status"), name = (row) => source.data.name[row];
    element("plots-clear").hidden = !chosen.length;
    let text = status.dataset.hint;
    if (litRow !== null) text = name(litRow) + (data.why[litRow] ? ": " + data.why[litRow] : "");
    else if (chosen.length) text = `${chosen.length} ${chosen.length === 1 ? "scan" : "scans"} chosen: ${chosen.slice(0, 5).map(name).join(", ")}${chosen.length > 5 ? ", …" : ""}`;
    status.textContent = text;
  }

  // A click on one point opens the page of its scan; on several, they are chosen.
  function tapped(plot, event) {
    const beyond = plot.renderers.find((one) => one.name === "beyond")?.data_source;
    const arrow = beyond?.selected.indices.map((place) => beyond.data.row[place]) ?? [];
    if (arrow.length) beyond.selected.indices = [];
    const rows = arrow.length ? [...new Set(arrow)] : source.selected.indices;
    if (rows.length === 1 && data.pages[rows[0]]) {
      const address = data.pages[rows[0]];
      if (event.modifiers?.ctrl) window.open(address, "_blank", "noopener");
      else window.location.assign(address);
    } else if (arrow.length) source.selected.indices = rows;
  }

  // Colours and their legend.
  function legend(name) {
    const list = element("plots-legend"), groups = data.groupings[name];
    list.replaceChildren();
    (groups?.labels ?? []).forEach((label, code) => {
      const item = document.createElement("li"), button = document.createElement("button"), swatch = document.createElement("span");
      button.type = "button";
      swatch.className = "swatch";
      swatch.style.background = data.colours[code % data.colours.length];
      button.append(swatch, label);
      button.title = "Choose these scans in all plots";
      button.addEventListener("click", () => { source.selected.indices = groups.codes.flatMap((own, row) => (own === code ? [row] : [])); });
      item.append(button);
      list.append(item);
    });
  }

  function paint(name) {
    const codes = data.groupings[name].codes;
    setColumn({colour: codes.map((code) => data.colours[code % data.colours.length])});
    legend(name);
  }

  function setColumn(columns) {
    const chosen = source.selected.indices;
    source.data = {...source.data, ...columns};
    quiet = true;
    source.selected.indices = chosen;
    quiet = false;
  }

  // Volumes by group: the region and the groups that were chosen.
  function showGroups() {
    const plot = plots.groups, entry = data.regions.find((one) => one.name === region);
    if (!plot || !entry) return;
    const groups = data.groupings[grouping] ?? {labels: ["all scans"], codes: Array.from(source.data.jitter, () => 0)};
    const values = Float32Array.from(source.data[entry.column], (share) => entry.median * (1 + share / 100));
    setColumn({chosen: values, place: Float32Array.from(source.data.jitter, (aside, row) => aside + groups.codes[row])});
    const ends = [-0.5, groups.labels.length - 0.5, ...entry.ends];
    data.plots.groups.ends = ends;
    setEnds(plot, ends);
    const axis = plot.below[0];
    axis.ticker.ticks = groups.labels.map((_, code) => code);
    axis.major_label_overrides = new Map(groups.labels.map((label, code) => [code, label.length > 18 ? label.slice(0, 17) + "…" : label]));
    axis.axis_label = grouping ?? "";
    plot.left[0].axis_label = `${entry.label} (${entry.unit})`;
    element("plot-groups-title").textContent = `${entry.label} by ${grouping ?? "scan"}`;
    boxes.data = boxesOf(values, groups);
    pointArrows("groups");
  }

  function boxesOf(values, groups) {
    const found = {x: [], left: [], right: [], low: [], first: [], middle: [], third: [], high: []};
    groups.labels.forEach((_, code) => {
      const own = Float32Array.from(values).filter((value, row) => groups.codes[row] === code && Number.isFinite(value)).sort();
      if (own.length < 4) return;
      found.x.push(code);
      found.left.push(code - 0.36);
      found.right.push(code + 0.36);
      for (const [name, share] of [["low", 0.05], ["first", 0.25], ["middle", 0.5], ["third", 0.75], ["high", 0.95]]) found[name].push(quantile(own, share));
    });
    return found;
  }

  function quantile(sorted, share) {
    const at = (sorted.length - 1) * share, low = Math.floor(at), high = Math.ceil(at);
    return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
  }

  // Arrows at the border for what lies beyond the axes of the columns that were chosen.
  function pointArrows(name) {
    const {x, y, ends: [left, right, low, high]} = data.plots[name], [across, up] = [source.data[x], source.data[y]];
    const beyond = (value, first, last) => (value < first ? -1 : value > last ? 1 : 0);
    const rows = [...across.keys()].filter((row) => Number.isFinite(across[row]) && Number.isFinite(up[row])
      && (beyond(across[row], left, right) || beyond(up[row], low, high)));
    plots[name].renderers.find((one) => one.name === "beyond").data_source.data = {
      row: rows, name: rows.map((row) => source.data.name[row]),
      at_x: rows.map((row) => bounded(across[row], left, right)), at_y: rows.map((row) => bounded(up[row], low, high)),
      angle: rows.map((row) => Math.atan2(beyond(up[row], low, high), beyond(across[row], left, right)) - Math.PI / 2),
      [x]: rows.map((row) => across[row]), [y]: rows.map((row) => up[row]),
    };
  }

  function showMeasure() {
    const plot = plots.quality, told = data.measures[measure];
    if (!plot || !told) return;
    for (const renderer of plot.renderers) {
      if (renderer.data_source === source) {
        for (const glyph of [renderer.glyph, renderer.selection_glyph, renderer.nonselection_glyph]) if (glyph?.setv) glyph.setv({x: {field: measure}});
      }
    }
    data.plots.quality.x = measure;
    data.plots.quality.ends = [...told.ends, ...data.plots.quality.ends.slice(2)];
    setEnds(plot, data.plots.quality.ends);
    plot.below[0].axis_label = told.label;
    for (const tool of plot.toolbar.tools) {
      if (tool.type === "HoverTool") tool.tooltips = [["", "@name"], [told.label, `@${measure}{0.000}`], tool.tooltips[2]];
    }
    element("plot-quality-words").textContent = told.words;
    pointArrows("quality");
    litRow = undefined;
    light(null, "elsewhere");
  }

  function setEnds(plot, ends) {
    plot.x_range.setv({start: ends[0], end: ends[1], reset_start: ends[0], reset_end: ends[1]});
    plot.y_range.setv({start: ends[2], end: ends[3], reset_start: ends[2], reset_end: ends[3]});
  }

  // The colours of the page, in the light and in the dark.
  function dress() {
    const ink = colour("ink"), faint = colour("faint"), line = colour("line"), rule = colour("rule"), doubt = colour("doubt");
    for (const plot of Object.values(plots)) {
      for (const axis of [...plot.below, ...plot.left]) {
        axis.setv({
          axis_label_text_color: ink, major_label_text_color: faint, axis_line_color: line, major_tick_line_color: line,
          axis_label_text_font: font(), major_label_text_font: font(), axis_label_text_font_size: "13px", major_label_text_font_size: "12px",
        });
      }
      for (const grid of plot.center.filter((one) => one.type === "Grid")) if (grid.grid_line_color !== null) grid.grid_line_color = rule;
      for (const legend of [...plot.center, ...plot.above].filter((one) => one.type === "Legend")) {
        legend.setv({label_text_color: ink, background_fill_color: colour("paper"), border_line_color: rule, label_text_font: font()});
      }
      for (const renderer of plot.renderers) {
        const own = {guide: line, box: line, middle: ink, doubtful: doubt, lit: ink}[renderer.name];
        if (own) for (const glyph of [renderer.glyph, renderer.nonselection_glyph, renderer.selection_glyph]) if (glyph?.setv) glyph.setv({line_color: own});
        if (renderer.name === "beyond") for (const glyph of [renderer.glyph]) glyph.setv({fill_color: ink});
      }
    }
  }

  function font() {
    return getComputedStyle(document.body).fontFamily;
  }

  document.addEventListener("themechange", () => { if (source) dress(); });
  document.addEventListener("scanlit", (event) => { if (source && event.detail.by !== "plots") light(event.detail.row, event.detail.by); });
  document.addEventListener("scanschosen", (event) => { if (source && event.detail.by !== "plots") choose(event.detail.rows, event.detail.by); });
  draw();
})();
