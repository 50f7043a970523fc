"""Ways from one latent to another: straight lines, arcs, token swaps, and the blend of four corners.

Pure functions. A way runs over t in [0,1] and is exact at both ends; between equal ends it stands still. Slerp is
Shoemake 1985, Animating rotation with quaternion curves; for latents White 2016, Sampling Generative Networks,
arXiv:1609.04468.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

# Below this sine two directions count as parallel or opposite: what is left of one beside the other is rounding.
PARALLEL = 1e-6


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The straight line from a to b, of one shape."""
    return torch.lerp(a, b, t)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The arc from a to b, of one shape, seen as single vectors: the direction turns evenly, the norm grows linearly.

    ||slerp(t)|| = (1-t)||a|| + t||b||. Zero has no direction and takes the other's. Opposite vectors turn through a
    fixed perpendicular; numbers have none, so they go straight.
    """
    if t == 0 or torch.equal(a, b):
        return a
    if t == 1:
        return b
    if a.numel() == 1:
        return lerp(a, b, t)
    u, v = a.double().flatten(), b.double().flatten()
    length = lerp(u.norm(), v.norm(), t)
    u, v = _direction(u, v), _direction(v, u)
    # atan2 is exact where arccos isn't: near 0 and near pi (Kahan).
    angle = 2 * math.atan2(float((u - v).norm()), float((u + v).norm())) * t
    turned = math.cos(angle) * u + math.sin(angle) * _perpendicular(u, v)
    return (length * turned).to(a.dtype).view_as(a)


def _direction(v: Tensor, instead: Tensor) -> Tensor:
    """v at unit length; that of `instead` if v is zero. Scaled first, since squares of tiny numbers vanish."""
    v = v if bool(v.any()) else instead
    v = v / v.abs().max()
    return v / v.norm()


def _perpendicular(u: Tensor, v: Tensor) -> Tensor:
    """The unit vector perpendicular to u on v's side; if v lies along u, one nearest to an axis."""
    across = v - (u @ v) * u
    if float(across.norm()) < PARALLEL:
        axis = torch.zeros_like(u)
        axis[u.abs().argmin()] = 1
        across = axis - (u @ axis) * u
    return across / across.norm()


def bilinear(corners: Sequence[Tensor], across: float, down: float) -> Tensor:
    """The blend of four tensors of one shape, top left, top right, bottom left, bottom right; exact at each."""
    top_left, top_right, bottom_left, bottom_right = corners
    return lerp(lerp(top_left, top_right, across), lerp(bottom_left, bottom_right, across), down)


# Orders in which the cells that differ change: indices into the flattened grid, (N,) int64, each cell once.
# a, b: tokens of one shape (...,h,w). codebook (K,D). Sorting is stable, so ties keep reading order.
Order = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def differing(a: Tensor, b: Tensor) -> Tensor:
    """Cells where two token grids differ, in reading order."""
    return (a != b).flatten().nonzero().flatten()


def at_random(a: Tensor, b: Tensor, codebook_KD: Tensor, seed: int) -> Tensor:
    """Any order, decided by the seed."""
    cells = differing(a, b)
    return cells[torch.randperm(len(cells), generator=torch.Generator().manual_seed(seed)).to(cells.device)]


def from_left(a: Tensor, b: Tensor, codebook_KD: Tensor, seed: int) -> Tensor:
    """Column by column from the left, each from the top."""
    cells = differing(a, b)
    return cells[torch.sort(cells % a.shape[-1], stable=True).indices]


def nearest_first(a: Tensor, b: Tensor, codebook_KD: Tensor, seed: int) -> Tensor:
    """First where the old code and the new one lie closest to each other."""
    cells = differing(a, b)
    apart = codebook_KD[a.flatten()[cells]] - codebook_KD[b.flatten()[cells]]
    return cells[torch.sort(apart.norm(dim=1), stable=True).indices]


ORDERS: Mapping[str, Order] = {"random": at_random, "sweep": from_left, "nearest": nearest_first}


def swap(a: Tensor, b: Tensor, order_N: Tensor, t: float) -> Tensor:
    """a with the first share t of `order` taken from b, rounded to whole cells."""
    cells = order_N[: round(t * len(order_N))]
    mixed = a.flatten().clone()
    mixed[cells] = b.flatten()[cells]
    return mixed.view_as(a)


def thresholds(shape: Sequence[int], seed: int) -> Tensor:
    """(2,*shape) in [0,1): where each cell turns from left to right and from top to bottom; see `mix`."""
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(seed))


def mix(corners: Sequence[Tensor], thresholds: Tensor, across: float, down: float) -> Tensor:
    """Every cell from one of four token grids (as in `bilinear`), with bilinear odds over `thresholds`; exact at each.

    A cell changes at most once along a row of blends, and once along a column.
    """
    top_left, top_right, bottom_left, bottom_right = corners
    right, below = (
        thresholds.to(top_left.device) < torch.tensor([across, down]).view(2, *[1] * top_left.ndim)
    ).unbind()
    return torch.where(below, torch.where(right, bottom_right, bottom_left), torch.where(right, top_right, top_left))
