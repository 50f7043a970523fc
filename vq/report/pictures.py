"""The pictures of the report: labelled contact sheets, plots by matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vq import metrics
from vq.catalogue import CODECS
from vq.evaluate.codec import Squares
from vq.evaluate.reference import Reference, most_equal, nearest_rows
from vq.hub import load, load_statistics
from vq.image import sheet
from vq.report import trials
from vq.report.measure import COLUMNS, Drawn

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MARGIN = 210  # pixels for the labels
Row = tuple[str, Tensor]


def reconstructions(reference: Reference) -> list[Row]:
    """Held-out pictures, evenly spread, then what each codec makes of them, in the catalogue's order."""
    squares = reference.squares["val"]
    count = len(squares.pictures)
    x = _gather(reference, [i * count // COLUMNS for i in range(COLUMNS)])
    rows = [("held out", x)]
    for name, entry in CODECS.items():
        codec = load(name)
        rows.append((entry.title, codec.decode(codec.encode(x).z)))
    return rows


def samples(drawn: Sequence[Drawn]) -> list[Row]:
    """A row a generator: its first pictures of seed 0, none picked out."""
    return [(d.of.title.replace(", ", ",\n", 1).replace(" + ", " +\n"), d.pictures(range(COLUMNS))) for d in drawn]


def neighbours(drawn: Sequence[Drawn], reference: Reference) -> list[Row]:
    """Those nearest to a training picture, nearest first, above that picture: held-out ones, and each token prior's."""
    near, row = reference.held_out_nearest
    places = reference.squares["val"].kept
    chosen = near.argsort()[:COLUMNS].tolist()
    rows = _pair("held out", _gather(reference, [places[i] for i in chosen]), near[chosen], row[chosen], reference)
    for d in drawn:
        if d.codec.codebook_size:
            near, row = nearest_rows(d.pooled, reference.train)
            chosen = near.argsort()[:COLUMNS].tolist()
            rows += _pair(_by(d), d.pictures(chosen), near[chosen], row[chosen], reference)
    return rows


def equal_tokens(drawn: Sequence[Drawn], reference: Reference) -> list[Row]:
    """Of each token prior, samples that share the most tokens with a training picture, most first, above that one."""
    rows: list[Row] = []
    for d in drawn:
        if d.codec.codebook_size:
            equal, row = most_equal(d.drawn.flatten(1), reference.tokens(d.codec, "train"))
            chosen = equal.argsort(descending=True, stable=True)[:COLUMNS].tolist()
            of = f" of {d.drawn[0].numel()}"
            rows += _pair(_by(d), d.pictures(chosen), equal[chosen], row[chosen], reference, "equal tokens", of)
    return rows


def save_sheet(rows: Sequence[Row], path: Path, quality: int = 88) -> None:
    """Rows with their labels at the left, each tile at twice its size, as JPEG."""
    tiles = sheet([x for _, x in rows])
    canvas = Image.new("RGB", (MARGIN + tiles.width, tiles.height), "white")
    canvas.paste(tiles, (MARGIN, 0))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(22)
    height = (tiles.height + 2) / len(rows)
    for i, (label, _) in enumerate(rows):
        draw.multiline_text((MARGIN - 12, (i + 0.5) * height), label, "#333", font, "rm", align="right")
    canvas.save(path, quality=quality, optimize=True, progressive=True)


def usage_plot(path: Path) -> None:
    """How often each code occurs over train/, most used first, for every quantised codec."""
    figure, axes = _plot("codes, most used first", "share of all tokens")
    codes = 1
    for name, entry in CODECS.items():
        counts = (load_statistics(name) or {}).get("counts")
        if counts is not None:
            share, codes = counts.sort(descending=True).values / counts.sum(), len(counts)
            used = f"{metrics.usage(counts):.1%} in use, perplexity {metrics.perplexity(counts):.0f}"
            axes.plot(share, label=f"{entry.title}: {used}")
    axes.axhline(1 / codes, color="grey", lw=0.8, ls=":", label=f"all {codes:,} alike")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, 1))
    _save(figure, path)


