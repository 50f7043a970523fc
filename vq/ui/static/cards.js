// The results: one card a codec, then the original, JPEG, WebP and how much likeness the bits buy.
// props.value: {revision, state: "empty"|"empty_codecs"|"running"|"done", pending: [name], originals: {size: url},
//   cards: [...], handmade: [...], whole: url|null}; see vq/ui/reconstruct.py. The lens applies to all cards at once.
const { t, h, segments, number } = VQ;
const root = element.querySelector(".vq-cards");
const LENSES = ["picture", "compare", "difference", "code"];
const view = { lens: VQ.link.of("reconstruct").one("lens", LENSES) ?? LENSES[0], gain: 4, divide: 50, target: null };
// The codecs that may have a card: the page's, and the visitor's own.
const all = () => [...props.all, ...props.value.extra];
const drawn = new Map(); // card name -> {node, key}: a card is built once for each result

const grid = h("div.vq-grid");
const counter = h("p.vq-status", { role: "status" });
const handmadeGrid = h("div.vq-grid.vq-handmade");
const handmadeHead = h("div.vq-section", { hidden: true });
const control = h("div.vq-control");

root.append(
  h("div.vq-bar", {},
    segments("vq-lens", t("lens"), LENSES.map((lens) => [lens, t(`lens_${lens}`)]), view.lens, (lens) => {
      view.lens = lens;
      applyLens();
    }),
    control),
  h("h2.vq-spoken", {}, t("heading_results")), counter, grid, handmadeHead, handmadeGrid);

function slider(label, note, low, high, step, value, oninput, text) {
  const out = h("output", {}, text(value));
  return h("label.vq-slider", {}, h("span", {}, label),
    h("input", { type: "range", min: low, max: high, step, value, "aria-label": label, oninput: (event) => {
      const now = Number(event.target.value);
      out.textContent = text(now);
      oninput(now);
    } }), out, h("small", {}, note));
}

function applyLens() {
  root.dataset.lens = view.lens;
  VQ.link.set("reconstruct", { lens: view.lens === LENSES[0] ? null : view.lens });
  control.replaceChildren();
  if (view.lens === "difference") {
    control.append(slider(t("gain"), t("gain_note"), 1, 16, 1, view.gain, (gain) => {
      view.gain = gain;
      root.querySelectorAll("canvas.vq-difference").forEach(paintDifference);
    }, (gain) => `${gain}×`));
    root.querySelectorAll("canvas.vq-difference").forEach(paintDifference);
  } else if (view.lens === "compare") {
    control.append(slider(t("lens_compare"), t("divide"), 0, 100, 1, view.divide, divide, (now) => `${now} %`));
    divide(view.divide);
  } else if (view.lens === "code") {
    control.append(h("small.vq-control-note", {}, t("code_note")));
  }
}

function divide(percent) {
  view.divide = percent;
  root.style.setProperty("--divide", `${percent}%`);
}

// Dragging over any picture moves the divider in all of them.
function follow(event) {
  if (view.lens !== "compare" || (event.type === "pointermove" && !event.buttons && event.pointerType !== "mouse")) return;
  const box = event.currentTarget.getBoundingClientRect();
  divide(Math.round(Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100))));
  const range = control.querySelector("input");
  range.value = view.divide;
  range.nextElementSibling.textContent = `${view.divide} %`;
}

// Signed difference around grey, times the gain.
async function paintDifference(canvas) {
  const [before, after] = canvas.pictures;
  await Promise.all([before.decode(), after.decode()]).catch(() => {});
  const side = after.naturalWidth;
  if (!side || view.lens !== "difference") return;
  const pixels = (image) => {
    const scratch = Object.assign(document.createElement("canvas"), { width: side, height: side });
    const context = scratch.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, side, side);
  };
  const a = pixels(before), b = pixels(after);
  for (let i = 0; i < b.data.length; i += 1) if (i % 4 !== 3) b.data[i] = 128 + (b.data[i] - a.data[i]) * view.gain;
  canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(b, 0, 0);
  canvas.dataset.gain = view.gain;
}

// The picture with everything a lens may show on top of it.
function screen(card, originalUrl, title) {
  const size = { width: card.size, height: card.size, draggable: "false" };
  const after = h("img.vq-picture", { src: card.picture, alt: t("alt_reconstruction", title), ...size });
  const before = h("img.vq-before", { src: originalUrl, alt: t("alt_original", card.size), ...size });
  const canvas = h("canvas.vq-difference", { role: "img", "aria-label": t("alt_difference", title) });
  canvas.pictures = [before, after];
  const node = h("div.vq-screen", { onpointerdown: follow, onpointermove: follow },
    after, before, h("span.vq-divider", { "aria-hidden": "true" }), canvas, codeScreen(card, title));
  if (view.lens === "difference") paintDifference(canvas);
  return node;
}

