// What the parts of the editor share: what the server sent, what the visitor has chosen, and the way edits go out.
// All of it is JSON text: Gradio copies every property at every change, which costs nothing for a text.
// props.value: {session, revision, request, picture: url, tokens: [[code]], undos, redos, psnr|null, changed, start?};
// start comes with the first value of a session: {session, codec, title, h, w, factor, codes, before: url, original: url|null, restored: bool, prior: {reason, title, grid, tries}}
// Topics, each edit-NAME (see channel.js). book: {codec, sheet: url, codes: [code of each place], columns, colours: hex, nearest: [[code]], counts|null,
//   perplexity|null, dead|null}; surprisal: {session, revision, bits: [[bits]]}|null;
// offers: {session, request, items: [{picture: url, bits}]}|null; given: {picture: url}, the donor
const { t, h, segments, number } = VQ;
const root = element.querySelector(".vq-edit");
const store = { live: null, start: null, book: null, images: {}, mask: new Uint8Array(0), cursor: [0, 0], anchor: null,
  hover: null, stroke: null, tool: "select", mode: "new", lens: "after", gain: 4, lines: true, code: 0, marked: null,
  clip: null, sheet: null, place: null };
const texts = {}; // what has been read, by topic
const parts = []; // functions that bring a part of the page up to date
let due = false;

function read(name) {
  const text = name === "value" ? props.value : VQ.news[`edit-${name}`];
  if (texts[name]?.text !== text) texts[name] = { text, data: text ? JSON.parse(text) : null };
  return texts[name].data;
}

// Every part is redrawn in the next frame, however many changes there were.
function changed() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    if (store.start) for (const part of parts) part();
  });
}

// Edits leave one message at a time; those made meanwhile go together in the next. Each stays a step of its own.
// sent: what went out and isn't in the picture yet, [[request, [change]]].
const outbox = { waiting: [], sent: [], request: 0, flying: 0, painting: false, timer: 0, begun: new Map() };

function edit(change, moment = performance.now()) {
  if (!store.live) return;
  outbox.waiting.push([change, moment]);
  send();
  changed();
}

// Cells set to a code that the picture doesn't show yet, oldest first. Where they will stand once something else has
// happened to the grid isn't known here.
function pending() {
  const changes = [...outbox.sent.flatMap(([, batch]) => batch), ...outbox.waiting.map(([change]) => change)];
  const other = changes.findIndex(({ op }) => op !== "set");
  return other < 0 ? changes : changes.slice(0, other);
}

// From an edit until its picture stands on the canvas.
const busy = () => (root.dataset.busy = String(Boolean(outbox.flying || outbox.waiting.length || outbox.painting)));

// As many as the server takes in one message, props.most: {edits, nearest}; nearest: if each covers a whole grid.
function batch() {
  const most = props.most;
  let nearest = 0;
  const over = outbox.waiting.slice(0, most.edits).findIndex(([change]) => change.op === "nearest" && ++nearest > most.nearest);
  return outbox.waiting.splice(0, over < 0 ? most.edits : over);
}

function send() {
  busy();
  if (outbox.flying || !outbox.waiting.length) return;
  const taken = batch();
  outbox.flying = ++outbox.request;
  outbox.begun.set(outbox.flying, taken[0][1]);
  const edits = taken.map(([change]) => change);
  outbox.sent.push([outbox.flying, edits]);
  trigger("edit", { session: store.start.session, request: outbox.flying, edits });
  outbox.timer = setTimeout(landed, 15000); // an answer that never comes must not hold up the next
}

// Once every edit has been answered and drawn: what is saved has all of them.
VQ.edited = async () => {
  while (root.dataset.busy === "true") await new Promise(requestAnimationFrame);
};

function landed() {
  clearTimeout(outbox.timer);
  outbox.flying = 0;
  send();
}

