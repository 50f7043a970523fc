"""The pictures of the report: contact sheets by vq.image, plots by matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import torch
from PIL import Image
from torch import Tensor

from vq import metrics
from vq.catalogue import CODECS
from vq.evaluate.codec import Squares
from vq.evaluate.prior import pictures
from vq.hub import load, load_statistics
from vq.image import sheet
from vq.models.squeezenet import SqueezeNet
from vq.prior import Prior
from vq.report.measure import Drawn
from vq.train.data import PictureSet

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMNS = 12


@torch.inference_mode()
def reconstructions(cats: str) -> Image.Image:
    """A row of held-out cats, evenly spread, then a row a codec in the catalogue's order."""
    x = _spread(cats)
    rows = [x]
    for name in CODECS:
        codec = load(name)
        rows.append(codec.decode(codec.encode(x).z))
    return sheet(rows)


@torch.inference_mode()
def samples(drawn: Drawn) -> Image.Image:
    """A row a generator: its pictures of seed 0, none picked out."""
    return sheet([torch.cat(list(pictures(prior, codec, COLUMNS))) for _, prior, codec in drawn])


@torch.inference_mode()
def neighbours(drawn: Drawn, cats: str, net: SqueezeNet) -> Image.Image:
    """For each token prior, a row of samples above the nearest training picture of each, mirrored where that is."""
    train = torch.cat(list(Squares(PictureSet(cats, "train"), 64)))
    pool = torch.cat([net.pooled(x) for x in (*train.split(100), *train.flip(3).split(100))])
    rows = []
    for _, prior, codec in drawn:
        if isinstance(prior, Prior):
            y = torch.cat(list(pictures(prior, codec, COLUMNS)))
            index = torch.cdist(net.pooled(y), pool).argmin(1).tolist()
            found = [train[i] if i < len(train) else train[i - len(train)].flip(2) for i in index]
            rows += [y, torch.stack(found)]
    return sheet(rows)


def usage_plot(path: Path) -> None:
    """How often each code occurs over train/, most used first, for every quantised codec."""
    figure, axes = _plot("codes, most used first", "share of all tokens")
    for name, entry in CODECS.items():
        counts = (load_statistics(name) or {}).get("counts")
        if counts is not None:
            share = counts.sort(descending=True).values / counts.sum()
            axes.plot(share, label=f"{entry.title}: perplexity {metrics.perplexity(counts):.0f} of {len(counts)}")
    axes.axhline(1 / 1024, color="grey", lw=0.8, ls=":")
    axes.set_ylim(bottom=0)
    _save(figure, path)


def rate_plot(curves: Mapping[str, Sequence[tuple[float, float]]], path: Path) -> None:
    """PSNR against bits per pixel; codecs as points, JPEG and WebP as lines."""
    figure, axes = _plot("bits per pixel", "PSNR, dB")
    for name, points in curves.items():
        rate, psnr = zip(*points, strict=True)
        alone = len(points) == 1
        axes.plot(rate, psnr, marker="o", ms=7 if alone else 3, ls="" if alone else "-", label=name)
    axes.set_xlim(0, 1.6)
    _save(figure, path)


def distance_plot(distances: Mapping[str, Tensor], path: Path) -> None:
    """Cumulative share of pictures by distance to the nearest training picture."""
    figure, axes = _plot("distance to the nearest training picture (SqueezeNet features, mirrored ones too)", "share")
    for name, values in distances.items():
        axes.plot(values.sort().values, torch.linspace(0, 1, len(values)), label=name)
    _save(figure, path)


def _spread(cats: str) -> Tensor:
    val = PictureSet(cats, "val")
    return next(iter(Squares(val, 64, indices=[i * len(val) // COLUMNS for i in range(COLUMNS)])))


def _plot(x: str, y: str) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=120, layout="constrained")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)
