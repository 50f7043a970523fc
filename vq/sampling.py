"""From logits to tokens: temperature, top-k and top-p; the ordered loop; completion; surprisal.

Nothing here has a state of its own; tokens live on the CPU, whatever device the network is on. Picture i of a call
draws from a stream that is a function of (seed, i) alone, one number a position, and turns it into a token by inverting
the cumulative distribution in float64. So the number of pictures drawn together, and what stands in the others, changes
nothing.

Shapes: n pictures, h, w grid, T = h * w positions in raster order, K codebook size.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LOGITS = 2**23  # 32 MiB at a time where all positions are asked for at once


class Steps(Protocol):
    """Grids in the making, with whatever the prior keeps of them between tokens."""

    def feed(self, tokens_nm: Tensor) -> Tensor:
        """Append m tokens (n,m) to each grid, m >= 1 except to begin with -> logits (n,K) of the one that follows."""


class Network(Protocol):
    """What sampling needs to know of a prior."""

    @property
    def grid(self) -> tuple[int, int]: ...

    @property
    def codebook_size(self) -> int: ...

    def __call__(self, tokens_Bhw: Tensor) -> Tensor:
        """(B,h,w) int64 -> logits (B,h,w,K) of every token, given those before it."""

    def start(self, n: int) -> Steps:
        """n empty grids."""


@dataclass(frozen=True)
class Options:
    """How a distribution is turned into a token. Applied in this order; the defaults change nothing.

    temperature: divides the logits; 0 takes the likeliest token. top_k: only the k likeliest; 0 means all.
    top_p: only the likeliest that together hold at least this much probability (Holtzman et al. 2019,
    arXiv:1904.09751). Raises ValueError outside [0,inf), integers >= 0, (0,1].
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not _is_number(self.temperature) or not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature: expected a number >= 0, got {self.temperature!r}")
        if not _is_whole(self.top_k) or self.top_k < 0:
            raise ValueError(f"top_k: expected an integer >= 0 (0 keeps all), got {self.top_k!r}")
        if not _is_number(self.top_p) or not 0 < self.top_p <= 1:
            raise ValueError(f"top_p: expected a number in (0,1], got {self.top_p!r}")


def uniforms(seed: int, n: int, count: int, start: int = 0) -> Tensor:
    """(n,count) float64 in [0,1): row i is the stream of picture start + i, a function of (seed, start + i) alone."""
    check_seed(seed)
    return torch.from_numpy(np.stack([np.random.default_rng((seed, start + i)).random(count) for i in range(n)]))


def candidate_uniforms(seed: int, n: int, candidates: int, count: int) -> Tensor:
    """(n,candidates,count) float64 in [0,1). Candidate 0 of picture i draws what picture i of `uniforms` draws."""
    check_seed(seed)
    rows = [[np.random.default_rng((seed, i, c)).random(count) for c in range(candidates)] for i in range(n)]
    return torch.from_numpy(np.array(rows))


def probabilities(logits_nK: Tensor, options: Options) -> Tensor:
    """(n,K) -> (n,K) float64, each row summing to 1 within rounding. Needs a temperature above 0.

    Tokens tied at the edge of top-k stay.
    """
    logits = logits_nK if options.temperature == 1 else logits_nK / options.temperature
    size = logits.shape[1]
    if 0 < options.top_k < size:
        edge = logits.topk(options.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < edge, -torch.inf)
    p = logits.softmax(1).double()
    return p if options.top_p == 1 else _nucleus(p, options.top_p)


def _nucleus(p_nK: Tensor, top_p: float) -> Tensor:
    """The smallest set of likeliest tokens that holds at least top_p, rescaled; the lower index goes first in a tie."""
    # By values alone, in NumPy: torch sorts indices with them, which takes several times as long for a few rows.
    p = p_nK.numpy()
    ordered = _largest(p, top_p)
    count = (ordered.cumsum(1) - ordered < top_p).sum(1, keepdims=True)
    edge = np.take_along_axis(ordered, count - 1, 1)
    kept = p >= edge
    if (kept.sum(1, keepdims=True) > count).any():
        tied = p == edge
        kept &= ~tied | (tied.cumsum(1) <= count - (p > edge).sum(1, keepdims=True))
    kept_nK = torch.from_numpy(p * kept)
    return kept_nK / kept_nK.sum(1, keepdim=True)


