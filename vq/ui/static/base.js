// Helpers for the page's components: window.VQ. Texts are filled in by the server.
window.VQ = (() => {
  const texts = __TEXTS__;
  const locale = navigator.language || (navigator.languages || [])[0] || "en";
  const language = locale.toLowerCase().startsWith("zh") ? "zh" : "en";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";

  // A text in parts, its {} filled in order: plain ones, and terms marked as "[term:words]" (see help.js).
  function parts(key, values) {
    let i = 0;
    return (texts[language][key] ?? key).split(/(\[\w+:[^\]]+\])/).filter(Boolean).map((part) => {
      const [, term, words] = /^\[(\w+):([^\]]+)\]$/.exec(part) ?? [null, null, part];
      return { term, text: words.replace(/\{\}/g, () => values[i++]) };
    });
  }

  // Text of a key, its {} filled in order.
  const t = (key, ...values) => parts(key, values).map(({ text }) => text).join("");

  // h("p.note", {id: "x", onclick: f}, child, ...): an element. Children are nodes or plain text, never markup.
  function h(spec, attributes = {}, ...children) {
    const [tag, ...classes] = spec.split(".");
    const svg = ["svg", "path", "rect", "circle", "line", "text", "g", "title", "polyline"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    if (classes.length) node.setAttribute("class", classes.join(" "));
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child != null && child !== false));
    return node;
  }

  // One choice of a few, as radio buttons that look like one control. options: [[value, text], ...]
  function segments(name, legend, options, value, onchoose) {
    return h("fieldset.vq-segments", {}, h("legend", {}, legend), h("div.vq-segments-row", {},
      ...options.map(([key, text]) => h("label", {},
        h("input", { type: "radio", name, value: key, checked: key === value, onchange: () => onchoose(key) }),
        h("span", {}, text)))));
  }

  const number = (value, digits = 0) =>
    value == null ? "∞" : value.toLocaleString(language === "zh" ? "zh-CN" : "en", {
      minimumFractionDigits: digits, maximumFractionDigits: digits });

  // Says that a visitor asked for something new: the results show it before the server has answered.
  const begin = () => window.dispatchEvent(new Event("vq-begin"));

  // What Gradio says in English whatever the visitor's language: its heading of every error, and names of its buttons.
  const gradio = new Map(Object.keys(texts.en).filter((key) => key.startsWith("gradio_")).map((key) => [texts.en[key], t(key)]));
  gradio.set("common.complete", t("gradio_complete")); // for which it has no Chinese: it says the key
  const SAID = '[data-testid="image"] button > .wrap, [aria-live], [role="status"]';
  function translate() {
    for (const title of document.querySelectorAll(".toast-body.error .toast-title")) {
      if (title.textContent.trim() === "Error") title.textContent = t("error");
    }
    for (const node of document.querySelectorAll('[data-testid="image"] :is([aria-label], [title]), .overflow-menu > button, footer[aria-label]')) {
      for (const name of ["aria-label", "title"]) {
        const own = gradio.get(node.getAttribute(name));
        if (own) node.setAttribute(name, own);
      }
    }
    for (const { childNodes } of document.querySelectorAll(SAID)) {
      for (const node of childNodes) {
        const own = node.nodeType === Node.TEXT_NODE && gradio.get(node.data.trim());
        if (own && node.data.trim() !== own) node.data = ` ${own}`;
      }
    }
  }
  if (language !== "en") new MutationObserver(translate).observe(document, { childList: true, characterData: true, subtree: true });

  // A message of the page's own, where the server isn't asked.
  function say(text) {
    document.querySelector(".vq-toast")?.remove();
    const toast = h("div.vq-toast", { role: "alert" }, h("p", {}, text),
      h("button", { type: "button", "aria-label": t("close"), onclick: () => toast.remove() }, "×"));
    document.body.append(toast);
  }

  // A file that the server would refuse is refused before it is sent.
  function refuse(event) {
    const files = event.type === "change" ? event.target.type === "file" && event.target.files : (event.dataTransfer ?? event.clipboardData)?.files;
    if (![...(files || [])].some(({ size }) => size > __UPLOAD__)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "change") event.target.value = "";
    say(t("upload_large"));
  }
  for (const type of ["change", "drop", "paste"]) document.addEventListener(type, refuse, true);

  // Opening the camera empties the input box: until there is a photo, that is no wish for something new.
  let sourced = -Infinity;
  document.addEventListener("click", (event) => {
    if (event.target.closest?.('#vq-picture [data-testid="source-select"] button')) sourced = performance.now();
  }, true);
  const cleared = () => performance.now() - sourced > 1000;

  // What came last by every topic, and who wants to know (see channel.js).
  const news = {}, readers = {};
  function publish(topic, value) {
    news[topic] = value;
    readers[topic]?.();
  }
  function follow(topic, reader) {
    readers[topic] = reader;
  }

  return { t, parts, h, segments, number, language, begin, say, cleared, news, publish, follow };
})();
