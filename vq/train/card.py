"""The model card of a weights folder: Markdown with the front matter the Hugging Face Hub reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vq.evaluate.codec import ROWS
from vq.evaluate.prior import ROWS as PRIOR_ROWS
from vq.evaluate.prior import written

_VECTOR_LIMITS = [
    "Takes 64x64 pictures only, and was trained on cats: anything else comes back as the nearest thing to a cat.",
    "128 numbers hold the pose, the colours and the light of a face, not its hairs: reconstructions are soft.",
]
_GRID_LIMITS = [
    "Trained at 64x64. Larger pictures work, since nothing in the network depends on their size, but it has never seen "
    "structure wider than its training pictures.",
    "Small print, distant faces and thin regular patterns suffer first.",
    "What the training pictures lack (drawings, screenshots, medical or satellite pictures), it codes badly.",
]

_PRIOR_LIMITS = [
    "Draws cats, mostly frontal faces, at 64x64: it has seen nothing else.",
    "Belongs to one codebook (its sha256 stands in config.json) and refuses any other.",
    "Some draws have eyes that don't match, or no face at all.",
]

# The fields of the recipe that play a part in training a model.
_EVERY = ("batch", "lr", "betas", "ema")
_QUANTISED = ("l1", "log_mse", "perceptual", "freeze_tokens", "restart_every", "restart_below", "ema_codebook")
_PRIOR = ("muon_lr", "keep", "shifts", "tints")
_RECIPES: dict[str, tuple[str, ...]] = {
    "ae": ("linear_scale",),
    "vae": ("linear_scale", "kl"),
    "vqvae": _QUANTISED,
    "vqgan": (
        *_QUANTISED,
        *("adversary_start", "adversarial", "feature_adversarial", "adversarial_form"),
        *("adversarial_perceptual", "adversarial_texture"),
        *("decoder_lr", "discriminator_lr", "discriminator_widths"),
    ),
    "pixelcnn": _PRIOR,
    "transformer": _PRIOR,
}

# Title, summary, tags, limits.
ABOUT: dict[str, tuple[str, str, list[str], list[str]]] = {
    "ae": (
        "AE",
        "A deterministic autoencoder: a 64x64 picture becomes one vector of 128 numbers and comes back.",
        ["autoencoder"],
        [*_VECTOR_LIMITS, "Its latent space has no prior: vectors drawn at random decode to little."],
    ),
    "vae": (
        "VAE",
        "A variational autoencoder: the AE's network with a Gaussian head and a KL term, so that its latent space can "
        "be drawn from and walked through.",
        ["vae", "variational-autoencoder"],
        [*_VECTOR_LIMITS, "The KL term costs sharpness; random draws show faces more often than good ones."],
    ),
    "vqvae": (
        "VQ-VAE",
        "A vector-quantised autoencoder: every 4x4 patch of a picture becomes one of {codes:,} tokens.",
        ["vq-vae", "image-tokenizer"],
        [*_GRID_LIMITS, "Trained for squared error: fine texture is averaged away rather than invented."],
    ),
    "vqgan": (
        "VQ-GAN",
        "A vector-quantised autoencoder whose decoder was finished against a PatchGAN: every 8x8 patch of a picture "
        "becomes one of {codes:,} tokens.",
        ["vq-gan", "vq-vae", "image-tokenizer", "gan"],
        [
            *_GRID_LIMITS,
            "Fur, whiskers and texture are plausible inventions: don't use it where a picture has to be true.",
        ],
    ),
    "pixelcnn": (
        "PixelCNN",
        "A gated PixelCNN over the VQ-VAE's 16x16 tokens: it draws them in raster order, each given those above and to "
        "the left of it.",
        ["pixelcnn", "vq-vae", "autoregressive"],
        [*_PRIOR_LIMITS, "256 tokens of fine detail each: what lies far apart agrees less than what lies close."],
    ),
    "transformer": (
        "Transformer",
        "A GPT-style decoder over the VQ-GAN's 8x8 tokens: it draws them in raster order, each given all before it.",
        ["transformer", "vq-gan", "autoregressive"],
        _PRIOR_LIMITS,
    ),
}


def card(record: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """record: the content of training.json. notes: file name of each source -> where it comes from and its licence."""
    title, summary, tags, limits = ABOUT[record["model"]]
    summary = summary.format(codes=record.get("codebook_size"))
    parts = [
        _front_matter(tags),
        f"# {title}",
        f"{summary} {record['parameters'] / 1e6:.2f} M parameters, stored in {record['stored']}, computed in float32.",
        _use(record["model"]),
        "![Held-out pictures above their reconstructions](sheet.png)",
        "Held-out pictures; below each, what comes back.",
        "## Figures",
        "Measured on these files by `python -m vq.evaluate`, which also defines every figure.",
        _figures(record),
        _adversary(record),
        "## Data and licences",
        *[f"### {name}\n\n{text}" for name, text in notes.items()],
        "The weights are under the Apache-2.0 licence.",
        "## Training",
        _training(record),
        "## Limits",
        "\n".join(f"- {limit}" for limit in limits),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def prior_card(record: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """The card of a prior; arguments as `card`'s."""
    title, summary, tags, limits = ABOUT[record["model"]]
    parts = [
        _front_matter(tags, "unconditional-image-generation"),
        f"# {title}",
        f"{summary} {record['parameters'] / 1e6:.2f} M parameters, stored in {record['stored']}, computed in float32.",
        _use_prior(record["model"], record["codec"]),
        "![Samples](sheet.png)",
        "Samples of the first seeds, none picked out.",
        "## Figures",
        "Measured on these files by `python -m vq.evaluate`, which also defines every figure.",
        _prior_figures(record["figures"][0]),
        _tried(record["tried"]),
        "## Data and licences",
        *[f"### {name}\n\n{text}" for name, text in notes.items()],
        "The weights are under the Apache-2.0 licence.",
        "## Training",
        _training(record),
        "## Limits",
        "\n".join(f"- {limit}" for limit in limits),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _use_prior(name: str, codec: str) -> str:
    return f"""```python
from vq import load, load_prior

prior, codec = load_prior("{name}"), load("{codec}")
pictures = codec.decode(codec.lookup(prior.sample(16, seed=0)))  # (16,3,64,64) in [-1,1]
```"""


def _prior_figures(figures: Mapping[str, Any]) -> str:
    title = f"{Path(figures['data']).stem}, {figures['pictures']:,} held-out pictures, {figures['size']} px"
    lines = [["", title], ["---", "---:"]]
    for key, label, form in PRIOR_ROWS:
        if (value := figures.get(key)) is not None:
            lines.append([label, written(value, form)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _tried(rows: list[dict[str, Any]]) -> str:
    """How the sampling defaults were chosen; empty if they weren't."""
    if not rows:
        return ""
    best = min(rows, key=lambda row: row["frechet"])
    head = (
        f"Defaults: temperature {best['temperature']:g}, top-k {best['top_k']}, top-p {best['top_p']:g}, the "
        f"smallest Fréchet distance of {best['samples']:,} samples (fewer give larger distances than the table above):"
    )
    lines = ["| temperature | top-k | top-p | Fréchet distance |", "| ---: | ---: | ---: | ---: |"]
    lines += [f"| {r['temperature']:g} | {r['top_k']} | {r['top_p']:g} | {r['frechet']:.0f} |" for r in rows]
    return f"{head}\n\n" + "\n".join(lines)


def _front_matter(tags: list[str], task: str = "image-to-image") -> str:
    lines = ["license: apache-2.0", "library_name: vq-studio", f"pipeline_tag: {task}", "tags:"]
    return "\n".join(["---", *lines, *(f"  - {tag}" for tag in tags), "---"])


def _use(name: str) -> str:
    return f"""```python
from vq import load

codec = load("{name}")  # or a folder with these files
y = codec.decode(codec.encode(x).z)  # x (B,3,H,W) float32 in [-1,1]
```"""


def _figures(record: Mapping[str, Any]) -> str:
    first, *others = [(_column(f), f) for f in record["figures"]]
    before = [(f"{_column(f)}, before the adversary", f) for f in record.get("before_adversary", [])]
    columns = [first, *before, *others]
    lines = [["", *(title for title, _ in columns)], ["---", *("---:" for _ in columns)]]
    for key, label, form in ROWS:
        if key != "skipped" and any(f.get(key) is not None for _, f in columns):
            lines.append([label, *("" if f.get(key) is None else form.format(f[key]) for _, f in columns)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _column(figures: Mapping[str, Any]) -> str:
    name = Path(figures["data"]).stem
    return f"{name}, {figures['pictures']:,} held-out pictures, {figures['size']} px"


def _adversary(record: Mapping[str, Any]) -> str:
    """What the adversarial phase did to the Fréchet distance; empty for models that had none."""
    before = next((f.get("frechet") for f in record.get("before_adversary", [])), None)
    after = record["figures"][0].get("frechet")
    if not before or after is None:
        return ""
    return (
        f"Fréchet distance of reconstructions: {after:.2f}, against {before:.2f} of the same model just before its "
        f"adversary was switched on: {after / before:.2f} times."
    )


def _training(record: Mapping[str, Any]) -> str:
    sources = ", ".join(
        f"{d['name']} ({d['train']:,} pictures, {d['weight']:g} part{'s' if d['weight'] != 1 else ''})"
        for d in record["data"]
    )
    facts = {
        "data": sources,
        "time": f"{record['seconds'] / 60:.0f} minutes, {record['steps']:,} steps, {record['pictures']:,} pictures, "
        f"{record['pictures_per_second']:g} a second",
        "machine": f"{_count(record['processes'], 'process', 'es')}, {_count(record['threads'], 'thread')}, "
        f"precision {'float32' if record['precision'] == 'no' else record['precision']}, "
        f"torch {record['torch']}, seed {record['seed']}",
    }
    recipe = {k: v for k, v in record["recipe"].items() if k in (*_EVERY, *_RECIPES[record["model"]])}
    network = record["recipe"]["config"]
    lines = [f"- {key}: {value}" for key, value in facts.items()]
    lines.append("- recipe: " + ", ".join(f"{k} {_plain(v)}" for k, v in recipe.items()))
    if network:
        lines.append("- network: " + ", ".join(f"{k} {_plain(v)}" for k, v in network.items()))
    remarks = f"{text}\n\n" if (text := record.get("remarks", "").strip()) else ""
    told = "\n".join(lines)
    return f"```\n{record['command']}\n```\n\n{remarks}{told}\n\n`training.json` has the learning curves."


def _count(number: int, noun: str, ending: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else ending}"


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
