// Helpers for the page's components: window.VQ. Texts are filled in by the server.
window.VQ = (() => {
  const texts = __TEXTS__;
  const locale = navigator.language || (navigator.languages || [])[0] || "en";
  const language = locale.toLowerCase().startsWith("zh") ? "zh" : "en";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";

  // Text of a key, its {} filled in order.
  function t(key, ...values) {
    let i = 0;
    return (texts[language][key] ?? key).replace(/\{\}/g, () => values[i++]);
  }

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

  // Gradio heads every error "Error", whatever the language and the title it was given.
  new MutationObserver(() => {
    for (const title of document.querySelectorAll(".toast-body.error .toast-title")) {
      if (title.textContent.trim() === "Error" && language !== "en") title.textContent = t("error");
    }
  }).observe(document, { childList: true, subtree: true });

  // What came last by every topic, and who wants to know (see channel.js).
  const news = {}, readers = {};
  function publish(topic, value) {
    news[topic] = value;
    readers[topic]?.();
  }
  function follow(topic, reader) {
    readers[topic] = reader;
  }

  return { t, h, segments, number, language, begin, news, publish, follow };
})();
