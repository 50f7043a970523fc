"""The Markdown of weights/README.md."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vq.catalogue import CODECS, PRIORS, WEIGHTS
from vq.evaluate.codec import Figures
from vq.evaluate.prior import written
from vq.report import trials
from vq.report.measure import PHOTO_SIZE, parameters

NOTES = WEIGHTS / "NOTES.md"
Codecs = Mapping[str, Mapping[str, Figures]]
Records = Mapping[str, Mapping[str, Any]]


class Goal(NamedTuple):
    """A figure, what it must reach and what is aimed for; `least`: larger is better."""

    model: str
    figure: str
    reached: float | None
    must: float | None
    aim: float | None
    form: str
    least: bool = True


def page(codecs: Codecs, generators: Mapping[str, Figures], records: Records, command: str, pictures: str) -> str:
    """generators: by title. pictures: where they lie, seen from the page."""
    parts = [
        "# The bundled weights",
        f"This page is written by `{command}` from the weights as they are; what people have to say about them, at the "
        "end, stands in `NOTES.md`. Every figure is defined in `vq.evaluate`, which prints it for one model at a time. "
        "PSNR, SSIM, usage and nats are of held-out pictures: no model was trained on them.",
        "## What is wanted, and what is reached",
        _goals(goals(codecs, generators, records)),
        "## Codecs",
        _codecs(codecs),
        _adversary(codecs, records),
        f"![The same held-out cats through every codec]({pictures}/reconstructions.jpg)",
        "## Generators",
        _generators(generators),
        f"![Samples]({pictures}/samples.jpg)",
        "Samples of the first seeds, none picked out.",
        "## Are samples copies?",
        _copies(generators),
        f"![Distances to the nearest training picture]({pictures}/distances.png)",
        _about_copies(generators),
        f"![Samples above their nearest training pictures]({pictures}/neighbours.jpg)",
        "The ten of each kind that lie nearest to a training picture, mirrored where that is nearer, nearest first: if "
        "there are copies, they are here.",
        f"![Samples above the training pictures with the most equal tokens]({pictures}/tokens.jpg)",
        "The ten samples of each token prior that share the most tokens with a training picture.",
        "## Codes and rates",
        f"![How often each code is used]({pictures}/usage.png)",
        f"![Rate and distortion]({pictures}/rate.png)",
        f"Held-out photographs at {PHOTO_SIZE} px; JPEG and WebP without headers and tables, chroma halved.",
        "## Sizes",
        _sizes(),
        *_trials(pictures),
        NOTES.read_text(encoding="utf-8").strip() if NOTES.is_file() else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def goals(codecs: Codecs, generators: Mapping[str, Figures], records: Records) -> list[Goal]:
    """What this project wants of its weights, beside what they reach."""
    ae, vae, vqvae, vqgan = (codecs[name]["cats"] for name in ("ae", "vae", "vqvae", "vqgan"))
    before = before_adversary(records)
    psnr, cats, nats = "{:.2f} dB", "PSNR, cats", "nats a token below the unigram entropy"
    rows = [
        Goal("AE", f"{cats}; must: a PCA of its size", ae["psnr"], ae.get("pca_psnr"), 24.5, psnr),
        Goal("VAE", cats, vae["psnr"], 21.5, 22.5, psnr),
        Goal("VQ-VAE", cats, vqvae["psnr"], 28.5, 30.5, psnr),
        Goal("VQ-VAE", f"PSNR, photographs, {PHOTO_SIZE} px", codecs["vqvae"]["photos"]["psnr"], 26, 27.5, psnr),
        Goal("VQ-VAE", "codes in use", vqvae["usage"], 0.99, None, "{:.1%}"),
        Goal("VQ-VAE", "perplexity", vqvae["perplexity"], 700, 850, "{:.0f}"),
        Goal("VQ-GAN", cats, vqgan["psnr"], 21.5, 22.5, psnr),
    ]
    fraction = vqgan["frechet"] / before if before else None
    rows.append(
        Goal("VQ-GAN", "Fréchet distance over that before its adversary", fraction, 0.5, 0.3, "{:.2f}", least=False)
    )
    pixelcnn, transformer = (generators.get(t) for t in ("VQ-VAE + PixelCNN", "VQ-GAN + transformer"))
    if pixelcnn:
        rows.append(Goal("PixelCNN", nats, pixelcnn["below_unigram"], 1.7, 2.1, "{:.3f}"))
    if transformer:
        over = transformer["frechet"] / transformer["frechet_real"]
        rows.append(Goal("Transformer", nats, transformer["below_unigram"], 1.1, 1.4, "{:.3f}"))
        rows.append(Goal("Transformer", "Fréchet distance of samples over `real`", over, 4, 2, "{:.2f}", least=False))
    return rows


def before_adversary(records: Records) -> float | None:
    """The Fréchet distance of the VQ-GAN's reconstructions just before its adversary came: an unshipped state's."""
    return next((f.get("frechet") for f in records.get("vqgan", {}).get("before_adversary", [])), None)


def _goals(rows: Iterable[Goal]) -> str:
    cells = [
        [g.model, g.figure, *(_one(v, g.form) for v in (g.must, g.aim)), f"**{_one(g.reached, g.form)}**", _verdict(g)]
        for g in rows
    ]
    return _table(["model", "figure", "must", "aim", "reached", "that is"], cells, words=2)


def _verdict(goal: Goal) -> str:
    def meets(wanted: float | None) -> bool:
        value = goal.reached
        return None not in (wanted, value) and (value >= wanted if goal.least else value <= wanted)  # type: ignore[operator]

    return "aim" if meets(goal.aim) else "must" if meets(goal.must) else "less than must"


def _one(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """words: how many columns at the left are no numbers."""
    lines = [head, ["---"] * words + ["---:"] * (len(head) - words), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _codecs(codecs: Codecs) -> str:
    head = ["model", "PSNR, cats", "PCA of that size", f"PSNR, photos {PHOTO_SIZE} px", "SSIM, cats", "bits per pixel"]
    head += ["Fréchet", "Fréchet, real", "usage", "perplexity"]
    return _table(
        head, [_codec_row(CODECS[name].title, of["cats"], of.get("photos", {})) for name, of in codecs.items()]
    )


def _codec_row(title: str, cats: Figures, photos: Figures) -> list[str]:
    forms = [(cats, "psnr", "{:.2f} dB"), (cats, "pca_psnr", "{:.2f} dB"), (photos, "psnr", "{:.2f} dB")]
    forms += [(cats, "ssim", "{:.3f}"), (cats, "bits_per_pixel", "{:.2f}"), (cats, "frechet", "{:,.0f}")]
    forms += [(cats, "frechet_real", "{:,.0f}"), (cats, "usage", "{:.1%}"), (cats, "perplexity", "{:.0f}")]
    return [title, *(_cell(figures, key, form) for figures, key, form in forms)]


def _generators(generators: Mapping[str, Figures]) -> str:
    columns = [("nats", "nats a token", "{:.3f}"), ("unigram", "unigram entropy", "{:.3f}")]
    columns += [("below_unigram", "below it", "{:.3f}"), ("frechet", "Fréchet, samples", "{:,.0f}")]
    columns += [("frechet_codec", "its codec", "{:,.0f}"), ("frechet_real", "real", "{:,.0f}")]
    return _by_title("generator", generators, columns)


def _copies(generators: Mapping[str, Figures]) -> str:
    columns = [("neighbour", "distance, samples", "{:.0f}"), ("neighbour_codec", "distance, reconstructions", "{:.0f}")]
    columns += [("nearest_val", "nearer to held-out", "{:.2%}"), ("equal_tokens", "equal tokens", "{:.0f}")]
    columns += [("equal_tokens_real", "equal tokens, held out", "{:.0f}")]
    real = next(iter(generators.values()), {})
    held_out: Figures = {"neighbour": real.get("neighbour_real"), "nearest_val": real.get("nearest_val_real")}
    return _by_title("", {"held-out pictures": held_out} | dict(generators), columns)


def _about_copies(generators: Mapping[str, Figures]) -> str:
    even = next((f["nearest_val_even"] for f in generators.values() if "nearest_val_even" in f), 0.0)
    return (
        "*Distance*: from each picture to the nearest training picture or mirror image, at 5, 50 and 95 % of the "
        "pictures; beside that of samples, that of held-out pictures after a turn through the codec. Copies would lie "
        "closer than held-out pictures. So does anything plainer than a photograph, whoever it is like, which the "
        f"dashed lines show: these pictures are no copies. {_faultless(generators)}*Nearer to held-out*: how many "
        "samples have their nearest picture among the held-out ones. Plainness favours neither side, so that a "
        f"generator without copies comes to their share of all pictures, {even:.2%}, and one that only copies to none; "
        "many samples have one nearest picture in common, so that chance takes it a point or two to either side. "
        "*Equal tokens*: of the training picture with the most tokens in common, place by place, at 5, 50 and 95 % and "
        "the most; plain backgrounds share many."
    )


def _faultless(generators: Mapping[str, Figures]) -> str:
    """How far from training pictures the best of priors would draw, since its samples pass through the codec, too."""
    through = [
        f"{f['neighbour_codec'][1]:.0f} ({title.split(' + ')[0]})"
        for title, f in generators.items()
        if "nats" in f and "neighbour_codec" in f
    ]
    if not through:
        return ""
    real = next(iter(generators.values()))["neighbour_real"][1]
    where = " or ".join(through)
    return (
        "The samples of even a faultless prior pass through its codec: their median distance would be that of its "
        f"reconstructions, {where}, where that of held-out pictures is {real:.0f}. "
    )


def _by_title(corner: str, figures: Mapping[str, Figures], columns: Sequence[tuple[str, str, str]]) -> str:
    rows = [[title, *(_cell(f, key, form) for key, _, form in columns)] for title, f in figures.items()]
    return _table([corner, *(label for _, label, _ in columns)], rows)


def _cell(figures: Figures, key: str, form: str) -> str:
    return "" if figures.get(key) is None else written(figures[key], form)


def _adversary(codecs: Codecs, records: Records) -> str:
    before, after = before_adversary(records), codecs["vqgan"]["cats"]["frechet"]
    if not before:
        return ""
    real = codecs["vqgan"]["cats"]["frechet_real"]
    # A distance between finite samples has a floor, that of real pictures (Chong & Forsyth 2020, arXiv:1911.07023).
    floor = (
        f" A perfect codec would be at {real:,.0f}, {real / before:.2f} times the former: that is what the goals above "
        f"should be seen against. Above that floor {after - real:,.0f} are left of {before - real:,.0f}, "
        f"{(after - real) / (before - real):.2f} times."
        if real < min(before, after)
        else ""
    )
    return (
        f"Fréchet distance of the VQ-GAN's reconstructions before its adversary was switched on: {before:,.0f}; after: "
        f"{after:,.0f}, {after / before:.2f} times. (The earlier state isn't shipped; its figures stand in "
        f"`vqgan/training.json`.){floor}"
    )


def _trials(pictures: str) -> list[str]:
    studies = trials.read()
    if not studies:
        return []
    return [
        "## One setting at a time",
        "Short runs that differ from the recipe in one setting, or the few that answer one question, made by `make "
        "trials DATA=… PERCEPTUAL=…`. The band is where one more seed of the recipe itself would end, with a "
        "probability of 95 %: what lies in it says nothing, and of twenty figures that nothing has changed about one "
        "lies beyond it. What is beyond it is green (better) or red (worse), and bold in the tables. So short a run "
        "shows what helps at the start, not always what helps in the end; figures are of its last state.",
        f"![Each setting's distance from the recipe]({pictures}/trials.png)",
        *(trials.markdown(name, study) for name, study in studies.items()),
    ]


def _sizes() -> str:
    entries = [entry for entry in (CODECS | PRIORS).values() if entry.folder.is_dir()]
    rows = [[e.title, f"{parameters(e.folder) / 1e6:.2f} M", f"{_bytes(e.folder) / 1e6:.1f} MB"] for e in entries]
    total = sum(parameters(e.folder) for e in entries) / 1e6
    rows.append(["together", f"{total:.2f} M", f"{sum(_bytes(e.folder) for e in entries) / 1e6:.1f} MB"])
    return _table(["model", "parameters", "weights"], rows)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