def _largest(p_nK: NDArray[np.float64], top_p: float) -> NDArray[np.float64]:
    """The largest values of each row, falling: so many that they hold top_p. Of thousands, most need no sorting."""
    size = p_nK.shape[1]
    few = size // 8
    if few >= 64:
        largest = np.sort(np.partition(p_nK, size - few)[:, size - few :])[:, ::-1]
        if largest.sum(1).min() > top_p + 1e-9:  # beyond rounding
            return largest
    return np.sort(p_nK)[:, ::-1]


def draw(logits_nK: Tensor, u_n: Tensor, options: Options) -> Tensor:
    """logits (n,K), u (n,) float64 in [0,1) -> tokens (n,) int64: the inverse of the cumulative distribution at u."""
    logits_nK = logits_nK.cpu()
    if options.temperature == 0:
        return logits_nK.argmax(1)
    cumulative = probabilities(logits_nK, options).cumsum(1)
    # Just below 1: times the total, u = 1 - 2^-53 would round to the total, and find no token.
    target = u_n.clamp(max=1 - 2**-52) * cumulative[:, -1]
    return torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]


def fill(network: Network, tokens_nT: Tensor, mask_nT: Tensor, u_nT: Tensor, options: Options) -> Iterator[int]:
    """Redraw, in raster order and in place, the tokens where the mask is True; yields each position once it stands.

    Tokens outside the mask stay as they are, and those before the first of the mask are read in one go.
    """
    steps, known = network.start(len(tokens_nT)), 0
    for t in mask_nT.any(0).nonzero()[:, 0].tolist():
        with torch.inference_mode():
            logits = steps.feed(tokens_nT[:, known:t])
            drawn = draw(logits, u_nT[:, t], options)
            tokens_nT[:, t] = torch.where(mask_nT[:, t], drawn, tokens_nT[:, t])
        known = t
        yield t


def stream(network: Network, n: int, seed: int, options: Options, every: int = 1) -> Generator[Tensor, None, None]:
    """n growing grids (n,h,w) int64, -1 where nothing stands yet: after each `every` tokens, and when complete."""
    check_count("n", n)
    check_count("every", every)
    check_seed(seed)
    return _stream(network, n, seed, options, every)


def _stream(network: Network, n: int, seed: int, options: Options, every: int) -> Generator[Tensor, None, None]:
    h, w = network.grid
    tokens = torch.full((n, h * w), -1)
    mask = torch.ones(n, h * w, dtype=torch.bool)
    for t in fill(network, tokens, mask, uniforms(seed, n, h * w), options):
        if (t + 1) % every == 0 or t + 1 == h * w:
            yield tokens.view(n, h, w).clone()


def naive(network: Network, n: int, seed: int, options: Options, positions: Sequence[int] | None = None) -> Tensor:
    """What `stream` ends with, by a forward pass over the grid for every token: (n,h,w). Kept to check against.

    With `positions`, only those are drawn (to time a part of the loop); the others stay 0.
    """
    h, w = network.grid
    tokens, u = torch.zeros(n, h, w, dtype=torch.int64), uniforms(seed, n, h * w)
    for t in range(h * w) if positions is None else positions:
        row, column = divmod(t, w)
        with torch.inference_mode():
            logits = network(tokens[:, : row + 1])[:, row, column]
            tokens[:, row, column] = draw(logits, u[:, t], options)
    return tokens


def candidates_of(
    network: Network, tokens_nhw: Tensor, mask: Tensor, seed: int, candidates: int, options: Options
) -> tuple[Tensor, Tensor]:
    """Each grid redrawn where the mask is True, `candidates` times: (n,c,h,w), and the nats of each whole grid (n,c).

    mask is bool, (n,h,w) or (h,w). Raises ValueError as the checks below say.
    """
    check_grids(network, tokens_nhw)
    mask_nhw = _check_mask(mask, tokens_nhw)
    check_count("candidates", candidates)
    n, h, w = tokens_nhw.shape
    count = 1 if options.temperature == 0 or not bool(mask_nhw.any()) else candidates
    u = candidate_uniforms(seed, n, count, h * w).flatten(0, 1)
    drawn = tokens_nhw.flatten(1).repeat_interleave(count, 0)
    for _ in fill(network, drawn, mask_nhw.flatten(1).repeat_interleave(count, 0), u, options):
        pass
    grids = drawn.view(n, count, h, w)
    return grids, surprisal(network, grids.flatten(0, 1)).flatten(1).double().sum(1).view(n, count)


