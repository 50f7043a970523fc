// A strip of pictures to start from. props.value: {chosen: name|null}; props.items: [{name, url}]
const { t, h } = VQ;
const root = element.querySelector(".vq-examples");
const first = props.value.chosen;

const buttons = props.items.map(({ name, url }) => h("button",
  { type: "button", "data-example": name, title: t(`example_${name}`), onclick: () => pick(name) },
  h("img", { src: url, alt: t(`example_${name}`), width: 96, height: 96 })));

function pick(name) {
  props.value = { chosen: name };
  mark();
  VQ.begin();
  trigger("pick");
}

function mark() {
  const { chosen } = props.value;
  for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.example === chosen);
  VQ.link.set("reconstruct", { example: chosen === first ? null : chosen });
}

root.append(h("p.vq-label", {}, t("examples")), h("div.vq-strip", {}, ...buttons));
watch("value", mark);
mark();
const asked = VQ.link.of("reconstruct").one("example", props.items.map(({ name }) => name));
if (asked && asked !== first) VQ.link.apply(() => pick(asked));

// A picture may be pasted or dropped anywhere on the tab, also while another one is shown.
function take(event, data) {
  const input = document.querySelector("#vq-picture input[type=file]");
  const file = data?.files?.[0];
  if (!file || !input || !root.offsetParent || event.defaultPrevented) return;
  event.preventDefault();
  event.stopPropagation();
  assign(input, file);
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

function assign(input, file) {
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
}
document.addEventListener("paste", (event) => take(event, event.clipboardData));
document.addEventListener("dragover", (event) => {
  if (root.offsetParent && event.dataTransfer?.types.includes("Files")) event.preventDefault();
});
document.addEventListener("drop", (event) => take(event, event.dataTransfer), true);
// What a browser has no type for may still be a picture (TGA, say): the server tells, in the visitor's language.
document.addEventListener("change", (event) => {
  const input = event.target;
  const file = input.matches?.("#vq-picture input[type=file]") && input.files[0];
  if (!file) return;
  if (!file.type.startsWith("image/")) assign(input, new File([file], file.name, { type: "image/unknown" }));
  VQ.begin();
}, true);
