// How pictures are fitted and which codecs see them. props.value: {size, fit, codecs, extra: [[name, title]]}; the rest
// of props never changes. extra: the visitor's own checkpoints.
const { t, h, segments } = VQ;
const root = element.querySelector(".vq-options");
const all = () => [...props.all, ...props.value.extra];
const FITS = ["crop", "pad"];
const { size: firstSize, fit: firstFit, codecs: firstCodecs } = props.value;

function choose(change) {
  props.value = { ...props.value, ...change };
  tell();
  VQ.begin();
  trigger("choose");
}

// A visitor's own checkpoints are no part of the address: nobody else has them.
function tell() {
  const { size, fit, codecs } = props.value;
  const shared = codecs.filter((name) => firstCodecs.includes(name));
  VQ.link.set("reconstruct", { size: size === firstSize ? null : size, fit: fit === firstFit ? null : fit,
    codecs: shared.length === firstCodecs.length ? null : shared.join() });
}

const asked = VQ.link.of("reconstruct");
const wish = { size: asked.one("size", props.sizes), fit: asked.one("fit", FITS), codecs: asked.some("codecs", firstCodecs) };
const wished = Object.entries(wish).filter(([, value]) => value !== undefined);

function tick(name, on) {
  const ticked = new Set(props.value.codecs);
  on ? ticked.add(name) : ticked.delete(name);
  choose({ codecs: all().map(([key]) => key).filter((key) => ticked.has(key)) });
}

const ticks = h("div");
let listed = "";

// Built anew only when a checkpoint comes or goes: what is focused stays so.
function list() {
  const names = JSON.stringify(all());
  if (names === listed) return;
  if (listed) VQ.begin();
  listed = names;
  ticks.replaceChildren(...all().map(([name, title]) => {
    const checked = props.value.codecs.includes(name);
    const onchange = (event) => tick(name, event.target.checked);
    return h("label", {}, h("input", { type: "checkbox", value: name, checked, onchange }), h("span", {}, title));
  }));
}

const sizes = props.sizes.map((size) => [size, String(size)]);
const fits = FITS.map((fit) => [fit, t(`fit_${fit}`)]);

// Folded away on a phone, where the results should come first.
const details = h("details", { open: matchMedia("(min-width: 901px)").matches },
  h("summary", {}, t("options")),
  h("div.vq-options-body", {},
    segments("vq-fit", t("fit"), fits, props.value.fit, (fit) => choose({ fit })),
    segments("vq-size", t("size"), sizes, props.value.size, (size) => choose({ size })),
    h("p.vq-note", {}, t("size_note")),
    h("fieldset.vq-ticks", {}, h("legend", {}, ...VQ.rich("codecs")), ticks),
    h("p.vq-credits", {}, t("credits"))));
root.append(details);
watch("value", list);
list();
if (wished.length) VQ.link.apply(() => {
  choose(Object.fromEntries(wished));
  for (const input of root.querySelectorAll("input")) {
    const now = input.type === "checkbox" ? props.value.codecs : [props.value.size, props.value.fit].map(String);
    input.checked = now.includes(input.value);
  }
});