// How long an edit took, from the visitor's hand to the painted picture: performance.getEntriesByName("vq-edit").
function measure(request) {
  for (const [number, begun] of outbox.begun) {
    if (number > request) continue;
    outbox.begun.delete(number);
    setTimeout(() => performance.measure("vq-edit", { start: begun, end: performance.now() }));
  }
}

async function loaded(url) {
  if (!url) return null;
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

async function begin(start) {
  const other = start.codec !== store.start?.codec;
  Object.assign(store, { start, mask: new Uint8Array(start.h * start.w), cursor: [0, 0], anchor: null, hover: null,
    stroke: null, marked: null });
  if (other) Object.assign(store, { clip: null, code: 0, book: null, sheet: null });
  Object.assign(outbox, { waiting: [], sent: [], flying: 0, begun: new Map() });
  clearTimeout(outbox.timer);
  store.images = { after: store.images.after };
  if (store.lens === "surprisal" && start.prior.reason) store.lens = "after";
  if (store.lens === "original" && !start.original) store.lens = "after";
  receiveBook();
  if (!store.book) trigger("atlas", { session: start.session, request: ++outbox.request });
  const [before, original] = await Promise.all([loaded(start.before), loaded(start.original)]);
  if (store.start !== start) return;
  Object.assign(store.images, { before, original });
  changed();
}

async function receive() {
  const live = read("value");
  if (!live) return;
  if (live.start && live.start.session !== store.start?.session) begin(live.start);
  if (live.session !== store.start?.session) return;
  store.live = live;
  outbox.painting = true;
  if (outbox.flying && live.request >= outbox.flying) landed();
  const image = await loaded(live.picture);
  if (store.live !== live) return;
  Object.assign(store.images, { after: image, revision: live.revision });
  outbox.sent = outbox.sent.filter(([request]) => request > live.request);
  if (document.activeElement === canvas) spoken.textContent = describe(store.cursor);
  changed();
  requestAnimationFrame(() => {
    if (store.live !== live) return;
    outbox.painting = false;
    busy();
    root.dataset.session = live.session;
    root.dataset.revision = live.revision;
    measure(live.request);
  });
}

async function receiveBook() {
  const book = read("book");
  if (!book || !store.start || book.codec !== store.start.codec || book === store.book) return;
  store.book = book;
  store.place = new Int32Array(book.codes.length);
  book.codes.forEach((code, i) => (store.place[code] = i));
  store.sheet = await loaded(book.sheet);
  root.dataset.book = book.codec;
  changed();
}

const token = ([row, column]) => store.live.tokens[row]?.[column];
const colour = (code) => `#${store.book.colours.slice(code * 6, code * 6 + 6)}`;

// How unexpected every token of this picture is to the prior, in the newest state that this is known for.
function surprisals() {
  const known = read("surprisal");
  return known?.session === store.live.session ? known : null;
}

// The same of a cell; null as long as that isn't known for this very state.
function bits([row, column]) {
  const known = surprisals();
  return known?.revision === store.live.revision ? known.bits[row][column] : null;
}

function setCode(code) {
  if (!Number.isInteger(code) || code < 0 || code >= store.start.codes) return;
  store.code = code;
  changed();
}

// A code, as it decodes on its own, on a canvas of its own.
function swatch(size) {
  const canvas = h("canvas.vq-swatch", { width: size, height: size, "aria-hidden": "true" });
  return { canvas, paint: (code) => paintCode(canvas.getContext("2d"), code, 0, 0, size) };
}

function paintCode(context, code, x, y, size) {
  if (!store.sheet) return;
  const { columns } = store.book, f = store.sheet.naturalWidth / columns, at = store.place[code];
  context.imageSmoothingEnabled = false;
  context.drawImage(store.sheet, (at % columns) * f, Math.floor(at / columns) * f, f, f, x, y, size, size);
}

function button(text, onclick, attributes = {}) {
  return h("button.vq-button", { type: "button", onclick, ...attributes }, text);
}
