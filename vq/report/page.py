"""The Markdown of weights/README.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vq.catalogue import CODECS, PRIORS, WEIGHTS
from vq.evaluate.codec import Figures
from vq.evaluate.prior import written
from vq.report.measure import PHOTO_SIZE, parameters

NOTES = WEIGHTS / "NOTES.md"


def page(
    codecs: Mapping[str, Mapping[str, Figures]],
    generators: Mapping[str, Figures],
    records: Mapping[str, Mapping[str, Any]],
    command: str,
    pictures: str,
) -> str:
    """pictures: where they lie, seen from the page."""
    parts = [
        "# The bundled weights",
        f"This page is written by `{command}` from the weights as they are; what people have to say about them, at the "
        "end, stands in `NOTES.md`.",
        "## Codecs",
        _codecs(codecs),
        _adversary(records),
        f"![Reconstructions]({pictures}/reconstructions.png)",
        f"Held-out cats; below them {_titles(CODECS[n].title for n in codecs)}.",
        "## Generators",
        _generators(generators),
        f"![Samples]({pictures}/samples.png)",
        f"Seed 0, none picked out: {_titles(generators)}.",
        f"![Distances]({pictures}/distances.png)",
        f"![Neighbours]({pictures}/neighbours.png)",
        "Samples of each token prior; below each, the training picture or mirror image with the nearest features.",
        "## Codes and rates",
        f"![Usage]({pictures}/usage.png)",
        f"![Rate and distortion]({pictures}/rate.png)",
        f"Photographs at {PHOTO_SIZE} px; JPEG and WebP without headers and tables, chroma halved.",
        "## Sizes",
        _sizes(),
        NOTES.read_text(encoding="utf-8").strip() if NOTES.is_file() else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _titles(titles: Any) -> str:
    return ", ".join(titles)


def _codecs(codecs: Mapping[str, Mapping[str, Figures]]) -> str:
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
    columns += [("neighbour", "nearest neighbour 5 / 50 / 95 %", "{:.0f}"), ("neighbour_real", "val/", "{:.0f}")]
    rows = [[title, *(_cell(f, key, form) for key, _, form in columns)] for title, f in generators.items()]
    return _table(["generator", *(label for _, label, _ in columns)], rows)


def _cell(figures: Figures, key: str, form: str) -> str:
    return "" if figures.get(key) is None else written(figures[key], form)


def _adversary(records: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for name, record in records.items():
        before = next((f.get("frechet") for f in record.get("before_adversary", [])), None)
        after = record["figures"][0].get("frechet")
        if before and after:
            lines.append(
                f"{CODECS[name].title} before its adversary was switched on: Fréchet distance {before:,.0f}; after, "
                f"{after:,.0f}: {after / before:.2f} times (from its card: the earlier state isn't shipped)."
            )
    return "\n".join(lines)


def _sizes() -> str:
    entries = [entry for entry in (CODECS | PRIORS).values() if entry.folder.is_dir()]
    rows = [[e.title, f"{parameters(e.folder) / 1e6:.2f} M", f"{_bytes(e.folder) / 1e6:.1f} MB"] for e in entries]
    total = sum(parameters(e.folder) for e in entries) / 1e6
    rows.append(["together", f"{total:.2f} M", f"{sum(_bytes(e.folder) for e in entries) / 1e6:.1f} MB"])
    return _table(["model", "parameters", "weights"], rows)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
