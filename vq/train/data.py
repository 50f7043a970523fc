"""Training batches, drawn reproducibly.

Sample n of a run is a function of (seed, n) alone. Resuming at step s, or sharing a batch between processes, therefore
needs no stored position and draws the very same pictures.
"""

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vq.image import PictureError, to_tensor
from vq.pictures import DataError, PictureSet


def random_crop(picture: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """A random square of random scale, resized to size x size, mirrored half of the time.

    Sides are log-uniform between `size` and the short side: as many close-ups as overviews.
    """
    short = min(picture.size)
    side = float(np.exp(rng.uniform(np.log(size), np.log(short)))) if short > size else short
    left, top = (rng.uniform(0, edge - side) if edge > side else 0.0 for edge in picture.size)
    if (side, side) != picture.size or side != size:
        box = (left, top, left + side, top + side)
        picture = picture.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else picture


class Batches:
    """Batches drawn from several sources, each with its share of the samples.

    `skipped` counts the broken pictures met so far; another takes their place.
    """

    def __init__(self, sources: Sequence[tuple[PictureSet, float]], size: int, batch: int, seed: int):
        self.sets = [s for s, _ in sources]
        weights = np.array([w for _, w in sources], dtype=float)
        self.shares = weights / weights.sum()
        self.size, self.batch, self.seed = size, batch, seed
        self.skipped = 0

    def sample(self, n: int) -> Tensor:
        """Sample n of the run: (1,3,S,S) in [-1,1]."""
        rng = np.random.default_rng((self.seed, n))
        chosen = self.sets[rng.choice(len(self.sets), p=self.shares)]
        for _ in range(100):
            try:
                return to_tensor(random_crop(chosen.read(int(rng.integers(len(chosen)))), self.size, rng))
            except PictureError:
                self.skipped += 1
        raise DataError(f"{chosen.path}: 100 broken pictures in a row")

    def at(self, step: int, rank: int = 0, world: int = 1) -> Tensor:
        """This process's share of the global batch of `step`: (batch/world,3,S,S) in [-1,1]."""
        first = step * self.batch
        return torch.cat([self.sample(n) for n in range(first + rank, first + self.batch, world)])

    def iterate(self, step: int, rank: int = 0, world: int = 1) -> Generator[Tensor, None, None]:
        """The batches from `step` on, the next one prepared while this one is used."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self.at, step, rank, world)
            while True:
                step += 1
                batch, ahead = ahead.result(), pool.submit(self.at, step, rank, world)
                yield batch


def parse_source(text: str) -> tuple[str, float]:
    """ "PATH[:weight]" -> (PATH, weight), weight 1 by default. A colon that no number follows belongs to the path."""
    path, _, weight = text.rpartition(":")
    try:
        value = float(weight)
    except ValueError:
        return text, 1.0
    if not path or not value > 0 or value == float("inf"):
        raise DataError(f"{text}: expected PATH or PATH:weight with a positive weight")
    return path, value
