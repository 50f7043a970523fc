"""Laws of the ways between latents, over whatever vectors and token grids hypothesis thinks of."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vq.latents import ORDERS, bilinear, differing, lerp, mix, slerp, swap, thresholds

CODES = 6
CODEBOOK = torch.randn(CODES, 3, generator=torch.Generator().manual_seed(0))
shares = st.floats(0, 1)
seeds = st.integers(0, 2**32 - 1)
ways = pytest.mark.parametrize("way", [lerp, slerp])


def vectors(draw, count: int) -> list[Tensor]:
    """Vectors of one dimension, from tiny to huge, zero and each other's opposites among them."""
    dim = draw(st.integers(2, 8))
    number = st.one_of(st.just(0.0), st.floats(-1e3, 1e3, width=32), st.floats(-(2.0**-100), 2.0**-100, width=32))
    made = [torch.tensor([draw(st.lists(number, min_size=dim, max_size=dim))]) for _ in range(count)]
    return [made[0], *(draw(st.sampled_from([v, made[0], -made[0], 2 * made[0], 0 * v])) for v in made[1:])]


def grids(draw, count: int) -> list[Tensor]:
    h, w = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    generator = torch.Generator().manual_seed(draw(seeds))
    return [torch.randint(CODES, (1, h, w), generator=generator) for _ in range(count)]


pairs = st.composite(lambda draw: vectors(draw, 2))()
fours = st.composite(lambda draw: vectors(draw, 4))()
grid_pairs = st.composite(lambda draw: grids(draw, 2))()
grid_fours = st.composite(lambda draw: grids(draw, 4))()


def norm(v: Tensor) -> float:
    return float(v.double().norm())


@ways
@given(pairs)
def test_ends_are_exact(way, pair):
    a, b = pair
    assert torch.equal(way(a, b, 0.0), a)
    assert torch.equal(way(a, b, 1.0), b)


@ways
@given(pairs, shares)
def test_between_equal_ends_nothing_moves(way, pair, t):
    assert torch.equal(way(pair[0], pair[0].clone(), t), pair[0])


@given(pairs, shares)
def test_slerp_keeps_the_norm_law(pair, t):
    a, b = pair
    got = slerp(a, b, t)
    assert got.shape == a.shape
    assert got.dtype == a.dtype
    assert norm(got) == pytest.approx((1 - t) * norm(a) + t * norm(b), rel=1e-5, abs=1e-37)


@given(st.floats(0.1, math.pi), shares, st.integers(2, 8), seeds)
def test_slerp_turns_evenly_in_the_plane_of_its_ends(angle, t, dim, seed):
    generator = torch.Generator().manual_seed(seed)
    u, w = torch.linalg.qr(torch.randn(dim, 2, dtype=torch.float64, generator=generator)).Q.T
    b = math.cos(angle) * u + math.sin(angle) * w
    want = math.cos(t * angle) * u + math.sin(t * angle) * w
    got = slerp(2 * u, 3 * b, t)
    if angle < math.pi - 1e-5:
        assert torch.allclose(got, (2 + t) * want, atol=1e-9)
    else:  # opposite ends have no plane; the angle is what counts
        assert float(got @ u) / (2 + t) == pytest.approx(math.cos(t * angle), abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 5), (1, 3, 2, 2)])
def test_slerp_of_opposite_and_zero_vectors(shape):
    a = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    middle = slerp(a, -a, 0.5)
    assert norm(middle) == pytest.approx(norm(a))
    assert abs(float((middle * a).sum())) < 1e-5
    assert torch.allclose(slerp(a, torch.zeros_like(a), 0.25), 0.75 * a)
    assert torch.allclose(slerp(torch.zeros_like(a), a, 0.25), 0.25 * a)
    assert torch.equal(slerp(0 * a, 0 * a, 0.5), 0 * a)
    assert slerp(torch.tensor([[2.0]]), torch.tensor([[-4.0]]), 0.5).item() == -1


