// The pictures to start from: places A to D, and examples to put there.
// props.value: {chosen: 0..3, tiles: [{name, url, codec: title|null}]}; props.items: [{name, url}]
const { t, h } = VQ;
const root = element.querySelector(".vq-interpolate-slots");
const LETTERS = ["A", "B", "C", "D"];
const places = h("div.vq-slots", { role: "group", "aria-label": t("slots") });
const label = h("p.vq-label");
const exchange = h("button.vq-exchange", { type: "button", "aria-label": t("exchange"), title: t("exchange"), onclick: () => ask("exchange") }, "⇄");
const examples = props.items.map(({ name, url }) => h("button",
  { type: "button", "data-interpolate-example": name, title: t(`example_${name}`), onclick: () => ask("pick", { example: name }) },
  h("img", { src: url, alt: t(`example_${name}`), width: 96, height: 96 })));

function ask(what, data = {}) {
  asked = true;
  window.dispatchEvent(new Event("vq-interpolate-begin"));
  // Gradio finds the events of a component by their quoted names.
  if (what === "pick") trigger("pick", data);
  else if (what === "exchange") trigger("exchange", data);
  else if (what === "take") trigger("take", data);
  else trigger("open", data);
}

function choose(slot) {
  props.value = { ...props.value, chosen: slot };
  draw();
  places.querySelectorAll(".vq-slot")[slot].focus();
}

const title = ({ name, codec }) =>
  name === "carried" ? t("slot_carried", codec) : name === "own" ? t("slot_own") : t(`example_${name}`);

function draw() {
  const { chosen, tiles } = props.value;
  places.replaceChildren(...tiles.map((tile, i) => h("button.vq-slot", { type: "button", "data-slot": LETTERS[i],
    "data-name": tile.name, "aria-pressed": String(i === chosen), "aria-label": t("slot", LETTERS[i], title(tile)), onclick: () => choose(i) },
  h("img", { src: tile.url, alt: "", width: 120, height: 120 }), h("b", { "aria-hidden": "true" }, LETTERS[i]),
  tile.codec && h("span.vq-slot-from", { "aria-hidden": "true" }, title(tile)))), exchange);
  label.textContent = t("put_example", LETTERS[chosen]);
}

root.append(h("p.vq-label", {}, t("slots")), places, label, h("div.vq-strip", {}, ...examples));
watch("value", draw);
draw();

// What was carried is taken by the tab that came to the front with it, and by no other.
let asked = false;
const fresh = () => VQ.carried && performance.now() - VQ.carried < 3000;
function arrive() {
  if (!root.offsetParent) return;
  if (fresh()) {
    VQ.carried = null;
    ask("take");
  } else if (!asked) ask("open");
}
window.addEventListener("vq-carried", arrive);
new IntersectionObserver(arrive).observe(root);
