// A strip of pictures to start from. props.value: {chosen: name|null}; props.items: [{name, url}]
const { t, h } = VQ;
const root = element.querySelector(".vq-examples");

const buttons = props.items.map(({ name, url }) => h("button",
  { type: "button", "data-example": name, title: t(`example_${name}`), onclick: () => {
    props.value = { chosen: name };
    mark();
    VQ.begin();
    trigger("pick");
  } },
  h("img", { src: url, alt: t(`example_${name}`), width: 96, height: 96 })));

function mark() {
  for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.example === props.value.chosen);
}

root.append(h("p.vq-label", {}, t("examples")), h("div.vq-strip", {}, ...buttons));
watch("value", mark);
mark();

// A picture may be pasted or dropped anywhere on the tab, also while another one is shown.
function take(event, data) {
  const input = document.querySelector("#vq-picture input[type=file]");
  const file = [...(data?.files || [])].find(({ type }) => type.startsWith("image/"));
  if (!file || !input || !root.offsetParent || event.defaultPrevented) return;
  event.preventDefault();
  event.stopPropagation();
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}
document.addEventListener("paste", (event) => take(event, event.clipboardData));
document.addEventListener("dragover", (event) => {
  if (root.offsetParent && event.dataTransfer?.types.includes("Files")) event.preventDefault();
});
document.addEventListener("drop", (event) => take(event, event.dataTransfer), true);
document.addEventListener("change", (event) => {
  if (event.target.closest?.("#vq-picture")) VQ.begin();
}, true);