def complete(
    network: Network, tokens_nhw: Tensor, mask: Tensor, seed: int, candidates: int, options: Options
) -> Tensor:
    """Redraw where the mask is True; of `candidates` tries the likeliest whole grid stays: (n,h,w).

    Tokens are drawn given those before them only. Weighing the whole grid lets the known ones after them count too.
    """
    grids, nats = candidates_of(network, tokens_nhw, mask, seed, candidates, options)
    return grids[torch.arange(len(grids)), nats.argmin(1)]


def variants(
    network: Network, tokens_hw: Tensor, mask: Tensor, keep: int, seed: int, candidates: int, options: Options
) -> tuple[Tensor, Tensor]:
    """The `keep` likeliest different grids among `candidates` tries for one picture, likeliest first: (m,h,w), (m,).

    m <= keep: there may be fewer different ones. The second tensor holds the nats of each whole grid.
    """
    check_count("keep", keep)
    tokens_1hw = tokens_hw[None] if isinstance(tokens_hw, Tensor) and tokens_hw.ndim == 2 else tokens_hw
    check_grids(network, tokens_1hw)
    if len(tokens_1hw) != 1:
        raise ValueError(f"tokens: expected one picture, (h,w) or (1,h,w), got {len(tokens_1hw)}")
    grids, nats = candidates_of(network, tokens_1hw, mask, seed, candidates, options)
    different: dict[tuple[int, ...], int] = {}
    for i in nats[0].argsort(stable=True).tolist():
        different.setdefault(tuple(grids[0, i].flatten().tolist()), i)
    chosen = list(different.values())[:keep]
    return grids[0, chosen], nats[0, chosen]


def surprisal(network: Network, tokens_nhw: Tensor) -> Tensor:
    """(n,h,w) int64 -> (n,h,w) float32: -log p of every token given those before it, in nats."""
    check_grids(network, tokens_nhw)
    batch = max(1, LOGITS // (tokens_nhw[0].numel() * network.codebook_size))
    with torch.inference_mode():
        parts = [nats_of(network(part).cpu(), part) for part in tokens_nhw.split(batch)]
    return torch.cat(parts).clone()


def nats_of(logits_BhwK: Tensor, tokens_Bhw: Tensor) -> Tensor:
    """(B,h,w) float32: -log p of every token under its logits."""
    flat = torch.nn.functional.cross_entropy(logits_BhwK.float().flatten(0, 2), tokens_Bhw.flatten(), reduction="none")
    return flat.view_as(tokens_Bhw)


def check_grids(network: Network, tokens_nhw: Tensor) -> None:
    """Raise ValueError unless tokens is (n,h,w) int64 of the prior's own grid and in [0,K)."""
    h, w = network.grid
    if not isinstance(tokens_nhw, Tensor) or tokens_nhw.dtype != torch.int64:
        got = getattr(tokens_nhw, "dtype", type(tokens_nhw).__name__)
        raise ValueError(f"tokens: expected an int64 tensor, got {got}")
    if tokens_nhw.ndim != 3 or tokens_nhw.shape[1:] != (h, w) or len(tokens_nhw) == 0:
        raise ValueError(f"tokens: this prior takes (n,{h},{w}), got {tuple(tokens_nhw.shape)}")
    low, high = int(tokens_nhw.min()), int(tokens_nhw.max())
    if low < 0 or high >= network.codebook_size:
        raise ValueError(f"tokens: indices must lie in [0,{network.codebook_size}), got [{low}, {high}]")


def check_seed(seed: int) -> None:
    if not _is_whole(seed) or seed < 0:
        raise ValueError(f"seed: expected an integer >= 0, got {seed!r}")


def check_count(name: str, value: int) -> None:
    if not _is_whole(value) or value < 1:
        raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")


def _check_mask(mask: Tensor, tokens_nhw: Tensor) -> Tensor:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise ValueError(f"mask: expected a bool tensor, got {getattr(mask, 'dtype', type(mask).__name__)}")
    if mask.shape not in (tokens_nhw.shape, tokens_nhw.shape[1:]):
        n, h, w = tokens_nhw.shape
        raise ValueError(f"mask: expected shape ({n},{h},{w}) or ({h},{w}), got {tuple(mask.shape)}")
    return mask.expand(tokens_nhw.shape)


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
