"""How good a prior is: nats per token, and how its samples compare with real pictures. See `evaluate_prior`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vq import metrics
from vq.codec import Codec, device_of
from vq.evaluate.codec import FRECHET_PICTURES, Figures, Squares, frechet_sides
from vq.models.squeezenet import SqueezeNet
from vq.prior import GaussianPrior, Prior
from vq.train.data import PictureSet

BATCH = 50
QUANTILES = (0.05, 0.5, 0.95)
Pooled = Tensor  # (N,512), see SqueezeNet.pooled

# key, what people read, format
ROWS = (
    ("nats", "nats per token", "{:.3f}"),
    ("unigram", "unigram entropy of the same tokens", "{:.3f}"),
    ("below_unigram", "nats below it", "{:.3f}"),
    ("frechet", "Fréchet distance of samples", "{:.0f}"),
    ("frechet_codec", "Fréchet distance, the codec's reconstructions", "{:.0f}"),
    ("frechet_real", "Fréchet distance, real", "{:.0f}"),
    ("samples", "samples, and pictures a side", "{:,}"),
    ("neighbour", "distance to the nearest training picture, samples (5 %, 50 %, 95 %)", "{:.1f}"),
    ("neighbour_real", "the same, held-out pictures", "{:.1f}"),
    ("neighbour_codec", "the same, reconstructions of held-out pictures", "{:.1f}"),
)


@torch.inference_mode()
def evaluate_prior(
    prior: Prior | GaussianPrior,
    codec: Codec,
    data: str | Path,
    perceptual: SqueezeNet | None = None,
    samples: int = FRECHET_PICTURES,
) -> Figures:
    """The figures of a prior over `codec`, drawing with the prior's own defaults.

    nats, unigram    per token of val/, and the entropy of how often each code occurs there; token priors only
    frechet          distance of pooled SqueezeNet features: samples against the first 2,000 of train/; with
                     `perceptual` only, as all below
    frechet_codec, frechet_real   the same for reconstructions of other pictures, and for these pictures themselves
    neighbour*       Euclidean distance of each picture's pooled features to those of its nearest training picture or
                     that one's mirror image: 5 %, 50 % and 95 % quantiles. Copies would lie closer than val/ does

    Raises ValueError if prior and codec don't belong together, DataError for an empty set.
    """
    figures: Figures = {"data": Path(data).name, "split": "val", "size": codec.image_size}
    figures["pictures"] = len(PictureSet(data, "val"))
    if isinstance(prior, Prior):
        prior.check_codec(codec)
        figures |= likelihood(prior, codec, data)
    if perceptual is None:
        return figures
    drawn = torch.cat([perceptual.pooled(y) for y in pictures(prior, codec, samples)])
    return figures | {"samples": samples} | _against_pictures(drawn, codec, data, perceptual)


def likelihood(prior: Prior, codec: Codec, data: str | Path) -> Figures:
    """nats, unigram and below_unigram over val/."""
    size = codec.image_size or 0
    encoded = [codec.encode(x.to(device_of(codec))).tokens for x in Squares(PictureSet(data, "val"), size)]
    tokens = torch.cat([t.cpu() for t in encoded if t is not None])
    nats = float(prior.surprisal(tokens).double().mean())
    unigram = metrics.entropy(metrics.code_counts(tokens, prior.codebook_size))
    return {"nats": nats, "unigram": unigram, "below_unigram": unigram - nats}


def pictures(prior: Prior | GaussianPrior, codec: Codec, count: int, seed: int = 0, **options: Any) -> Iterator[Tensor]:
    """`count` samples decoded, in batches (B,3,H,W): call number i draws with seed + i."""
    for i, start in enumerate(range(0, count, BATCH)):
        drawn = prior.sample(min(BATCH, count - start), seed + i, **options)
        z = codec.lookup(drawn.to(device_of(codec))) if isinstance(prior, Prior) else drawn.to(device_of(codec))
        yield codec.decode(z).cpu()


def written(value: Any, form: str) -> str:
    """A figure for people; of a list, each number."""
    return " / ".join(map(form.format, value)) if isinstance(value, list) else form.format(value)


def _against_pictures(drawn: Pooled, codec: Codec, data: str | Path, perceptual: SqueezeNet) -> Figures:
    size = codec.image_size or 0
    reference, others = frechet_sides(data, size)
    real = _pooled(reference, perceptual)
    other = torch.cat([_pooled(squares, perceptual) for squares in others])
    rebuilt = torch.cat([_pooled(_through(codec, squares), perceptual) for squares in others])
    train = torch.cat([_pooled(Squares(PictureSet(data, "train"), size), perceptual, flip) for flip in (False, True)])
    held_out = len(PictureSet(data, "val"))
    distances = {"": drawn, "_real": other[:held_out], "_codec": rebuilt[:held_out]}
    return {
        "frechet": metrics.frechet(drawn, real),
        "frechet_codec": metrics.frechet(rebuilt, real),
        "frechet_real": metrics.frechet(other, real),
        **{f"neighbour{key}": quantiles(nearest(x, train)) for key, x in distances.items()},
    }


def _pooled(batches: Squares | Iterator[Tensor], perceptual: SqueezeNet, flip: bool = False) -> Pooled:
    return torch.cat([perceptual.pooled(x.flip(3) if flip else x) for x in batches])


def _through(codec: Codec, batches: Squares) -> Iterator[Tensor]:
    for x in batches:
        yield codec.decode(codec.encode(x.to(device_of(codec))).z).cpu()


def nearest(x_ND: Tensor, among_MD: Tensor) -> Tensor:
    """(N,): Euclidean distance of each row to the nearest row of the other set."""
    return torch.cat([torch.cdist(part, among_MD).amin(1) for part in x_ND.split(256)])


def quantiles(values: Tensor) -> list[float]:
    return [float(f"{v:.4g}") for v in values.quantile(torch.tensor(QUANTILES)).tolist()]
