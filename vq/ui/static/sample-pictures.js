// The pictures, as they come and when they stand; and one of them, looked at closely.
// props.value: {revision, state: "idle"|"running"|"done"|"stopped"|"failed", model, n, seed, pictures: [url],
//   grid: [h,w]|null, drawn, positions, rate, line, other: [theirs, ours]|null, adopt: settings|undefined, error,
//   details: {maps: [url], tokens, nats, guess} | {numbers} | null}; see vq/ui/sample.py.
const { t, h, number } = VQ;
const root = element.querySelector(".vq-sample-pictures");
let chosen = 0, adopted = null, shown = null;

const bar = h("progress", { max: 1, value: 0, "aria-label": t("tab_sample") });
const status = h("span.vq-sample-status", { role: "status" });
const rate = h("span.vq-sample-rate");
const stop = h("button.vq-sample-stop", { type: "button", hidden: true, onclick: () => {
  trigger("stop");
  // If it is still waiting for its turn, nobody else would say so.
  mark("stopped");
} }, t("sample_stop"));
const tiles = h("div.vq-sample-grid"), close = h("aside.vq-card.vq-sample-close", { hidden: true });
const line = h("textarea", { rows: 2, readonly: true, "aria-label": t("sample_line"), onfocus: () => line.select() });
const copy = h("button", { type: "button", onclick: copyLine }, t("sample_copy"));
const seed = h("span.vq-sample-seed");
const keep = h("button", { type: "button", onclick: () => adopt({ seed: props.value.seed }) }, t("sample_keep_seed"));
const other = h("p.vq-sample-missing");
const foot = h("div.vq-sample-foot", { hidden: true },
  h("span.vq-label", {}, t("sample_line")), h("div.vq-sample-line", {}, line, copy),
  h("p.vq-note", {}, t("sample_line_note")), other, h("p.vq-sample-again", {}, seed, keep));

root.append(h("h2.vq-spoken", {}, t("heading_results")), h("div.vq-sample-head", {}, h("div", {}, status, rate, stop), bar),
  h("div.vq-sample-body", {}, h("div.vq-sample-main", {}, tiles, foot), close));

const adopt = (detail) => window.dispatchEvent(new CustomEvent("vq-sample-adopt", { detail }));

function mark(state) {
  root.dataset.state = state;
  stop.hidden = state !== "running";
}

async function copyLine() {
  line.select();
  try {
    await navigator.clipboard.writeText(line.value);
  } catch {
    document.execCommand("copy"); // browsers keep the clipboard from pages without https
  }
  copy.textContent = t("sample_copied");
  setTimeout(() => (copy.textContent = t("sample_copy")), 1500);
}

// The pictures of the last run stay, dimmed, until the new one begins.
window.addEventListener("vq-sample-begin", () => {
  mark("running");
  root.dataset.busy = "";
  status.textContent = t("sample_waiting");
  rate.textContent = "";
  bar.removeAttribute("value");
  if (matchMedia("(max-width: 900px)").matches) root.scrollIntoView({ behavior: "smooth" });
});

function draw() {
  const value = props.value;
  delete root.dataset.busy;
  root.dataset.revision = value.revision;
  root.dataset.drawn = value.drawn;
  mark(value.state);
  drawTiles(value);
  drawHead(value);
  foot.hidden = !value.line;
  line.value = value.line || "";
  seed.textContent = t("sample_seed_used", value.seed);
  other.textContent = value.other ? t("sample_other_weights", ...value.other) : "";
  if (value.adopt && adopted !== value.revision) {
    adopted = value.revision;
    adopt(value.adopt);
  }
  if (value.state === "done" && value.line) VQ.link.set("sample", { seed: value.seed });
  look(value.details ? chosen : null);
}

function drawHead({ state, drawn, positions, rate: speed, pictures, error }) {
  const finishing = state === "running" && drawn === positions && pictures.length;
  const words = { idle: () => t("sample_idle"), done: () => t("sample_done"), failed: () => error[VQ.language],
    stopped: () => t("sample_stopped", drawn, positions),
    running: () => (finishing ? t("sample_finishing") : drawn ? t("sample_progress", drawn, positions) : t("sample_waiting")) };
  status.textContent = words[state]();
  rate.textContent = speed ? t("sample_rate", number(speed)) : "";
  if (state === "running" && !drawn) bar.removeAttribute("value");
  else bar.value = positions ? drawn / positions : 0;
}

