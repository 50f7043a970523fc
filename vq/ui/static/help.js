// Terms that explain themselves where they are first used. A text marks them: "[psnr:dB]" shows dB, and the first in
// each tab is a button that says what PSNR is; VQ.rich gives such a text as nodes. The words stand in words/guide.py.
(() => {
  const { t, h } = VQ;
  const box = h("div.vq-help", { id: "vq-help", role: "note", hidden: true });
  const said = h("div.vq-spoken", { role: "status" }); // heard by those who don't see the box
  let open = null;

  VQ.rich = (key, ...values) => VQ.parts(key, values).map(({ term, text }) =>
    (term ? VQ.term(term, text) : document.createTextNode(text)));
  VQ.term = (term, text) => h("span", { "data-term": term }, text);

  // A term is a button only where a tab has it first; what was drawn anew may have moved it.
  function mark() {
    for (const tab of document.querySelectorAll("#vq-tabs [role=tabpanel]")) {
      const seen = new Set();
      for (const node of tab.querySelectorAll("[data-term]")) {
        if (!node.getClientRects().length) continue;
        const { term } = node.dataset;
        const first = !seen.has(term);
        seen.add(term);
        if (first === node.hasAttribute("role")) continue;
        const attributes = { role: "button", tabindex: 0, "aria-expanded": false, "aria-description": t("terms") };
        for (const [name, value] of Object.entries(attributes)) first ? node.setAttribute(name, value) : node.removeAttribute(name);
      }
    }
    if (open && !open.isConnected) close();
  }

  function show(node) {
    close();
    open = node;
    node.setAttribute("aria-expanded", "true");
    box.textContent = said.textContent = t(`term_${node.dataset.term}`);
    box.hidden = false;
    const at = node.getBoundingClientRect(), width = Math.min(320, innerWidth - 24);
    box.style.width = `${width}px`;
    box.style.left = `${Math.max(12, Math.min(innerWidth - width - 12, at.left)) + scrollX}px`;
    const below = at.bottom + 8 + box.offsetHeight < innerHeight || at.top < box.offsetHeight + 8;
    box.style.top = `${(below ? at.bottom + 8 : at.top - 8 - box.offsetHeight) + scrollY}px`;
  }

  function close() {
    if (!open) return;
    open.setAttribute("aria-expanded", "false");
    open = null;
    box.hidden = true;
    said.textContent = "";
  }

  const term = (event) => event.target.closest?.('[data-term][role="button"]');
  document.addEventListener("click", (event) => {
    const node = term(event);
    if (!node) return box.contains(event.target) || close();
    event.preventDefault(); // within a label it would work the field as well
    node === open ? close() : show(node);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open) {
      event.stopPropagation();
      close();
    } else if (["Enter", " "].includes(event.key) && term(event)) {
      event.preventDefault();
      event.target.click();
    }
  }, true);
  document.addEventListener("focusin", (event) => open && term(event) !== open && close());

  let due;
  const later = () => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(mark);
  };
  function begin() {
    document.body.append(box, said);
    new MutationObserver(later).observe(document.body, { subtree: true, childList: true });
  }
  document.body ? begin() : document.addEventListener("DOMContentLoaded", begin);
  window.addEventListener("vq-tab", later);
})();
