// The address says which tab to open and how it is set; it follows the visitor, so that it can be copied at any time.
// ?tab=sample&model=transformer&seed=3, or the same after a #. What it says is anybody's: every value is checked
// against what the page offers, here and again on the server, and what isn't offered counts as not said.
VQ.link = (() => {
  const OWN = ["tab", "example", "codecs", "size", "fit", "lens", "mode", "codec", "path", "frames", "side", "seed",
    "model", "n", "temperature", "top_k", "top_p", "line"];
  const LONGEST = 500;
  const asked = new URLSearchParams(location.search);
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (OWN.includes(name)) asked.set(name, value);
  const settings = {}; // by tab: what differs from how the tab begins
  const tabs = () => [...document.querySelectorAll("#vq-tabs [role=tablist] [data-tab-id]")];
  const current = () => tabs().find((tab) => tab.getAttribute("aria-selected") === "true")?.dataset.tabId;

  // What the address asks of a tab. Each function gives undefined where it asks nothing that can be had.
  function of(tab) {
    const mine = (asked.get("tab") ?? "reconstruct") === tab;
    const text = (name) => {
      const value = mine ? asked.get(name) : null;
      return value && value.length <= LONGEST ? value : undefined;
    };
    const one = (name, choices) => choices.find((choice) => String(choice) === text(name));
    const some = (name, choices) => {
      const named = text(name)?.split(",") ?? [];
      const found = choices.filter((choice) => named.includes(choice));
      return found.length ? found : undefined;
    };
    const number = (name, low, high, whole = true) => {
      const value = Number(text(name) ?? NaN);
      return value >= low && value <= high && (!whole || Number.isInteger(value)) ? value : undefined;
    };
    return { text, one, some, number };
  }

  // Tells how a tab is set now; a setting that is undefined or as the tab begins is left out of the address.
  function set(tab, values) {
    settings[tab] = { ...settings[tab], ...values };
    write();
  }

  let writing;
  function write() {
    cancelAnimationFrame(writing);
    writing = requestAnimationFrame(() => {
      try {
        if (address() !== location.href) history.replaceState(history.state, "", address());
      } catch {
        // Where a page may not change its address, the button still copies it.
      }
    });
  }

  function address() {
    const url = new URL(location.href), tab = current();
    for (const name of OWN) url.searchParams.delete(name);
    const said = Object.entries(settings[tab] ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
    if (tab && (tab !== "reconstruct" || said.length)) url.searchParams.set("tab", tab);
    for (const [name, value] of said) url.searchParams.set(name, value);
    if (OWN.some((name) => new URLSearchParams(url.hash.slice(1)).has(name))) url.hash = "";
    return url.href;
  }

  // Applies what was asked of a component, once Gradio has given it its first value, which would undo it.
  const apply = (change) => setTimeout(change, 50);

  const go = (tab) => {
    const button = tabs().find(({ dataset }) => dataset.tabId === tab);
    button?.click();
    return Boolean(button);
  };

  // First the tab that was asked for, which Gradio takes back while it is still building the page; from then on the
  // address follows the visitor.
  let wanted = asked.get("tab"), tries = 0, before;
  for (const type of ["pointerdown", "keydown"]) document.addEventListener(type, ({ isTrusted }) => isTrusted && (wanted = null), true);
  function follow() {
    const tab = current();
    if (!tab || tab === before) return;
    if (wanted && tab !== wanted && tries < 5 && go(wanted)) {
      tries += 1;
      return;
    }
    before = tab;
    window.dispatchEvent(new CustomEvent("vq-tab", { detail: tab }));
    write();
  }
  new MutationObserver(follow).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["aria-selected"] });

  return { of, set, apply, address, current, go };
})();
