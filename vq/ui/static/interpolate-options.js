// How to interpolate. props.value: {mode, codec, frames, side, size, seed,
//   codecs: [{name, title, sized, tokens}]}; the rest of props never changes.
const { t, h, segments } = VQ;
const root = element.querySelector(".vq-interpolate-options");
const form = document.querySelector("#vq-interpolate");

const first = props.value;
function choose(change) {
  props.value = { ...props.value, ...change };
  show();
  tell();
  window.dispatchEvent(new Event("vq-interpolate-begin"));
  trigger("choose");
}

// The address, and what it asks for. A visitor's own checkpoints are no part of it: nobody else has them.
const LINKED = ["mode", "codec", "frames", "side", "size", "seed"];
function tell() {
  const now = props.value, known = (name) => name !== "codec" || first.codecs.some((row) => row.name === now.codec);
  VQ.link.set("interpolate", Object.fromEntries(LINKED.map((name) => [name, now[name] === first[name] || !known(name) ? null : now[name]])));
}
const asked = VQ.link.of("interpolate");
const wish = { mode: asked.one("mode", props.modes), codec: asked.one("codec", first.codecs.map(({ name }) => name)),
  frames: asked.number("frames", ...props.frames), side: asked.number("side", ...props.sides), size: asked.one("size", props.sizes),
  seed: asked.number("seed", 0, props.seeds - 1) };
const wished = Object.entries(wish).filter(([, value]) => value !== undefined);
if (wished.length) VQ.link.apply(() => choose(Object.fromEntries(wished)));

// A slider that says its number while it moves and asks when it is let go.
function slider(name, [low, high]) {
  const out = h("output");
  const range = h("input", { type: "range", min: low, max: high, step: 1, "aria-label": t(name), "data-option": name,
    oninput: () => (out.textContent = range.value), onchange: () => choose({ [name]: Number(range.value) }) });
  const set = (value) => { range.value = value; out.textContent = value; };
  return { set, node: h("label.vq-slider.vq-option", { "data-for": name }, h("span", {}, t(name)), range, out) };
}

const pick = (name, legend, options) => segments(`vq-interpolate-${name}`, legend, options, null, (value) => choose({ [name]: value }));
const modes = pick("mode", t("mode"), props.modes.map((mode) => [mode, t(`mode_${mode}`)]));
const codecs = h("div");
const sizes = pick("size", t("size"), props.sizes.map((size) => [size, String(size)]));
const sizeNote = h("p.vq-note", {}, t("size_vector"));
const frames = slider("frames", props.frames), side = slider("side", props.sides);
const seed = h("input", { type: "number", min: 0, max: props.seeds - 1, step: 1, "aria-label": t("seed"), onchange: () => {
  const wanted = Math.min(props.seeds - 1, Math.max(0, Math.floor(Number(seed.value) || 0)));
  choose({ seed: wanted });
} });
const reseed = h("button", { type: "button", onclick: () => choose({ seed: Math.floor(Math.random() * 10000) }) }, t("reseed"));

// Built anew only when a checkpoint comes or goes: what is focused stays so.
let listed = "";
function list(rows) {
  const names = JSON.stringify(rows);
  if (names !== listed) codecs.replaceChildren(pick("codec", t("codec"), rows.map(({ name, title }) => [name, title])));
  listed = names;
}

function show() {
  const now = props.value;
  list(now.codecs);
  const { sized, tokens } = now.codecs.find(({ name }) => name === now.codec);
  for (const [fieldset, value] of [[modes, now.mode], [codecs, now.codec], [sizes, now.size]]) {
    for (const input of fieldset.querySelectorAll("input")) input.checked = input.value === String(value);
  }
  sizes.disabled = !sized;
  sizeNote.hidden = sized;
  frames.set(now.frames);
  side.set(now.side);
  seed.value = now.seed;
  form.dataset.mode = now.mode;
  root.dataset.tokens = tokens;
}

root.append(h("div.vq-options-body", {}, modes, codecs, frames.node, side.node, sizes, sizeNote,
  h("div.vq-seed", {}, h("label", {}, h("span", {}, ...VQ.rich("seed")), seed), reseed, h("p.vq-note", {}, t("seed_note")))));
watch("value", show);
show();
