// The kernel-free explorer: the same board over a cube inside the page. `cube` is made by finops_ai/widgets/static.py.
const LONG = "January February March April May June July August September October November December".split(" ");
const TOP = 8, LISTED = 40, ROWS = 200, DAY = 86400000;
const asDay = (iso) => Date.parse(iso + "T00:00:00Z") / DAY, asIso = (day) => new Date(day * DAY).toISOString().slice(0, 10);
const monthStart = (day) => asDay(asIso(day).slice(0, 7) + "-01");
function monthEnd(day) { const [y, m] = asIso(day).split("-").map(Number); return Date.UTC(y, m, 0) / DAY; }
function grainOf(first, last) { const days = last - first + 1; return days <= 124 ? "day" : days <= 420 ? "week" : "month"; }
function bucketOf(day, grain) { return grain === "day" ? day : grain === "week" ? day - ((((day + 3) % 7) + 7) % 7) : monthStart(day); }
function bucketEnd(day, grain) { return grain === "day" ? day : grain === "week" ? day + 6 : monthEnd(day); }
function bucketsOf(first, last, grain) { const out = []; for (let d = bucketOf(first, grain); d <= last; d = bucketEnd(d, grain) + 1) out.push(d); return out; }
function earlierOf(first, last, compare, until) {
  if (compare === "none") return null;
  if (compare === "year") { const back = (d) => { const [y, m, x] = asIso(d).split("-").map(Number); return Date.UTC(y - 1, m - 1, m === 2 && x === 29 ? 28 : x) / DAY; }; return [back(first), back(until)]; }
  // a month that isn't over is set against the same days of the month before
  if (first === monthStart(first) && last === monthEnd(first)) { const start = monthStart(first - 1); return [start, until === last ? first - 1 : Math.min(start + until - first, first - 1)]; }
  return [2 * first - until - 1, first - 1];
}
function monthText(day) { const [y, m] = asIso(day).split("-").map(Number); return `${LONG[m - 1]} ${y}`; }
function spanText(first, last) { return first === monthStart(first) && last === monthEnd(first) ? monthText(first) : first === last ? dateText(asIso(first)) : `${dateText(asIso(first))} to ${dateText(asIso(last))}`; }

