// Saves what the server made. props.value: {url, name, request}
watch("value", () => {
  if (props.value) VQ.h("a", { href: props.value.url, download: props.value.name }).click();
  window.dispatchEvent(new CustomEvent("vq-interpolate-saved", { detail: props.value?.request }));
});
