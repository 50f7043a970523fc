"""How good a prior is: nats per token, and how its samples compare with real pictures. See `evaluate_prior`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vq import metrics
from vq.codec import Codec, device_of
from vq.evaluate.codec import FRECHET_PICTURES, Figures, Squares
from vq.evaluate.reference import Pooled, Reference, decoded, features, most_equal, nearest
from vq.models.squeezenet import SqueezeNet
from vq.pictures import PictureSet
from vq.prior import GaussianPrior, Prior

BATCH = 50
QUANTILES = (0.05, 0.5, 0.95)

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
    ("nearest_val", "samples nearer to a held-out picture than to any training picture", "{:.2%}"),
    ("nearest_val_real", "the same, held-out pictures among each other", "{:.2%}"),
    ("nearest_val_even", "the same, were both kinds alike to it: the held-out pictures' share of all", "{:.2%}"),
    (
        "equal_tokens",
        "tokens shared with the most equal training picture, samples (5 %, 50 %, 95 %, most)",
        "{:.0f}",
    ),
    ("equal_tokens_real", "the same, held-out pictures", "{:.0f}"),
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
    neighbour*, nearest_val*, equal_tokens*   are samples copies? See `copying`

    Raises ValueError if prior and codec don't belong together, DataError for an empty set.
    """
    figures = likelihood(prior, codec, data)
    if perceptual is None:
        return figures
    drawn = torch.cat(list(draw(prior, samples)))
    reference = Reference(data, codec.image_size or 0, perceptual)
    return figures | comparison(drawn, features(decoded(codec, drawn.split(BATCH)), perceptual), codec, reference)


def likelihood(prior: Prior | GaussianPrior, codec: Codec, data: str | Path) -> Figures:
    """What was measured on; of token priors nats, unigram and below_unigram over val/, too."""
    size = codec.image_size or 0
    val = PictureSet(data, "val")
    figures: Figures = {"data": Path(data).name, "split": "val", "size": size, "pictures": len(val)}
    if not isinstance(prior, Prior):
        return figures
    prior.check_codec(codec)
    encoded = [codec.encode(x.to(device_of(codec))).tokens for x in Squares(val, size)]
    tokens = torch.cat([t.cpu() for t in encoded if t is not None])
    nats = float(prior.surprisal(tokens).double().mean())
    unigram = metrics.entropy(metrics.code_counts(tokens, prior.codebook_size))
    return figures | {"nats": nats, "unigram": unigram, "below_unigram": unigram - nats}


def draw(prior: Prior | GaussianPrior, count: int, seed: int = 0, **options: Any) -> Iterator[Tensor]:
    """`count` samples, in batches: tokens (B,h,w) or vectors (B,D). Call number i draws with seed + i."""
    for i, start in enumerate(range(0, count, BATCH)):
        yield prior.sample(min(BATCH, count - start), seed + i, **options)


def pictures(prior: Prior | GaussianPrior, codec: Codec, count: int, seed: int = 0, **options: Any) -> Iterator[Tensor]:
    """The pictures of `draw`, in batches (B,3,H,W)."""
    return decoded(codec, draw(prior, count, seed, **options))


def written(value: Any, form: str) -> str:
    """A figure for people; of a list, each number."""
    return " / ".join(map(form.format, value)) if isinstance(value, list) else form.format(value)


def comparison(drawn: Tensor, pooled: Pooled, codec: Codec, reference: Reference) -> Figures:
    """The figures of samples, (N,h,w) or (N,D), with features (N,512), against real pictures."""
    return {
        "samples": len(drawn),
        "frechet": metrics.frechet(pooled, reference.real),
        "frechet_codec": reference.frechet_of(codec),
        "frechet_real": reference.frechet,
        **copying(drawn, pooled, codec, reference),
    }


def copying(drawn: Tensor, pooled: Pooled, codec: Codec, reference: Reference) -> Figures:
    """Three looks at whether samples are copies of training pictures. Mirror images count as pictures.

    neighbour*     Euclidean distance of each picture's features to those of the nearest training picture: 5 %, 50 % and
                   95 % quantiles. Copies lie closer than val/ does (Meehan et al. 2020, arXiv:2004.05675); so does
                   whatever is plainer than a photograph, hence the reconstructions beside them
    nearest_val*   the share of samples nearer to a picture of val/ than to any of train/. Plainness favours neither:
                   without copies it is val/'s share of all pictures, with nothing but copies it is 0 (nearest
                   neighbours over two sets: Schilling 1986, doi:10.1080/01621459.1986.10478337; held-out records as the
                   measure: Platzer & Reutterer 2021, arXiv:2104.00635). The pictures of val/ themselves, each left out
                   of its own set, show how far chance takes it
    equal_tokens*  how many tokens, place by place, are those of the training picture that shares most; quantiles and
                   the greatest number. Token priors only
    """
    train, val = reference.train, reference.held_out
    n = len(val) // 2
    rebuilt = reference.rebuilt(codec)[:n]
    near = {"": nearest(pooled, train), "_real": reference.held_out_nearest[0], "_codec": nearest(rebuilt, train)}
    figures: Figures = {f"neighbour{key}": quantiles(distance) for key, distance in near.items()}
    figures["nearest_val"] = float((nearest(pooled, val) < near[""]).double().mean())
    figures["nearest_val_real"] = float((reference.among_held_out() < near["_real"]).double().mean())
    figures["nearest_val_even"] = len(val) / (len(val) + len(train))
    if codec.codebook_size:
        grids = reference.tokens(codec, "train")
        for key, tokens in (("", drawn.flatten(1)), ("_real", reference.tokens(codec, "val")[:n])):
            equal, _ = most_equal(tokens, grids)
            figures[f"equal_tokens{key}"] = [*quantiles(equal.float()), float(equal.max())]
    return figures


def quantiles(values: Tensor) -> list[float]:
    return [float(f"{v:.4g}") for v in values.quantile(torch.tensor(QUANTILES)).tolist()]
