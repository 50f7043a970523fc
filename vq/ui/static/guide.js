// A path for a first visit: one thing to try in each tab. What was tried, and that it was closed, stays in the browser.
// props.tabs: names of the tabs, in order.
const { t, h } = VQ;
const root = element.querySelector(".vq-guide");
const KEY = "vq-guide";
// In the words of the buttons that are meant.
const WORDS = { reconstruct: "lens_difference", interpolate: "play", edit: "edit_palette", sample: "sample_draw" };
// [event, where]: what shows that somebody has tried it.
const TRIED = {
  reconstruct: [["change", 'input[name="vq-lens"]']],
  interpolate: [["click", ".vq-play, .vq-film button"], ["input", ".vq-scrub input"]],
  edit: [["pointerup", ".vq-edit-canvas, .vq-edit-tools canvas"], ["click", ".vq-edit-tools [data-act]"], ["keydown", ".vq-edit-canvas, .vq-edit-tools canvas"]],
  sample: [["click", ".vq-sample-draw"]],
};

function remembered() {
  try {
    const { closed, tried } = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return { closed: closed === true, tried: props.tabs.filter((tab) => Array.isArray(tried) && tried.includes(tab)) };
  } catch { // a browser that keeps nothing, or something else under this name
    return { closed: false, tried: [] };
  }
}
const state = remembered();
function remember(change) {
  Object.assign(state, change);
  try {
    localStorage.setItem(KEY, JSON.stringify(state));
  } catch {
    // Then it is there again on the next visit.
  }
  draw();
}

const name = (tab) => t(`tab_${tab}`);
const steps = props.tabs.map((tab, i) => h("button", { type: "button", "data-step": tab, onclick: () => VQ.link.go(tab) }, i + 1));
const text = h("p", { role: "status" });
const next = h("button.vq-guide-next", { type: "button", onclick: () => VQ.link.go(next.dataset.to) });
const close = h("button.vq-guide-close", { type: "button", "aria-label": t("guide_close"), title: t("guide_close"), onclick: () => {
  remember({ closed: true });
  document.querySelector(".vq-tools button")?.focus();
} }, "×");
root.id = "vq-guide-body";
root.setAttribute("role", "region");
root.setAttribute("aria-label", t("guide"));
root.append(h("div.vq-guide-steps", { role: "group", "aria-label": t("guide") }, ...steps), text, next, close);

function draw() {
  const now = VQ.link.current() ?? props.tabs[0], { tried } = state;
  const all = tried.length === props.tabs.length;
  root.hidden = state.closed;
  window.dispatchEvent(new CustomEvent("vq-guide-shown", { detail: !state.closed }));
  steps.forEach((step, i) => {
    const tab = props.tabs[i], done = tried.includes(tab);
    step.textContent = done ? "✓" : i + 1;
    step.setAttribute("aria-label", t(done ? "guide_step_done" : "guide_step", i + 1, name(tab)));
    step.title = name(tab);
    step.toggleAttribute("data-done", done);
    tab === now ? step.setAttribute("aria-current", "step") : step.removeAttribute("aria-current");
  });
  const said = all ? t("guide_all") : t(`guide_${now}`, t(WORDS[now]));
  if (text.textContent !== said) text.textContent = said;
  const place = props.tabs.indexOf(now);
  const to = [...props.tabs.slice(place + 1), ...props.tabs.slice(0, place)].find((tab) => !tried.includes(tab));
  next.hidden = !to;
  next.dataset.to = to ?? "";
  next.textContent = to ? t("guide_next", name(to)) : "";
  next.toggleAttribute("data-ready", tried.includes(now));
}

for (const [tab, signs] of Object.entries(TRIED)) {
  for (const [type, where] of signs) document.addEventListener(type, ({ target }) => {
    if (!state.tried.includes(tab) && target.closest?.(where)) remember({ tried: [...state.tried, tab] });
  }, true);
}
window.addEventListener("vq-tab", draw);
window.addEventListener("vq-guide", () => {
  remember(state.closed ? { closed: false, tried: state.tried.length === props.tabs.length ? [] : state.tried } : { closed: true });
  if (!state.closed) steps[0].focus();
});
draw();