def rate_plot(curves: Mapping[str, Sequence[tuple[float, float]]], path: Path) -> None:
    """PSNR against bits per pixel; codecs as points, JPEG and WebP as lines."""
    figure, axes = _plot("bits per pixel", "PSNR, dB")
    for name, points in curves.items():
        rate, psnr = zip(*points, strict=True)
        alone = len(points) == 1
        axes.plot(rate, psnr, marker="o", ms=8 if alone else 3, ls="" if alone else "-", label=name)
    axes.set_xlim(0, 1.6)
    _save(figure, path)


def trials_plot(studies: Mapping[str, trials.Study], path: Path) -> None:
    """A row a run, a column a figure; the band is where one more seed of the recipe would end."""
    sizes = [len(study["rows"]) for study in studies.values()]
    figure = plt.figure(figsize=(9.6, 1.1 * len(sizes) + 0.2 * sum(sizes)), dpi=120, layout="constrained")
    parts = figure.subfigures(len(sizes), 1, height_ratios=[size + 5 for size in sizes], squeeze=False)[:, 0]
    for part, (name, study) in zip(parts, studies.items(), strict=True):
        part.suptitle(name, x=0.01, ha="left", fontsize=9, weight="bold")
        shown = [f for f in trials.figures(study) if f.key in trials.PLOTTED]
        for axes, of in zip(part.subplots(1, len(shown), sharey=True, squeeze=False)[0], shown, strict=True):
            _deviations(axes, study, of)
    figure.savefig(path, metadata={"Software": None}, pil_kwargs={"optimize": True})
    plt.close(figure)


def _deviations(axes: Axes, study: trials.Study, of: trials.Figure) -> None:
    rows = study["rows"]
    low, high = trials.band(study, of.key)
    middle, least = (low + high) / 2, min(row["figures"].get(of.key, high) for row in rows)
    if of.key == "frechet" and least > 0:  # it grows tenfold where something goes wrong
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 1.5, 2, 3, 5)))
        axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axes.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
        low = max(low, least / 2)
    axes.axvspan(low, high, color="grey", alpha=0.25, lw=0)
    axes.axvline(middle, color="grey", lw=0.8)
    for place, row in zip(range(len(rows), 0, -1), rows, strict=True):
        if of.key not in row["figures"]:
            continue
        value = row["figures"][of.key]
        colour = {"better": "C2", "worse": "C3", "chance": "black"}[trials.verdict(study, row, of)]
        axes.scatter(value, place, 18, colour, zorder=3)
        axes.hlines(place, middle, value, colour, lw=0.8)
    axes.set_yticks(range(len(rows), 0, -1), [trials.label(row) for row in rows], fontsize=7)
    axes.tick_params("x", labelsize=7)
    axes.set_xlabel(f"{of.title} ({'more' if of.more else 'less'} is better)", fontsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def distance_plot(distances: Mapping[str, tuple[Tensor, Tensor]], path: Path) -> None:
    """Cumulative share of pictures by distance to the nearest training picture; reconstructions dashed."""
    figure, axes = _plot("distance to the nearest training picture or mirror image (features)", "share of pictures")
    for i, (title, (values, rebuilt)) in enumerate(distances.items()):
        colour = f"C{i - 1}" if i else "black"
        axes.plot(values.sort().values, torch.linspace(0, 1, len(values)), colour, label=title)
        if i:
            share = torch.linspace(0, 1, len(rebuilt))
            label = f"held-out pictures through {title.split(' + ')[0]}"
            axes.plot(rebuilt.sort().values, share, colour, ls="--", lw=1, label=label)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1)
    _save(figure, path)


def _pair(
    title: str, x: Tensor, value: Tensor, row: Tensor, reference: Reference, unit: str = "distance", of: str = ""
) -> list[Row]:
    label = f"{title}\n{unit}\n{float(value[0]):.0f} … {float(value[-1]):.0f}{of}"
    return [(label, x), ("training picture", torch.cat([reference.picture(i) for i in row.tolist()]))]


def _by(d: Drawn) -> str:
    return d.of.title.split(" + ")[1]


def _gather(reference: Reference, places: Sequence[int]) -> Tensor:
    """(n,3,S,S): pictures of val/ by their places in it."""
    return torch.cat(list(Squares(reference.squares["val"].pictures, reference.size, indices=places)))


def _plot(x: str, y: str) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=120, layout="constrained")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Software": None}, pil_kwargs={"optimize": True})
    plt.close(figure)
