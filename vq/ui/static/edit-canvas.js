// Picture and grid on one canvas, drawn on with a pointer, a finger or the keyboard.
const canvas = h("canvas.vq-edit-canvas", { tabindex: 0, role: "application" });
const spoken = h("span.vq-spoken", { role: "status" });
const SHADES = [[8, 8, 40], [59, 40, 120], [170, 50, 110], [240, 120, 60], [253, 240, 170]];

function cellAt(event) {
  const box = canvas.getBoundingClientRect(), { h: rows, w: columns } = store.start;
  const at = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
  return [at((event.clientY - box.top) / box.height, rows), at((event.clientX - box.left) / box.width, columns)];
}

// A drag with the select tool starts from what was selected before it.
let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  if (!store.live || event.button !== 0) return;
  const cell = cellAt(event);
  canvas.setPointerCapture(event.pointerId);
  store.cursor = store.anchor = cell;
  if (store.tool === "pick") setCode(token(cell));
  else if (store.tool === "brush") store.stroke = [cell];
  else {
    const mode = event.shiftKey ? "add" : event.altKey ? "remove" : store.mode;
    drag = { from: cell, mode, base: store.mask };
    const alone = mode === "new" && selected().length === 1 && store.mask[index(cell)];
    select(alone ? [] : [cell], mode, drag.base);
  }
  changed();
});
canvas.addEventListener("pointermove", (event) => {
  if (!store.live) return;
  const cell = cellAt(event);
  if (store.hover && index(cell) === index(store.hover)) return;
  store.hover = cell;
  if (drag) select(rectangle(drag.from, cell), drag.mode, drag.base);
  else if (store.stroke) store.stroke.push(...line(store.stroke.at(-1), cell));
  else if (store.tool === "pick" && event.buttons) setCode(token(cell));
  changed();
});
canvas.addEventListener("pointerup", (event) => {
  if (store.stroke) {
    const cells = [...new Map(store.stroke.map((cell) => [index(cell), cell])).values()];
    edit({ op: "set", code: store.code, cells }, event.timeStamp);
  }
  drag = store.stroke = null;
  changed();
});
canvas.addEventListener("pointercancel", () => {
  if (drag) store.mask = drag.base;
  drag = store.stroke = null;
  changed();
});
canvas.addEventListener("pointerleave", () => {
  store.hover = null;
  changed();
});

canvas.addEventListener("keydown", (event) => {
  if (!store.live || event.ctrlKey || event.metaKey) return;
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (step) walk(step, event.shiftKey, event.altKey);
  else if (event.key === " ") select([store.cursor], store.mask[index(store.cursor)] ? "remove" : "add");
  else if (event.key === "Enter") editSelection({ op: "set", code: store.code }, event.timeStamp);
  else if (event.key === "Escape") select([]);
  else if (event.key === "p" || event.key === "P") setCode(token(store.cursor));
  else return;
  event.preventDefault();
  spoken.textContent = describe(store.cursor);
});

function walk([dr, dc], extend, remove) {
  const { h: rows, w: columns } = store.start, [row, column] = store.cursor;
  const next = [Math.min(rows - 1, Math.max(0, row + dr)), Math.min(columns - 1, Math.max(0, column + dc))];
  if (!extend) store.anchor = null;
  else store.anchor ??= store.cursor;
  store.cursor = next;
  store.hover = null;
  if (extend) select(rectangle(store.anchor, next), remove ? "remove" : "new");
  changed();
}

function describe(cell) {
  const [row, column] = cell, nats = bits(cell);
  const text = nats == null ? t("edit_here", row + 1, column + 1, token(cell))
    : t("edit_here_bits", row + 1, column + 1, token(cell), number(nats, 1));
  return text + (store.mask[index(cell)] ? t("edit_here_selected") : "");
}

// Pictures that are made here, from what the server sent. Kept until what they show changes.
const made = new Map();
function make(name, key, width, height, fill) {
  if (made.get(name)?.key !== key) {
    const picture = Object.assign(document.createElement("canvas"), { width, height });
    const context = picture.getContext("2d", { willReadFrequently: true });
    fill(context, width, height);
    made.set(name, { key, picture });
  }
  return made.get(name).picture;
}

const pixels = (image, width, height) => {
  const scratch = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  scratch.drawImage(image, 0, 0);
  return scratch.getImageData(0, 0, width, height);
};

// Signed difference between before and after around grey, times the gain.
function difference(context, width, height) {
  const a = pixels(store.images.before, width, height), b = pixels(store.images.after, width, height);
  for (let i = 0; i < b.data.length; i += 1) if (i % 4 !== 3) b.data[i] = 128 + (b.data[i] - a.data[i]) * store.gain;
  context.putImageData(b, 0, 0);
}

function heat(value) {
  const at = Math.min(1, Math.max(0, value)) * (SHADES.length - 1), i = Math.min(SHADES.length - 2, Math.floor(at));
  return SHADES[i].map((low, channel) => Math.round(low + (SHADES[i + 1][channel] - low) * (at - i)));
}
const mostBits = () => Math.log2(store.start.codes) * 1.5;

