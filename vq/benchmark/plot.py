"""python -m vq.benchmark.plot: the figures that `vq.benchmark` wrote, as one plot and as a section of the README.

Reads DIR/PART.json, and DIR/PART-DEVICE.json for columns of other devices; writes DIR/benchmark.png. What has not been
measured is left out. matplotlib is a test requirement.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vq.benchmark.figures import CPU, HEADLINES, Figures, sentences
from vq.benchmark.startup import ROOT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = ("<!-- benchmark -->", "<!-- /benchmark -->")
OURS, PEER, IDEAL = "#4f46e5", "#9ca3af", "#f59e0b"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vq.benchmark.plot", description="Draw what was measured.")
    parser.add_argument("--json-dir", type=Path, default=ROOT / "docs" / "benchmark", metavar="DIR")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", metavar="FILE")
    args = parser.parse_args(argv)
    try:
        found = read(args.json_dir)
        picture = args.json_dir / "benchmark.png"
        draw(found[CPU], picture)
        write_section(args.readme, section(found, os.path.relpath(picture, args.readme.parent)))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def read(folder: Path) -> dict[str, Figures]:
    """What was measured, by device; "" is the machine without a GPU. Raises ValueError if that has nothing."""
    found: dict[str, Figures] = {}
    for path in sorted(folder.glob("*.json")):
        part, _, device = path.stem.partition("-")
        found.setdefault(device, Figures()).add(part, json.loads(path.read_text()))
    if CPU not in found:
        raise ValueError(f"{folder}: nothing was measured; run python -m vq.benchmark all --json-dir {folder}")
    return dict(sorted(found.items()))


def draw(figures: Figures, path: Path) -> None:
    """Peers, and growth with size, batch, tokens and visitors, as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7.5), constrained_layout=True)
    draws = (_codecs, _sizes, _codec_batches, _tokens, _prior_batches, _visitors)
    for ax, fill in zip(axes.flat, draws, strict=True):
        fill(ax, figures)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_visible(ax.has_data())
        if ax.lines:
            _scale(ax)
            ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _codecs(ax: "Axes", figures: Figures) -> None:
    rows = [*figures.rows("codec", "encode + decode"), *figures.rows("codec", "public sizes")]
    milliseconds = {row[""]: row["both ms"] for row in rows}
    if milliseconds:
        names = list(milliseconds)[::-1]
        colours = [OURS if name == "ours" else PEER for name in names]
        bars = ax.barh([name.replace(", ", ",\n") for name in names], [milliseconds[n] for n in names], color=colours)
        ax.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
        ax.set(xscale="log", title="encode + decode, 256 px", xlabel="ms")
        ax.set_xlim(min(milliseconds.values()) / 4, max(milliseconds.values()) * 3)
        ax.tick_params(axis="y", labelsize=8)


def _sizes(ax: "Axes", figures: Figures) -> None:
    points = figures.points("codec", "growth with the picture's side", "side", "ms")
    _growth(ax, points, "ours", 2, "pixels")
    ax.set(title="codec: growth with size", xlabel="side in px", ylabel="ms")


def _codec_batches(ax: "Axes", figures: Figures) -> None:
    _growth(ax, figures.points("codec", "growth with the batch", "batch", "ms"), "ours", 1, "batch")
    ax.set(title="codec: growth with the batch", xlabel="pictures", ylabel="ms")


def _tokens(ax: "Axes", figures: Figures) -> None:
    _growth(ax, figures.points("priors", "growth with the tokens", "tokens", "s"), "transformer", 1, "tokens")
    ax.set(title="prior: growth with the tokens", xlabel="tokens of one picture", ylabel="s")


def _prior_batches(ax: "Axes", figures: Figures) -> None:
    points = figures.points("priors", "growth with the batch, transformer", "batch", "s")
    _growth(ax, points, "transformer", 1, "batch")
    _line(ax, figures.points("priors", "growth with the batch, PixelCNN", "batch", "s"), "PixelCNN", linestyle="--")
    ax.set(title="priors: growth with the batch", xlabel="pictures", ylabel="s")


def _visitors(ax: "Axes", figures: Figures) -> None:
    for column, label, options in (
        ("median s", "median", {}),
        ("95 % s", "95th percentile", {"linestyle": "--"}),
        ("ideal s", "perfect sharing", {"color": IDEAL, "linestyle": ":"}),
    ):
        _line(ax, figures.points("load", "visitors at once", "visitors", column), label, **options)
    ax.set(title="visitors at once", xlabel="visitors", ylabel="s for an answer")


def _line(ax: "Axes", points: Sequence[tuple[float, float]], label: str, **options: Any) -> None:
    if points:
        x, y = zip(*points, strict=True)
        look: dict[str, Any] = {"color": OURS, "marker": "o", "markersize": 4, "label": label} | options
        ax.plot(x, y, **look)


def _growth(ax: "Axes", points: Sequence[tuple[float, float]], label: str, power: float, what: str) -> None:
    """A line, and what growth in proportion would be, from the last point down: fixed costs show at the small end."""
    _line(ax, points, label)
    if points:
        x, (last_x, last_y) = [p[0] for p in points], points[-1]
        y = [last_y * (v / last_x) ** power for v in x]
        ax.plot(x, y, color=IDEAL, linestyle=":", label=f"in proportion to the {what}")


def _scale(ax: "Axes") -> None:
    """Both axes in logarithms, with plain numbers: growth by a power is a straight line."""
    ax.set(xscale="log", yscale="log")
    x = cast(Any, ax.lines[0].get_xdata())
    ax.set_xticks(x, [f"{v:,.0f}" for v in x])
    ax.set_xticks([], minor=True)
    ax.yaxis.set_major_formatter("{x:,g}")
    ax.yaxis.set_minor_formatter("")


def section(found: Mapping[str, Figures], picture: str) -> str:
    """Headline figures, one column a device, and a sentence for each kind of growth, in Markdown."""
    rows = [[headline.name, *(headline.text(figures) for figures in found.values())] for headline in HEADLINES]
    heads = [figures.machine for figures in found.values()]
    lines = [
        "## How fast it is",
        "",
        f"![Peers, and growth with size, batch, tokens and visitors]({Path(picture).as_posix()})",
        "",
        "| (in brackets: what is wanted) | " + " | ".join(heads) + " |",
        "|---|" + "---:|" * len(heads),
        *(f"| {' | '.join(row)} |" for row in rows if any(row[1:])),
        "",
        *(f"- {sentence}" for sentence in sentences(found[CPU])),
    ]
    return "\n".join(lines)


def write_section(readme: Path, text: str) -> None:
    """Put the text between the marks. Raises ValueError if they aren't there once each."""
    whole = readme.read_text(encoding="utf-8")
    if any(whole.count(mark) != 1 for mark in MARKS):
        raise ValueError(f"{readme}: expected {MARKS[0]} and {MARKS[1]} once each")
    before, after = whole.partition(MARKS[0])[0], whole.partition(MARKS[1])[2]
    readme.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
