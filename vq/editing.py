"""Editing token grids: pure functions, and a history of them with undo and redo.

A grid is tokens_hw, (h,w) int64 in [0,K), of 8 to 64 cells a side; a selection is mask_hw, bool. Every function returns
a new grid and touches no cell outside its selection. An edit may also come as data, a dictionary {"op": ...}, from a
browser or an endpoint: see `apply`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vq.messages import LANGUAGES, Language

Grid = NDArray[np.int64]
Mask = NDArray[np.bool_]
Axis = Literal["horizontal", "vertical"]

LEAST, MOST = 8, 64  # cells a side
STEPS = 200  # that undo can go back
_PART = 64  # rows of a distance matrix at a time

# code: (English, Chinese)
ERRORS: dict[str, tuple[str, str]] = {
    "op": ("An edit's op must be one of {names}.", "编辑的 op 须为以下之一：{names}。"),
    "axis": ("The axis must be horizontal or vertical.", "axis 须为 horizontal 或 vertical。"),
    "whole": (
        "The edit's {name} must be a whole number from {low} to {high}.",
        "编辑的 {name} 须为 {low} 到 {high} 之间的整数。",
    ),
    "donor": ("Transplant needs the tokens of a second picture.", "移植需要第二张图片的标记。"),
    "offer": ("There is no variant to choose.", "没有可选的方案。"),
    "edits": ("The edits must be a list of at most {most}.", "编辑须为列表，且不超过 {most} 个。"),
    "resamples": ("At most {most} of the edits may be resample.", "其中 resample 不得超过 {most} 个。"),
    "nearests": (
        "The nearest edits of one request may cover at most {most} cells together.",
        "一次请求中，nearest 编辑覆盖的单元格合计不得超过 {most} 个。",
    ),
    "prior": (
        "No prior fits this codec and grid, so resample is not available.",
        "没有适合此编码器和网格的先验，因此不能使用 resample。",
    ),
    "cells": (
        "Cells must be pairs [row, column] inside the {h} by {w} grid.",
        "单元格须写作 [行, 列]，且位于 {h} × {w} 的网格内。",
    ),
    "code": (
        "Codes must be whole numbers from 0 to {last}.",
        "码字须为 0 到 {last} 之间的整数。",
    ),
    "grid": (
        "Tokens must be a grid of {least} to {most} cells a side, every row of the same length.",
        "标记须排成每边 {least} 到 {most} 格的网格，且每行等长。",
    ),
    "shape": (
        "Both grids must have the same size; these have {a} and {b} cells.",
        "两个网格大小须一致；现在是 {a} 与 {b}。",
    ),
}


class EditError(ValueError):
    """An edit or a grid that can't be used. `code` is a key of ERRORS; str() is the English sentence."""

    table: Mapping[str, tuple[str, str]] = ERRORS

    def __init__(self, code: str, **parameters: Any):
        self.code, self.parameters = code, parameters
        super().__init__(self.text("en"))

    def text(self, language: Language) -> str:
        return self.table[self.code][LANGUAGES.index(language)].format(**self.parameters)


def set_code(tokens: Grid, mask: Mask, code: int) -> Grid:
    """The selected cells get `code`."""
    return np.where(mask, code, tokens)


def replace(tokens: Grid, mask: Mask, code: int, by: int) -> Grid:
    """Every selected cell that holds `code` gets `by`."""
    return np.where(mask & (tokens == code), by, tokens)


def shuffle(tokens: Grid, mask: Mask, seed: int) -> Grid:
    """The selected cells change places; a function of the seed."""
    out = tokens.copy()
    out[mask] = np.random.default_rng(seed).permutation(tokens[mask])
    return out


def mirror(tokens: Grid, mask: Mask, axis: Axis) -> Grid:
    """The selection's bounding box is turned over, left to right ("horizontal") or top to bottom ("vertical").

    A cell keeps its token where its mirror image isn't selected.
    """
    if not mask.any():
        return tokens.copy()
    box = bounding_box(mask)
    flip = np.fliplr if axis == "horizontal" else np.flipud
    both = mask[box] & flip(mask[box])
    out = tokens.copy()
    out[box] = np.where(both, flip(tokens[box]), tokens[box])
    return out


def paste(tokens: Grid, patch: Grid, row: int, column: int) -> Grid:
    """Lay `patch`, any shape, with its top left corner at (row, column), which may lie outside; -1 is a hole in it."""
    h, w = tokens.shape
    top, left = max(0, row), max(0, column)
    bottom, right = min(h, row + patch.shape[0]), min(w, column + patch.shape[1])
    out = tokens.copy()
    if top < bottom and left < right:
        part = patch[top - row : bottom - row, left - column : right - column]
        out[top:bottom, left:right] = np.where(part >= 0, part, out[top:bottom, left:right])
    return out


