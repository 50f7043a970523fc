// The codebook: what its codes look like, which lie close to each other, and how often they are used.
function atlasSection() {
  let shade = "patches";
  const title = h("h2", {}, t("edit_atlas")), note = h("p.vq-note", {}, ...VQ.rich("edit_atlas_note"));
  const log = (count, most) => Math.log1p(count) / Math.log1p(most);
  let usage = []; // a colour a code
  const atlas = sheet(() => t("edit_atlas_label", number(store.start?.codes ?? 0)), {
    chosen: () => store.marked,
    choose: (code) => {
      store.marked = store.marked === code ? null : code;
      changed();
    },
    marks: () => (store.marked == null ? [] : store.book.nearest[store.marked]),
    shade: () => shade,
    colourOf: (code) => usage[code] });
  atlas.dataset.sheet = "atlas";
  const choice = segments("vq-edit-shade", t("edit_atlas_colour"), [["patches", t("edit_atlas_patches")], ["usage", t("edit_atlas_usage")]],
    shade, (value) => {
      shade = value;
      changed();
    });
  const detail = h("div.vq-edit-detail", { role: "status" }), histogram = h("figure.vq-strip-plot");
  const node = h("section.vq-edit-atlas", { hidden: true }, h("div.vq-section", {}, title, choice, note),
    h("div.vq-edit-atlas-body", {}, atlas, h("div", {}, detail, histogram)));

  let drawn = null, told = "";
  parts.push(() => {
    node.hidden = !store.sheet;
    if (!store.sheet) return;
    if (drawn !== store.book) {
      drawn = store.book;
      const { counts } = store.book;
      choice.hidden = !counts;
      const most = counts ? counts.reduce((a, b) => Math.max(a, b), 1) : 1;
      usage = counts ? counts.map((count) => (count ? `rgb(${heat(log(count, most))})` : "#777")) : [];
      histogram.replaceChildren(...(counts ? bars(counts) : [h("figcaption", {}, t("edit_atlas_plain"))]));
    }
    const key = `${store.start.session}/${store.live.revision}/${store.marked}/${store.book.codec}`;
    if (told !== key) describeCode(detail);
    told = key;
  });
  return node;
}

// The histogram, and what it comes to.
function bars(counts) {
  const ordered = [...counts].sort((a, b) => b - a), width = 480, height = 90, step = width / ordered.length;
  const path = ordered.map((count, i) => `M${(i * step).toFixed(2)} ${height}v${((-count / ordered[0]) * height).toFixed(2)}h${(step * .9).toFixed(2)}V${height}z`);
  const { perplexity, dead } = store.book;
  return [h("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": t("edit_atlas_histogram") },
    h("path", { d: path.join(""), fill: "currentColor" })),
  h("figcaption", {}, t("edit_atlas_histogram"), h("br"),
    ...VQ.rich("edit_atlas_figures", number(counts.length), number(perplexity), number(dead)))];
}

function describeCode(detail) {
  if (store.marked == null) return detail.replaceChildren();
  const code = store.marked, { counts, nearest } = store.book, big = swatch(64), cells = cellsWith(code);
  big.paint(code);
  const share = counts && t("edit_atlas_share", number((100 * counts[code]) / counts.reduce((a, b) => a + b, 0), 3));
  const near = nearest[code].map((other) => {
    const patch = swatch(32), name = t("edit_atlas_code", other);
    patch.paint(other);
    return h("button", { type: "button", title: name, "aria-label": name, "data-near": other, onclick: () => {
      store.marked = other;
      changed();
    } }, patch.canvas);
  });
  detail.replaceChildren(
    h("div.vq-edit-row", {}, big.canvas, h("div", {}, h("h3", {}, t("edit_atlas_code", code)),
      h("p.vq-note", { "data-stands": cells.length }, t("edit_atlas_stands", cells.length)), share && h("p.vq-note", {}, share))),
    h("div.vq-edit-row", {}, button(t("edit_atlas_select"), () => select(cells), { "data-act": "stands" }),
      button(t("edit_set"), () => {
        setCode(code);
        editSelection({ op: "set", code });
      })),
    h("p.vq-label", {}, t("edit_atlas_nearest")), h("div.vq-edit-near", {}, ...near));
}
