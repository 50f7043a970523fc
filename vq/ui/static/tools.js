// Buttons of the header: the address of what is set now, and the guide for those who have closed it.
const { t, h } = VQ;
const root = element.querySelector(".vq-tools");
const guide = h("button", { type: "button", "aria-controls": "vq-guide-body", onclick: () => window.dispatchEvent(new Event("vq-guide")) }, t("guide_open"));
const copy = h("button", { type: "button", title: t("copy_link_help"), onclick: copyLink }, t("copy_link"));
const field = h("input", { type: "text", readonly: true, hidden: true, "aria-label": t("copy_failed"), onfocus: () => field.select(), onblur: () => (field.hidden = true) });
const said = h("span.vq-spoken", { role: "status" });
root.append(guide, copy, field, said);

async function copyLink() {
  field.value = VQ.link.address();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    // Browsers keep the clipboard from pages without https, and from most frames.
    field.hidden = false;
    field.focus();
    if (!document.execCommand("copy")) return;
    field.hidden = true;
    copy.focus();
  }
  copy.textContent = said.textContent = t("copied");
  setTimeout(() => {
    copy.textContent = t("copy_link");
    said.textContent = "";
  }, 1500);
}

const tell = ({ detail }) => guide.setAttribute("aria-expanded", detail);
window.addEventListener("vq-guide-shown", tell);
tell({ detail: Boolean(document.querySelector(".vq-guide:not([hidden])")) });
