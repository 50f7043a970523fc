"""The figures of the report: every codec on both sets of pictures, every generator against real pictures."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from vq import classic, metrics
from vq.catalogue import CODECS, PRIORS
from vq.codec import Codec
from vq.evaluate.codec import Figures, Squares, evaluate
from vq.evaluate.prior import evaluate_prior, nearest, pictures
from vq.hub import load, load_prior
from vq.image import to_picture, to_tensor
from vq.messages import LoadError
from vq.models.squeezenet import SqueezeNet
from vq.prior import GaussianPrior, Prior
from vq.train.data import PictureSet

PHOTO_SIZE = 128
QUALITIES = (1, 3, 5, 10, 20, 35, 50)
RATE_PICTURES = 24


@dataclass(frozen=True)
class Generator:
    """A prior over a codec, and the title people read."""

    title: str
    prior: str
    codec: str


GENERATORS = (
    Generator("AE, N(0, I)", "normal", "ae"),
    Generator("AE, fitted Gaussian", "fitted", "ae"),
    Generator("VAE, N(0, I)", "normal", "vae"),
    Generator("VAE, fitted Gaussian", "fitted", "vae"),
    Generator("VQ-VAE + PixelCNN", "pixelcnn", "vqvae"),
    Generator("VQ-GAN + transformer", "transformer", "vqgan"),
)


def codec_figures(cats: str, photos: str, perceptual: SqueezeNet | None) -> dict[str, dict[str, Figures]]:
    """By codec: its figures on "cats" at its own size, and for grid codecs on "photos" at PHOTO_SIZE."""
    table: dict[str, dict[str, Figures]] = {}
    for name in CODECS:
        codec = load(name)
        table[name] = {"cats": evaluate(codec, cats, perceptual=perceptual)}
        if codec.factor is not None:
            table[name]["photos"] = evaluate(codec, photos, size=PHOTO_SIZE, perceptual=perceptual)
    return table


Drawn = Sequence[tuple[Generator, Prior | GaussianPrior, Codec]]


def generators() -> Drawn:
    """Those whose weights are there."""
    found = []
    for row in GENERATORS:
        try:
            found.append((row, load_prior(row.prior, row.codec), load(row.codec)))
        except LoadError:
            continue
    return found


def generator_figures(drawn: Drawn, cats: str, perceptual: SqueezeNet, samples: int) -> dict[str, Figures]:
    """By title: the figures of every generator, drawing with its defaults."""
    return {row.title: evaluate_prior(prior, codec, cats, perceptual, samples) for row, prior, codec in drawn}


def distances(drawn: Drawn, cats: str, net: SqueezeNet, samples: int) -> dict[str, Tensor]:
    """By what it is: (N,) distances to the nearest training picture, for val/ and for samples of the token priors."""
    train = list(Squares(PictureSet(cats, "train"), 64))
    pool = torch.cat([net.pooled(x) for x in (*train, *(x.flip(3) for x in train))])
    found = {"held-out pictures": list(Squares(PictureSet(cats, "val"), 64))}
    for row, prior, codec in drawn:
        if isinstance(prior, Prior):
            found[row.title] = list(pictures(prior, codec, samples))
    return {title: nearest(torch.cat([net.pooled(x) for x in batches]), pool) for title, batches in found.items()}


def rate_distortion(photos: str, count: int = RATE_PICTURES) -> dict[str, list[tuple[float, float]]]:
    """(bits per pixel, mean PSNR) on `count` photographs at PHOTO_SIZE: JPEG and WebP by quality, a point a grid codec.

    JPEG and WebP are counted without headers and tables; see vq.classic.
    """
    x = PictureSet(photos, "val").tensors(PHOTO_SIZE, count)
    pixels = PHOTO_SIZE**2
    curves: dict[str, list[tuple[float, float]]] = {}
    for format in classic.FORMATS:
        for quality in QUALITIES:
            out = [classic.compress(to_picture(one), format, quality) for one in x.split(1)]
            y = torch.cat([to_tensor(c.picture) for c in out])
            rate = sum(c.bytes for c in out) * 8 / len(out) / pixels
            curves.setdefault(format, []).append((rate, float(metrics.psnr(x, y).mean())))
    for name, entry in CODECS.items():
        codec = load(name)
        if codec.factor is not None:
            e = codec.encode(x)
            rate = metrics.bits(codec.codebook_size, e.z, e.tokens) / pixels
            curves[entry.title] = [(rate, float(metrics.psnr(x, codec.decode(e.z)).mean()))]
    return curves


def training_records() -> dict[str, dict[str, Any]]:
    """training.json of every bundled model, by name: what can't be measured on shipped weights stands there."""
    files = {name: entry.folder / "training.json" for name, entry in (CODECS | PRIORS).items()}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.is_file()}


def parameters(folder: Path) -> int:
    """How many numbers the safetensors files of a folder hold."""
    total = 0
    for file in sorted(folder.glob("diffusion_pytorch_model*.safetensors")):
        with safe_open(file, "pt") as tensors:
            names = tensors.keys()
            total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    return total