def transplant(tokens: Grid, mask: Mask, donor: Grid) -> Grid:
    """The selected cells get what stands there in `donor`. Raises EditError if the grids differ in size."""
    if donor.shape != tokens.shape:
        raise EditError("shape", a=_size(tokens), b=_size(donor))
    return np.where(mask, donor, tokens)


def drift(tokens: Grid, mask: Mask, codebook_KD: NDArray[np.float32], distance: int) -> Grid:
    """Each selected cell gets the code that is its own's nearest number `distance`: 0 itself, 1 the nearest other."""
    if distance == 0 or not mask.any():
        return tokens.copy()
    codes, where = np.unique(tokens[mask], return_inverse=True)
    out = tokens.copy()
    parts = [_at_rank(part, distance) for part in _distances(codebook_KD, codes)]
    out[mask] = np.concatenate(parts)[where]
    return out


def nearest(codebook_KD: NDArray[np.float32], codes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(n,count + 1): each code and its `count` nearest others, nearest first; the lower index wins a tie."""
    return np.concatenate([_first(part, count + 1) for part in _distances(codebook_KD, codes)])


def _distances(codebook_KD: NDArray[np.float32], codes: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """(n,K), a few codes at a time: squared distances to all codes, up to a constant a row; -inf to the code itself."""
    squares = (codebook_KD**2).sum(1)
    for part in np.split(codes, range(_PART, len(codes), _PART)):
        distances = squares - 2 * codebook_KD[part] @ codebook_KD.T
        distances[np.arange(len(part)), part] = -np.inf  # codes may coincide: each is its own nearest
        yield distances


def _at_rank(distances_nK: NDArray[np.float32], rank: int) -> NDArray[np.int64]:
    """(n,): the place of number `rank` in each row's stable order, without sorting: with thousands of codes that is
    what would take the time."""
    value = np.partition(distances_nK, rank, axis=1)[:, rank, None]
    equal = distances_nK == value
    return (equal.cumsum(1) > rank - (distances_nK < value).sum(1, keepdims=True)).argmax(1)


def _first(distances_nK: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """(n,count): the first places of each row's stable order, in that order."""
    last = _at_rank(distances_nK, min(count, distances_nK.shape[1]) - 1)[:, None]
    value, places = np.take_along_axis(distances_nK, last, 1), np.arange(distances_nK.shape[1])
    chosen = (distances_nK < value) | ((distances_nK == value) & (places <= last))
    few = np.nonzero(chosen)[1].reshape(len(distances_nK), -1)
    order = np.take_along_axis(distances_nK, few, 1).argsort(1, kind="stable")
    return np.take_along_axis(few, order, 1)


def bounding_box(mask: Mask) -> tuple[slice, slice]:
    """The smallest rectangle that holds the selection, which must not be empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


# Edits as data.


@dataclass(frozen=True)
class Context:
    """What an edit may need besides the grid. codebook: (K,D) float32. donor: the second picture's grid, if any.

    offers: variants to choose from, each with the cells that were redrawn.
    """

    codebook: NDArray[np.float32]
    donor: Grid | None = None
    offers: tuple[tuple[Grid, Mask], ...] = ()


def apply(tokens: Grid, edit: Any, context: Context) -> Grid:
    """One edit, checked: {"op": name, "cells": [[row, column], ...], ...}. Without cells it means the whole grid.

    set: code. replace: code, by. nearest: distance. shuffle: seed. mirror: axis, "horizontal" or "vertical".
    paste: tokens (rows of codes, null for holes), row, column. transplant: tokens of the same size, or the donor's.
    choose: index of an offer. What needs a prior, resample, stands in `vq.tasks.edit`. Raises EditError.
    """
    op = edit.get("op") if isinstance(edit, Mapping) else None
    if not isinstance(op, str) or op not in OPERATIONS:
        raise EditError("op", names=", ".join(OPERATIONS))
    return OPERATIONS[op](tokens, read_cells(edit.get("cells"), tokens), edit, context)


Operation = Callable[[Grid, Mask, Mapping[str, Any], Context], Grid]


def _set(tokens: Grid, mask: Mask, edit: Mapping[str, Any], context: Context) -> Grid:
    return set_code(tokens, mask, _code(edit, "code", context))


def _replace(tokens: Grid, mask: Mask, edit: Mapping[str, Any], context: Context) -> Grid:
    return replace(tokens, mask, _code(edit, "code", context), _code(edit, "by", context))


def _nearest(tokens: Grid, mask: Mask, edit: Mapping[str, Any], context: Context) -> Grid:
    return drift(tokens, mask, context.codebook, whole(edit, "distance", 0, len(context.codebook) - 1))


def _shuffle(tokens: Grid, mask: Mask, edit: Mapping[str, Any], context: Context) -> Grid:
    return shuffle(tokens, mask, whole(edit, "seed", 0, 2**32 - 1))


def _mirror(tokens: Grid, mask: Mask, edit: Mapping[str, Any], context: Context) -> Grid:
    axis = edit.get("axis")
    if axis not in ("horizontal", "vertical"):
        raise EditError("axis")
    return mirror(tokens, mask, axis)


def _paste(tokens: Grid, mask: Mask, edit: Mapping[str, Any], context: Context) -> Grid:
    patch = read_tokens(edit.get("tokens"), len(context.codebook), least=1, holes=True)
    where = [whole(edit, name, -MOST, MOST) for name in ("row", "column")]
    return np.where(mask, paste(tokens, patch, *where), tokens)


def _transplant(tokens: Grid, mask: Mask, edit: Mapping[str, Any], context: Context) -> Grid:
    given = edit.get("tokens")
    donor = context.donor if given is None else read_tokens(given, len(context.codebook))
    if donor is None:
        raise EditError("donor")
    return transplant(tokens, mask, donor)


def _choose(tokens: Grid, mask: Mask, edit: Mapping[str, Any], context: Context) -> Grid:
    if not context.offers:
        raise EditError("offer")
    grid, redrawn = context.offers[whole(edit, "index", 0, len(context.offers) - 1)]
    return transplant(tokens, redrawn & mask, grid)


OPERATIONS: dict[str, Operation] = {
    "set": _set,
    "replace": _replace,
    "nearest": _nearest,
    "shuffle": _shuffle,
    "mirror": _mirror,
    "paste": _paste,
    "transplant": _transplant,
    "choose": _choose,
}


def read_cells(cells: Any, tokens: Grid) -> Mask:
    """[[row, column], ...] -> a selection; None selects everything. Raises EditError."""
    h, w = tokens.shape
    if cells is None:
        return np.ones((h, w), dtype=bool)
    mask = np.zeros((h, w), dtype=bool)
    if not isinstance(cells, list) or len(cells) > MOST**2:
        raise EditError("cells", h=h, w=w)
    for cell in cells:
        if not isinstance(cell, list | tuple) or len(cell) != 2 or not all(is_whole(i) for i in cell):
            raise EditError("cells", h=h, w=w)
        if not (0 <= cell[0] < h and 0 <= cell[1] < w):
            raise EditError("cells", h=h, w=w)
        mask[cell[0], cell[1]] = True
    return mask


def read_tokens(rows: Any, codebook_size: int, least: int = LEAST, holes: bool = False) -> Grid:
    """Rows of codes -> (h,w) int64; with `holes`, None becomes -1. Raises EditError."""
    if not isinstance(rows, list) or not least <= len(rows) <= MOST or not isinstance(rows[0], list):
        raise EditError("grid", least=least, most=MOST)
    width = len(rows[0])
    if not least <= width <= MOST or any(not isinstance(row, list) or len(row) != width for row in rows):
        raise EditError("grid", least=least, most=MOST)
    flat = [-1 if holes and code is None else code for row in rows for code in row]
    low = -1 if holes else 0
    if not all(is_whole(code) and low <= code < codebook_size for code in flat):
        raise EditError("code", last=codebook_size - 1)
    return np.array(flat, dtype=np.int64).reshape(len(rows), width)


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _code(edit: Mapping[str, Any], name: str, context: Context) -> int:
    value = edit.get(name)
    if not is_whole(value) or not 0 <= value < len(context.codebook):  # type: ignore[operator]
        raise EditError("code", last=len(context.codebook) - 1)
    return int(value)  # type: ignore[arg-type]


def whole(edit: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """The edit's entry `name`, in [low,high]. Raises EditError."""
    value = edit.get(name)
    if not is_whole(value) or not low <= value <= high:  # type: ignore[operator]
        raise EditError("whole", name=name, low=low, high=high)
    return int(value)  # type: ignore[arg-type]


def _size(tokens: Grid) -> str:
    return "{} x {}".format(*tokens.shape)


@dataclass(frozen=True, eq=False)
class History:
    """Grids in the order they were made, and which of them is current. The oldest go beyond STEPS.

    first: the grid it all began with, which stays known.
    """

    first: Grid
    grids: tuple[Grid, ...]
    at: int = 0

    @classmethod
    def of(cls, tokens: Grid) -> "History":
        return cls(tokens, (tokens,))

    @property
    def tokens(self) -> Grid:
        return self.grids[self.at]

    @property
    def undos(self) -> int:
        return self.at

    @property
    def redos(self) -> int:
        return len(self.grids) - 1 - self.at

    def push(self, tokens: Grid) -> "History":
        """A new current grid; what was undone is forgotten. A grid that equals the current one is no step."""
        if np.array_equal(tokens, self.tokens):
            return self
        grids = (*self.grids[: self.at + 1], tokens)[-STEPS - 1 :]
        return History(self.first, grids, len(grids) - 1)

    def undo(self) -> "History":
        """One step back; at the oldest, the same."""
        return self if self.at == 0 else History(self.first, self.grids, self.at - 1)

    def redo(self) -> "History":
        """One step forward; at the newest, the same."""
        return self if self.redos == 0 else History(self.first, self.grids, self.at + 1)