function codeScreen(card, title) {
  if (card.tokens) {
    const [rows, columns] = card.latent_shape;
    const hint = h("span.vq-hint");
    return h("div.vq-code", { title: t("token_map"), onpointermove: (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      const at = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
      const row = at((event.clientY - box.top) / box.height, rows);
      const column = at((event.clientX - box.left) / box.width, columns);
      hint.textContent = t("cell", row, column, card.tokens[row][column]);
    }, onpointerleave: () => (hint.textContent = "") },
    h("img.vq-map", { src: card.map, alt: t("alt_map", title), width: columns, height: rows }), hint);
  }
  if (card.latent) return h("div.vq-code.vq-code-vector", {}, bars(card.latent.values, 100, 100));
  return h("div.vq-code.vq-code-none", {}, h("span", {}, t("no_code")));
}

// Signed bars around a middle line.
function bars(values, width, height) {
  const top = Math.max(1e-9, ...values.map(Math.abs));
  const step = width / values.length;
  const path = values.map((value, i) => {
    const y = (-value / top) * height * 0.48;
    return `M${(i * step).toFixed(2)} ${height / 2}v${y.toFixed(2)}h${(step * 0.72).toFixed(2)}V${height / 2}z`;
  }).join("");
  return h("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    h("path", { d: path, fill: "currentColor" }));
}

// The codes this picture uses, most used first, each in its colour of the token map.
function usage({ counts, colours }) {
  const width = 240, height = 40, top = counts[0];
  const step = width / counts.length;
  return h("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ...counts.map((count, i) => h("rect", { x: (i * step).toFixed(2), y: (height * (1 - count / top)).toFixed(2),
      width: step.toFixed(3), height: ((height * count) / top).toFixed(2), fill: `#${colours[i]}` })));
}

function strip(card) {
  if (card.usage) {
    return h("figure.vq-strip-plot", {}, usage(card.usage), h("figcaption", {},
      ...VQ.rich("usage", number(card.usage.counts.length), number(card.codebook_size), number(card.usage.perplexity))));
  }
  if (card.latent) {
    return h("figure.vq-strip-plot", {}, bars(card.latent.values, 240, 40), h("figcaption", {},
      ...VQ.rich(card.latent.scaled ? "latent_plot" : "latent_plot_raw", card.latent.values.length)));
  }
  return null;
}

function figures(card) {
  const shape = card.latent_shape && (card.tokens
    ? VQ.rich("tokens_shape", ...card.latent_shape) : VQ.rich("numbers_shape", card.latent_shape.join(" × ")));
  return h("div.vq-figures", {},
    h("p.vq-headline", {},
      h("span", { "data-figure": "bytes", "data-value": card.bytes }, h("b", {}, number(card.bytes)), ` ${t("bytes")}`),
      card.psnr !== undefined && h("span", { title: t("psnr_help"), "data-figure": "psnr", "data-value": card.psnr },
        h("b", {}, number(card.psnr, 1)), " ", ...VQ.rich("figure_dB"))),
    h("p.vq-details", {},
      ...[shape, VQ.rich("figure_bits_per_pixel", number(card.bits_per_pixel, 2)),
        card.ssim !== undefined && [h("span", { title: t("ssim_help") }, ...VQ.rich("figure_ssim", number(card.ssim, 2)))],
        card.ms !== undefined && [`${number(card.ms)} ms`], card.quality !== undefined && [t("quality", card.quality)],
      ].filter(Boolean).map((part) => h("span", {}, ...part))));
}

// Saved pictures are enlarged by whole pixels when they are small.
async function save(card, name) {
  const image = new Image();
  image.src = card.picture;
  await image.decode();
  const scale = Math.max(1, Math.floor(512 / image.naturalWidth));
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth * scale, height: image.naturalHeight * scale });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  h("a", { href: canvas.toDataURL("image/png"), download: `${name}-${card.size}px.png` }).click();
}

function actions(card) {
  const buttons = [h("button", { type: "button", onclick: () => save(card, card.name) }, t("download"))];
  for (const target of card.latent_shape ? props.accepts : []) { // nothing learned, nothing to take along
    if (target === "edit" && !card.tokens) continue;
    buttons.push(h("button", { type: "button", "data-carry": target,
      onclick: () => trigger("carry", { codec: card.name, to: target }) }, t(`to_${target}`)));
  }
  return h("footer.vq-actions", {}, ...buttons);
}

