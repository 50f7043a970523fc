// A grid between four pictures, and one tile of it enlarged.
// props.value: {revision, side, size, tokens: bool, frames: [url] in reading order}
const { t, h } = VQ;
const root = element.querySelector(".vq-interpolate-corners");
const place = { across: 0, down: 0 };
let tiles = [], big, sliders;

function move(across, down) {
  const { side, frames } = props.value;
  place.across = Math.min(side - 1, Math.max(0, across));
  place.down = Math.min(side - 1, Math.max(0, down));
  const now = place.down * side + place.across;
  big.src = frames[now];
  big.alt = t("tile", place.down + 1, place.across + 1);
  tiles.forEach((tile, i) => tile.toggleAttribute("data-now", i === now));
  for (const [name, { range, out }] of Object.entries(sliders)) {
    range.value = place[name];
    out.textContent = place[name] + 1;
  }
  root.dataset.tile = now;
}

function slider(name, side) {
  const out = h("output");
  const range = h("input", { type: "range", min: 0, max: side - 1, step: 1, "aria-label": t(name), oninput: () => {
    const to = { ...place, [name]: Number(range.value) };
    move(to.across, to.down);
  } });
  return { range, out, node: h("label.vq-slider", {}, h("span", {}, t(name)), range, out) };
}

// The whole grid as one picture, tiles enlarged by whole pixels.
async function save() {
  const { side, size, frames } = props.value;
  const scale = Math.max(1, Math.floor(128 / size)), step = size * scale;
  const canvas = Object.assign(document.createElement("canvas"), { width: side * step, height: side * step });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  await Promise.all(frames.map(async (url, i) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    context.drawImage(image, (i % side) * step, Math.floor(i / side) * step, step, step);
  }));
  h("a", { href: canvas.toDataURL("image/png"), download: `corners-${side}x${side}.png` }).click();
}

function draw() {
  const { revision, side, size, tokens, frames } = props.value;
  root.replaceChildren();
  delete root.dataset.tile;
  root.dataset.revision = revision;
  if (!frames.length) return;
  big = h("img.vq-row-picture", { width: size, height: size });
  sliders = { across: slider("across", side), down: slider("down", side) };
  tiles = frames.map((url, i) => {
    const go = () => move(i % side, Math.floor(i / side));
    return h("button", { type: "button", tabindex: -1, "aria-label": t("tile", Math.floor(i / side) + 1, (i % side) + 1), onclick: go,
      onpointerenter: go }, h("img", { src: url, alt: "", width: size, height: size }));
  });
  const grid = h("div.vq-corner-grid", { role: "group", "aria-label": t("corners_title"), tabindex: 0, onkeydown: (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(place.across + step[0], place.down + step[1]);
  } }, ...tiles);
  grid.style.setProperty("--side", side);
  root.append(h("article.vq-card.vq-corners", {}, h("header", {}, h("h3", {}, t("corners_title")), h("span.vq-tag", {}, `${size} px`)),
    h("p.vq-what", {}, t(tokens ? "corners_tokens" : "corners_vector")),
    h("div.vq-corners-body", {}, grid, h("div.vq-corners-one", {}, big, sliders.across.node, sliders.down.node)),
    h("footer.vq-actions", {}, h("button", { type: "button", onclick: save }, t("download")))));
  const middle = Math.floor(side / 2);
  move(middle, middle);
}

watch("value", draw);
draw();
