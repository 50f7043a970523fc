// Sliders along the principal directions of AE's and VAE's training latents.
// props.value: {revision, codecs: [{name, title, picture, size, positions: [..]|null}], moved: {name, picture, request}|null}
const { t, h, number } = VQ;
const root = element.querySelector(".vq-knobs");
let shown = null;
let request = 0;

function build(codec) {
  const image = h("img.vq-knobs-picture", { src: codec.picture, alt: t("alt_reconstruction", codec.title), width: codec.size, height: codec.size });
  if (!codec.positions) return h("article.vq-card", { "data-knobs": codec.name }, h("header", {}, h("h3", {}, codec.title)), h("p.vq-what", {}, t("knobs_none")));
  const touched = codec.positions.map(() => null);
  const ranges = codec.positions.map((start, i) => {
    const range = h("input", { type: "range", min: -props.reach, max: props.reach, step: 0.05, value: start,
      "aria-label": t("knob", codec.title, i + 1), oninput: () => {
        touched[i] = Number(range.value);
        send();
      } });
    range.style.setProperty("--start", `${((Math.min(props.reach, Math.max(-props.reach, start)) + props.reach) / props.reach) * 50}%`);
    return range;
  });
  function send() {
    root.dataset.asked = ++request;
    trigger("slide", { codec: codec.name, positions: touched, request });
  }
  return h("article.vq-card", { "data-knobs": codec.name }, h("header", {}, h("h3", {}, codec.title),
    h("button", { type: "button", onclick: () => {
      ranges.forEach((range, i) => { range.value = codec.positions[i]; touched[i] = null; });
      send();
    } }, t("reset"))), h("div.vq-knobs-body", {}, image, h("div.vq-knobs-ranges", {}, ...ranges)));
}

function draw() {
  const { revision, codecs, moved } = props.value;
  if (shown !== revision) {
    shown = revision;
    root.replaceChildren();
    if (codecs.length) root.append(h("div.vq-section", {}, h("h2", {}, t("knobs")), h("p.vq-note", {}, t("knobs_note"))), h("div.vq-grid.vq-knobs-grid", {}, ...codecs.map(build)));
  }
  if (moved) {
    const image = root.querySelector(`[data-knobs="${CSS.escape(moved.name)}"] img`);
    if (image) image.src = moved.picture;
    root.dataset.shown = moved.request;
  }
}

watch("value", draw);
draw();