function build(card, originalUrl) {
  if (card.error) {
    return h("article.vq-card.vq-failed", { "data-card": card.name, "data-state": "failed" },
      h("header", {}, h("h3", {}, card.title)), h("p.vq-what", {}, card.error[VQ.language]));
  }
  return h("article.vq-card", { "data-card": card.name, "data-state": "ready", "data-revision": props.value.revision },
    h("header", {}, h("h3", {}, card.title), card.size && h("span.vq-tag", {}, `${card.size} px`)),
    screen(card, originalUrl, card.title), figures(card), strip(card),
    h("p.vq-what", {}, t(`what_${card.family}`, ...(card.what || []))), card.actions !== false && actions(card));
}

function placeholder(name) {
  const { title } = all().find((entry) => entry.name === name);
  return h("article.vq-card.vq-pending", { "data-card": name, "data-state": "pending" },
    h("header", {}, h("h3", {}, title)), h("div.vq-screen"), h("p.vq-what", {}, t("working")));
}

// Puts `nodes` into `parent` in order, leaving those that already stand there in place.
function arrange(parent, nodes) {
  nodes.forEach((node, i) => {
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] || null);
  });
  while (parent.children.length > nodes.length) parent.lastChild.remove();
}

function keep(name, key, make) {
  if (drawn.get(name)?.key !== key) drawn.set(name, { key, node: make() });
  return drawn.get(name).node;
}

// From a visitor's wish to the server's first answer, which may have to wait for other visitors.
let hoping, waking, asked = 0;
const complaints = () => document.querySelector(".toast-body.error")?.textContent ?? "";
function hope() {
  rest();
  clearTimeout(waking);
  asked = performance.now();
  root.dataset.busy = "";
  counter.textContent = t("working");
  // An upload that fails (too large, say) is answered by a message alone.
  const before = complaints();
  hoping = setInterval(() => {
    const now = complaints();
    if (now && now !== before) restore();
  }, 200);
}
function rest() {
  clearInterval(hoping);
  delete root.dataset.busy;
}
function restore() {
  rest();
  counter.textContent = status();
}
window.addEventListener("vq-begin", hope);

// Gradio writes "queue: 2/3" on a line of its own, which is hidden; a moment's wait isn't worth a word.
const line = element.closest(".block").querySelector('[data-testid="status-tracker"]');
function queued() {
  const place = /queue: (\d+)\/(\d+)/.exec(line.textContent);
  return place && (props.value.state !== "done" || "busy" in root.dataset) && performance.now() - asked > 700 ? t("queued", place[1], place[2]) : "";
}
new MutationObserver(() => {
  const words = queued();
  if (words) counter.textContent = words;
}).observe(line, { childList: true, characterData: true, subtree: true });

// A picture in the input box that this browser can't show: the server's copy takes its place.
function showWhole() {
  const image = document.querySelector("#vq-picture img");
  const { state, whole } = props.value;
  if (state === "done" && whole && !("busy" in root.dataset) && image?.complete && !image.naturalWidth) image.src = whole;
}
document.addEventListener("error", (event) => event.target.closest?.("#vq-picture") && showWhole(), true);

function status() {
  const { state } = props.value;
  return state.startsWith("empty") ? t(state) : state === "running" ? t("working") : "";
}

function draw() {
  rest();
  const { revision, state, pending, cards, originals } = props.value;
  clearTimeout(waking);
  root.dataset.state = state;
  root.dataset.revision = revision;
  counter.textContent = status();
  if (state === "running" && !cards.length) waking = setTimeout(() => (counter.textContent = queued() || t("waking")), 2000);
  const ready = new Map(cards.map((card) => [card.name, card]));
  arrange(grid, all().map(({ name }) => name).filter((name) => ready.has(name) || pending.includes(name)).map((name) =>
    ready.has(name)
      ? keep(name, revision, () => build(ready.get(name), originals[ready.get(name).size]))
      // The last result stays, dimmed, until the new one is there: no flicker.
      : drawn.has(name) ? fade(drawn.get(name).node) : placeholder(name)));
  drawHandmade();
  showWhole();
}

function fade(node) {
  node.dataset.state = "pending";
  for (const button of node.querySelectorAll("[data-carry]")) button.disabled = true; // the server has let it go
  return node;
}

