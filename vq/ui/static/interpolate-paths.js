// Every path a row: the frame at the common position, the film strip, what each step costs.
// props.value: {state: "waiting"|"running"|"done"|"failed", revision, mode, progress: [done, total]|null,
//   rows: [name], error}; props.names: all paths; see vq/ui/interpolate.py.
// Topics interpolate-row-NAME, as text: {revision, name, size, frames: [url], distances, tokens_changed|null}.
const { t, h, number } = VQ;
const root = element.querySelector(".vq-interpolate-paths");
const drawn = new Map(); // path -> {node, key, show}: a row is built once for each result
let sought = VQ.link.of("interpolate").text("path"); // the row to bring into view once all are there
let at = 0, count = 0, timer = null, requests = 0;

const status = h("p.vq-status", { role: "status" });
const out = h("output");
const scrubber = h("input", { type: "range", min: 0, step: 1, "aria-label": t("position"), oninput: () => {
  stop();
  move(Number(scrubber.value));
} });
const play = h("button.vq-play", { type: "button", onclick: () => (timer ? stop() : start()) }, t("play"));
const bar = h("div.vq-bar.vq-scrub", { hidden: true }, play, scrubber, out);
const list = h("div.vq-rows"), plots = h("div.vq-grid.vq-plots");
root.append(h("h2.vq-spoken", {}, t("heading_results")), bar, status, list, plots);

function move(to) {
  at = Math.min(count - 1, Math.max(0, to));
  scrubber.value = at;
  out.textContent = t("position_now", at + 1, count);
  scrubber.setAttribute("aria-valuetext", out.textContent);
  root.dataset.frame = at;
  for (const { show } of drawn.values()) show(at);
  for (const mark of plots.querySelectorAll(".vq-now")) {
    mark.setAttribute("transform", `translate(${mark.place(at)} 0)`);
  }
}

// There and back again, twelve frames a second at most.
function start() {
  let way = at >= count - 1 ? -1 : 1;
  timer = setInterval(() => {
    if (at + way < 0 || at + way >= count) way = -way;
    move(at + way);
  }, Math.max(80, 1600 / count));
  play.textContent = t("pause");
}

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = t("play");
}

function build(row) {
  const title = t(`path_${row.name}`), { revision } = props.value;
  const big = h("img.vq-row-picture", { width: row.size, height: row.size, draggable: "false" });
  const tiles = row.frames.map((url, i) => h("button", { type: "button", tabindex: -1, "aria-label": t("frame_alt", title, i + 1, row.frames.length),
    onclick: () => { stop(); move(i); tell(); } }, h("img", { src: url, alt: "", width: row.size, height: row.size })));
  const film = h("div.vq-film", { role: "group", "aria-label": t("film", title), tabindex: 0, onkeydown: (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -count, End: count }[event.key];
    if (!step) return;
    event.preventDefault();
    stop();
    move(at + step);
    tell();
  } }, ...tiles);
  const tell = () => VQ.link.set("interpolate", { path: row.name });
  const save = (format) => h("button", { type: "button", "aria-label": `${t(`save_${format}`)}: ${title}`, "data-save": format, onclick: () => {
    // Not "path", which Gradio would take for a file's.
    trigger("save", { film: row.name, revision, format, request: ++requests });
  } }, t(`save_${format}`));
  const node = h("article.vq-card.vq-row", { "data-path": row.name, "data-revision": revision }, big,
    h("div.vq-row-body", {}, h("header", {}, h("h3", {}, title), h("span.vq-tag", {}, `${row.size} px`)), film,
      h("p.vq-what", {}, ...VQ.rich(`about_${row.name}`)), h("footer.vq-actions", {}, save("webp"), save("gif"))));
  let shown = -1;
  return { node, show: (i) => {
    const now = Math.min(i, row.frames.length - 1);
    if (now === shown) return; // a picture that is set again is decoded again
    shown = now;
    big.src = row.frames[now];
    big.alt = t("frame_alt", title, now + 1, row.frames.length);
    tiles.forEach((tile, k) => tile.toggleAttribute("data-now", k === now));
    const tile = tiles[now];
    if (tile.offsetLeft < film.scrollLeft || tile.offsetLeft + tile.offsetWidth > film.scrollLeft + film.clientWidth) {
      film.scrollLeft = tile.offsetLeft - film.clientWidth / 2;
    }
  } };
}

