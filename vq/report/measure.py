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
from vq.evaluate.codec import Figures, evaluate
from vq.evaluate.prior import BATCH, comparison, draw, likelihood
from vq.evaluate.reference import Pooled, Reference, decoded, features, nearest
from vq.hub import load, load_prior
from vq.image import to_picture, to_tensor
from vq.messages import LoadError
from vq.pictures import PictureSet
from vq.prior import GaussianPrior, Prior

COLUMNS = 10  # pictures in a row of a sheet
PHOTO_SIZE = 128
QUALITIES = (1, 3, 5, 10, 20, 35, 50)


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


@dataclass(frozen=True)
class Drawn:
    """What a generator drew with its defaults: tokens (N,h,w) or vectors (N,D), and the features of the pictures."""

    of: Generator
    codec: Codec
    drawn: Tensor
    pooled: Pooled
    figures: Figures

    def pictures(self, rows: Sequence[int]) -> Tensor:
        """(n,3,S,S): these of the samples."""
        return torch.cat(list(decoded(self.codec, self.drawn[list(rows)].split(BATCH))))


def codec_figures(name: str, cats: str, photos: str, reference: Reference) -> dict[str, Figures]:
    """As `vq.evaluate` has them, on "cats" at the codec's own size, and for grid codecs on "photos" at PHOTO_SIZE."""
    codec = load(name)
    frechet = {"frechet": reference.frechet_of(codec), "frechet_real": reference.frechet}
    found = {"cats": evaluate(codec, cats) | frechet}
    return found if codec.factor is None else found | {"photos": evaluate(codec, photos, size=PHOTO_SIZE)}


def generators() -> list[tuple[Generator, Prior | GaussianPrior, Codec]]:
    """Those whose weights are there."""
    found = []
    for row in GENERATORS:
        try:
            found.append((row, load_prior(row.prior, row.codec), load(row.codec)))
        except LoadError:
            continue
    return found


def generate(
    of: Generator, prior: Prior | GaussianPrior, codec: Codec, cats: str, reference: Reference, samples: int
) -> Drawn:
    """Its samples and the figures that `evaluate_prior` has for them."""
    drawn = torch.cat(list(draw(prior, samples)))
    pooled = features(decoded(codec, drawn.split(BATCH)), reference.perceptual)
    figures = likelihood(prior, codec, cats) | comparison(drawn, pooled, codec, reference)
    return Drawn(of, codec, drawn, pooled, figures)


def distances(drawn: Sequence[Drawn], reference: Reference) -> dict[str, tuple[Tensor, Tensor]]:
    """By title, of the token priors: distances to the nearest training picture of samples and of reconstructions of
    held-out pictures; of these pictures as they are, twice.
    """
    plain, _ = reference.held_out_nearest
    found = {"held-out pictures": (plain, plain)}
    for d in drawn:
        if d.codec.codebook_size:
            rebuilt = reference.rebuilt(d.codec)[: len(plain)]
            found[d.of.title] = (nearest(d.pooled, reference.train), nearest(rebuilt, reference.train))
    return found


def rate_distortion(photos: str, count: int | None = None) -> dict[str, list[tuple[float, float]]]:
    """(bits per pixel, mean PSNR) on held-out photographs at PHOTO_SIZE: JPEG, WebP by quality, a point a grid codec.

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
            psnr = [metrics.psnr(part, codec.decode(codec.encode(part).z)) for part in x.split(8)]
            e = codec.encode(x[:1])
            rate = metrics.bits(codec.codebook_size, e.z, e.tokens) / pixels
            curves[entry.title] = [(rate, float(torch.cat(psnr).mean()))]
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
