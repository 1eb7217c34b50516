// The explorer's board: chart, ranked table, path, rows. Drawn from plain data, so that the notebook widget and the
// kernel-free page share it. Text only ever enters as textContent.
const SVG = "http://www.w3.org/2000/svg";
const GREY = "#8b949e";

// marks that turn the writing direction or show nothing are shown as what they are, as in the report
function visible(text) { return String(text).replace(/[\u0000-\u0008\u000b-\u001f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (mark) => "\\u" + mark.charCodeAt(0).toString(16).padStart(4, "0")); }
function node(tag, attributes, parent, text) {
  const svg = ["svg", "rect", "line", "text", "path", "g", "title"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  if (text != null) element.textContent = visible(text);
  if (parent) parent.append(element);
  return element;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
function dateText(iso, year = true) {
  const [y, m, d] = iso.split("-").map(Number);
  return `${d} ${MONTHS[m - 1]}${year ? " " + y : ""}`;
}
function bucketText(data, i) {
  const iso = data.buckets[i], [y, m] = iso.split("-").map(Number), part = data.partial && data.partial[i] ? ` (${data.partial[i]})` : "";
  return (data.grain === "month" ? `${MONTHS[m - 1]} ${y}` : data.grain === "week" ? `week of ${dateText(iso)}` : dateText(iso)) + part;
}
function short(value) {
  const size = Math.abs(value);
  for (const [limit, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]])
    if (size >= limit) return trim(value / limit, size / limit >= 100 ? 0 : 1) + letter;
  return size >= 10 || value === 0 ? trim(value, 0) : size >= 0.1 ? trim(value, 2) : value.toPrecision(2);
}
function trim(value, places) { return value.toFixed(places).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""); }
const counted = (unit) => unit === "tokens" || unit === "requests";
// decimals as the tables of a report have them: amounts in minor units, rates by the smallest of those beside them
function decimals(values, unit) {
  const sizes = values.filter((v) => v).map(Math.abs), least = Math.min(1, ...sizes);
  if (/ per /.test(unit)) return least >= 1 ? 2 : least >= 0.001 ? 4 : least >= 0.00001 ? 6 : 9;
  let minor = 2;
  try { minor = new Intl.NumberFormat("en-US", { style: "currency", currency: unit }).resolvedOptions().maximumFractionDigits; } catch { /* no currency's code */ }
  return sizes.every((v) => Math.abs(v * 10 ** minor - Math.round(v * 10 ** minor)) < 1e-6 * Math.max(v, 1)) || least >= 1 ? minor : 6;
}
function full(value, unit, beside = [value]) {
  if (value == null) return counted(unit) ? "–" : "unknown";
  if (counted(unit)) return Math.round(value).toLocaleString("en-US");
  // what is far larger than the smallest beside it needs no more than millionths
  const places = Math.min(decimals(beside, unit), / per /.test(unit) && Math.abs(value) >= 0.001 ? 6 : 9);
  return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
}
function amount(value, unit) { return value == null ? (counted(unit) ? `no ${unit} counted` : `unknown ${unit}`) : `${full(value, unit)} ${unit}`; }
function changeText(now, before) {
  if (before == null || now == null) return "";
  if (before === 0) return now === 0 ? "0%" : "new";
  const change = (now - before) / Math.abs(before);
  if (Math.abs(change) < 0.0005) return "0%";
  if (change > 9.995) return `×${short(now / before)}`;
  return `${change >= 0 ? "+" : "−"}${Math.abs(change * 100).toFixed(Math.abs(change) < 0.0995 ? 1 : 0)}%`;
}
// more cost is worse; more tokens or requests are neither
function tone(change, data) { return counted(data.unit) ? "" : /^[+×n]/.test(change) ? "fx-up" : change.startsWith("−") ? "fx-down" : ""; }
function niceTop(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10].find((step) => step * size >= value * 0.999) * size;
}
function cell(text) {
  // a spreadsheet must never read a name as a formula
  let value = String(text ?? "");
  if (typeof text === "string" && /^[=+\-@\t\r]/.test(value)) value = "'" + value;
  return /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
function save(name, lines) {
  const link = node("a", { download: name, href: URL.createObjectURL(new Blob([lines.map((l) => l.map(cell).join(",")).join("\r\n") + "\r\n"], { type: "text/csv" })) });
  document.body.append(link); link.click(); link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// data: see finops_ai/widgets/view.py. on: { pick(group, bucket, rest), path(length) }
function drawBoard(root, data, on) {
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const state = root.finops || (root.finops = { bucket: -1, group: 0, sort: "total", live: node("p", { class: "fx-live", "aria-live": "polite" }) });
  if (state.bucket >= data.buckets.length) state.bucket = -1;
  // the spoken line stays in place, else a screen reader would never read its changes
  for (const child of [...root.children]) if (child !== state.live) child.remove();
  if (!state.live.parentNode) root.append(state.live);
  root.classList.add("fx");
  head(root, data, on, state);
  if (!data.groups.length) node("p", { class: "fx-empty" }, root, data.empty);
  else { chart(root, data, on, state); ranking(root, data, on, state); }
  foot(root, data);
  if (!focused) return;
  const all = [...root.querySelectorAll("[data-key]")], again = all.find((e) => e.dataset.key === focused) || all.find((e) => e.dataset.key === "chart");
  if (again) again.focus({ preventScroll: true });
}

// what is no owner has words of its own, such as idle capacity
function called(data, name) { return (data.words && Object.hasOwn(data.words, name) && data.words[name]) || name; }

function head(root, data, on, state) {
  const path = node("nav", { class: "fx-path", "aria-label": "Filters in effect" }, root);
  const steps = [["Everything"], ...data.path.map((p) => [`${p.label}: `, p.name])];
  steps.forEach(([text, name], i) => {
    if (i) node("span", { "aria-hidden": "true" }, path, "›");
    const last = i === steps.length - 1, step = last ? node("strong", {}, path, text) : node("button", { type: "button", "data-key": "path" + i, title: "Back to here" }, path, text);
    if (name != null) node("bdi", {}, step, name);
    if (!last) step.onclick = () => on.path(i);
  });
  if (data.message) node("p", { class: "fx-silence", role: "status" }, root, data.message);
  const about = `${data.title}, ${data.period_text}`, change = changeText(data.total, data.before);
  if (data.groups.length) {
    const line = node("p", { class: "fx-answer" }, root), total = amount(data.total, data.unit);
    node("span", { class: "fx-total" }, line, total[0].toUpperCase() + total.slice(1));
    if (change) node("span", { class: "fx-change " + tone(change, data) }, line, change);
    if (data.before_text) node("span", { class: "fx-soft" }, line, !data.compared ? data.before_text : data.before == null ? `not known in ${data.before_text}` : `against ${full(data.before, data.unit)} in ${data.before_text}`);
  }
  node("p", { class: "fx-title" }, root, about);
  const said = `${about}: ${data.groups.length ? `${amount(data.total, data.unit)} ${change}` : data.empty}`.trim();
  if (state.live.textContent !== said) state.live.textContent = said;
}

function chart(root, data, on, position) {
  const n = data.buckets.length, lines = data.kind === "lines";
  const width = Math.max(300, Math.min(root.clientWidth || 760, 1100)), height = width < 520 ? 220 : 300;
  const left = 50, right = 8, above = 24, below = 24;
  const sums = data.buckets.map((_, i) => data.groups.reduce((a, g) => a + Math.max(g.values[i] || 0, 0), 0));
  const lows = data.buckets.map((_, i) => data.groups.reduce((a, g) => a + Math.min(g.values[i] || 0, 0), 0));
  const values = lines ? data.groups.flatMap((g) => g.values.filter((v) => v != null)) : sums;
  const top = niceTop(Math.max(...values, ...(lines ? [] : (data.before_values || []).filter((v) => v != null)), 0));
  const least = Math.min(0, ...(lines ? [0] : lows));
  const y = (v) => above + (height - above - below) * (1 - (v - least) / (top - least));
  const step = (width - left - right) / n, x = (i) => left + i * step;
  const box = node("div", { class: "fx-chart", tabindex: "0", role: "slider", "data-key": "chart", "aria-label": `${data.title}. Left and right choose a ${data.grain}, up and down a group, Enter goes in, Backspace goes back.`, "aria-valuemin": "0", "aria-valuemax": String(n - 1), "aria-valuenow": "0", "aria-valuetext": `${n} ${data.grain}s` }, root);
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", "aria-hidden": "true", focusable: "false" }, box);
  node("text", { x: 0, y: 11 }, svg, lines ? data.unit : `${data.unit} per ${data.grain}`);
  for (let i = 0; i <= 4; i++) {
    const v = least + ((top - least) * i) / 4;
    node("line", { x1: left, x2: width - right, y1: y(v), y2: y(v), class: i ? "fx-grid" : "fx-base" }, svg);
    node("text", { x: left - 7, y: y(v) + 4, "text-anchor": "end" }, svg, short(v));
  }
  const marker = node("rect", { class: "fx-marker", y: above - 4, height: height - above - below + 8, width: step, visibility: "hidden" }, svg);
  const many = data.grain !== "month" && data.buckets[0].slice(0, 4) !== data.buckets[n - 1].slice(0, 4);
  const every = Math.ceil((n * (many ? 100 : data.grain === "day" ? 48 : 62)) / (width - left));
  data.buckets.forEach((b, i) => {
    if (i % every) return;
    const text = data.grain === "month" ? `${MONTHS[Number(b.slice(5, 7)) - 1]} ${b.slice(2, 4)}` : dateText(b, many), centre = x(i) + step / 2, half = text.length * 3;
    node("text", { x: Math.min(Math.max(centre, left + half), width - half), y: height - 7, "text-anchor": "middle" }, svg, text);
  });
  if (lines) data.groups.forEach((g) => {
    let path = "", pen = "M";
    g.values.forEach((v, i) => { if (v == null) { pen = "M"; return; } path += `${pen}${(x(i) + step / 2).toFixed(1)},${y(v).toFixed(1)}`; pen = "L"; });
    node("path", { d: path, class: "fx-line", stroke: g.colour }, svg);
  });
  else for (let i = 0; i < n; i++) {
    let up = 0, down = 0;
    data.groups.forEach((g, k) => {
      const v = g.values[i];
      if (!v) return;
      const from = v > 0 ? up : down, to = from + v;
      if (v > 0) up = to; else down = to;
      node("rect", { x: (x(i) + step * 0.07).toFixed(2), y: y(Math.max(from, to)).toFixed(2), width: Math.max(step * 0.86, 0.6).toFixed(2), height: Math.abs(y(from) - y(to)).toFixed(2), fill: g.colour, "data-group": k, "data-bucket": i, ...(data.partial && data.partial[i] ? { "fill-opacity": 0.55 } : {}) }, svg);
    });
  }
  if (!lines && data.before_values) {
    let path = "", pen = "M";
    data.before_values.forEach((v, i) => { if (v == null || i >= n) return; path += `${pen}${(x(i) + step / 2).toFixed(1)},${y(v).toFixed(1)}`; pen = "L"; });
    node("path", { d: path, class: "fx-before" }, svg);
  }
  const tip = node("div", { class: "fx-tip", hidden: "" }, box);
  const show = (i, k) => {
    position.bucket = i; position.group = k;
    marker.setAttribute("x", x(i)); marker.setAttribute("visibility", "visible");
    const all = lines ? null : sums[i] + lows[i], g = data.groups[k];
    box.setAttribute("aria-valuenow", String(i));
    box.setAttribute("aria-valuetext", `${bucketText(data, i)}, ${visible(called(data, g.name))}: ${amount(g.values[i] ?? (lines ? null : 0), data.unit)}`);
    tip.replaceChildren(); tip.hidden = false;
    node("strong", {}, tip, bucketText(data, i));
    node("span", { class: "fx-soft" }, tip, `, ${data.unit}`);
    const table = node("div", { class: "fx-rows" }, tip);
    data.groups.map((group, j) => [group, j]).filter(([group]) => group.values[i]).slice(0, 9).forEach(([group, j]) => {
      const row = node("div", { class: j === k ? "fx-on" : "" }, table);
      node("i", { style: `background:${group.colour}` }, row); node("span", {}, row, called(data, group.name)); node("b", {}, row, full(group.values[i], data.unit));
    });
    if (all != null) { const row = node("div", { class: "fx-sum" }, table); node("i", {}, row); node("span", {}, row, "total"); node("b", {}, row, full(all, data.unit)); }
    if (!lines && data.before_values && data.before_values[i] != null) { const row = node("div", { class: "fx-soft" }, table); node("i", { class: "fx-dash" }, row); node("span", {}, row, "before"); node("b", {}, row, full(data.before_values[i], data.unit)); }
    const near = ((x(i) + step / 2) / width) * 100;
    tip.style.left = near < 55 ? `calc(${near}% + ${step / 2 + 10}px)` : ""; tip.style.right = near < 55 ? "" : `calc(${100 - near}% + ${step / 2 + 10}px)`;
  };
  const hide = () => { tip.hidden = true; marker.setAttribute("visibility", "hidden"); };
  const find = (event) => {
    const area = svg.getBoundingClientRect(), i = Math.floor((((event.clientX - area.left) / area.width) * width - left) / step);
    if (i < 0 || i >= n) return null;
    const v = event.target.dataset && event.target.dataset.group != null ? Number(event.target.dataset.group) : null;
    if (v != null) return [i, v];
    if (lines) { const at = ((event.clientY - area.top) / area.height) * height; let best = 0, gap = 1e9; data.groups.forEach((g, k) => { if (g.values[i] != null && Math.abs(y(g.values[i]) - at) < gap) { gap = Math.abs(y(g.values[i]) - at); best = k; } }); return [i, best]; }
    return [i, null];
  };
  svg.onmousemove = (event) => { const at = find(event); if (at) show(at[0], at[1] ?? 0); else hide(); };
  box.onmouseleave = () => { if (document.activeElement !== box) hide(); };
  box.onblur = hide;
  svg.onclick = (event) => { const at = find(event); if (at && at[1] != null) on.pick(data.groups[at[1]].name, data.buckets[at[0]], data.groups[at[1]].rest); };
  box.onfocus = () => show(position.bucket < 0 ? n - 1 : position.bucket, Math.min(position.group, data.groups.length - 1));
  box.onkeydown = (event) => {
    let { bucket: i, group: k } = position;
    if (i < 0) i = n - 1;
    const last = data.groups.length - 1;
    if (event.key === "ArrowLeft") i = Math.max(i - 1, 0);
    else if (event.key === "ArrowRight") i = Math.min(i + 1, n - 1);
    else if (event.key === "ArrowUp") k = Math.max(k - 1, 0);
    else if (event.key === "ArrowDown") k = Math.min(k + 1, last);
    else if (event.key === "Home") i = 0;
    else if (event.key === "End") i = n - 1;
    else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); on.pick(data.groups[k].name, data.buckets[i], data.groups[k].rest); return; }
    else if (event.key === "Escape" && !tip.hidden) { event.stopPropagation(); hide(); return; }
    else if (event.key === "Backspace") { event.preventDefault(); event.stopPropagation(); if (data.path.length) on.path(data.path.length - 1); return; }
    else return;
    event.preventDefault(); event.stopPropagation();
    show(i, Math.min(k, last));
  };
  const dashed = data.before_values && !lines ? `Dashed: ${data.line_text}. ` : "";
  node("p", { class: "fx-note" }, root, dashed + "Click a bar or a name to go into it; with the keyboard, arrows move, Enter goes in, Backspace goes back.");
}

