"""What the short runs of `vq.train.trials` found, as a part of the report."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vq.catalogue import WEIGHTS

TRIALS = WEIGHTS / "trials.json"
Study = Mapping[str, Any]
Row = Mapping[str, Any]

# 97.5 % quantiles of Student's t by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


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
    return [f for f in FIGURES if any(f.key in row["figures"] for row in study["rows"])]


def band(study: Study, key: str) -> tuple[float, float]:
    """Where one more run of the recipe would end with a probability of 95 %, judging by those of other seeds.

    The prediction interval of a normal distribution. Raises ValueError for fewer than two or more than ten of them.
    """
    values = [row["figures"][key] for row in study["rows"] if not row["settings"] and key in row["figures"]]
    if len(values) - 1 not in STUDENT:
        raise ValueError(f"expected the recipe with 2 to 10 seeds, got {len(values)}")
    mean = statistics.mean(values)
    reach = STUDENT[len(values) - 1] * statistics.stdev(values) * (1 + 1 / len(values)) ** 0.5
    return mean - reach, mean + reach


def verdict(study: Study, row: Row, of: Figure) -> str:
    """ "better", "worse" or "chance": within the band."""
    low, high = band(study, of.key)
    value = row["figures"][of.key]
    if low <= value <= high:
        return "chance"
    return "better" if (value > high) == of.more else "worse"


def label(row: Row) -> str:
    """A setting as people read it."""
    return ", ".join(text.removeprefix("config.") for text in row["settings"]) or f"seed {row['seed']}"


def markdown(name: str, study: Study) -> str:
    """A heading, what all runs share, and a line a run; bold: beyond what chance does."""
    shown = figures(study)
    of = f"{study['few']:,} different ones" if study["few"] else "the whole training set"
    head = ["question", "setting", *(f.title for f in shown), "parameters", "multiplications a picture"]
    lines = [head, ["---"] * 2 + ["---:"] * (len(head) - 2)]
    asked = ""
    for row in study["rows"]:
        cells = [_cell(study, row, f) for f in shown]
        rest = [f"{row['parameters'] / 1e6:.2f} M", f"{row['multiplications'] / 1e6:,.0f} M"]
        lines.append(["" if row["question"] == asked else row["question"], f"`{label(row)}`", *cells, *rest])
        asked = row["question"]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    base = f"; all with `{' '.join(study['base'])}`" if study["base"] else ""
    return f"### {name}\n\n{study['pictures']:,} pictures a run, drawn from {of}{base}.\n\n{table}"


def _cell(study: Study, row: Row, of: Figure) -> str:
    if of.key not in row["figures"]:
        return "diverged"
    text = of.form.format(row["figures"][of.key])
    return text if verdict(study, row, of) == "chance" else f"**{text}**"
