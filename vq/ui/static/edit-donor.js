// Examples for the second picture. props.value: {example: name|null}; props.items: [{name, url}]
const { t, h } = VQ;
const root = element.querySelector(".vq-edit-donor");
const buttons = props.items.map(({ name, url }) => h("button",
  { type: "button", "data-donor": name, title: t(`example_${name}`), onclick: () => {
    props.value = { example: name };
    mark();
    trigger("pick");
  } },
  h("img", { src: url, alt: t(`example_${name}`), width: 96, height: 96 })));

function mark() {
  for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.donor === props.value.example);
}
root.append(h("div.vq-strip", {}, ...buttons));
watch("value", mark);
mark();