function ranking(root, data, on, state) {
  const wrap = node("div", { class: "fx-scroll", tabindex: "0", role: "region", "aria-label": `${data.title}, table` }, root);
  const table = node("table", {}, wrap);
  node("caption", {}, table, `${data.title}, ${data.period_text}`);
  const row = node("tr", {}, node("thead", {}, table));
  const compared = data.compared, ratio = data.kind === "lines", trend = data.buckets.length > 2, sort = compared ? state.sort : "total";
  const sortable = (text, key) => {
    const place = node("th", { scope: "col", ...(sort === key && !(ratio && key === "total") ? { "aria-sort": "descending" } : {}) }, row);
    const button = node("button", { type: "button", "data-key": "sort" + key, title: key === "change" ? "The largest change first" : ratio ? "The most expensive first" : "The largest first" }, place, text);
    button.onclick = () => { state.sort = key; drawBoard(root, data, on); };
  };
  node("th", { scope: "col", class: "fx-name" }, row, data.by_label);
  if (compared) sortable(data.unit, "total"); else node("th", { scope: "col" }, row, data.unit);
  if (!ratio) node("th", { scope: "col", class: "fx-extra" }, row, "share");
  if (compared) { node("th", { scope: "col" }, row, "before"); sortable("change", "change"); }
  if (trend) node("th", { scope: "col", class: "fx-trend" }, row, "trend");
  const body = node("tbody", {}, table), most = Math.max(...data.groups.map((g) => Math.abs(g.total || 0)), 1e-30);
  const moved = (g) => (g.rest || g.total == null || g.before == null ? -1 : Math.abs(g.total - g.before)), all = [...data.groups, ...data.more];
  if (sort === "change") all.sort((a, b) => moved(b) - moved(a));
  const beside = all.flatMap((g) => (compared ? [g.total, g.before] : [g.total]));
  const inside = data.groups.some((g) => g.rest) && sort === "total";
  for (const g of all) {
    const line = node("tr", g.colour || !inside ? {} : { class: "fx-of" }, body), name = node("th", { scope: "row", class: "fx-name" }, line);
    if (g.rest) { const plain = node("span", { class: "fx-plain" }, name); node("i", { style: `background:${g.colour}` }, plain); node("span", {}, plain, g.name); }
    else {
      const button = node("button", { type: "button", "data-key": "g" + g.name, title: g.name.length > 40 ? visible(g.name) : data.leaf ? "See its rows" : "Go into it" }, name);
      node("i", { style: `background:${g.colour || "transparent"}` }, button); node("span", {}, button, called(data, g.name));
      button.onclick = () => on.pick(g.name, null, false);
    }
    const value = node("td", {}, line, full(g.total, data.unit, beside));
    if (!ratio) { value.style.setProperty("--w", `${(100 * Math.max(g.total || 0, 0)) / most}%`); value.classList.add("fx-bar"); node("td", { class: "fx-extra" }, line, data.total && g.total != null ? `${((100 * g.total) / data.total).toFixed(1)}%` : ""); }
    if (compared) { node("td", {}, line, g.before == null ? "–" : full(g.before, data.unit, beside)); const change = changeText(g.total, g.before); node("td", { class: tone(change, data) }, line, change); }
    if (trend) spark(node("td", { class: "fx-trend" }, line), g);
  }
  if (data.hidden) node("p", { class: "fx-note" }, root, `${data.hidden.toLocaleString("en-US")} ${ratio ? "that cost less are not listed" : "smaller ones are in “other”"}; name one with “Only”.`);
}

