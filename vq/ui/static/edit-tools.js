// What can be done with the selection.
function numberInput(label, onchange) {
  const input = h("input", { type: "number", min: 0, step: 1, inputmode: "numeric", "aria-label": label, oninput: () => {
    onchange(input.valueAsNumber);
    changed();
  } });
  return input;
}

// An input follows the store unless somebody is typing into it.
function follow(input, value) {
  input.max = store.start.codes - 1;
  if (document.activeElement !== input && input.value !== String(value)) input.value = value;
}

function section(title, ...children) {
  return h("section.vq-edit-section", {}, h("h3", {}, title), ...children);
}

function paletteSection() {
  const patch = swatch(56), code = numberInput(t("edit_code"), setCode);
  const set = button(t("edit_set"), () => editSelection({ op: "set", code: store.code }), { "data-act": "set" });
  const wait = h("p.vq-note", {}, t("edit_loading_palette"));
  const palette = sheet(() => t("edit_palette_label", number(store.start?.codes ?? 0)), {
    chosen: () => store.code,
    choose: (code, moment) => {
      setCode(code);
      editSelection({ op: "set", code }, moment);
    } });
  palette.dataset.sheet = "palette";
  parts.push(() => {
    patch.paint(store.code);
    follow(code, store.code);
    set.disabled = !store.count;
    wait.hidden = Boolean(store.sheet);
    palette.hidden = !store.sheet;
  });
  return section(t("edit_palette"), h("div.vq-edit-code", {}, patch.canvas, h("label", {}, h("span", {}, t("edit_code")), code),
    set), wait, palette);
}

function selectionSection() {
  const act = (name, onclick) => button(t(`edit_${name}`), onclick, { "data-act": name });
  const modes = ["new", "add", "remove"].map((mode) => [mode, t(`edit_mode_${mode}`)]);
  return section(t("edit_selection"),
    h("div.vq-edit-row", {}, act("all", () => select(allCells())), act("none", () => select([])),
      act("invert", () => select(allCells().filter((cell) => !store.mask[index(cell)]))),
      act("same", () => select(cellsWith(token(store.cursor)), store.mode))),
    segments("vq-edit-mode", t("edit_mode"), modes, store.mode, (mode) => (store.mode = mode)));
}

function changeSection() {
  const needed = [];
  const act = (name, change) => {
    const node = button(t(`edit_${name}`), () => editSelection(change()), { "data-act": name });
    needed.push(node);
    return node;
  };
  const far = h("input", { type: "range", min: 1, max: 64, value: 1, "aria-label": t("edit_far"),
    oninput: () => (out.textContent = far.value) });
  const out = h("output", {}, "1");
  const copyButton = button(t("edit_copy"), copy, { "data-act": "copy" });
  const pasteButton = button(t("edit_paste"), paste, { "data-act": "paste" });
  const note = h("p.vq-note", { role: "status" });
  needed.push(copyButton);
  parts.push(() => {
    for (const node of needed) node.disabled = !store.count;
    pasteButton.disabled = !store.clip;
    far.max = Math.min(64, store.start.codes - 1);
    note.textContent = !store.count ? t("edit_need_cells") : store.clip ? t("edit_copied", store.clip.h, store.clip.w) : "";
  });
  return section(t("edit_change"),
    h("div.vq-edit-row", {}, act("nearest", () => ({ op: "nearest", distance: Number(far.value) })),
      h("label.vq-slider", {}, h("span", {}, t("edit_far")), far, out)),
    h("div.vq-edit-row", {}, act("shuffle", () => ({ op: "shuffle", seed: seed() })),
      act("mirror_h", () => ({ op: "mirror", axis: "horizontal" })), act("mirror_v", () => ({ op: "mirror", axis: "vertical" })),
      copyButton, pasteButton),
    note);
}

function replaceSection() {
  let from = 0, typed = -1; // what was typed counts until the cursor moves on
  const a = numberInput(t("edit_replace_a"), (value) => {
    from = value;
    typed = index(store.cursor);
  });
  const b = numberInput(t("edit_replace_b"), setCode);
  const act = button(t("edit_replace_do"), () => edit({ op: "replace", code: from, by: store.code }), { "data-act": "replace" });
  parts.push(() => {
    if (typed !== index(store.cursor)) from = token(store.cursor);
    follow(a, from);
    follow(b, store.code);
    act.disabled = !Number.isInteger(from) || from < 0 || from >= store.start.codes;
  });
  const labelled = (key, input) => h("label", {}, h("span", {}, t(key)), input);
  return section(t("edit_replace"), h("div.vq-edit-row.vq-edit-pair", {},
    labelled("edit_replace_a", a), labelled("edit_replace_b", b), act));
}

function transplantSection() {
  const act = button(t("edit_transplant_do"), () => editSelection({ op: "transplant" }), { "data-act": "transplant" });
  const image = h("img.vq-edit-donated", { alt: t("edit_alt_donor"), width: 96, height: 96, hidden: true });
  const note = h("p.vq-note");
  parts.push(() => {
    const url = read("given")?.picture;
    image.hidden = !url;
    if (url && image.src !== url) image.src = url;
    act.disabled = !url || !store.count;
    note.textContent = !url ? t("edit_transplant_none") : store.count ? "" : t("edit_need_cells");
  });
  return section(t("edit_transplant"), h("div.vq-edit-row", {}, image, act), note);
}

function resampleSection() {
  let asked = 0, shown = null, session = 0;
  const act = button(t("edit_resample_do"), () => {
    asked = ++outbox.request;
    root.dataset.resampling = "true";
    trigger("resample", { session: store.start.session, request: asked, cells: selected(), seed: seed() });
    changed();
  }, { "data-act": "resample" });
  const note = h("p.vq-note", { role: "status" }), choices = h("div.vq-edit-variants", { role: "group", "aria-label": t("edit_resample") });
  parts.push(() => {
    const { reason, title, grid, tries } = store.start.prior, offers = read("offers");
    const current = offers?.session === store.start.session ? offers : null;
    // What was asked of an earlier picture is answered by nobody.
    if (session !== store.start.session || current?.request >= asked) root.dataset.resampling = "false";
    session = store.start.session;
    const busy = root.dataset.resampling === "true";
    act.disabled = Boolean(reason) || !store.count || busy;
    note.textContent = reason ? t(`edit_prior_${reason}`, title, ...(grid ?? [])) : busy ? t("working")
      : store.count || current ? t("edit_resample_note", title, tries) : t("edit_need_cells");
    if (shown === current) return;
    shown = current;
    choices.replaceChildren(...(current?.items ?? []).map(({ picture, bits: cost }, i) => {
      const name = t("edit_variant", i + 1, number(cost));
      return h("button", { type: "button", "data-variant": i, title: name, onclick: () => edit({ op: "choose", index: i }) },
        h("img", { src: picture, alt: name, width: 72, height: 72 }), h("span", { "aria-hidden": "true" }, number(cost)));
    }));
  });
  return section(t("edit_resample"), h("div.vq-edit-row", {}, act), note, choices);
}
