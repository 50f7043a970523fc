"""How good a codec is. Every definition stands in `evaluate`."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vq import metrics
from vq.codec import Codec, device_of
from vq.image import PictureError, fit_square, to_tensor
from vq.models.squeezenet import SqueezeNet
from vq.pictures import DataError, PictureSet, centre

FRECHET_PICTURES = 2000
BATCH = 32

# key, what people read, format
ROWS = (
    ("psnr", "PSNR", "{:.2f} dB"),
    ("pca_psnr", "PSNR of a PCA of the same size", "{:.2f} dB"),
    ("ssim", "SSIM", "{:.4f}"),
    ("feature_distance", "SqueezeNet feature distance", "{:.4f}"),
    ("frechet", "Fréchet distance", "{:.2f}"),
    ("frechet_real", "Fréchet distance, real", "{:.2f}"),
    ("frechet_pictures", "pictures a side for it", "{}"),
    ("bits_per_pixel", "bits per pixel", "{:.3f}"),
    ("usage", "codes in use", "{:.1%}"),
    ("perplexity", "perplexity", "{:.1f}"),
    ("skipped", "broken pictures skipped", "{}"),
)

Figures = dict[str, Any]


class Squares:
    """The squares of some pictures of a set (None: all), in batches (B,3,size,size) in [-1,1].

    A square is the centre at full resolution, or with `resize` the centre of the picture scaled to fill it. Broken
    pictures are left out; `skipped` counts those that the last pass met, `kept` names the others' places in the set.
    """

    def __init__(self, pictures: PictureSet, size: int, resize: bool = False, indices: Sequence[int] | None = None):
        self.pictures, self.size, self.resize = pictures, size, resize
        self.indices = range(len(pictures)) if indices is None else indices
        self.skipped, self.kept = 0, list[int]()

    def __iter__(self) -> Iterator[Tensor]:
        self.skipped, self.kept = 0, []
        batch: list[Tensor] = []
        for i in self.indices:
            try:
                picture = self.pictures.read(i)
            except PictureError:
                self.skipped += 1
                continue
            self.kept.append(i)
            batch.append(to_tensor(fit_square(picture, self.size) if self.resize else centre(picture, self.size)))
            if len(batch) == BATCH:
                yield torch.cat(batch)
                batch = []
        if batch:
            yield torch.cat(batch)


def evaluate(
    codec: Codec,
    data: str | Path,
    split: str = "val",
    size: int | None = None,
    perceptual: SqueezeNet | None = None,
    resize: bool = False,
) -> Figures:
    """The figures of a codec on the pictures of a set, means over pictures unless said; None where one doesn't apply.

    psnr              10 log10(1/MSE) on [0,1], clamped, not rounded to 8 bits
    pca_psnr          the same for a PCA with as many components as the latent, fitted on train/; vector codecs only
    ssim              see `vq.metrics.ssim`
    feature_distance  see `SqueezeNet.distance`; needs `perceptual`, as do the next two
    frechet           Fréchet distance of pooled SqueezeNet features: reconstructions of *other* pictures against the
                      first 2,000 of train/. The others are val/, filled up to 2,000 from train/ after those
    frechet_real      the same for the other pictures themselves: what a perfect codec would reach
    bits_per_pixel    log2 K a token, or 16 a number where nothing is quantised
    usage, perplexity of the codes over the whole split

    Raises ValueError for a size the codec or a figure can't take, DataError for an empty set.
    """
    size = check_size(codec, size, perceptual)
    squares = Squares(PictureSet(data, split), size, resize)
    figures: Figures = {"data": Path(data).name, "split": split, "size": size}
    figures |= _fidelity(codec, squares, perceptual)
    if not figures["pictures"]:
        raise DataError(f"{data}: every picture of the split '{split}' is broken")
    if perceptual is not None:
        figures |= _frechet(codec, data, size, perceptual, resize)
    if codec.factor is None:
        figures["pca_psnr"] = _pca_psnr(codec, data, squares)
    return figures


def check_size(codec: Codec, size: int | None, perceptual: SqueezeNet | None = None) -> int:
    """The picture side to evaluate at, by default the one the codec was trained at. Raises ValueError."""
    size = size or codec.image_size or 256
    least = 32 if perceptual is not None else 16
    if size < least:
        raise ValueError(f"size: at least {least} pixels are needed, got {size}")
    if codec.factor is None and size != codec.image_size:
        raise ValueError(f"size: this codec takes {codec.image_size}x{codec.image_size} pictures only, got {size}")
    if codec.factor is not None and size % codec.factor:
        raise ValueError(f"size: must be a multiple of {codec.factor} for this codec, got {size}")
    return size


@torch.inference_mode()
def _fidelity(codec: Codec, squares: Squares, perceptual: SqueezeNet | None) -> Figures:
    rows: dict[str, list[Tensor]] = {key: [] for key in ("psnr", "ssim", *(["feature_distance"] if perceptual else []))}
    counts = torch.zeros(codec.codebook_size or 0, dtype=torch.int64)
    bits = 0.0
    for x in squares:
        x = x.to(device_of(codec))
        encoded = codec.encode(x)
        y = codec.decode(encoded.z)
        rows["psnr"].append(metrics.psnr(x, y))
        rows["ssim"].append(metrics.ssim(x, y))
        if perceptual is not None:
            rows["feature_distance"].append(perceptual.distance(x, y))
        if encoded.tokens is not None and codec.codebook_size:
            counts += metrics.code_counts(encoded.tokens, codec.codebook_size).cpu()
        bits = metrics.bits(codec.codebook_size, encoded.z, encoded.tokens)
    figures: Figures = {"pictures": sum(map(len, rows["psnr"])), "skipped": squares.skipped}
    if not figures["pictures"]:
        return figures
    figures |= {key: float(torch.cat(values).mean()) for key, values in rows.items()}
    figures["bits_per_pixel"] = bits / squares.size**2
    if codec.codebook_size:
        figures |= {"usage": metrics.usage(counts), "perplexity": metrics.perplexity(counts)}
    return figures


@torch.inference_mode()
def _frechet(codec: Codec, data: str | Path, size: int, perceptual: SqueezeNet, resize: bool) -> Figures:
    """Both distances, or None for both when a side has fewer than two pictures."""
    reference, others = frechet_sides(data, size, resize)
    device = device_of(codec)

    def features(batches: Iterable[Tensor]) -> Tensor:
        pooled = [perceptual.pooled(x.to(device)).cpu() for x in batches]
        return torch.cat(pooled) if pooled else torch.empty(0, 512)

    def rebuilt(batches: Iterable[Tensor]) -> Iterator[Tensor]:
        for x in batches:
            yield codec.decode(codec.encode(x.to(device)).z)

    real, other = features(reference), features(chain(*others))
    smaller = min(len(real), len(other))
    if smaller < 2:
        return {"frechet": None, "frechet_real": None, "frechet_pictures": smaller}
    return {
        "frechet": metrics.frechet(features(rebuilt(chain(*others))), real),
        "frechet_real": metrics.frechet(other, real),
        "frechet_pictures": smaller,
    }


def frechet_sides(data: str | Path, size: int, resize: bool = False) -> tuple[Squares, list[Squares]]:
    """The reference pictures, the first 2,000 of train/; and 2,000 others, val/ filled up from train/ after those."""
    train, limit = _split(data, "train"), FRECHET_PICTURES
    val = _split(data, "val")
    if train is None:
        raise DataError(f"{data}: no pictures in train/ to take the Fréchet distance to")
    reference = Squares(train, size, resize, range(min(limit, len(train))))
    held_out = min(limit, len(val)) if val else 0
    others = [Squares(val, size, resize, range(held_out))] if val else []
    rest = range(limit, min(limit + limit - held_out, len(train)))
    return reference, [*others, *([Squares(train, size, resize, rest)] if rest else [])]


def _split(data: str | Path, split: str) -> PictureSet | None:
    try:
        return PictureSet(data, split)
    except DataError:
        return None


@torch.inference_mode()
def _pca_psnr(codec: Codec, data: str | Path, squares: Squares) -> float | None:
    """None when train/ has no more pictures than the PCA has components: it would only remember them."""
    train = _split(data, "train")
    first = next(iter(squares)).to(device_of(codec))
    count = codec.encode(first).z.shape[1]
    if train is None or len(train) <= count:
        return None
    flat = torch.cat([x.flatten(1) for x in Squares(train, squares.size, squares.resize)])
    mean, components, _ = metrics.principal_components(flat, count)
    values = [metrics.psnr(x, metrics.project(x.flatten(1), mean, components).view_as(x)) for x in squares]
    return float(torch.cat(values).mean())
