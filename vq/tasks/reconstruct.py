"""A picture through codecs, and through JPEG and WebP of the same size; latents moved along principal directions."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from vq import classic, metrics
from vq.codec import Codec, Encoded, device_of
from vq.image import Fit, fit_square, to_picture, to_tensor
from vq.tasks.common import FITS, SIZES, Load, working_size

# Beyond this many standard deviations a decoder has seen next to nothing.
REACH = 4.0


@dataclass(frozen=True)
class Reconstruction:
    """One picture through one codec.

    original:     what the codec saw, 8-bit RGB, square. picture: what it gave back, of the same size.
    psnr:         dB; infinite if nothing was lost. ssim: at most 1.
    latent_shape: the grid (h,w) of a quantised codec, the latent's shape of any other.
    bits:         size of the latent: log2 K a token, 16 a number. ms: encoding and decoding, in milliseconds.
    """

    codec: str
    original: Image.Image
    picture: Image.Image
    psnr: float
    ssim: float
    latent_shape: tuple[int, ...]
    bits: float
    ms: float
    encoded: Encoded

    @property
    def bytes(self) -> int:
        return math.ceil(self.bits / 8)

    @property
    def bits_per_pixel(self) -> float:
        return self.bits / (self.picture.width * self.picture.height)


def reconstruct(
    load: Load, picture: Image.Image, codecs: Sequence[str], size: int = 64, fit: Fit = "crop"
) -> Iterator[Reconstruction]:
    """RGB picture -> one Reconstruction a codec, each as soon as it is ready, in the order asked for.

    Grid codecs work at `size` x `size` pixels, vector codecs at their own size. Raises ValueError before the first.
    """
    if type(size) is not int or size not in SIZES:
        raise ValueError(f"size: expected one of {', '.join(map(str, SIZES))}, got {size!r}")
    if fit not in FITS:
        raise ValueError(f"fit: expected one of {', '.join(FITS)}, got {fit!r}")
    return (reconstruct_one(load(name), name, picture, size, fit) for name in codecs)


@torch.inference_mode()
def reconstruct_one(codec: Codec, name: str, picture: Image.Image, size: int, fit: Fit) -> Reconstruction:
    """RGB picture through `codec`: see `reconstruct`."""
    original = fit_square(picture, working_size(codec, size), fit)
    x = to_tensor(original).to(device_of(codec))
    start = time.perf_counter()
    encoded = codec.encode(x)
    y = codec.decode(encoded.z).cpu()  # .cpu() waits for the device, so the clock stops when the picture is there
    ms = (time.perf_counter() - start) * 1000
    x = x.cpu()
    shape = encoded.z.shape[1:] if encoded.tokens is None else encoded.tokens.shape[1:]
    return Reconstruction(
        codec=name,
        original=original,
        picture=to_picture(y),
        psnr=float(metrics.psnr(x, y)),
        ssim=float(metrics.ssim(x, y)),
        latent_shape=tuple(shape),
        bits=metrics.bits(codec.codebook_size, encoded.z, encoded.tokens),
        ms=ms,
        encoded=encoded,
    )


@dataclass(frozen=True)
class Handmade:
    """A picture through JPEG or WebP at the size nearest to a codec's, with the same figures."""

    compressed: classic.Compressed
    psnr: float
    ssim: float

    @property
    def bits_per_pixel(self) -> float:
        picture = self.compressed.picture
        return self.compressed.bytes * 8 / (picture.width * picture.height)


def handmade(original: Image.Image, format: classic.Format, target: int) -> Handmade:
    """RGB picture through JPEG or WebP with as nearly `target` bytes as they can make."""
    return judged(original, classic.nearest(original, format, target))


def judged(original: Image.Image, compressed: classic.Compressed) -> Handmade:
    """The figures of a compressed picture."""
    x, y = to_tensor(original), to_tensor(compressed.picture)
    return Handmade(compressed, float(metrics.psnr(x, y)), float(metrics.ssim(x, y)))


# Principal directions of a vector codec's training latents.
# `statistics`: mean (D,), components (D,D) with one direction a row, strongest first, std (D,) along each.


def positions(z_1D: Tensor, statistics: Mapping[str, Tensor], count: int) -> Tensor:
    """Where a latent lies on the strongest `count` directions, in standard deviations: (count,)."""
    return (statistics["components"][:count] @ (z_1D[0].cpu() - statistics["mean"])) / statistics["std"][:count]


@torch.inference_mode()
def move(codec: Codec, z_1D: Tensor, statistics: Mapping[str, Tensor], target: Sequence[float | None]) -> Image.Image:
    """Decode a latent moved to `target`, in standard deviations along the strongest len(target) directions.

    None, and every direction beyond those, stays as it is: all None gives the plain reconstruction. Raises ValueError
    for a position that isn't finite or lies beyond REACH.
    """
    if any(v is not None and not abs(v) <= REACH for v in target):
        raise ValueError(f"positions: expected numbers in [-{REACH:g},{REACH:g}]")
    now = positions(z_1D, statistics, len(target)).tolist()
    steps = torch.tensor([0.0 if v is None else v - p for v, p in zip(target, now, strict=True)])
    steps = steps * statistics["std"][: len(target)]
    return to_picture(codec.decode(z_1D + (steps @ statistics["components"][: len(target)]).to(z_1D)).cpu())