function paintCells(context, colourOf) {
  for (const [row, column] of allCells()) {
    context.fillStyle = colourOf([row, column]);
    context.fillRect(column, row, 1, 1);
  }
}

// What the chosen view shows; the picture itself while a view has nothing yet.
function view() {
  const { after, before, original } = store.images, { session, revision } = store.live;
  const key = `${session}/${revision}`, { h: rows, w: columns } = store.start;
  if (store.lens === "before") return before ?? after;
  if (store.lens === "original") return original ?? after;
  if (store.lens === "difference" && before && after) {
    const name = `${session}/${store.images.revision}/${store.gain}`, { naturalWidth: width, naturalHeight: height } = after;
    if (before.naturalWidth === width) return make("difference", name, width, height, difference);
  }
  if (store.lens === "tokens" && store.book) {
    return make("tokens", key, columns, rows, (context) => paintCells(context, (cell) => colour(token(cell))));
  }
  // The map of the state before stays until the new one is there: no flicker.
  const known = store.lens === "surprisal" && surprisals();
  if (known) {
    return make("surprisal", `${session}/${known.revision}`, columns, rows, (context) =>
      paintCells(context, ([row, column]) => `rgb(${heat(known.bits[row][column] / mostBits())})`));
  }
  return after;
}

function drawCanvas() {
  const { h: rows, w: columns } = store.start;
  const wide = Math.round((canvas.clientWidth || 512) * devicePixelRatio);
  const size = Math.max(2, Math.round(wide / columns));
  canvas.style.aspectRatio = `${columns} / ${rows}`;
  canvas.style.width = `${100 * Math.min(1, columns / rows)}%`; // never taller than wide
  if (canvas.width !== size * columns || canvas.height !== size * rows) {
    [canvas.width, canvas.height] = [size * columns, size * rows];
  }
  canvas.setAttribute("aria-label", t("edit_grid", rows, columns));
  const context = canvas.getContext("2d"), picture = view();
  context.imageSmoothingEnabled = false;
  if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const strokes = store.lens === "after" ? [...pending(), ...(store.stroke ? [{ code: store.code, cells: store.stroke }] : [])] : [];
  for (const { code, cells } of strokes) for (const [row, column] of cells) paintCode(context, code, column * size, row * size, size);
  if (store.lines) drawLines(context, rows, columns, size);
  if (store.marked != null) outline(context, size, ([r, c]) => token([r, c]) === store.marked, "#ffb454", .12);
  outline(context, size, (cell) => store.mask[index(cell)], "#fff", .06);
  if (document.activeElement === canvas && !store.hover) ring(context, store.cursor, size, "#5ad1d8");
  if (store.hover) ring(context, store.hover, size, "#fff");
}

function drawLines(context, rows, columns, size) {
  if (size < 5 * devicePixelRatio) return;
  context.beginPath();
  for (let c = 1; c < columns; c += 1) context.rect(c * size, 0, 1, rows * size);
  for (let r = 1; r < rows; r += 1) context.rect(0, r * size, columns * size, 1);
  context.fillStyle = "rgb(128 128 128 / .38)";
  context.fill();
}

// A veil over the cells that `inside` is true for, and a line around them that shows on any picture.
function outline(context, size, inside, stroke, veil) {
  const is = (cell) => within(cell) && inside(cell);
  const border = new Path2D();
  context.fillStyle = `rgb(255 255 255 / ${veil})`;
  for (const [r, c] of allCells()) {
    if (!inside([r, c])) continue;
    const [x, y] = [c * size, r * size];
    context.fillRect(x, y, size, size);
    const edges = [[[r - 1, c], 0, 0, 1, 0], [[r + 1, c], 0, 1, 1, 1], [[r, c - 1], 0, 0, 0, 1], [[r, c + 1], 1, 0, 1, 1]];
    for (const [other, x0, y0, x1, y1] of edges) {
      if (is(other)) continue;
      border.moveTo(x + x0 * size, y + y0 * size);
      border.lineTo(x + x1 * size, y + y1 * size);
    }
  }
  for (const [width, style] of [[4, "rgb(0 0 0 / .75)"], [1.8, stroke]]) {
    context.lineWidth = width * devicePixelRatio;
    context.strokeStyle = style;
    context.stroke(border);
  }
}

function ring(context, [row, column], size, stroke) {
  for (const [width, style] of [[3.5, "rgb(0 0 0 / .7)"], [1.5, stroke]]) {
    context.lineWidth = width * devicePixelRatio;
    context.strokeStyle = style;
    context.strokeRect(column * size + .5, row * size + .5, size - 1, size - 1);
  }
}
canvas.addEventListener("focus", changed);
canvas.addEventListener("blur", changed);
new ResizeObserver(changed).observe(canvas);
parts.push(drawCanvas);
