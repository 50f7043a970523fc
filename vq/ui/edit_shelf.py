"""What a visitor has edited: it comes back, with undo and redo, when they return to the same picture and grid."""

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from vq.editing import Grid, History
from vq.image import fit_square
from vq.tokenfile import Source

KEPT = 12  # edited grids of one visitor; the longest unused go
_PRINT = 64  # pixels a side of what pictures are told apart by


class Key(NamedTuple):
    """What a history belongs to. origin: of the picture or the tokens that it all came from."""

    source: Source
    origin: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Put:
    """A history put away. grids: (n,h,w) in the smallest integers that hold the codes; at: the current one."""

    key: Key
    first: np.ndarray
    grids: np.ndarray
    at: int

    def history(self) -> History:
        return History(self.first.astype(np.int64), tuple(self.grids.astype(np.int64)), self.at)


Shelf = tuple[Put, ...]


def origin_of(picture: Image.Image) -> str:
    """Tells pictures apart, whatever size they are then worked at."""
    small = fit_square(picture, _PRINT)
    return hashlib.sha256(repr(picture.size).encode() + small.tobytes()).hexdigest()


def origin_of_tokens(tokens: Grid) -> str:
    return hashlib.sha256(repr(tokens.shape).encode() + tokens.tobytes()).hexdigest()


def put(shelf: Shelf, key: Key, history: History) -> Shelf:
    """The shelf with this history on it, if it has a step at all, as the latest."""
    rest = tuple(item for item in shelf if item.key != key)
    if not history.undos and not history.redos:
        return rest
    small: Any = np.min_scalar_type(key.source.codebook_size - 1)
    grids = np.stack(history.grids).astype(small)
    return (*rest, Put(key, history.first.astype(small), grids, history.at))[-KEPT:]


def find(shelf: Shelf, key: Key) -> History | None:
    return next((item.history() for item in shelf if item.key == key), None)
