"""What the short runs of `vq.train.trials` found, as a part of the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vq.catalogue import WEIGHTS

TRIALS = WEIGHTS / "trials.json"
Study = Mapping[str, Any]
Row = Mapping[str, Any]


class Figure(NamedTuple):
    """A figure of a run: how people read it, and whether more is better."""

    key: str
    title: str
    form: str
    more: bool = True


FIGURES = (
    Figure("psnr", "PSNR, dB", "{:.2f}"),
    Figure("nats", "nats a token", "{:.3f}", more=False),
    Figure("frechet", "Fréchet distance", "{:,.0f}", more=False),
    Figure("usage", "codes in use", "{:.1%}"),
    Figure("perplexity", "perplexity", "{:.0f}"),
)
PLOTTED = ("psnr", "nats", "frechet")  # the others stand in the table alone


def read(path: Path = TRIALS) -> dict[str, Study]:
    """The studies by name; none where nothing was tried."""
    found: dict[str, Study] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def figures(study: Study) -> list[Figure]:
    """Those that its runs have."""
    return [f for f in FIGURES if all(f.key in row["figures"] for row in study["rows"])]


def recipe(study: Study, key: str) -> list[float]:
    """What a figure is for the recipe itself, seed by seed."""
    return [row["figures"][key] for row in study["rows"] if not row["settings"]]


def label(row: Row) -> str:
    """A setting as people read it."""
    return ", ".join(text.removeprefix("config.") for text in row["settings"]) or f"seed {row['seed']}"


def markdown(name: str, study: Study) -> str:
    """A heading, what all runs share, and a line a run."""
    shown = figures(study)
    of = f"{study['few']:,} different ones" if study["few"] else "all of them"
    head = ["question", "setting", *(f.title for f in shown), "parameters", "pictures a second"]
    lines = [head, ["---"] * 2 + ["---:"] * (len(head) - 2)]
    asked = ""
    for row in study["rows"]:
        cells = [f.form.format(row["figures"][f.key]) for f in shown]
        rest = [f"{row['parameters'] / 1e6:.2f} M", f"{row['pictures_per_second']:.0f}"]
        lines.append(["" if row["question"] == asked else row["question"], f"`{label(row)}`", *cells, *rest])
        asked = row["question"]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    base = " ".join(study["base"])
    return f"### {name}: {study['pictures']:,} pictures a run, of {of}, `{base}`\n\n{table}"
