"""The real pictures that samples are compared with."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from vq import metrics
from vq.codec import Codec, device_of
from vq.evaluate.codec import Squares, frechet_sides
from vq.models.squeezenet import SqueezeNet
from vq.pictures import PictureSet

Pooled = Tensor  # (N,512), see SqueezeNet.pooled


class Reference:
    """Features, tokens and reconstructions of one set's pictures at one size.

    All of it is computed when first asked for, and kept: several generators share one. What a codec made of the
    pictures is kept as long as the codec is. What holds mirror images has them in its second half, in the same order.
    Raises DataError when a split is missing.
    """

    def __init__(self, data: str | Path, size: int, perceptual: SqueezeNet):
        self.size, self.perceptual = size, perceptual
        self.squares = {split: Squares(PictureSet(data, split), size) for split in ("train", "val")}
        self._real, self._others = frechet_sides(data, size)
        self._rebuilt: WeakKeyDictionary[Codec, Pooled] = WeakKeyDictionary()
        self._frechet: WeakKeyDictionary[Codec, float] = WeakKeyDictionary()
        self._tokens: dict[tuple[Codec, str], Tensor] = {}

    @cached_property
    def real(self) -> Pooled:
        """The first 2,000 of train/: one side of every Fréchet distance."""
        return features(self._real, self.perceptual)

    @cached_property
    def others(self) -> Pooled:
        """val/, filled up to 2,000 from train/ after those of `real`."""
        return torch.cat([features(squares, self.perceptual) for squares in self._others])

    @cached_property
    def train(self) -> Pooled:
        """(2N,512): train/ and its mirror images."""
        return self._with_mirrored("train")

    @cached_property
    def held_out(self) -> Pooled:
        """(2M,512): val/ and its mirror images."""
        return self._with_mirrored("val")

    @cached_property
    def held_out_nearest(self) -> tuple[Tensor, Tensor]:
        """Of each picture of val/, the distance to the nearest row of `train`, and which it is: (M,) each."""
        return nearest_rows(self.held_out[: len(self.held_out) // 2], self.train)

    def rebuilt(self, codec: Codec) -> Pooled:
        """What the codec makes of `others`."""
        if codec not in self._rebuilt:
            parts = (codec.decode(codec.encode(x.to(device_of(codec))).z).cpu() for s in self._others for x in s)
            self._rebuilt[codec] = features(parts, self.perceptual)
        return self._rebuilt[codec]

    @cached_property
    def frechet(self) -> float:
        """Fréchet distance of `others` to `real`."""
        return metrics.frechet(self.others, self.real)

    def frechet_of(self, codec: Codec) -> float:
        """The same of the codec's reconstructions of `others`."""
        if codec not in self._frechet:
            self._frechet[codec] = metrics.frechet(self.rebuilt(codec), self.real)
        return self._frechet[codec]

    def tokens(self, codec: Codec, split: str) -> Tensor:
        """(2N,h*w) int16: the tokens of a split's pictures and of their mirror images."""
        if (codec, split) not in self._tokens:
            both = [(_tokens(codec, x), _tokens(codec, x.flip(3))) for x in self.squares[split]]
            self._tokens[codec, split] = torch.cat([t for half in zip(*both, strict=True) for t in half])
        return self._tokens[codec, split]

    def among_held_out(self) -> Tensor:
        """(M,): distance of each picture of val/ to the nearest other one or mirror image of another."""
        half = len(self.held_out) // 2
        distances = torch.cdist(self.held_out[:half], self.held_out)
        rows = torch.arange(half)
        distances[rows, rows] = distances[rows, rows + half] = torch.inf
        return distances.amin(1)

    def picture(self, row: int) -> Tensor:
        """(1,3,S,S): what row `row` of `train`, or of the tokens of train/, was computed from."""
        places = self.squares["train"].kept
        (x,) = Squares(self.squares["train"].pictures, self.size, indices=[places[row % len(places)]])
        return x if row < len(places) else x.flip(3)

    def _with_mirrored(self, split: str) -> Pooled:
        both = [(self.perceptual.pooled(x), self.perceptual.pooled(x.flip(3))) for x in self.squares[split]]
        return torch.cat([pooled for half in zip(*both, strict=True) for pooled in half])


def features(batches: Iterable[Tensor], perceptual: SqueezeNet) -> Pooled:
    return torch.cat([perceptual.pooled(x) for x in batches])


def decoded(codec: Codec, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Tokens (B,h,w) or vectors (B,D), a batch at a time -> pictures (B,3,H,W)."""
    for drawn in batches:
        z = drawn.to(device_of(codec))
        yield codec.decode(codec.lookup(z) if codec.codebook_size else z).cpu()


def nearest(x_ND: Tensor, among_MD: Tensor) -> Tensor:
    """(N,): Euclidean distance of each row to the nearest row of the other set."""
    return nearest_rows(x_ND, among_MD)[0]


def nearest_rows(x_ND: Tensor, among_MD: Tensor) -> tuple[Tensor, Tensor]:
    """That distance, and which row it is: (N,) each."""
    found = [torch.cdist(part, among_MD).min(1) for part in x_ND.split(256)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def most_equal(x_ND: Tensor, among_MD: Tensor) -> tuple[Tensor, Tensor]:
    """The row of the other set that agrees in most places with each row of tokens: (N,) places, (N,) which row."""
    columns, found = among_MD.short().T.contiguous(), []
    for part in x_ND.short().split(64):
        equal = torch.zeros(len(part), len(among_MD), dtype=torch.int16)
        for mine, theirs in zip(part.T, columns, strict=True):
            equal += mine[:, None] == theirs
        found.append(equal.max(1))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def _tokens(codec: Codec, x: Tensor) -> Tensor:
    tokens = codec.encode(x.to(device_of(codec))).tokens
    assert tokens is not None
    return tokens.flatten(1).short().cpu()