// One line a path over the steps; the mark shows the position.
function plot(title, note, rows, pick, digits) {
  const width = 460, height = 210, left = 34, right = 106, top = 12, bottom = 30;
  const steps = count - 1, high = Math.max(1e-9, ...rows.flatMap(pick));
  const x = (i) => left + (steps > 1 ? i / (steps - 1) : 0.5) * (width - left - right);
  const y = (value) => top + (1 - value / high) * (height - top - bottom);
  // Low counts and paths that stand still have fewer lines than three that differ.
  const middle = digits ? high / 2 : Math.round(high / 2);
  const named = new Map([0, middle, high].map((value) => [number(value, high < 10 ? digits : 0), value]).reverse());
  const ticks = [...named].map(([name, value]) => h("g", {},
    h("line.vq-gridline", { x1: left, x2: width - right, y1: y(value), y2: y(value) }),
    h("text.vq-axis", { x: left - 5, y: y(value) + 3, "text-anchor": "end" }, name)));
  const now = h("line.vq-now", { y1: top, y2: height - bottom });
  now.place = (i) => x(Math.min(steps - 1, Math.max(0, i - 1)));
  const lines = rows.map((row) => {
    const values = pick(row);
    return h(`g.vq-line.vq-line-${row.name}`, { "data-line": row.name }, h("polyline", { points: values.map((value, i) => `${x(i)},${y(value)}`).join(" ") }),
      ...values.map((value, i) => h("circle", { cx: x(i), cy: y(value), r: 2.6 },
        h("title", {}, t("step_of", t(`path_${row.name}`), i + 1, number(value, digits))))));
  });
  const ends = rows.map((row) => ({ row, y: y(pick(row).at(-1)) + 3 })).sort((a, b) => a.y - b.y);
  // Labels that would touch are moved apart, downwards, and all back up if that leaves the plot.
  ends.forEach((end, i) => { if (i) end.y = Math.max(end.y, ends[i - 1].y + 12); });
  const over = Math.max(0, ends.at(-1).y - (height - bottom + 4));
  ends.reduceRight((below, end) => { end.y = Math.min(end.y, below - 12); return end.y; }, ends.at(-1).y - over + 12);
  return h("article.vq-card.vq-plot", {}, h("header", {}, h("h3", {}, title)),
    h("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, ...ticks, now, ...lines,
      h("text.vq-axis", { x: left, y: height - 10, "text-anchor": "middle" }, 1),
      h("text.vq-axis", { x: width - right, y: height - 10, "text-anchor": "middle" }, steps),
      h("text.vq-axis", { x: (left + width - right) / 2, y: height - 10, "text-anchor": "middle" }, t("step")),
      ...ends.map((end) => h(`text.vq-line-label.vq-line-${end.row.name}`, { x: width - right + 8, y: end.y }, t(`short_${end.row.name}`)))),
    h("p.vq-what", {}, note));
}

function drawPlots(rows) {
  const swaps = rows.filter((row) => row.tokens_changed);
  plots.replaceChildren(plot(t("steps_title"), t("steps_note"), rows, (row) => row.distances, 1),
    ...(swaps.length ? [plot(t("changed_title"), t("changed_note"), swaps, (row) => row.tokens_changed, 0)] : []));
}

function begin() {
  status.textContent = t("working");
  root.dataset.busy = "";
}
window.addEventListener("vq-interpolate-begin", begin);

// The rows of this revision that have arrived, in their order.
const texts = {};
function arrived() {
  const { rows, revision } = props.value;
  return rows.map((name) => {
    const text = VQ.news[`interpolate-row-${name}`];
    if (texts[name]?.text !== text) texts[name] = { text, row: text ? JSON.parse(text) : null };
    return texts[name].row;
  }).filter((row) => row?.revision === revision);
}

function draw() {
  const { state, revision, mode, progress, error } = props.value, rows = arrived();
  const whole = rows.length === props.value.rows.length;
  root.dataset.state = state === "done" && !whole ? "running" : state;
  root.dataset.revision = revision;
  if (state !== "running") delete root.dataset.busy;
  status.textContent = state === "failed" ? error[VQ.language] : state === "running" ? (progress ? t("progress", ...progress) : t("working")) : "";
  const off = mode !== "paths" || state === "failed";
  // The last rows stay, dimmed, until the first new one is there: no flicker.
  if (off || rows.length) keep(off ? [] : rows, revision);
  if (state === "done" && whole && rows.length) {
    drawPlots(rows);
    seek();
  }
  else if (off) plots.replaceChildren();
  bar.hidden = off || !drawn.size;
  if (count) move(at);
}

function seek() {
  const row = drawn.get(sought)?.node;
  if (row) VQ.link.set("interpolate", { path: sought });
  sought = null;
  row?.scrollIntoView({ block: "center" });
}

function keep(rows, revision) {
  const fresh = rows.length ? rows[0].frames.length : 0;
  if (fresh && fresh !== count) {
    // The same place on the path, not the same number.
    at = count > 1 ? Math.round((at / (count - 1)) * (fresh - 1)) : Math.floor(fresh / 2);
    count = fresh;
    scrubber.max = count - 1;
    plots.replaceChildren();
  }
  if (!rows.length) stop();
  const names = new Set(rows.map(({ name }) => name));
  for (const [name, { node }] of drawn) if (!names.has(name)) { node.remove(); drawn.delete(name); }
  rows.forEach((row, i) => {
    if (drawn.get(row.name)?.key !== revision) {
      drawn.get(row.name)?.node.remove();
      drawn.set(row.name, { key: revision, ...build(row) });
    }
    const { node } = drawn.get(row.name);
    if (list.children[i] !== node) list.insertBefore(node, list.children[i] || null);
  });
}

watch("value", draw);
for (const name of props.names) VQ.follow(`interpolate-row-${name}`, draw);
draw();