function spark(place, g) {
  if (!g.values) return;
  const width = 120, height = 22, known = g.values.filter((v) => v != null), top = Math.max(...known, 1e-30), low = Math.min(...known, 0);
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" }, place);
  let path = "", pen = "M";
  g.values.forEach((v, i) => { if (v == null) { pen = "M"; return; } path += `${pen}${((i + 0.5) * width / g.values.length).toFixed(1)},${(height - 2 - ((v - low) / (top - low)) * (height - 4)).toFixed(1)}`; pen = "L"; });
  node("path", { d: path, fill: "none", stroke: g.colour, "stroke-width": 1.6, "stroke-linejoin": "round" }, svg);
}

function foot(root, data) {
  const bar = node("div", { class: "fx-tools" }, root);
  const csv = node("button", { type: "button", "data-key": "csv" }, bar, "Export CSV");
  csv.onclick = () => save(`${data.title}, ${data.unit}, ${data.period_text}.csv`.replaceAll(/[^a-z0-9.]+/gi, "-"), [[data.grain || "day", ...data.groups.map((g) => g.name)], ...data.buckets.map((b, i) => [b, ...data.groups.map((g) => g.values[i] ?? "")])]);
  if (data.code) {
    const copy = node("button", { type: "button", "data-key": "code" }, bar, "Copy code"), said = node("span", { class: "fx-note", role: "status" }, bar);
    copy.onclick = async () => {
      try { await navigator.clipboard.writeText(data.code); said.textContent = "Copied."; }
      catch { details.open = true; said.textContent = "Select the code below and copy it."; }
    };
    const details = node("details", {}, root);
    node("summary", { "data-key": "codebox" }, details, "The same in Python");
    node("pre", { tabindex: "0" }, details, data.code);
  }
  if (data.rows) {
    const names = data.path.map((p) => p.name), title = `Rows behind ${visible(names.join(", ") || "everything")}, ${data.rows.period_text}`;
    const details = node("details", { open: "" }, root);
    const summary = node("summary", { "data-key": "rows" }, details, "Rows behind ");
    (names.length ? names : ["everything"]).forEach((name, i) => { if (i) summary.append(", "); node("bdi", {}, summary, name); });
    summary.append(`, ${data.rows.period_text}`);
    const wrap = node("div", { class: "fx-scroll fx-tall", tabindex: "0", role: "region", "aria-label": title }, details), table = node("table", {}, wrap);
    const head = node("tr", {}, node("thead", {}, table));
    data.rows.columns.forEach((c) => node("th", { scope: "col", class: c.number ? "" : "fx-name" }, head, c.label));
    const body = node("tbody", {}, table);
    data.rows.values.forEach((values) => { const line = node("tr", {}, body); values.forEach((v, i) => node("td", { class: data.rows.columns[i].number ? "" : "fx-name" }, line, data.rows.columns[i].number ? full(v, data.rows.columns[i].unit) : v ?? "")); });
    const bottom = node("p", { class: "fx-tools" }, details);
    if (data.rows.total > data.rows.values.length) node("span", { class: "fx-note" }, bottom, `The ${data.rows.values.length} largest of ${data.rows.total.toLocaleString("en-US")} rows.`);
    const out = node("button", { type: "button", "data-key": "rowscsv" }, bottom, "Export these rows");
    out.onclick = () => save("rows.csv", [data.rows.columns.map((c) => c.label), ...data.rows.values]);
  }
  for (const text of data.notes || []) node("p", { class: "fx-note" }, root, text);
}
