// Rating scans: a (accept), d (doubt), r (reject), arrows, a comment. Under `hypojax report OUT --serve` ratings are written into qc.tsv at
// once; on pages opened from a folder they stay in the browser until they are saved as qc.tsv. Nothing is put into the page but as text.
(() => {
  "use strict";
  const address = document.currentScript.src;
  // What there is to rate lies beside this script; without it, as in a report to be shared, nothing can be rated.
  const begin = () => { const place = document.getElementById("rating"); if (window.hypojaxRating && place) rating(window.hypojaxRating, place, new URL("..", address).href); };
  const beside = document.createElement("script");
  beside.src = new URL("rating-data.js", address).href;
  beside.addEventListener("load", begin);
  document.head.append(beside);

  const rating = (data, section, root) => {
    const COLUMNS = ["scan", "rating", "comment", "rater", "time"], LEVELS = { accept: "a", doubt: "d", reject: "r" };
    const NAMES = { accept: "Accept", doubt: "Doubt", reject: "Reject" }, CLASSES = { accept: "good", doubt: "doubt", reject: "bad" };
    const served = data.served || null;
    const scan = section.dataset.scan;
    const scans = data.scans.map(([id, name, file, doubts]) => ({ id, name, file, doubts }));
    const key = `hypojax-ratings ${served ? served.cohort : root}`;

    // What the browser keeps; a browser that keeps nothing is said, and asks before the page is left.
    // A busy browser may open the next page from a folder before it has stored what this page saved: the tab's name carries the latest values there.
    const CARRIED = 100;
    const carried = () => { try { const kept = JSON.parse(window.name); return kept.hypojax === key ? kept.values : []; } catch { return []; } };
    const memory = new Map(served ? [] : carried());
    const carry = () => {
      const values = [...memory].map(([name, value]) => [name, Array.isArray(value) ? value.slice(-CARRIED) : value]);
      window.name = JSON.stringify({ hypojax: key, values });
    };
    let keeps = true;
    const load = (name, otherwise) => {
      try { const text = localStorage.getItem(name); if (text !== null) return JSON.parse(text); } catch { keeps = false; }
      return memory.has(name) ? memory.get(name) : otherwise;
    };
    const save = (name, value) => {
      memory.set(name, value);
      if (!served) carry();
      try { localStorage.setItem(name, JSON.stringify(value)); } catch { keeps = false; }
    };
    const known = served ? served.ratings : data.ratings;
    const own = () => (served ? load(key, []) : distinct([...load(key, []), ...(memory.get(key) || [])]));
    const view = () => ({ through: "all", onward: false, reveal: false, keys: true, ...load("hypojax-rating-view", {}) });
    const setView = (change) => { save("hypojax-rating-view", { ...view(), ...change }); draw(); };
    const rater = () => (served ? served.rater : load("hypojax-rater", ""));
    const oneLine = (text) => text.split(/\s+/).filter(Boolean).join(" ");
    const same = (a, b) => a.every((cell, number) => cell === b[number]);
    const distinct = (rows) => {
      const seen = new Set();
      return rows.filter((row) => { const text = JSON.stringify(row); return !seen.has(text) && seen.add(text); });
    };

    // All ratings, and the latest of each rater on each scan: a row without a time counts as given just after the one above it.
    const all = () => distinct([...known, ...own()]);
    const latest = () => {
      let time = -Infinity;
      const timed = all().map((row) => { const at = Date.parse(row[4]); if (!Number.isNaN(at)) time = at; return { row, time }; });
      timed.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
      const found = new Map();
      for (const { row } of timed) {
        if (!found.has(row[0])) found.set(row[0], new Map());
        found.get(row[0]).set(row[3], row);
      }
      return found;
    };
    const mine = (last, id) => (last.get(id) || new Map()).get(rater());
    const words = (last, id) => [...(last.get(id) || new Map()).values()].map((row) => row[1]);

    // Which scans the arrows lead to.
    const THROUGH = {
      all: ["all scans", () => true],
      unrated: ["scans not rated by you", (last, one) => !mine(last, one.id)],
      doubted: ["scans that anybody doubts", (last, one) => words(last, one.id).includes("doubt")],
      differ: ["scans on which raters differ", (last, one) => new Set(words(last, one.id)).size > 1],
      doubtful: ["scans with something to check", (last, one) => one.doubts > 0],
      todo: ["scans not rated by you, or doubted", (last, one) => !mine(last, one.id) || words(last, one.id).includes("doubt")],
    };
    const step = (by, last) => {
      const fits = (THROUGH[view().through] || THROUGH.all)[1];
      const here = scans.findIndex((one) => one.id === scan);
      for (let at = here + by; at >= 0 && at < scans.length; at += by) if (fits(last, scans[at])) return scans[at];
      return null;
    };
    const go = (one) => { if (one) location.href = new URL(one.file, root).href; };

    // Saving: a rating is in the browser before anything else happens, and leaves it when the server has written it.
    let trouble = "", sending = false, wait = 1000, timer = 0, saved = "";
    const now = () => {
      const at = new Date(), two = (number) => String(Math.abs(number)).padStart(2, "0"), shift = -at.getTimezoneOffset();
      const local = new Date(at.getTime() + shift * 60000).toISOString().slice(0, 19);
      return `${local}${shift < 0 ? "-" : "+"}${two(Math.trunc(shift / 60))}:${two(shift % 60)}`;
    };
    const rate = (level, comment, onward = view().onward) => {
      if (!rater()) { say("Write your name first: ratings need a rater."); parts.name.focus(); return; }
      save(key, [...own(), [scan, level, oneLine(comment), rater(), now()]]);
      setDraft("");
      saved = "";
      draw();
      flush();
      if (onward && keeps) {
        const after = step(1, latest());
        if (after) go(after); else say(`Rated. No further one among ${THROUGH[view().through][0]}.`);
      }
    };
    const send = async (row) => {
      const asked = { method: "POST", keepalive: true, headers: { "Content-Type": "application/json" } };
      const body = JSON.stringify(Object.fromEntries(COLUMNS.map((name, number) => [name, row[number]])));
      let answer;
      try { answer = await fetch(new URL("ratings", root), { ...asked, body }); } catch { return "The connection is lost: is hypojax still running?"; }
      if (answer.ok) return "";
      if (answer.status === 403) return "hypojax was started anew: open the address that it printed.";
      return oneLine(await answer.text()).slice(0, 400) || `The server answered ${answer.status}.`;
    };
    const flush = async () => {
      if (!served || sending) return;
      sending = true;
      clearTimeout(timer);
      let failed = "";
      const tried = new Set();
      for (let row; (row = own().find((one) => !tried.has(JSON.stringify(one))));) {
        tried.add(JSON.stringify(row));
        const why = await send(row);
        if (why) { failed = why; continue; }
        known.push(row);
        save(key, own().filter((one) => !same(one, row)));
        saved = "Written into qc.tsv.";
      }
      sending = false;
      trouble = failed;
      wait = failed ? Math.min(wait * 2, 30000) : 1000;
      if (own().length) timer = setTimeout(flush, wait);
      draw();
    };

    // A comment that was written before its rating.
    const drafts = `${key} drafts`;
    const draft = () => load(drafts, {})[scan] || "";
    const setDraft = (text) => { const kept = load(drafts, {}); if (text) kept[scan] = text; else delete kept[scan]; save(drafts, kept); };

    // qc.tsv, with the cells as hypojax spells them (hypojax/tables/cells.py).
    const CONTROL = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u, OBEYED = "=+-@＝＋－＠\"'", SPELLED = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\" };
    const ESCAPE = /\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4}|[tnr\\])/;
    const NUMBER = /^[+-]?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?$/;
    const isNumber = (text) => NUMBER.test(text) && /[0-9]/.test(text.split(/[eE]/)[0]) && Number.isFinite(Number(text));
    const needsMark = (text) => {
      if (!text || isNumber(text)) return false;
      if (CONTROL.test(text) || text !== text.trim()) return true;
      const first = [...text];
      return text[0] === "'" ? first.length > 1 && (OBEYED.includes(first[1]) || ESCAPE.test(text)) : OBEYED.includes(first[0]);
    };
    const hex = (code) => (code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`);
    const cell = (text) => {
      if (!needsMark(text)) return text || "n/a";
      const characters = [...text];
      return "'" + characters.map((one, number) => {
        if (SPELLED[one]) return SPELLED[one];
        const end = number === 0 || number === characters.length - 1;
        return CONTROL.test(one) || (end && !one.trim()) ? hex(one.codePointAt(0)) : one;
      }).join("");
    };
    const table = () => [COLUMNS, ...all()].map((row) => row.map(cell).join("\t") + "\n").join("");
    const exportTable = () => {
      const link = document.createElement("a"), url = URL.createObjectURL(new Blob([table()], { type: "text/tab-separated-values" }));
      link.href = url;
      link.download = "qc.tsv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
      save(`${key} exported`, own().map((row) => JSON.stringify(row)));
      draw();
    };

    // The section.
    const make = (tag, properties = {}, ...children) => {
      const found = Object.assign(document.createElement(tag), properties);
      found.append(...children);
      return found;
    };
    const labelled = (text, control) => make("label", {}, control, ` ${text}`);
    const check = (name, text) => {
      const box = make("input", { type: "checkbox" });
      box.addEventListener("change", () => setView({ [name]: box.checked }));
      parts[name] = box;
      return labelled(text, box);
    };
    const button = (text, press, shortcut) => {
      const found = make("button", { type: "button", textContent: text });
      found.addEventListener("click", press);
      if (shortcut) { found.setAttribute("aria-keyshortcuts", shortcut); found.title = `key ${shortcut}`; }
      return found;
    };
    const parts = {};
    const say = (text) => { parts.status.textContent = text; };
    const build = () => {
      section.querySelectorAll(":scope > :not(h2)").forEach((one) => one.remove());
      if (!section.querySelector("h2")) section.append(make("h2", { textContent: "Rating" }));
      document.head.append(make("style", { textContent: `
        #rating .row { display: flex; flex-wrap: wrap; gap: .4rem .7rem; align-items: center; margin: .5rem 0; }
        #rating .comment { flex: 1 1 18rem; min-width: 0; max-width: 40rem; }
        #rating .levels button { min-width: 6.2rem; min-height: 2.4rem; font-weight: 600; }
        #rating .levels button.bad[aria-pressed="true"] { background: var(--bad); border-color: var(--bad); color: var(--paper); }
        #rating .levels button.doubt[aria-pressed="true"] { background: var(--doubt); border-color: var(--doubt); color: var(--paper); }
        #rating .levels button.good[aria-pressed="true"] { background: var(--good); border-color: var(--good); color: var(--paper); }
        #rating label { font-size: 13.5px; } #rating input[type="checkbox"] { min-height: 0; vertical-align: -.1em; } #rating table { margin: .6rem 0; }
        @media print { #rating .row { display: none; } }` }));
      if (!served) {
        parts.name = make("input", { type: "text", maxLength: 200, autocomplete: "off", size: 14 });
        parts.name.addEventListener("input", () => { save("hypojax-rater", oneLine(parts.name.value)); draw(); });
        section.append(make("div", { className: "row" }, make("label", {}, "Your name ", parts.name)));
      }
      buildScan();
      const row = make("div", { className: "row" });
      parts.through = make("select");
      for (const [name, [text]] of Object.entries(THROUGH)) parts.through.append(make("option", { value: name, textContent: text }));
      parts.through.addEventListener("change", () => setView({ through: parts.through.value }));
      row.append(make("label", {}, "Go through ", parts.through), check("onward", "go on after a rating"), check("reveal", "show ratings of others before mine"), check("keys", "keys a, d, r and arrows"));
      parts.export = button("Save ratings as qc.tsv", exportTable);
      section.append(row, parts.count = make("p", { className: "faint small" }), parts.where = make("div", { className: "row" }, parts.note = make("span"), parts.export));
      parts.status = make("p", { className: "small" });
      parts.status.setAttribute("role", "status");
      section.append(parts.status);
    };
    const buildScan = () => {
      parts.levels = {};
      const levels = make("div", { className: "row levels", role: "group" });
      levels.setAttribute("aria-label", "Rating of this scan");
      for (const level of Object.keys(LEVELS)) {
        parts.levels[level] = button(NAMES[level], () => rate(level, parts.comment.value), LEVELS[level]);
        parts.levels[level].className = CLASSES[level];
        levels.append(parts.levels[level]);
      }
      parts.previous = button("← Previous", () => go(step(-1, latest())), "ArrowLeft");
      parts.next = button("Next →", () => go(step(1, latest())), "ArrowRight");
      levels.append(parts.previous, parts.next);
      parts.comment = make("input", { type: "text", maxLength: 2000, className: "comment", autocomplete: "off" });
      parts.comment.addEventListener("input", () => setDraft(parts.comment.value));
      parts.comment.addEventListener("change", () => {
        const said = mine(latest(), scan);
        if (said && oneLine(parts.comment.value) !== said[2]) rate(said[1], parts.comment.value, false);
        else if (!said && parts.comment.value) say("The comment is saved with the rating.");
      });
      parts.comment.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === "Escape") parts.comment.blur(); });
      parts.said = make("div", { className: "scroll", tabIndex: 0 });
      parts.said.setAttribute("role", "region");
      parts.said.setAttribute("aria-label", "Ratings of this scan");
      section.append(levels, make("label", { className: "row" }, "Comment ", parts.comment), parts.said);
      const said = mine(latest(), scan);
      parts.comment.value = draft() || (said ? said[2] : "");
    };
    const draw = () => {
      const last = latest(), state = view(), count = own().length;
      for (const name of ["onward", "reveal", "keys"]) parts[name].checked = state[name];
      parts.through.value = THROUGH[state.through] ? state.through : "all";
      if (parts.name && document.activeElement !== parts.name) parts.name.value = rater();
      drawScan(last, state);
      const left = scans.filter((one) => !mine(last, one.id)).length, here = scans.findIndex((one) => one.id === scan);
      parts.count.textContent = `${here >= 0 ? `Scan ${here + 1} of ${scans.length}. ` : ""}${scans.length - left} of ${scans.length} rated by ${rater() || "you"}.`;
      drawNote(count);
    };
    const drawScan = (last, state) => {
      const said = mine(last, scan), others = [...(last.get(scan) || new Map()).values()].filter((row) => row !== said);
      for (const [level, one] of Object.entries(parts.levels)) one.setAttribute("aria-pressed", String(Boolean(said) && said[1] === level));
      parts.previous.disabled = !step(-1, last);
      parts.next.disabled = !step(1, last);
      const shown = [...(said ? [said] : []), ...(said || state.reveal ? others : [])];
      const cells = (row) => [row[3] || "not named", NAMES[row[1]], row[2], row[4] ? when(row[4]) : ""];
      const line = (row) => make("tr", {}, ...cells(row).map((text, number) => make(number ? "td" : "th", { textContent: text, className: number === 1 ? `text ${CLASSES[row[1]]}` : number === 2 ? "wrap" : "text", ...(number ? {} : { scope: "row" }) })));
      const head = make("tr", {}, ...["Rater", "Rating", "Comment", "When"].map((text) => make("th", { textContent: text, scope: "col", className: "text" })));
      parts.said.replaceChildren();
      if (shown.length) parts.said.append(make("table", {}, make("caption", { textContent: "Latest rating of each rater" }), make("thead", {}, head), make("tbody", {}, ...shown.map(line))));
      else parts.said.append(make("p", { className: "faint", textContent: others.length ? `${others.length === 1 ? "Another person has" : `${others.length} others have`} rated this scan; what they said is shown after your rating.` : "Not rated yet." }));
    };
    const when = (time) => { const at = new Date(time); return Number.isNaN(at.getTime()) ? time : at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }); };
    const drawNote = (count) => {
      const rated = `${count} rating${count === 1 ? "" : "s"}`, lost = keeps ? "" : " This browser keeps nothing: they are gone when the page is left.";
      const exported = new Set(load(`${key} exported`, [])), unsaved = own().filter((row) => !exported.has(JSON.stringify(row))).length;
      parts.note.className = (served ? trouble && count : unsaved || !keeps) ? "note doubt" : "faint small";
      parts.export.hidden = served ? !(trouble && count) : !all().length;
      if (served) {
        parts.note.textContent = !count ? saved || `Ratings are written into qc.tsv as ${rater()}.`
          : trouble ? `Not written yet: ${rated}. ${trouble} It is tried again and again.${lost || " Until then this browser keeps what you rated."}` : `Writing ${rated} …`;
      } else if (!count && keeps) parts.note.textContent = "Ratings stay in this browser until you save them as qc.tsv; hypojax report OUT --serve writes them at once.";
      else parts.note.textContent = `${unsaved ? `${unsaved} of your ratings are in this browser only` : "Your ratings were saved as a file"}; nothing is written to the cohort. Put qc.tsv into its folder, beside cohort.zarr.${lost}${/Firefox/.test(navigator.userAgent) ? " Firefox keeps ratings of each page apart: use hypojax report OUT --serve." : ""}`;
    };

    const typing = (target) => target instanceof Element && (target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null);
    document.addEventListener("keydown", (event) => {
      if (!view().keys || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat || typing(event.target)) return;
      const level = Object.keys(LEVELS).find((name) => LEVELS[name] === event.key.toLowerCase());
      const inside = event.target instanceof Element && event.target.closest("canvas, .scroll:focus, [role=slider], [role=grid]");
      if (level) rate(level, parts.comment.value);
      else if (event.key === "ArrowLeft" && !inside) go(step(-1, latest()));
      else if (event.key === "ArrowRight" && !inside) go(step(1, latest()));
      else return;
      event.preventDefault();
    }, true);  // before other scripts of the page, which know nothing of what is gone through
    window.addEventListener("beforeunload", (event) => { if (!keeps && own().length) event.preventDefault(); });
    window.addEventListener("storage", draw);
    window.addEventListener("pageshow", (event) => { if (event.persisted) draw(); });
    window.addEventListener("online", flush);
    if (!served) save(key, own().filter((row) => !known.some((one) => same(one, row))));  // those have come into qc.tsv
    build();
    draw();
    flush();
  };
})();
