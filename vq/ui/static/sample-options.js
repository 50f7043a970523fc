// What to draw. draw sends {model, n, seed, temperature, top_k, top_p} or {line}; look asks for {model}, and
// {model, defaults | error} comes back. What is typed stands in the fields alone.
const { t, h } = VQ;
const root = element.querySelector(".vq-sample-options");
const known = new Map(); // model -> its defaults, or why it can't be used
let model = props.start.model;

const what = h("p.vq-what"), missing = h("p.vq-sample-missing", { role: "status" });
const choices = props.models.map(({ name }) => h("label", {},
  h("input", { type: "radio", name: "vq-sample-model", value: name, onchange: () => choose(name) }),
  h("span", {}, t(`sample_title_${name}`))));

const count = h("output", {}, props.start.n);
const n = h("input", { type: "range", min: 1, max: props.most, value: props.start.n, "aria-label": t("sample_n"),
  "data-option": "n", oninput: () => (count.textContent = n.value) });
const notes = {};

function field(name, attributes) {
  const input = h("input", { type: "number", "aria-label": t(`sample_${name}`), "data-option": name, ...attributes,
    onkeydown: (event) => event.key === "Enter" && draw() });
  notes[name] = h("small", {}, t(`sample_${name}_note`));
  return { input, node: h("label.vq-sample-field", {}, h("span", {}, ...VQ.rich(`sample_${name}`)), input, notes[name]) };
}

const fields = {
  seed: field("seed", { min: -1, max: props.seeds - 1, step: 1, value: -1 }),
  temperature: field("temperature", { min: 0, max: 10, step: 0.05 }),
  top_k: field("top_k", { min: 0, step: 1 }),
  top_p: field("top_p", { min: 0, max: 1, step: 0.01 }),
};
const line = h("input.vq-sample-paste", { type: "text", placeholder: t("sample_replay_hint"), spellcheck: "false",
  autocomplete: "off", "aria-label": t("sample_replay"), onkeydown: (event) => event.key === "Enter" && replay() });

function choose(name) {
  model = name;
  show();
  ask();
}

// The server knows a model's defaults once it has its weights; asking also has them ready for the first picture.
function ask() {
  if (known.has(model) && !known.get(model).error) return;
  trigger("look", { model });
}

function start(request) {
  window.dispatchEvent(new CustomEvent("vq-sample-begin", { detail: request }));
  trigger("draw", request);
}

// An empty field means the default; what can't be read as a number is sent as it is, and the server says what is wrong.
function number({ input }) {
  if (input.validity.badInput) return "?";
  return input.disabled || input.value === "" ? null : Number(input.value);
}

// What the pictures come from, for the address: {model, n, seed, temperature, top_k, top_p}.
function tell(settings) {
  const n = settings.n === props.start.n ? null : settings.n, model = settings.model === props.start.model ? null : settings.model;
  VQ.link.set("sample", { ...settings, model, n, seed: settings.seed < 0 ? null : settings.seed, line: null });
}

function draw() {
  const values = Object.fromEntries(Object.entries(fields).map(([name, part]) => [name, number(part)]));
  const settings = { model, n: Number(n.value), ...values, seed: values.seed ?? -1 };
  tell(settings);
  start(settings);
}

const replay = () => start({ line: line.value });

function show() {
  const { tokens } = props.models.find(({ name }) => name === model);
  for (const choice of choices) choice.firstChild.checked = choice.firstChild.value === model;
  const { defaults, error } = known.get(model) || {};
  what.replaceChildren(...VQ.rich(`sample_what_${model}`));
  missing.textContent = error ? error[VQ.language] : "";
  for (const name of ["temperature", "top_k", "top_p"]) fields[name].input.placeholder = defaults?.[name] ?? "";
  for (const name of ["top_k", "top_p"]) {
    fields[name].input.disabled = !tokens;
    notes[name].textContent = t(tokens ? `sample_${name}_note` : "sample_no_tokens");
  }
  notes.temperature.textContent = t(tokens ? "sample_temperature_note" : "sample_temperature_gaussian");
}

// What the address asks for; where it names a seed or a settings line, the pictures come at once.
const link = VQ.link.of("sample");
const asked = { model: link.one("model", props.models.map(({ name }) => name)), n: link.number("n", 1, props.most),
  seed: link.number("seed", -1, props.seeds - 1), temperature: link.number("temperature", 0, 10, false), top_k: link.number("top_k", 0, 1e6),
  top_p: link.number("top_p", 0, 1, false), line: link.text("line") };
model = asked.model ?? model;
if (asked.n) n.value = count.textContent = asked.n;
for (const [name, { input }] of Object.entries(fields)) if (asked[name] !== undefined) input.value = asked[name];
if (asked.line) line.value = asked.line;
VQ.link.set("sample", { ...asked, model: model === props.start.model ? null : model });

// Settings that the pictures came from, or a seed to keep.
window.addEventListener("vq-sample-adopt", ({ detail }) => {
  if (detail.n) n.value = count.textContent = detail.n;
  for (const name of Object.keys(fields)) if (name in detail) fields[name].input.value = detail[name] ?? "";
  if (!detail.model) return;
  choose(detail.model);
  tell(detail);
});

root.append(
  h("fieldset.vq-sample-models", {}, h("legend.vq-label", {}, t("sample_model")), ...choices), what, missing,
  h("label.vq-slider.vq-sample-count", {}, h("span", {}, t("sample_n")), n, count),
  h("button.vq-sample-draw", { type: "button", onclick: draw }, t("sample_draw")),
  // Folded away on a phone, where the pictures should come first.
  h("details", { open: matchMedia("(min-width: 901px)").matches }, h("summary", {}, t("options")),
    h("div.vq-sample-fields", {}, ...Object.values(fields).map(({ node }) => node))),
  h("div.vq-sample-replay", {}, h("span.vq-label", {}, t("sample_replay")),
    h("div", {}, line, h("button", { type: "button", onclick: replay }, t("sample_replay_go")))));

function learn() {
  const found = VQ.news["sample-known"];
  if (found) known.set(found.model, found);
  show();
}
VQ.follow("sample-known", learn);
learn();
// Only a visitor who comes to this tab makes the server load the model.
new IntersectionObserver((entries, observer) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  ask();
  if (asked.line !== undefined) start({ line: asked.line });
  else if (asked.seed >= 0) draw();
}).observe(root);
