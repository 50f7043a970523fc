// What to edit: an example, the codec, the grid, a token file. Asks for what was carried here when this tab comes up.
// props.value: {codecs: [[name, title]], codec, size, square: false for some token files, sizes, factor, example: name|null};
// props.items: [{name, url}];
// Topic edit-file: {text, name, request}, a token file to save; props.limit: bytes that one may have
const { t, h, segments } = VQ;
const root = element.querySelector(".vq-edit-source");
let asked = false, request = 0, saved = 0;

// The address, and what it asks for. A visitor's own checkpoints are no part of it: nobody else has them.
const first = props.value, names = first.codecs.map(([name]) => name);
const link = VQ.link.of("edit");
const wish = { codec: link.one("codec", names), size: link.number("size", 1, 4096), example: link.one("example", props.items.map(({ name }) => name)) };
const wished = Object.entries(wish).filter(([, value]) => value !== undefined);
function tell() {
  const { codec, size, example } = props.value, own = names.includes(codec) && codec !== first.codec;
  VQ.link.set("edit", { codec: own ? codec : null, size: size === first.size ? null : size, example: example === first.example ? null : example });
}

function choose(change) {
  asked = true;
  props.value = { ...props.value, ...change };
  trigger("choose");
  draw();
}

const buttons = props.items.map(({ name, url }) => h("button",
  { type: "button", "data-edit-example": name, title: t(`example_${name}`), onclick: () => choose({ example: name }) },
  h("img", { src: url, alt: t(`example_${name}`), width: 96, height: 96 })));
const choices = h("div.vq-options-body");
const input = h("input", { type: "file", accept: ".json,application/json", "aria-label": t("edit_file"), hidden: true, onchange: async () => {
  const [file] = input.files;
  input.value = "";
  note.textContent = "";
  if (!file) return;
  if (file.size > props.limit) note.textContent = t("edit_huge");
  else trigger("bring", { text: await file.text() });
} });
const note = h("p.vq-note", { role: "alert" });
const button = (key, act, onclick) => h("button.vq-button", { type: "button", "data-act": act, onclick }, t(key));
root.append(h("p.vq-label", {}, t("examples")), h("div.vq-strip", {}, ...buttons), choices,
  h("div", { role: "group", "aria-label": t("edit_file") }, h("p.vq-label", {}, t("edit_file")), h("div.vq-edit-row", {},
    button("edit_open", "open", () => input.click()), button("edit_save", "save", async () => {
      await VQ.edited();
      trigger("save", { request: ++request });
    }), input), note));

function draw() {
  tell();
  const { codecs, codec, size, square = true, sizes, factor, example } = props.value;
  for (const node of buttons) node.setAttribute("aria-pressed", node.dataset.editExample === example);
  const grid = (side) => t("edit_size_option", side / factor, side / factor);
  choices.replaceChildren(segments("vq-edit-codec", t("edit_codec"), codecs, codec, (name) => choose({ codec: name })),
    ...(factor ? [segments("vq-edit-size", t("edit_size"), sizes.map((side) => [side, grid(side)]), square && size, (side) => choose({ size: side })),
      square && h("p.vq-note", {}, t("edit_size_note", size, factor, factor))] : []));
}

function save() {
  const file = VQ.news["edit-file"];
  if (!file || file.request === saved) return;
  saved = file.request;
  const url = URL.createObjectURL(new Blob([file.text], { type: "application/json" }));
  h("a", { href: url, download: file.name }).click();
  URL.revokeObjectURL(url);
}

// What was carried is taken by the tab that came to the front with it, and by no other.
function arrive() {
  if (!root.offsetParent) return;
  if (VQ.carried && performance.now() - VQ.carried < 5000) {
    VQ.carried = null;
    asked = true;
    trigger("take");
  } else if (!asked) {
    asked = true;
    VQ.link.apply(() => {
      if (wished.length) props.value = { ...props.value, ...Object.fromEntries(wished) };
      draw();
      trigger("open");
    });
  }
}
window.addEventListener("vq-carried", arrive);
new IntersectionObserver(arrive).observe(root);
watch("value", draw);
VQ.follow("edit-file", save);
draw();
