// All codes side by side, in atlas order: the palette, and the atlas itself.
// choose(code, moment) is called for a click or Enter; where shade() isn't "patches", colourOf(code) replaces a patch.
function sheet(label, { choose, chosen, shade = () => "patches", colourOf, marks = () => [] }) {
  const canvas = h("canvas.vq-sheet", { tabindex: 0, role: "application", "aria-label": label() });
  const says = h("span.vq-spoken", { role: "status" });
  const holder = h("div.vq-sheet-holder", {}, canvas);
  const columns = () => store.book.columns;
  const codeAt = (event) => {
    const box = canvas.getBoundingClientRect(), n = columns(), rows = Math.ceil(store.book.codes.length / n);
    const column = Math.floor(((event.clientX - box.left) / box.width) * n);
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    return column >= 0 && column < n ? store.book.codes[row * n + column] : undefined;
  };
  canvas.addEventListener("pointerup", (event) => {
    const code = store.book && event.button === 0 ? codeAt(event) : undefined;
    if (code !== undefined) choose(code, event.timeStamp);
  });
  let place = 0; // of the keyboard
  canvas.addEventListener("keydown", (event) => {
    if (!store.book) return;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() }[event.key];
    if (step) place = Math.min(store.book.codes.length - 1, Math.max(0, place + step));
    else if (event.key === "Enter" || event.key === " ") choose(store.book.codes[place], event.timeStamp);
    else return;
    event.preventDefault();
    says.textContent = t("edit_atlas_code", store.book.codes[place]);
    reveal(place);
    draw();
  });
  canvas.addEventListener("focus", () => {
    if (store.book && chosen() != null) place = store.place[chosen()];
    // A press of the pointer focuses too: what lies under it must not move away before it is lifted.
    if (store.book && canvas.matches(":focus-visible")) reveal(place);
    draw();
  });
  canvas.addEventListener("blur", () => draw());

  // Thousands of codes are wider than the page has room for: what matters is scrolled to.
  function reveal(i) {
    const side = canvas.clientWidth / columns(), [x, y] = [(i % columns()) * side, Math.floor(i / columns()) * side];
    const into = (at, length, start) => Math.min(Math.max(at, start + 2 * side - length), Math.max(0, start - side));
    holder.scrollLeft = into(holder.scrollLeft, holder.clientWidth, x);
    holder.scrollTop = into(holder.scrollTop, holder.clientHeight, y);
  }

  // Thousands of patches: drawn only when something about them has changed.
  let drawn = "", shown = "";
  function draw() {
    if (!store.sheet) return;
    canvas.style.setProperty("--columns", columns());
    const focus = document.activeElement === canvas;
    const key = [store.start.codec, canvas.clientWidth, devicePixelRatio, chosen(), shade(), focus && place, marks()].join();
    if (drawn === key) return;
    drawn = key;
    canvas.setAttribute("aria-label", label());
    const n = columns(), { codes } = store.book, rows = Math.ceil(codes.length / n);
    const size = Math.max(8, Math.round(((canvas.clientWidth || 320) * devicePixelRatio) / n));
    if (canvas.width !== n * size) [canvas.width, canvas.height] = [n * size, rows * size];
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(store.sheet, 0, 0, canvas.width, canvas.height);
    if (shade() !== "patches") codes.forEach((code, i) => {
      context.fillStyle = colourOf(code);
      context.fillRect((i % n) * size, Math.floor(i / n) * size, size, size);
    });
    const ring = (i, stroke) => {
      const [x, y] = [(i % n) * size, Math.floor(i / n) * size];
      context.lineWidth = 5; context.strokeStyle = "rgb(0 0 0 / .8)"; context.strokeRect(x, y, size, size);
      context.lineWidth = 2.5; context.strokeStyle = stroke; context.strokeRect(x, y, size, size);
    };
    for (const code of marks()) ring(store.place[code], "#ffb454");
    if (chosen() != null) ring(store.place[chosen()], "#fff");
    if (focus) ring(place, "#5ad1d8");
    const where = [store.start.codec, canvas.clientWidth, chosen()].join();
    if (chosen() != null && shown !== where && canvas.clientWidth) reveal(store.place[chosen()]);
    shown = where;
  }
  parts.push(draw);
  return h("div.vq-sheet-window", {}, holder, says);
}
