"""A picture as editable tokens: there, back, a codebook to paint with, and what the prior makes of the grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from vq import atlas, editing, metrics
from vq.catalogue import PRIORS
from vq.codebook import false_colours
from vq.codec import Codec, device_of, fingerprint
from vq.editing import LEAST, MOST, Context, EditError, Grid, Mask
from vq.image import Fit, fit_square, to_picture, to_tensor
from vq.messages import LoadError
from vq.tasks.common import SIZES, LoadPrior
from vq.tokenfile import Source

if TYPE_CHECKING:
    from vq.prior import Prior

NEAREST = 8  # codes that the atlas names beside one
VARIANTS = 4
CANDIDATES = 16  # drawn, of which the likeliest are shown
EDITS, RESAMPLES = 1000, 8  # in one call; the prior takes seconds
NEARESTS = 2**17  # cells in one call: with 8,192 codes, as many take some 20 seconds
RESAMPLE = "resample"
OPERATIONS = (*(name for name in editing.OPERATIONS if name != "choose"), RESAMPLE)  # of `edit`


def sizes(codec: Codec) -> tuple[int, ...]:
    """The picture sides in pixels that give a grid of 8 to 64 cells; none for codecs without tokens."""
    if codec.factor is None or codec.codebook_size is None:
        return ()
    return tuple(size for size in SIZES if LEAST <= size / codec.factor <= MOST)


@torch.inference_mode()
def encode(codec: Codec, picture: Image.Image, size: int, fit: Fit = "crop") -> tuple[Image.Image, Grid]:
    """RGB picture -> what the codec saw, size x size, and its tokens. Raises ValueError for a size not in `sizes`."""
    if size not in sizes(codec):
        raise ValueError(f"size: expected one of {', '.join(map(str, sizes(codec)))}, got {size}")
    original = fit_square(picture, size, fit)
    tokens = codec.encode(to_tensor(original).to(device_of(codec))).tokens
    assert tokens is not None
    return original, tokens[0].cpu().numpy()


@torch.inference_mode()
def donor(codec: Codec, picture: Image.Image, grid: tuple[int, ...]) -> Grid:
    """RGB picture -> the tokens of its middle, in a grid (h,w) that need not be square."""
    h, w = grid
    factor = codec.factor or 1
    seen = ImageOps.fit(picture, (w * factor, h * factor), Image.Resampling.LANCZOS)  # as fit_square does for squares
    tokens = codec.encode(to_tensor(seen).to(device_of(codec))).tokens
    assert tokens is not None
    return tokens[0].cpu().numpy()


@torch.inference_mode()
def decode(codec: Codec, *grids: Grid) -> Tensor:
    """Grids (h,w) of one size -> (n,3,H,W) in [-1,1], on the CPU."""
    tokens = torch.from_numpy(np.stack(grids)).to(device_of(codec))
    return codec.decode(codec.lookup(tokens)).cpu()


def psnr(original: Image.Image, y_13HW: Tensor) -> float:
    """dB between the picture the codec saw and a decoded one."""
    return float(metrics.psnr(to_tensor(original), y_13HW))


def source(codec: Codec, name: str, revision: str) -> Source:
    """What tokens of this codec say they belong to."""
    assert codec.codebook_size is not None
    return Source(name, revision, fingerprint(codec), codec.codebook_size)


def codebook(codec: Codec) -> NDArray[np.float32]:
    """(K,D) float32."""
    assert codec.codebook is not None
    return codec.codebook.float().cpu().numpy()


def edit(codec: Codec, name: str, tokens: Any, edits: Any, load_prior: LoadPrior) -> Grid:
    """Rows of codes and a list of edits as data (see `vq.editing.apply`) -> the grid after all of them.

    There is one more operation: resample, with cells and seed, takes the likeliest of the prior's completions. There is
    one less: nothing has been offered to choose from. Raises EditError.
    """
    table = codebook(codec)
    grid = editing.read_tokens(tokens, len(table))
    if not isinstance(edits, list) or len(edits) > EDITS:
        raise EditError("edits", most=EDITS)
    operations = [change.get("op") if isinstance(change, dict) else None for change in edits]
    if any(operation not in OPERATIONS for operation in operations):
        raise EditError("op", names=", ".join(OPERATIONS))
    if operations.count(RESAMPLE) > RESAMPLES:
        raise EditError("resamples", most=RESAMPLES)
    check_nearests(edits, grid)
    for operation, change in zip(operations, edits, strict=True):
        if operation == RESAMPLE:
            grid = _resample(codec, name, grid, change, load_prior)
        else:
            grid = editing.apply(grid, change, Context(table))
    return grid


def check_nearests(edits: list[Any], tokens: Grid) -> None:
    """Raise EditError where the nearest edits of one request cover more cells than NEARESTS together."""
    some = [change.get("cells") for change in edits if isinstance(change, dict) and change.get("op") == "nearest"]
    if sum(len(cells) if isinstance(cells, list) else tokens.size for cells in some) > NEARESTS:
        raise EditError("nearests", most=NEARESTS)


def _resample(codec: Codec, name: str, tokens: Grid, change: dict[str, Any], load_prior: LoadPrior) -> Grid:
    match = fit_prior(load_prior, codec, name, tokens.shape)
    if match.prior is None:
        raise EditError("prior")
    seed = editing.whole(change, "seed", 0, 2**32 - 1)
    mask = editing.read_cells(change.get("cells"), tokens)
    return variants(match.prior, tokens, mask, seed, 1)[0].tokens


# The prior.


@dataclass(frozen=True)
class Match:
    """The prior for a grid, or why there is none.

    reason: "none" was trained for the codec, its weights are "missing", it is "unfit" for this codebook, or works at
    another "grid". title and grid: of the prior, where they are known.
    """

    prior: "Prior | None" = None
    reason: Literal["none", "missing", "unfit", "grid"] | None = None
    title: str = ""
    grid: tuple[int, int] | None = None


def fit_prior(load_prior: LoadPrior, codec: Codec, name: str, grid: tuple[int, ...]) -> Match:
    """The prior of the catalogue for a codec, if it is there and works at this grid."""
    entry = next((entry for entry in PRIORS.values() if entry.codec == name), None)
    if entry is None:
        return Match(reason="none")
    try:
        prior: Any = load_prior(entry.name, name)
        prior.check_codec(codec)
    except LoadError:
        return Match(reason="missing", title=entry.title)
    except ValueError:
        return Match(reason="unfit", title=entry.title)
    if tuple(prior.grid) != tuple(grid):
        return Match(None, "grid", entry.title, prior.grid)
    return Match(prior, None, entry.title, prior.grid)


@dataclass(frozen=True)
class Variant:
    """A completion: tokens (h,w), and bits, -log2 p of the whole grid; less is likelier."""

    tokens: Grid
    bits: float


def variants(prior: "Prior", tokens: Grid, mask: Mask, seed: int, keep: int = VARIANTS) -> list[Variant]:
    """The likeliest different completions of the selected cells, likeliest first; a function of the seed."""
    grids, nats = prior.variants(torch.from_numpy(tokens), torch.from_numpy(mask), keep, seed, CANDIDATES)
    return [Variant(grid.numpy(), float(n) / math.log(2)) for grid, n in zip(grids, nats, strict=True)]


def surprisal(prior: "Prior", tokens: Grid) -> NDArray[np.float32]:
    """(h,w): -log2 p of every token given those before it."""
    nats: NDArray[np.float32] = prior.surprisal(torch.from_numpy(tokens)[None])[0].numpy()
    return nats / np.float32(math.log(2))


# The atlas.


@dataclass(frozen=True)
class Book:
    """A codebook to look at and paint with.

    sheet: all patches, f pixels each, in atlas order. codes: (K,) the code of each place, row by row; columns a row.
    colours: (K,3) uint8, as in token maps. nearest: (K,8), fewer in a tiny codebook.
    counts: (K,), how often the reference set uses each code, or None; then perplexity and dead are None too.
    """

    sheet: Image.Image
    codes: NDArray[np.int64]
    columns: int
    colours: NDArray[np.uint8]
    nearest: NDArray[np.int64]
    counts: NDArray[np.int64] | None
    perplexity: float | None
    dead: int | None


def book(codec: Codec, counts_K: Tensor | None) -> Book:
    """The codebook's atlas; takes some seconds for 8,192 codes."""
    tiles = atlas.patches(codec)
    codes, table = atlas.arrange(tiles), codebook(codec)
    columns = math.ceil(math.sqrt(len(codes)))
    known = counts_K is not None and len(counts_K) == len(codes) and int(counts_K.sum()) > 0
    counts = counts_K if known else None
    return Book(
        sheet=to_picture(_sheet(tiles[torch.from_numpy(codes)], columns)),
        codes=codes,
        columns=columns,
        colours=false_colours(torch.from_numpy(table)).numpy(),
        nearest=editing.nearest(table, np.arange(len(table)), NEAREST)[:, 1:],
        counts=None if counts is None else counts.numpy(),
        perplexity=None if counts is None else metrics.perplexity(counts),
        dead=None if counts is None else int((counts == 0).sum()),
    )


def _sheet(tiles_N3ff: Tensor, columns: int) -> Tensor:
    """(N,3,f,f) -> (3,rows*f,columns*f); places left over are grey."""
    n, _, f, _ = tiles_N3ff.shape
    rows = -(-n // columns)
    cells = torch.zeros(rows * columns, 3, f, f)
    cells[:n] = tiles_N3ff
    return cells.view(rows, columns, 3, f, f).permute(2, 0, 3, 1, 4).reshape(3, rows * f, columns * f)


def changed(now: Grid, first: Grid) -> int:
    """How many tokens differ."""
    return int((now != first).sum())


def pictures(codec: Codec, grids: Sequence[Grid]) -> list[Image.Image]:
    """Each grid decoded."""
    return [to_picture(y) for y in decode(codec, *grids)] if grids else []
