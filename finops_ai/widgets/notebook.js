// The board as a notebook widget: draws what Python sends, sends back what is picked, and says so when no answer comes.
const PATIENCE = 4000, SILENT = "Python has not answered yet. It is busy with another cell, or was stopped: after a restart, run this cell again.";

export default { render({ model, el }) {
  const root = node("div", {}, el), silence = node("p", { class: "fx-silence", role: "status" });
  let waiting = 0;
  const answered = () => { clearTimeout(waiting); waiting = 0; silence.textContent = ""; };
  const silent = () => { silence.textContent = SILENT; root.prepend(silence); };
  const ask = (message) => {
    if (!waiting) waiting = setTimeout(silent, PATIENCE);
    try { model.send(message); } catch { silent(); }
  };
  const on = { pick: (name, bucket, rest) => { if (!rest) ask({ kind: "pick", name, bucket }); }, path: (length) => ask({ kind: "path", length }) };
  const draw = () => { const data = model.get("data"); if (data && data.title) { drawBoard(root, data, on); root.dataset.drawn = String(data.number || 0); } };
  const changed = () => { answered(); draw(); };
  // the controls are widgets of their own: asking along with them tells whether anybody listens
  const whole = () => el.closest(".fx-explorer") || el;
  const chosen = (event) => { if (whole().contains(event.target)) ask({ kind: "ping" }); };
  // a plain key pressed in here is no shortcut of the notebook: an arrow would leave the cell, "b" add one, "dd" delete it
  const keep = (event) => {
    if (whole().contains(event.target)) event.target.toggleAttribute("data-lm-suppress-shortcuts", !event.ctrlKey && !event.metaKey && !event.altKey);
  };
  window.addEventListener("keydown", keep, true);
  document.addEventListener("change", chosen, true);
  model.on("change:data", changed);
  model.on("msg:custom", answered);
  const watch = new ResizeObserver((entries) => {
    const width = Math.round(entries[0].contentRect.width); if (width && Math.abs(width - (root.width || 0)) > 8) { root.width = width; draw(); }
  });
  watch.observe(root); draw();
  return () => { watch.disconnect(); clearTimeout(waiting); document.removeEventListener("change", chosen, true); window.removeEventListener("keydown", keep, true); model.off("change:data", changed); model.off("msg:custom", answered); };
} };