function drawHandmade() {
  const { revision, state, cards, originals, handmade, curve } = props.value;
  handmadeHead.hidden = !handmade.length;
  if (!handmade.length) {
    if (state !== "running") handmadeGrid.replaceChildren();
    else [...handmadeGrid.children].forEach(fade);
    return;
  }
  const targets = [...new Set(handmade.map(({ target }) => target))];
  if (!targets.includes(view.target)) view.target = targets.find((name) => name === "vqvae") || targets[0];
  const title = (name) => all().find((entry) => entry.name === name).title;
  handmadeHead.replaceChildren(h("h2", {}, t("handmade")),
    segments("vq-target", t("same_bytes"), targets.map((name) => [name, title(name)]), view.target, (name) => {
      view.target = name;
      drawHandmade();
      handmadeHead.querySelector("input:checked").focus();
    }), h("p.vq-note", {}, t("counting")));
  const shown = handmade.filter(({ target }) => target === view.target);
  const size = shown[0].size;
  const original = { name: "original", family: "original", title: t("original"), size, picture: originals[size],
    bytes: size * size * 3, bits_per_pixel: 24, what: [size, size], actions: false };
  const key = `${revision} ${view.target}`;
  arrange(handmadeGrid, [
    keep("original", key, () => build(original, originals[size])),
    ...shown.map((item) => keep(item.name, key, () => build({ ...item, what: [title(item.target)] }, originals[size]))),
    keep("rate", key, () => ratePlot(cards, handmade, curve, size))]);
}

function ratePlot(cards, handmade, curve, size) {
  const learned = cards.filter((card) => card.psnr != null);
  const hand = [...handmade, ...curve].filter((p) => p.size === size && p.psnr != null);
  const width = 240, height = 240, left = 22, right = 44, top = 16, bottom = 34;
  const log = (p) => Math.log2(p.bits_per_pixel);
  const all = [...learned, ...hand];
  const x0 = Math.min(...all.map(log)) - 0.35, x1 = Math.max(...all.map(log));
  const y0 = Math.min(...all.map((p) => p.psnr)) - 1, y1 = Math.max(...all.map((p) => p.psnr)) + 0.5;
  const x = (p) => left + ((log(p) - x0) / (x1 - x0)) * (width - left - right);
  const y = (psnr) => top + (1 - (psnr - y0) / (y1 - y0)) * (height - bottom - top);
  const lines = [];
  const step = y1 - y0 > 12 ? 5 : 2;
  for (let v = Math.ceil(y0 / step) * step; v <= y1; v += step) lines.push(
    h("line.vq-gridline", { x1: left, x2: width - right + 8, y1: y(v), y2: y(v) }),
    h("text.vq-axis", { x: left - 5, y: y(v) + 4, "text-anchor": "end" }, v));
  for (let e = Math.ceil(x0); e <= x1; e += 1) lines.push(
    h("text.vq-axis", { x: x({ bits_per_pixel: 2 ** e }), y: height - 19, "text-anchor": "middle" }, e < 0 ? `1/${2 ** -e}` : 2 ** e));
  lines.push(h("text.vq-axis", { x: 0, y: 9 }, t("dB")),
    h("text.vq-axis", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, t("bits_per_pixel")));
  const ends = [];
  for (const family of ["jpeg", "webp"]) {
    const points = hand.filter((p) => p.family === family).sort((a, b) => log(a) - log(b));
    if (!points.length) continue;
    lines.push(h(`polyline.vq-curve.vq-curve-${family}`, { points: points.map((p) => `${x(p)},${y(p.psnr)}`).join(" ") }));
    ends.push({ text: family === "jpeg" ? "JPEG" : "WebP", x: x(points.at(-1)) + 5, y: y(points.at(-1).psnr) + 4, css: "vq-axis" });
  }
  const dots = learned.map((p) => {
    ends.push({ text: p.title, x: x(p) + 9, y: y(p.psnr) + 4, css: "vq-point-label" });
    return h("g", {}, h("title", {}, `${p.title}: ${number(p.bits_per_pixel, 2)} ${t("bits_per_pixel")}, ${number(p.psnr, 1)} dB`),
      h(`circle.vq-point${p.size === size ? "" : ".vq-hollow"}`, { cx: x(p), cy: y(p.psnr), r: 5 }));
  });
  // Labels that would touch are moved apart, downwards.
  ends.sort((a, b) => a.y - b.y).forEach((label, i) => {
    for (const other of ends.slice(0, i)) if (Math.abs(other.x - label.x) < 48 && label.y - other.y < 12) label.y = other.y + 12;
  });
  const labels = ends.map((label) => h(`text.${label.css}`, { x: label.x, y: label.y }, label.text));
  const other = learned.find((p) => p.size !== size);
  return h("article.vq-card.vq-rate", { "data-card": "rate", "data-state": "ready" }, h("header", {}, h("h3", {}, t("rate_title"))),
    h("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("rate_title") }, ...lines, ...dots, ...labels),
    h("p.vq-what", {}, other ? t("rate_note", other.size) : t("rate_note_plain")));
}

watch("value", draw);
applyLens();
draw();
