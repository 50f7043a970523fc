// The editor as a whole: bar, canvas, tools, atlas; the keys that work everywhere in it; news from the server.
const TOOLS = ["select", "brush", "pick"];
const LENSES = ["after", "before", "original", "difference", "tokens", "surprisal"];
const CURSORS = { select: "crosshair", brush: "cell", pick: "copy" };
const empty = h("p.vq-edit-empty", {}, t("edit_waiting"));

const undo = button("", () => edit({ op: "undo" }), { "data-act": "undo" });
const redo = button("", () => edit({ op: "redo" }), { "data-act": "redo" });
const reset = button(t("edit_reset"), () => edit({ op: "reset" }), { "data-act": "reset", title: t("edit_reset_note") });
const restored = h("p.vq-note", { role: "status" });
const tools = segments("vq-edit-tool", t("edit_tool"), TOOLS.map((tool) => [tool, t(`edit_tool_${tool}`)]), store.tool, (tool) => {
  store.tool = tool;
  canvas.style.cursor = CURSORS[tool];
});
canvas.style.cursor = CURSORS[store.tool];
const lenses = segments("vq-edit-lens", t("edit_lens"), LENSES.map((lens) => [lens, t(`edit_lens_${lens}`)]), store.lens, (lens) => {
  store.lens = lens;
  changed();
});
const gainOut = h("output", {}, `${store.gain}×`);
const gain = h("label.vq-slider", { hidden: true }, h("span", {}, t("edit_gain")), h("input", { type: "range", min: 1, max: 16,
  value: store.gain, "aria-label": t("edit_gain"), oninput: (event) => {
    store.gain = Number(event.target.value);
    gainOut.textContent = `${store.gain}×`;
    changed();
  } }), gainOut);
const lines = h("div.vq-ticks", {}, h("div", {}, h("label", {}, h("input", { type: "checkbox", checked: true, onchange: (event) => {
  store.lines = event.target.checked;
  changed();
} }), h("span", {}, t("edit_gridlines")))));

const patch = swatch(34), here = h("span"), lensNote = h("p.vq-note", { hidden: true });
const figure = (name) => h("b", { "data-figure": name });
const figures = { changed: figure("changed"), psnr: figure("psnr"), selected: figure("selected") };
const ofAll = h("span");
const strip = h("div.vq-edit-figures", {},
  h("span", {}, figures.changed, " ", ofAll), h("span", {}, figures.psnr, " ", ...VQ.rich("edit_psnr")), h("span", {}, figures.selected, ` ${t("edit_selected")}`));
const savePicture = button(t("edit_save_picture"), async () => {
  await VQ.edited();
  const { after } = store.images;
  if (after) h("a", { href: after.src, download: `${store.start.codec.replaceAll("/", "-")}-edited.png` }).click();
}, { "data-act": "save-picture" });

const body = h("div.vq-edit-body", { hidden: true }, h("h2.vq-spoken", {}, t("heading_results")),
  h("div.vq-edit-bar", {}, tools, h("div.vq-edit-row", {}, undo, redo), lenses, gain, lines), restored,
  h("div.vq-edit-work", {},
    h("div.vq-edit-stage", {}, canvas, spoken, h("div.vq-edit-here", { "aria-hidden": "true" }, patch.canvas, here), strip, lensNote,
      h("div.vq-edit-row", {}, savePicture, reset)),
    h("div.vq-edit-tools", {}, paletteSection(), selectionSection(), changeSection(), replaceSection(), transplantSection(), resampleSection())),
  atlasSection());
root.append(empty, body);

// Once a frame, before the other parts need it.
parts.unshift(() => (store.count = store.mask.reduce((sum, bit) => sum + bit, 0)));
parts.push(() => {
  const { live, start } = store, cell = store.hover ?? (document.activeElement === canvas ? store.cursor : null);
  empty.hidden = true;
  body.hidden = false;
  undo.textContent = `↶ ${t("edit_undo")}`;
  redo.textContent = `↷ ${t("edit_redo")}`;
  undo.disabled = !live.undos && !outbox.waiting.length && !outbox.flying;
  redo.disabled = !live.redos && !outbox.waiting.length && !outbox.flying;
  reset.disabled = !live.changed && !outbox.waiting.length && !outbox.flying;
  const back = start.restored && live.revision === 0 ? t("edit_restored") : "";
  if (restored.textContent !== back) restored.textContent = back;
  Object.assign(root.dataset, { undos: live.undos, redos: live.redos });
  figures.changed.textContent = figures.changed.dataset.value = live.changed;
  const said = t("edit_changed", number(start.h * start.w));
  if (ofAll.textContent !== said) ofAll.replaceChildren(...VQ.rich("edit_changed", number(start.h * start.w)));
  figures.selected.textContent = figures.selected.dataset.value = store.count;
  figures.psnr.parentNode.hidden = !start.original;
  figures.psnr.textContent = number(live.psnr, 1);
  patch.canvas.hidden = !cell;
  if (cell) patch.paint(token(cell));
  here.textContent = cell ? describe(cell) : t("edit_hint");
  gain.hidden = store.lens !== "difference";
  lensNote.hidden = store.lens !== "surprisal";
  const note = t("edit_surprisal_note", start.prior.title);
  if (lensNote.textContent !== note) lensNote.replaceChildren(...VQ.rich("edit_surprisal_note", start.prior.title));
  for (const [lens, off, why] of [["original", !start.original, t("edit_no_psnr")],
    ["surprisal", start.prior.reason, start.prior.reason && t(`edit_prior_${start.prior.reason}`, start.prior.title, ...(start.prior.grid ?? []))]]) {
    const input = lenses.querySelector(`[value="${lens}"]`);
    input.disabled = Boolean(off);
    input.parentNode.title = off ? why : "";
  }
  lenses.querySelector(`[value="${store.lens}"]`).checked = true;
});

// The surprisal of every token, asked for once a state, while it is looked at.
let asked = "";
parts.push(() => {
  const key = `${store.live.session}/${store.live.revision}`;
  if (store.lens !== "surprisal" || asked === key || outbox.flying) return;
  asked = key;
  trigger("surprise", { session: store.live.session, request: ++outbox.request });
});

// Wherever the focus is while the tab is in front, but not from fields with an undo of their own.
const WRITTEN = "input:not([type=range], [type=radio], [type=checkbox], [type=file]), textarea, [contenteditable]";
document.addEventListener("keydown", (event) => {
  if (!root.offsetParent || !store.live || !(event.ctrlKey || event.metaKey) || event.altKey || event.target.closest?.(WRITTEN)) return;
  const key = event.key.toLowerCase();
  const act = { z: () => edit({ op: event.shiftKey ? "redo" : "undo" }, event.timeStamp), y: () => edit({ op: "redo" }, event.timeStamp),
    a: () => select(allCells()), c: copy, v: paste }[key];
  if (!act || (key === "c" && String(getSelection())) || (key === "v" && !store.clip)) return;
  event.preventDefault();
  act();
});

watch("value", receive);
VQ.follow("edit-book", receiveBook);
for (const name of ["surprisal", "offers", "given"]) VQ.follow(`edit-${name}`, changed);
receive();