@pytest.mark.parametrize("order", ORDERS)
@given(grid_pairs, seeds)
def test_a_swap_changes_each_differing_cell_once_and_no_other(order, pair, seed):
    a, b = pair
    cells = ORDERS[order](a, b, CODEBOOK, seed)
    assert sorted(cells.tolist()) == differing(a, b).tolist()
    steps = [swap(a, b, cells, i / 12) for i in range(13)]
    assert torch.equal(steps[0], a)
    assert torch.equal(steps[-1], b)
    taken = torch.stack([step == b for step in steps])
    assert bool((taken[1:] >= taken[:-1]).all())  # what has become b's stays b's
    assert all(bool(((step == a) | (step == b)).all()) for step in steps)
    counts = [int((later != step).sum()) for step, later in pairwise(steps)]
    assert sum(counts) == len(cells)
    assert max(counts) - min(counts) <= 1


def test_orders_are_what_they_are_called():
    a = torch.tensor([[[0, 1, 2], [3, 4, 5]]])
    b = torch.tensor([[[1, 1, 3], [4, 5, 0]]])
    assert ORDERS["sweep"](a, b, CODEBOOK, 0).tolist() == [0, 3, 4, 2, 5]
    apart = (CODEBOOK[a] - CODEBOOK[b]).norm(dim=-1).flatten()
    assert ORDERS["nearest"](a, b, CODEBOOK, 0).tolist() == [i for i in apart.argsort().tolist() if i != 1]


@given(st.integers(0, 2**32 - 1))
def test_a_seed_reproduces_and_another_differs(seed):
    a, b = torch.zeros(1, 8, 8, dtype=torch.int64), torch.ones(1, 8, 8, dtype=torch.int64)
    first = ORDERS["random"](a, b, CODEBOOK, seed)
    assert torch.equal(first, ORDERS["random"](a, b, CODEBOOK, seed))
    assert not torch.equal(first, ORDERS["random"](a, b, CODEBOOK, seed ^ 1))
    assert torch.equal(thresholds((1, 8, 8), seed), thresholds((1, 8, 8), seed))
    assert not torch.equal(thresholds((1, 8, 8), seed), thresholds((1, 8, 8), seed ^ 1))


@given(fours, shares, shares)
def test_four_corners_of_latents(corners, across, down):
    for i, corner in enumerate(corners):
        assert torch.equal(bilinear(corners, float(i % 2), float(i // 2)), corner)
    a, b, c, d = (corner.double() for corner in corners)
    want = (1 - down) * ((1 - across) * a + across * b) + down * ((1 - across) * c + across * d)
    assert torch.allclose(bilinear(corners, across, down).double(), want, rtol=1e-5, atol=1e-3)


@given(grid_fours, seeds, shares, shares, shares)
def test_four_corners_of_tokens(corners, seed, one, two, still):
    turns = thresholds(corners[0].shape, seed)
    for i, corner in enumerate(corners):
        assert torch.equal(mix(corners, turns, float(i % 2), float(i // 2)), corner)
    # Numbered corners show which one a cell comes from: along a line of the grid, it turns once at most, to one side.
    marks = [torch.full_like(corners[0], i) for i in range(4)]
    low, high = sorted((one, two))
    near, far = mix(marks, turns, low, still), mix(marks, turns, high, still)
    assert bool(((far - near == 0) | (far - near == 1)).all())
    near, far = mix(marks, turns, still, low), mix(marks, turns, still, high)
    assert bool(((far - near == 0) | (far - near == 2)).all())


def test_token_mixing_has_bilinear_odds():
    marks = [torch.full((1, 64, 64), i) for i in range(4)]
    mixed = mix(marks, thresholds((1, 64, 64), 3), 0.25, 0.5)
    share = mixed.flatten().bincount(minlength=4) / mixed.numel()
    assert share.tolist() == pytest.approx([0.375, 0.125, 0.375, 0.125], abs=0.03)