// Cells where no token stands yet lie under a veil: what a decoder shows there would be made up.
function drawTiles({ revision, state, n = 0, grid, drawn, positions, pictures, details }) {
  const count = state === "failed" || state === "idle" ? 0 : n;
  if (shown !== revision || tiles.children.length !== count) {
    shown = revision;
    chosen = 0;
    tiles.replaceChildren(...Array.from({ length: count }, (_, i) => tile(i)));
    tiles.style.setProperty("--columns", Math.ceil(Math.sqrt(count)));
  }
  tiles.toggleAttribute("data-veiled", drawn < positions || !pictures.length);
  if (grid) {
    const [rows, columns] = grid, row = Math.floor(drawn / columns), column = drawn % columns;
    const y = (i) => `${(100 * i) / rows}%`, x = (i) => `${(100 * i) / columns}%`;
    const corners = [[x(column), y(row)], ["100%", y(row)], ["100%", "100%"], ["0", "100%"], ["0", y(row + 1)], [x(column), y(row + 1)]];
    const place = { "--veil": `polygon(${corners.map((corner) => corner.join(" ")).join(",")})`,
      "--cell": `${100 / columns}% ${100 / rows}%`, "--left": x(column), "--top": y(row), "--width": x(1), "--height": y(1) };
    for (const [name, text] of Object.entries(place)) tiles.style.setProperty(name, text);
  }
  [...tiles.children].forEach((node, i) => {
    node.disabled = !details;
    const image = node.firstChild;
    if (pictures[i] && image.getAttribute("src") !== pictures[i]) image.src = pictures[i];
  });
}

function tile(i) {
  return h("button.vq-sample-tile", { type: "button", "data-picture": i, title: t("sample_open", i + 1), disabled: true,
    onclick: () => {
      look(i);
      if (matchMedia("(max-width: 900px)").matches) close.scrollIntoView({ behavior: "smooth", block: "nearest" });
    } }, h("img", { alt: t("sample_alt", i + 1) }), h("span.vq-sample-veil"), h("span.vq-sample-cursor"));
}

// One picture, large, with its maps. null: none.
function look(index) {
  close.hidden = index === null;
  [...tiles.children].forEach((node, i) => node.setAttribute("aria-pressed", i === index));
  if (index === null) return;
  chosen = index;
  const { pictures, details, model, seed } = props.value;
  const alt = t("sample_alt", index + 1);
  const name = `${model}-${seed}-${index + 1}`;
  const buttons = props.accepts.filter((to) => to !== "edit" || details.tokens).map((to) => h("button",
    { type: "button", "data-carry": to, onclick: () => trigger("carry", { index, to }) }, t(`to_${to}`)));
  close.replaceChildren(h("header", {}, h("h3", {}, alt), h("span.vq-tag", {}, t(`sample_title_${model}`))),
    ...(details.tokens ? mapped(index, alt) : [
      h("div.vq-screen", {}, h("img", { src: pictures[index], alt })), h("p.vq-note", {}, t("sample_vector", details.numbers))]),
    h("footer.vq-actions", {}, h("button", { type: "button", onclick: () => save(pictures[index], name) }, t("download")), ...buttons));
}

// Picture, token map and surprisal map; pointing at a cell of one marks it in all.
function mapped(index, alt) {
  const { pictures, details, grid: [rows, columns] } = props.value;
  const tokens = details.tokens[index], nats = details.nats[index];
  const hint = h("p.vq-note", {}, t("sample_hover"));
  const screens = [];
  function point(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const at = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
    const row = at((event.clientY - box.top) / box.height, rows), column = at((event.clientX - box.left) / box.width, columns);
    hint.textContent = t("sample_cell", row, column, tokens[row][column], number(nats[row][column], 2));
    for (const screen of screens) {
      screen.dataset.pointed = "";
      for (const [name, share] of [["--left", column / columns], ["--top", row / rows], ["--width", 1 / columns], ["--height", 1 / rows]]) {
        screen.style.setProperty(name, `${100 * share}%`);
      }
    }
  }
  function leave() {
    hint.textContent = t("sample_hover");
    for (const screen of screens) delete screen.dataset.pointed;
  }
  const screen = (inner) => {
    screens.push(h("div.vq-screen", { onpointermove: point, onpointerdown: point, onpointerleave: leave }, inner, h("span.vq-sample-cursor")));
    return screens.at(-1);
  };
  const figure = (key, node, help) => h("figure", { title: help }, screen(node), h("figcaption", {}, ...VQ.rich(key)));
  return [screen(h("img", { src: pictures[index], alt })), hint, h("div.vq-sample-maps", {},
    figure("sample_tokens", h("img", { src: details.maps[index], alt: t("alt_map", alt) }), t("token_map")),
    figure("sample_surprise", heat(nats, details.guess), t("sample_surprise_help"))),
  h("div.vq-sample-legend", {}, h("span", {}, t("sample_foreseen")), h("i"), h("span", {}, t("sample_guess", number(details.guess, 1)))),
  h("p.vq-note", {}, ...VQ.rich("sample_surprise_help"))];
}

// The more surprising, the more of the accent colour; from a blind guess on, all of it.
function heat(nats, guess) {
  const rows = nats.length, columns = nats[0].length;
  return h("svg.vq-sample-heat", { viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", role: "img", "aria-label": t("sample_surprise") },
    ...nats.flatMap((row, y) => row.map((value, x) => h("rect", { x, y, width: 1, height: 1, fill: "currentColor",
      "fill-opacity": Math.min(1, value / guess).toFixed(3) }))));
}

// Saved pictures are enlarged by whole pixels when they are small.
async function save(url, name) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const scale = Math.max(1, Math.floor(512 / image.naturalWidth));
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth * scale, height: image.naturalHeight * scale });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  h("a", { href: canvas.toDataURL("image/png"), download: `${name}.png` }).click();
}

watch("value", draw);
draw();