function startExplorer(root) {
  const cube = JSON.parse(root.querySelector("script[type='application/json']").textContent), n = cube.day.length;
  const METRICS = cube.metrics, SUMS = Object.keys(cube.sums), columns = SUMS.map((m) => cube.sums[m]), size = (m) => (/cost|published/.test(m) ? 1e6 : 1);
  const first = asDay(cube.first), last = asDay(cube.last);
  const state = { by: cube.dimensions[0], metric: "cost", filters: [], span: [Math.max(first, last - 89), last], compare: "before", picked: null };
  const label = (d) => cube.labels[d] || d, has = (d, name) => cube.dimensions.includes(d) && cube.levels[d].includes(name);
  // rows are in the order of their days, so that a period is a range of rows
  const since = (day) => { let low = 0, high = n; while (low < high) { const mid = (low + high) >> 1; if (cube.day[mid] < day) low = mid + 1; else high = mid; } return low; };
  const each = (a, b, see) => {
    const tests = state.filters.map(([d, name]) => [cube.codes[d], cube.levels[d].indexOf(name)]);
    next: for (let r = since(a), end = since(b + 1); r < end; r++) { for (const [codes, code] of tests) if (codes[r] !== code) continue next; see(r); }
  };
  const empty = () => Object.fromEntries(SUMS.map((m) => [m, null]));
  const add = (sums, row) => { for (let k = 0; k < SUMS.length; k++) { const v = columns[k][row]; if (v != null) sums[SUMS[k]] += v; } };
  const merge = (list) => { const out = empty(); for (const s of list) for (const m of SUMS) if (s[m] != null) out[m] = (out[m] || 0) + s[m]; return out; };
  const value = (sums, metric = state.metric) => {
    const [, top, bottom, scale] = METRICS[metric];
    if (!sums || sums[top] == null) return null;
    const up = sums[top] / size(top);
    return bottom == null ? up : sums[bottom] ? (up * scale) / (sums[bottom] / size(bottom)) : null;
  };
  const totals = (a, b) => {
    const codes = cube.codes[state.by], out = new Map();
    each(a, b, (r) => { let s = out.get(codes[r]); if (!s) out.set(codes[r], (s = empty())); add(s, r); });
    return new Map([...out].map(([code, sums]) => [cube.levels[state.by][code], sums]));
  };
  const colours = (names) => {
    const out = new Map(), used = new Set();
    for (const name of names) {
      let colour = cube.colours[state.by][cube.levels[state.by].indexOf(name)];
      if (used.has(colour) && cube.wheel.includes(colour)) colour = cube.wheel.find((c) => !used.has(c)) || colour;
      out.set(name, colour); used.add(colour);
    }
    return out;
  };
  function boardData(message) {
    const [a, b] = clipped(), [title, , ratio] = METRICS[state.metric], grain = grainOf(a, b);
    const unit = METRICS[state.metric][4];
    const data = { metric: state.metric, by: state.by, by_label: label(state.by), unit, title: `${title} by ${label(state.by)}`, period_text: spanText(a, b), path: state.filters.map(([d, name]) => ({ label: label(d), name })), kind: ratio ? "lines" : "stack", leaf: state.filters.some(([d]) => d === state.by), code: codeText(a, b), notes: cube.notes, message, words: cube.words[state.by] || {}, empty: n ? "Nothing was used in this period with these filters." : "There is nothing to explore: no rows.", groups: [], more: [], buckets: [], hidden: 0, total: ratio ? null : 0, compared: false, before: null, grain };
    // nothing used is 0, but nothing known is null
    const sum = (list) => (list.length ? value(merge(list)) : ratio ? null : 0);
    const found = [...totals(a, b)].filter(([, s]) => s.cost || s.list_cost || s.tokens || s.requests);
    found.sort((x, y) => (ratio ? (y[1].cost || 0) - (x[1].cost || 0) : (value(y[1]) || 0) - (value(x[1]) || 0)) || (x[0] < y[0] ? -1 : 1));
    const kept = found.slice(0, found.length > TOP + 1 || ratio ? TOP : TOP + 1), rest = found.slice(kept.length), names = new Set(kept.map(([name]) => name));
    let earlier = earlierOf(a, state.span[1], state.compare, b), past = new Map();
    if (earlier && earlier[0] < first) { data.before_text = `not compared: the data begin on ${dateText(asIso(first))}`; earlier = null; }
    if (earlier) { past = totals(...earlier); data.before_text = spanText(...earlier); data.compared = true; data.before = sum([...past.values()]); }
    const times = bucketsOf(a, b, grain), place = new Map(times.map((d, i) => [d, i])), codes = cube.codes[state.by], series = new Map();
    const keys = cube.levels[state.by].map((name) => (names.has(name) ? name : ""));
    let day = NaN, i = 0;
    each(a, b, (r) => {
      if (cube.day[r] !== day) { day = cube.day[r]; i = place.get(bucketOf(day, grain)); }
      const key = keys[codes[r]];
      let row = series.get(key); if (!row) series.set(key, (row = times.map(() => null)));
      add(row[i] || (row[i] = empty()), r);
    });
    const line = (key) => (series.get(key) || times.map(() => null)).map((s) => value(s)), colour = colours(kept.map(([name]) => name));
    const group = (name, now, then, extra) => ({ name, total: sum(now), ...(data.compared ? { before: sum(then) } : {}), ...extra });
    const then = (name) => (past.has(name) ? [past.get(name)] : []);
    data.groups = kept.map(([name, sums]) => group(name, [sums], then(name), { colour: colour.get(name), values: line(name) }));
    const gone = [...past].filter(([name]) => !found.some(([x]) => x === name));
    data.more = rest.slice(0, LISTED - kept.length).map(([name, s]) => group(name, [s], then(name), { colour: "" }));
    data.hidden = rest.length - data.more.length;
    if (rest.length && !ratio) {
      data.groups.push(group("other", rest.map(([, s]) => s), [...rest.flatMap(([name]) => then(name)), ...gone.map(([, s]) => s)], { colour: cube.grey, values: line(""), rest: true }));
    } else if (gone.length && !ratio) data.more = gone.slice(0, LISTED).map(([name, s]) => group(name, [], [s], { colour: "" }));
    data.buckets = times.map(asIso);
    data.partial = {};
    for (const i of [0, times.length - 1]) {
      const start = times[i], end = bucketEnd(start, grain), covered = Math.min(end, b) - Math.max(start, a) + 1;
      if (covered < end - start + 1) data.partial[i] = `${covered} of ${end - start + 1} days`;
    }
    data.total = sum(found.map(([, s]) => s));
    if (data.compared && !ratio) {
      const weeks = state.compare === "year" ? 52 : Math.max(Math.round((b - a + 1) / 7 - 0.45), 1), span = grain === "day" ? [a - 7 * weeks, b - 7 * weeks] : earlier;
      data.line_text = grain === "day" ? `the same weekdays ${weeks} week${weeks > 1 ? "s" : ""} earlier` : spanText(...span);
      const old = bucketsOf(...span, grain), at = new Map(old.map((d, i) => [d, i])), sums = old.map(() => null);
      each(...span, (r) => { const i = at.get(bucketOf(cube.day[r], grain)); add(sums[i] || (sums[i] = empty()), r); });
      data.before_values = sums.map((s, i) => (s ? value(s) : old[i] < first ? null : 0));
    }
    if (state.picked || data.leaf) data.rows = behind(...(state.picked || [a, b]));
    return data;
  }
  function behind(a, b) {
    const rows = [];
    each(a, b, (r) => { rows.push(r); });
    rows.sort((x, y) => (cube.sums.cost[y] || 0) - (cube.sums.cost[x] || 0));
    const shown = cube.dimensions.filter((d) => !state.filters.some(([x]) => x === d));
    const columns = [{ label: "day" }, { label: cube.currency, number: true, unit: cube.currency }, ...["tokens", "requests"].map((m) => ({ label: m, number: true, unit: m })), ...shown.map((d) => ({ label: label(d) }))];
    const values = rows.slice(0, ROWS).map((r) => [asIso(cube.day[r]), cube.sums.published[r] == null ? null : cube.sums.published[r] / 1e6, cube.sums.tokens[r], cube.sums.requests[r], ...shown.map((d) => cube.levels[d][cube.codes[d][r]])]);
    return { period_text: spanText(a, b), columns, values, total: rows.length };
  }
  function codeText(a, b) {
    const zone = cube.timezone === "UTC" ? "" : `, ${JSON.stringify(cube.timezone)}`;
    const tests = state.filters.map(([d, name]) => (name === cube.unstated ? `rows = rows[rows[${JSON.stringify(d)}].isna()]` : `rows = rows[rows[${JSON.stringify(d)}] == ${JSON.stringify(name)}]`));
    return ["import finops_ai as fa", "from finops_ai.periods import Window", "", `rows = ${cube.source}`, ...tests, `fa.showback(rows, by=[${JSON.stringify(state.by)}], window=Window.of(${JSON.stringify(asIso(a))}, ${JSON.stringify(asIso(b + 1))}${zone})${zone && `, timezone=${zone.slice(2)}`})`].join("\n");
  }
  const clipped = () => [Math.max(state.span[0], first), Math.min(state.span[1], last)];
  // one name of a dimension only; what is now a single name is no longer what is grouped by
  function keep(dimension, name) {
    state.picked = null;
    state.filters = [...state.filters.filter(([d]) => d !== dimension), [dimension, name]];
    if (dimension !== state.by) return;
    const done = new Set(state.filters.map(([d]) => d)), start = cube.dimensions.indexOf(state.by);
    for (const d of [...cube.dimensions.slice(start + 1), ...cube.dimensions.slice(0, start)]) {
      if (done.has(d)) continue;
      const seen = new Set(); each(first, last, (r) => { seen.add(cube.codes[d][r]); });
      if (seen.size > 1) { state.by = d; break; }
    }
  }
  function drill(name, bucket) {
    keep(state.by, name);
    if (bucket) { const [a, b] = clipped(), day = asDay(bucket); state.picked = [Math.max(day, a), Math.min(bucketEnd(day, grainOf(a, b)), b)]; }
    draw();
  }
  const on = {
    pick: (name, bucket, rest) => { if (!rest) drill(name, bucket); },
    path: (length) => { if (length >= state.filters.length) return; state.by = state.filters[length][0]; state.filters = state.filters.slice(0, length); state.picked = null; draw(); },
  };
  const bar = node("div", { class: "fx-controls", role: "group", "aria-label": "What to show" }, root);
  const field = (text, attributes) => node("input", { "aria-label": text, ...attributes }, node("label", { hidden: "" }, bar, text));
  const choice = (text, options, chosen) => {
    const wrap = node("label", {}, bar, text), select = node("select", { "aria-label": text }, wrap);
    options.forEach(([name, key]) => node("option", { value: key }, select, name));
    select.onchange = () => { chosen(select.value); draw(); };
    return select;
  };
  const spans = [];
  for (const days of [90, 30, 7]) if (last - first >= days) spans.push([`Last ${days} days`, `${last - days + 1}:${last}`]);
  for (let m = monthStart(last); m >= monthStart(first); m = monthStart(m - 1)) spans.push([monthText(m), `${m}:${monthEnd(m)}`]);
  spans.push(["All days", `${first}:${last}`], ["Other days", ""]);
  if (cube.month) { const m = asDay(cube.month + "-01"); if (m >= monthStart(first) && m <= last) state.span = [m, monthEnd(m)]; }
  else if (!spans.some(([, key]) => key === state.span.join(":"))) state.span = [first, last];
  const metric = choice("Show", Object.entries(METRICS).map(([key, [text]]) => [text, key]), (v) => { state.metric = v; });
  const by = choice("by", cube.dimensions.map((d) => [label(d), d]), (v) => { state.by = v; state.picked = null; });
  const span = choice("in", spans, (v) => { state.other = !v; if (v) state.span = v.split(":").map(Number); state.picked = null; });
  const days = ["from", "to"].map((text) => field(text, { type: "date", min: asIso(first), max: asIso(last) }));
  const compare = choice("against", [["the period before", "before"], ["a year before", "year"], ["nothing", "none"]], (v) => { state.compare = v; });
  const only = choice("Only", [["everything", ""], ...cube.dimensions.map((d) => [label(d), d])], () => {});
  const input = field("name", { list: root.id + "-names", autocomplete: "off", placeholder: "type or choose" }), list = node("datalist", { id: root.id + "-names" }, input.parentNode);
  for (const day of days) day.onchange = () => {
    if (!days.every((d) => d.value)) return;
    state.span = days.map((d) => Math.min(Math.max(asDay(d.value), first), last)).sort((x, y) => x - y); state.picked = null; draw();
  };
  only.onchange = () => { input.parentNode.hidden = !only.value; input.value = ""; list.replaceChildren(); if (only.value) { cube.levels[only.value].slice(0, 500).forEach((name) => node("option", { value: name }, list)); input.focus(); } };
  input.onchange = () => {
    if (!only.value || !input.value) return;
    const names = cube.levels[only.value], part = input.value.toLowerCase(), near = names.filter((name) => name.toLowerCase().includes(part)), name = names.includes(input.value) ? input.value : near.length === 1 ? near[0] : null;
    if (name == null) { draw(`No single ${label(only.value)} is called “${input.value}”.`); return; }
    keep(only.value, name);
    only.value = ""; input.parentNode.hidden = true; draw(); only.focus();
  };
  const place = node("div", {}, root);
  function draw(message, followed) {
    const begun = performance.now(), key = state.span.join(":");
    if (!spans.some(([, k]) => k === key)) state.other = true;
    metric.value = state.metric; by.value = state.by; compare.value = state.compare; span.value = state.other ? "" : key;
    days.forEach((day, i) => { day.value = asIso(state.span[i]); day.parentNode.hidden = !state.other; });
    drawBoard(place, boardData(message), on);
    if (!followed && !message) remember();
    root.dataset.ms = (performance.now() - begun).toFixed(1); root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
  }
  // the view stands in the address, so that it can be sent and Back goes back:
  // explorer.html#show=tokens&by=model&in=2026-10-01..2026-10-31&against=year&team=support
  const CHOICES = { show: "metric", by: "by", in: "span", against: "compare" }, begin = { ...state };
  const plain = (d) => (d in CHOICES || d.startsWith("only.") ? `only.${d}` : d);
  function address() {
    const parts = [["show", state.metric], ["by", state.by], ["in", state.span.map(asIso).join("..")], ["against", state.compare], ...state.filters.map(([d, name]) => [plain(d), name])];
    return "#" + parts.map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
  }
  function remember() {
    if (root.dataset.addressed && address() !== location.hash) location.hash = address();
  }
  function follow() {
    const parts = location.hash.slice(1).split("&").filter((part) => part.includes("=")).map((part) => { const at = part.indexOf("="); return [part.slice(0, at), part.slice(at + 1)].map((text) => { try { return decodeURIComponent(text); } catch { return text; } }); });
    const wrong = [], dated = /^(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)$/;
    Object.assign(state, begin, { filters: [], picked: null, other: false });
    let grouped = false;
    for (const [key, text] of parts) {
      const d = key.startsWith("only.") ? key.slice(5) : key;
      if (key === "show") { if (Object.hasOwn(METRICS, text)) state.metric = text; else wrong.push(`There is no figure called “${text}”.`); }
      else if (key === "by") { if (cube.dimensions.includes(text)) { state.by = text; grouped = true; } else wrong.push(`There is nothing called “${text}” to group by.`); }
      else if (key === "against") { if (["before", "year", "none"].includes(text)) state.compare = text; else wrong.push(`There is no comparison called “${text}”.`); }
      else if (key === "in") {
        const found = dated.exec(text), days = found ? [asDay(found[1]), asDay(found[2])] : [NaN, NaN];
        if (days.some(Number.isNaN) || days[1] < days[0]) wrong.push(`“${text}” are no days.`);
        else if (days[1] < first || days[0] > last) wrong.push(`There is no data in “${text}”: it reaches from ${dateText(cube.first)} to ${dateText(cube.last)}.`);
        else state.span = days;
      } else if (!cube.dimensions.includes(d)) wrong.push(`There is nothing called “${d}” to filter by.`);
      else if (!cube.levels[d].includes(text)) wrong.push(`No ${label(d)} is called “${text}” here.`);
      else state.filters = [...state.filters.filter(([x]) => x !== d), [d, text]];
    }
    if (!grouped && state.filters.length) state.by = cube.dimensions.find((d) => !state.filters.some(([x]) => x === d)) || state.by;
    return wrong.join(" ");
  }
  window.addEventListener("hashchange", () => { if (address() !== location.hash) draw(follow(), true); });
  draw(location.hash.length > 1 ? follow() : "", true);
  let width = place.clientWidth;
  new ResizeObserver(() => { if (Math.abs(place.clientWidth - width) > 8) { width = place.clientWidth; draw(); } }).observe(place);
}
