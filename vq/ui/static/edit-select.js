// The selection: a mask over the grid that only the browser knows.
const index = ([row, column]) => row * store.start.w + column;
const within = ([row, column]) => row >= 0 && column >= 0 && row < store.start.h && column < store.start.w;

// All cells between two corners.
function rectangle([r0, c0], [r1, c1]) {
  const cells = [];
  for (let r = Math.min(r0, r1); r <= Math.max(r0, r1); r += 1) {
    for (let c = Math.min(c0, c1); c <= Math.max(c0, c1); c += 1) cells.push([r, c]);
  }
  return cells;
}

// All cells on the way from one to another, so that a quick stroke has no gaps.
function line([r0, c0], [r1, c1]) {
  const steps = Math.max(Math.abs(r1 - r0), Math.abs(c1 - c0), 1);
  return Array.from({ length: steps + 1 }, (_, i) =>
    [Math.round(r0 + ((r1 - r0) * i) / steps), Math.round(c0 + ((c1 - c0) * i) / steps)]);
}

const allCells = () => rectangle([0, 0], [store.start.h - 1, store.start.w - 1]);
const selected = () => allCells().filter((cell) => store.mask[index(cell)]);
const cellsWith = (code) => allCells().filter((cell) => token(cell) === code);

// mode: "new", "add" or "remove"; base: the mask to start from.
function select(cells, mode = "new", base = store.mask) {
  const mask = mode === "new" ? new Uint8Array(base.length) : base.slice();
  for (const cell of cells) if (within(cell)) mask[index(cell)] = mode === "remove" ? 0 : 1;
  store.mask = mask;
  changed();
}

function selectionBox(cells = selected()) {
  const rows = cells.map(([row]) => row), columns = cells.map(([, column]) => column);
  const top = Math.min(...rows), left = Math.min(...columns);
  return { top, left, h: Math.max(...rows) - top + 1, w: Math.max(...columns) - left + 1 };
}

function copy() {
  const cells = selected();
  if (!cells.length) return;
  const { top, left, h: height, w: width } = selectionBox(cells);
  const tokens = Array.from({ length: height }, () => Array(width).fill(null));
  for (const cell of cells) tokens[cell[0] - top][cell[1] - left] = token(cell);
  store.clip = { tokens, h: height, w: width };
  changed();
}

function paste() {
  if (!store.clip) return;
  const cells = selected();
  const [row, column] = cells.length ? [selectionBox(cells).top, selectionBox(cells).left] : store.cursor;
  edit({ op: "paste", tokens: store.clip.tokens, row, column });
  select(rectangle([0, 0], [store.clip.h - 1, store.clip.w - 1])
    .filter(([r, c]) => store.clip.tokens[r][c] != null).map(([r, c]) => [row + r, column + c]));
}

// An edit of the selected cells; nothing without any.
function editSelection(change, moment) {
  const cells = selected();
  if (cells.length) edit({ ...change, cells }, moment);
}
const seed = () => Math.floor(Math.random() * props.seeds);
