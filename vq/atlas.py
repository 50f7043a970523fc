"""A codebook as pictures: every code decoded on its own, laid out so that neighbours look alike."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vq.codec import Codec, device_of

# A code alone would mostly show the decoder's border: the middle of a field of it shows the code.
FIELD = 3
BATCH = 128


@torch.inference_mode()
def patches(codec: Codec) -> Tensor:
    """(K,3,f,f) in [-1,1]: what each code decodes to, surrounded by itself. Quantised grid codecs only."""
    size, f = codec.codebook_size, codec.factor
    if size is None or f is None:
        raise ValueError("codec: only codecs with a grid of tokens have an atlas")
    middle = slice(FIELD // 2 * f, (FIELD // 2 + 1) * f)
    fields = torch.arange(size, device=device_of(codec))[:, None, None].expand(-1, FIELD, FIELD)
    parts = [codec.decode(codec.lookup(part)) for part in fields.split(BATCH)]
    return torch.cat([part[:, :, middle, middle].cpu() for part in parts])


def arrange(patches_K3ff: Tensor, seed: int = 0) -> NDArray[np.int64]:
    """(K,): the code of each cell, row by row, on a grid of ceil(sqrt(K)) columns, so that neighbours look alike.

    Starts from the two strongest directions, then exchanges pairs of codes wherever that brings both closer to their
    blurred surroundings, which shrink step by step: a self-sorting map (Strong & Gong 2014,
    doi:10.1109/TMM.2014.2306183). A function of patches and seed.
    """
    features = _features(patches_K3ff)
    columns = math.ceil(math.sqrt(len(features)))
    codes = _by_directions(features, columns)
    rng = np.random.default_rng(seed)
    for radius in np.geomspace(max(1, columns / 2), 1, 40).round().astype(int):
        surroundings = _blur(features[codes], columns, int(radius))
        for _ in range(60):
            _exchange(codes, features, surroundings, rng)
    return codes


def _features(patches_K3ff: Tensor) -> NDArray[np.float32]:
    """(K,12): the colours of each patch's four quarters."""
    return torch.nn.functional.adaptive_avg_pool2d(patches_K3ff, 2).flatten(1).float().numpy()


def _by_directions(features: NDArray[np.float32], columns: int) -> NDArray[np.int64]:
    """Rows follow the strongest direction, places within a row the second."""
    centred = features - features.mean(0)
    scores = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    order = scores[:, 0].argsort(kind="stable")
    rows = np.split(order, range(columns, len(order), columns))
    return np.concatenate([row[scores[row, -1].argsort(kind="stable")] for row in rows]).astype(np.int64)


def _blur(cells: NDArray[np.float32], columns: int, radius: int) -> NDArray[np.float32]:
    """Each cell's mean over a square of 2 radius + 1 cells; cells beyond the last code count nothing."""
    n, depth = cells.shape
    padded = np.zeros((-(-n // columns) * columns, depth + 1), dtype=np.float64)
    padded[:n, :depth], padded[:n, depth] = cells, 1
    grid = padded.reshape(-1, columns, depth + 1)
    for axis in (0, 1):
        grid = _box(grid, axis, radius)
    sums = grid.reshape(-1, depth + 1)[:n]
    return (sums[:, :depth] / sums[:, depth:]).astype(np.float32)


def _box(grid: NDArray[np.float64], axis: int, radius: int) -> NDArray[np.float64]:
    """Sums over 2 radius + 1 places along an axis."""
    length = grid.shape[axis]
    sums = np.insert(grid.cumsum(axis), 0, 0, axis)
    places = np.arange(length)
    above, below = np.minimum(places + radius + 1, length), np.maximum(places - radius, 0)
    return sums.take(above, axis) - sums.take(below, axis)


def _exchange(
    codes: NDArray[np.int64],
    features: NDArray[np.float32],
    surroundings: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Pair all cells at random and swap, in place, where both together come closer to their surroundings."""
    a, b = np.array_split(rng.permutation(len(codes))[: len(codes) // 2 * 2], 2)
    difference = features[codes[a]] - features[codes[b]]
    # |f_a - s_a|^2 + |f_b - s_b|^2 against the swapped: only the cross terms differ.
    better = (difference * (surroundings[b] - surroundings[a])).sum(1) > 0
    a, b = a[better], b[better]
    codes[a], codes[b] = codes[b], codes[a]
