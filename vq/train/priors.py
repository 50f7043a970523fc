"""Recipes of the two token priors, and the tokens they learn from.

    python -m vq.train transformer --codec vqgan --data PATH --out RUN

The codec turns every training picture and its mirror image into tokens once; RUN/tokens.safetensors keeps them. With
`shifts`, so are versions moved by a few pixels, with `tints`, versions in other light (see `augment`): most tokens
change.
Training follows Esser et al. 2021 (arXiv:2012.09841) and its public implementations: a Bernoulli mask replaces some of
the indices by random ones, and the network predicts the unmodified sequence from the modified one.
"""

import hashlib
from collections.abc import Collection, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vq import metrics
from vq.codec import Codec, fingerprint
from vq.image import sheet
from vq.models.pixelcnn import PixelCNN
from vq.models.transformer import Transformer
from vq.pictures import DataError, PictureSet
from vq.prior import Prior
from vq.train.augment import STRENGTHS, views
from vq.train.loop import copy_weights, cosine, descend
from vq.train.muon import Muon
from vq.train.processes import prepare

SHEET = 16


@dataclass(frozen=True)
class PriorSpec:
    """One row: the network and how it trains.

    lr: AdamW's, for everything but the matrices (and kernels) of hidden layers; muon_lr: Muon's, for those.
    keep: the share of input indices left as they are; the others are replaced by random ones.
    shifts, tints: how many shifted and how many tinted versions of each training picture are encoded beside it.
    """

    model: type[Prior]
    config: dict[str, Any] = field(default_factory=dict)
    batch: int = 32
    lr: float = 3e-3
    muon_lr: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    ema: float = 0.995
    keep: float = 0.95
    shifts: int = 0
    tints: int = 0


SPECS: dict[str, PriorSpec] = {
    "pixelcnn": PriorSpec(PixelCNN, {"codec": "vqvae", "width": 104}, batch=16),
    "transformer": PriorSpec(Transformer, {"codec": "vqgan", "width": 256, "depth": 6, "heads": 4}),
}


class PriorRecipe:
    """Cross-entropy of every token given those before it. `best` is a milestone whenever held-out nats fall."""

    def __init__(self, spec: PriorSpec, codec: Codec, grid: tuple[int, int], unigram: float):
        described = {"codebook_size": codec.codebook_size, "codebook_sha256": fingerprint(codec), "grid": list(grid)}
        self.spec, self.codec, self.unigram = spec, codec, unigram
        self.model = spec.model(**described | spec.config)
        self.model.begin(cast(Tensor, codec.codebook).cpu())
        hidden, rest = split_parameters(cast(Any, self.model))
        self.muon = Muon(hidden, spec.muon_lr)
        self.adam = torch.optim.AdamW(rest, spec.lr, spec.betas, weight_decay=0.0)
        self.ema = EMAModel(self.model.parameters(), decay=spec.ema)
        self.best = Best()

    def grow_from(self, trained: nn.Module) -> None:
        """Begin as a trained prior of the same network, whatever its tokens were. Raises ValueError."""
        copy_weights(trained, cast(nn.Module, self.model))
        self.ema = EMAModel(self.model.parameters(), decay=self.spec.ema)

    def prepare(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        _, self.muon, self.adam = prepare(accelerator, self.ema, self.model, self.muon, self.adam)
        accelerator.register_for_checkpointing(self.ema, self.best)

    def step(self, x: Tensor, progress: float) -> dict[str, Tensor]:
        """x: tokens (B,h,w) int64."""
        noisy = corrupt(x, self.spec.keep, self.model.codebook_size)
        with self.accelerator.autocast():
            nats = self.model.nats(noisy, x)
        rate = cosine(progress)
        descend(self.accelerator, nats, (self.muon, self.spec.muon_lr * rate), (self.adam, self.spec.lr * rate))
        self.ema.step(self.model.parameters())
        return {"nats": nats}

    def validate(self, x: Tensor) -> tuple[dict[str, float], Image.Image]:
        nats = float(self.model.surprisal(x.cpu()).double().mean())
        self.best.offer(nats)
        return {"nats": nats, "below_unigram": self.unigram - nats}, samples_sheet(self.model, self.codec)

    def milestone(self) -> str | None:
        return "best" if self.best.take() else None


class Best:
    """The fewest held-out nats so far, kept over a resume."""

    def __init__(self) -> None:
        self.nats, self._fresh = float("inf"), False

    def offer(self, nats: float) -> None:
        if nats < self.nats:
            self.nats, self._fresh = nats, True

    def take(self) -> bool:
        """True once after an offer that was the best."""
        fresh, self._fresh = self._fresh, False
        return fresh

    def state_dict(self) -> dict[str, float]:
        return {"nats": self.nats}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.nats = state["nats"]


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(weights of the hidden layers' matrices and kernels, all others): those in `blocks` of two dimensions or more."""
    named = list(model.named_parameters())
    hidden = [p for name, p in named if name.startswith("blocks.") and p.ndim >= 2]
    return hidden, [p for name, p in named if not (name.startswith("blocks.") and p.ndim >= 2)]


def corrupt(tokens: Tensor, keep: float, codebook_size: int) -> Tensor:
    """Replace each token, with probability 1 - keep, by one drawn uniformly from the codebook."""
    replaced = torch.rand(tokens.shape, device=tokens.device) >= keep
    return torch.where(replaced, torch.randint_like(tokens, codebook_size), tokens)


def samples_sheet(prior: Prior, codec: Codec, count: int = SHEET, seed: int = 0, columns: int = 8) -> Image.Image:
    """Samples of the prior, decoded: rows of `columns` pictures."""
    x = codec.decode(codec.lookup(prior.sample(count, seed)))
    return sheet(list(x.split(columns)), scale=2)


class TokenBatches:
    """Batches of token grids (N,h,w). Sample n of a run is a function of (seed, n): epoch n // N, in its own order."""

    skipped = 0

    def __init__(self, tokens_Nhw: Tensor, batch: int, seed: int):
        self.tokens_Nhw, self.batch, self.seed = tokens_Nhw, batch, seed
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def at(self, step: int, rank: int = 0, world: int = 1) -> Tensor:
        """This process's share of the global batch of `step`: (batch/world,h,w) int64."""
        first = step * self.batch
        chosen = [self._index(n) for n in range(first + rank, first + self.batch, world)]
        return self.tokens_Nhw[chosen].long()

    def iterate(self, step: int, rank: int = 0, world: int = 1) -> Generator[Tensor, None, None]:
        """The batches from `step` on."""
        while True:
            yield self.at(step, rank, world)
            step += 1

    def _index(self, n: int) -> int:
        epoch, place = divmod(n, len(self.tokens_Nhw))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.seed, epoch)).permutation(len(self.tokens_Nhw))
        return int(self._order[place])


