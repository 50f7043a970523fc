// A checkpoint from the Hub. props.value: {state: "idle"|"loading"|"failed"|"ready", request, done, total,
//   error: {en, zh}|null, loaded: [summary]}; see vq/ui/checkpoint.py. props.rows: public checkpoints to fill in.
const { t, h, number } = VQ;
const root = element.querySelector(".vq-checkpoint");
let request = 0;

const field = (name, hint = "") => h("input", { name, type: "text", maxlength: props.longest, placeholder: hint,
  autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
const fields = { repo: field("repo", t("checkpoint_repo_hint")), subfolder: field("subfolder"), revision: field("revision", "main") };
const labelled = (name) => h("label.vq-field", {}, h("span", {}, t(`checkpoint_${name}`)), fields[name]);

function bytes(size) {
  const exponent = size < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(size) / 3 + 1e-9));
  return `${number(size / 1000 ** exponent, exponent > 1 && size / 1000 ** exponent < 100 ? 1 : 0)} ${["B", "kB", "MB", "GB"][exponent]}`;
}

function fill(row) {
  for (const [name, input] of Object.entries(fields)) input.value = name === "revision" && row[name] === "main" ? "" : row[name];
}

function open(event) {
  event.preventDefault();
  if (!fields.repo.value.trim()) return fields.repo.focus();
  request += 1;
  props.value = { ...props.value, state: "loading", request, done: 0, total: 0, error: null };
  draw();
  trigger("open", { repo: fields.repo.value, subfolder: fields.subfolder.value, revision: fields.revision.value, request });
}

function halt() {
  // Whatever is still under way has a smaller number from now on.
  request += 1;
  props.value = { ...props.value, state: "idle", request };
  draw();
  trigger("halt", { request });
}

const rows = h("div.vq-chips", {}, ...props.rows.map((row) => h("button", { type: "button", "data-row": row.name,
  title: `${row.repo}${row.subfolder && `/${row.subfolder}`} · ${row.licence}`, onclick: () => fill(row) },
h("span", {}, row.title), h("small", {}, row.size ? bytes(row.size) : ""))));
const load = h("button.vq-primary", { type: "submit" }, t("checkpoint_load"));
const stop = h("button", { type: "button", onclick: halt }, t("checkpoint_stop"));
const bar = h("progress");
const status = h("p.vq-note", { role: "status" });
const wait = h("div.vq-wait", {}, bar, stop);
const loaded = h("div.vq-loaded");
root.append(h("details", {}, h("summary", {}, t("checkpoint")),
  h("form.vq-options-body", { onsubmit: open },
    h("p.vq-note", {}, t("checkpoint_note")),
    h("div", {}, h("p.vq-label", {}, t("checkpoint_public")), rows),
    labelled("repo"), h("div.vq-pair", {}, labelled("subfolder"), labelled("revision")),
    load, wait, status, loaded)));

function progress({ done, total }) {
  if (!total) return t("checkpoint_asking");
  return done < total ? t("checkpoint_bytes", bytes(done), bytes(total)) : t("checkpoint_opening");
}

function draw() {
  const value = props.value;
  if (value.request < request) return; // news of something that was stopped
  const loading = value.state === "loading";
  root.dataset.state = value.state;
  load.disabled = loading;
  wait.hidden = !loading;
  status.classList.toggle("vq-wrong", value.state === "failed");
  status.textContent = loading ? progress(value) : value.error ? value.error[VQ.language] : "";
  if (value.total) Object.assign(bar, { max: value.total, value: value.done });
  else bar.removeAttribute("value");
  root.dataset.done = value.done;
  loaded.replaceChildren(...value.loaded.map(summary));
}

function summary(item) {
  const latent = item.factor ? t("checkpoint_grid", number(item.latent), item.factor) : t("checkpoint_vector", number(item.latent), item.image_size);
  const facts = {
    class: item.class_name,
    parameters: number(item.parameters),
    latent,
    codebook: item.codebook_size ? t("checkpoint_codes", number(item.codebook_size)) : t("checkpoint_none"),
    licence: item.licence || t("checkpoint_unknown"),
    commit: h("code", { title: item.commit }, item.commit.slice(0, 12)),
  };
  return h("article.vq-card", { "data-checkpoint": item.name }, h("h3", {}, item.title),
    h("p.vq-note", {}, item.repo), h("dl", {},
      ...Object.entries(facts).flatMap(([name, value]) => [h("dt", {}, t(`checkpoint_${name}`)), h("dd", { "data-fact": name }, value)])));
}

watch("value", draw);
draw();