def token_sets(
    codec: Codec,
    sources: Sequence[str],
    cache: Path,
    shifts: int = 0,
    tints: int = 0,
    left_out: Collection[str] = (),
) -> dict[str, Tensor]:
    """Tokens of both splits, {"train": (N,2+2*(shifts+tints),h,w), "val": (M,2,h,w)} int32.

    Each picture and its mirror image; in "train" then as many pairs of shifted, then of tinted ones. Read from `cache`
    if that was made by the same codec from the same pictures with as many of both, else encoded and written there.
    left_out: names of pictures not to train on.
    """
    pictures = {
        "train": [PictureSet(path, "train", left_out) for path in sources],
        "val": [PictureSet(path, "val") for path in sources],
    }
    more = {"shifts": shifts, "tints": tints}
    origin = _origin(codec, pictures) | {name: str(n) for name, n in more.items() if n}
    if tints:
        origin["strengths"] = str(STRENGTHS)
    if cache.is_file():
        with safe_open(cache, "pt") as file:
            if file.metadata() == origin:
                return {split: file.get_tensor(split) for split in pictures}
    tokens = {
        split: torch.cat([_encode_all(codec, s, **(more if split == "train" else {})) for s in sets])
        for split, sets in pictures.items()
    }
    cache.parent.mkdir(parents=True, exist_ok=True)
    fresh = cache.with_suffix(".new")
    save_file(tokens, fresh, metadata=origin)
    fresh.replace(cache)
    return tokens


def _origin(codec: Codec, pictures: dict[str, list[PictureSet]]) -> dict[str, str]:
    """What tokens depend on: everything of the codec but its decoder, and the names of the pictures."""
    weights, names = hashlib.sha256(), hashlib.sha256()
    for name, value in sorted(cast(nn.Module, codec).state_dict().items()):
        if not name.startswith("decoder."):
            weights.update(value.cpu().float().contiguous().numpy().tobytes())
    for split, sets in pictures.items():
        names.update("\n".join([split, *(name for s in sets for name in s.names)]).encode())
    return {"codec": weights.hexdigest(), "pictures": names.hexdigest(), "size": str(codec.image_size)}


@torch.inference_mode()
def _encode_all(codec: Codec, pictures: PictureSet, shifts: int = 0, tints: int = 0, batch: int = 64) -> Tensor:
    """(N,2+2*(shifts+tints),h,w) int32: tokens of every readable picture and its mirror image, then of changed ones.

    The changes are drawn from a fixed seed: shifts anew for every batch, up to half a cell each way, tints for every
    picture.
    """
    size, parts = cast(int, codec.image_size), []
    reach, generator = cast(int, codec.factor) // 2, torch.Generator().manual_seed(0)
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(pictures.tensors, size, batch, 0)
        for start in range(0, len(pictures), batch):
            x, ahead = ahead.result(), pool.submit(pictures.tensors, size, batch, start + batch)
            if len(x):
                changed = views(x, shifts, tints, reach, generator)
                parts.append(torch.stack([_tokens(codec, v) for y in changed for v in (y, y.flip(3))], 1))
    if not parts:
        raise DataError(f"{pictures.path}: no readable pictures in '{pictures.split}'")
    return torch.cat(parts)


def _tokens(codec: Codec, x: Tensor) -> Tensor:
    return cast(Tensor, codec.encode(x).tokens).int()


def unigram_entropy(tokens: Tensor, codebook_size: int) -> float:
    """Nats per token of a model that knows only how often each code occurs in these very tokens."""
    return metrics.entropy(metrics.code_counts(tokens, codebook_size))
