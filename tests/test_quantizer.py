"""Laws of the vector quantiser, on numbers that can be checked by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vq.models.quantizer import EMACodebook, VectorQuantizer


def quantizer(codes: list[list[float]], **options: float) -> VectorQuantizer:
    q = VectorQuantizer(len(codes), len(codes[0]), **options)
    with torch.no_grad():
        q.codebook_KD.copy_(torch.tensor(codes))
    return q


def row(vectors: list[list[float]]) -> Tensor:
    """Vectors as a map (1,D,1,N)."""
    return torch.tensor(vectors).T[None, :, None].contiguous().requires_grad_()


@pytest.mark.parametrize("unit_length", [False, True])
def test_straight_through_gradient_is_exactly_one(unit_length: bool) -> None:
    torch.manual_seed(0)
    q = VectorQuantizer(16, 4, unit_length=unit_length)
    z = torch.randn(2, 4, 3, 5, requires_grad=True)
    projected = q.project(z)
    upstream = torch.randn_like(projected)
    (through,) = torch.autograd.grad(q(z).z, z, upstream)
    (identity,) = torch.autograd.grad(projected, z, upstream)
    assert torch.equal(through, identity)
    if not unit_length:
        assert torch.equal(through, upstream)


def test_loss_terms_by_hand() -> None:
    # (1/4, 0) is nearest to code 0, (3/4, 3/2) to code 1: squares 1/16, 0, 1/16, 1/4; their mean over 4 is 3/32.
    q = quantizer([[0.0, 0.0], [1.0, 1.0]], beta=2.0, gamma=0.25)
    out = q(row([[0.25, 0.0], [0.75, 1.5]]))
    assert out.tokens.tolist() == [[[0, 1]]]
    assert out.codebook.item() == out.commitment.item() == 3 / 32
    assert out.loss.item() == 2 * 3 / 32 + 0.25 * 3 / 32


def test_codebook_is_moved_by_the_beta_term_only() -> None:
    q = quantizer([[0.0, 0.0], [1.0, 1.0], [9.0, 9.0]], beta=2.0, gamma=0.25)
    z = row([[0.25, 0.0], [0.75, 1.5]])
    q(z).loss.backward()
    # beta * 2 (e - z) / 4, and nothing for the code that nobody chose.
    assert q.codebook_KD.grad.tolist() == [[-0.25, 0.0], [0.25, -0.5], [0.0, 0.0]]
    q.zero_grad()
    q(z).commitment.backward()
    assert q.codebook_KD.grad is None or not q.codebook_KD.grad.any()


def test_encoder_is_moved_by_the_gamma_term_only() -> None:
    q = quantizer([[0.0, 0.0], [1.0, 1.0]], beta=2.0, gamma=0.25)
    z = row([[0.25, 0.0], [0.75, 1.5]])
    q(z).loss.backward()
    # gamma * 2 (z - e) / 4
    assert z.grad.tolist() == row([[0.03125, 0.0], [-0.03125, 0.0625]]).tolist()
    z.grad = None
    q(z).codebook.backward()
    assert z.grad is None or not z.grad.any()


def test_gamma_weighs_the_commitment_term() -> None:
    """The usual mistake: a quarter on the codebook term."""
    q = VectorQuantizer(4, 2)
    assert (q.beta, q.gamma) == (1.0, 0.25)
    z = torch.randn(1, 2, 3, 3, requires_grad=True)
    q(z).loss.backward()
    quarter = z.grad.clone()
    z.grad = None
    q(z).commitment.backward()
    assert torch.equal(quarter, 0.25 * z.grad)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6), st.booleans())
def test_nearest_is_the_brute_force_argmin(seed: int, codes: int, dim: int, unit_length: bool) -> None:
    """Small whole numbers make every distance exact, ties included: the first of equals wins."""
    rng = np.random.default_rng(seed)
    e, z = rng.integers(-4, 5, (codes, dim)), rng.integers(-4, 5, (2, dim, 3, 4))
    if unit_length:
        e, z = np.sign(e) * 1, np.sign(z)
        e[:, 1:], z[:, 1:] = 0, 0  # +1, -1 or 0 along one axis: unit length without rounding
    q = VectorQuantizer(codes, dim, unit_length=unit_length)
    with torch.no_grad():
        q.codebook_KD.copy_(torch.from_numpy(e))
    distance = ((z[:, None] - e[None, :, :, None, None]) ** 2).sum(2)
    tokens = q.nearest(q.project(torch.from_numpy(z).float()))
    assert np.array_equal(tokens.numpy(), distance.argmin(1))


@pytest.mark.parametrize("unit_length", [False, True])
def test_nearest_on_real_numbers(unit_length: bool) -> None:
    torch.manual_seed(1)
    q = VectorQuantizer(64, 8, unit_length=unit_length)
    z = q.project(torch.randn(3, 8, 5, 7))
    distance = (z.double()[:, None] - q.codes_KD.double()[None, :, :, None, None]).square().sum(2)
    chosen = distance.gather(1, q.nearest(z)[:, None])
    assert (chosen[:, 0] - distance.amin(1)).max() < 1e-6
    assert q.nearest(z).dtype == torch.int64 and q.nearest(z).shape == (3, 5, 7)


def test_lookup_of_the_tokens_is_the_quantised_map() -> None:
    torch.manual_seed(2)
    q = VectorQuantizer(16, 4)
    z = torch.randn(2, 4, 3, 3)
    out = q(z)
    assert torch.allclose(out.z, q.lookup(out.tokens), atol=1e-6)
    assert torch.equal(q.lookup(out.tokens)[1, :, 2, 0], q.codebook_KD[out.tokens[1, 2, 0]])


def test_autocast_does_not_blur_distances() -> None:
    torch.manual_seed(3)
    q = VectorQuantizer(256, 8)
    z = torch.randn(4, 8, 8, 8)
    plain = q.nearest(z)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(q.nearest(z), plain)


def test_codes_of_unit_length_are_compared_and_looked_up_as_such() -> None:
    q = quantizer([[3.0, 4.0], [-5.0, 12.0]], unit_length=True)
    assert torch.allclose(q.codes_KD, torch.tensor([[0.6, 0.8], [-5 / 13, 12 / 13]]))
    assert torch.allclose(q.lookup(torch.tensor([[[1, 0]]]))[0, :, 0, 1], torch.tensor([0.6, 0.8]))


def test_averaged_codebook_by_hand() -> None:
    q = quantizer([[0.0, 0.0], [4.0, 4.0], [8.0, 0.0]], beta=0.0)
    average = EMACodebook(q, decay=0.5, epsilon=0.0)
    z = row([[1.0, 0.0], [0.0, 1.0], [6.0, 4.0]])
    average.update(q, z, torch.tensor([[[0, 0, 1]]]))
    # counts: (1 + 2)/2, (1 + 1)/2, (1 + 0)/2; sums: (0 + (1,1))/2, ((4,4) + (6,4))/2, (8,0)/2
    assert average.counts_K.tolist() == [1.5, 1.0, 0.5]
    assert average.sums_KD.tolist() == [[0.5, 0.5], [5.0, 4.0], [4.0, 0.0]]
    expected = torch.tensor([[1 / 3, 1 / 3], [5.0, 4.0], [8.0, 0.0]])  # the unused code stays where it was
    assert torch.allclose(q.codebook_KD, expected)


def test_averaged_codebook_replaces_the_beta_term() -> None:
    q = quantizer([[0.0, 0.0], [1.0, 1.0]], beta=0.0)
    q(row([[0.25, 0.0], [0.75, 1.5]])).loss.backward()
    assert q.codebook_KD.grad is None or not q.codebook_KD.grad.any()


def test_averaged_codebook_settles_on_the_means() -> None:
    torch.manual_seed(4)
    q = quantizer([[-3.0, 0.0], [3.0, 0.0]], beta=0.0)
    average = EMACodebook(q, decay=0.9)
    z = torch.cat(
        [torch.randn(1, 2, 1, 50) + torch.tensor([-4.0, 1.0]).view(1, 2, 1, 1), torch.randn(1, 2, 1, 50) + 4], 3
    )
    for _ in range(200):
        average.update(q, z, q.nearest(z))
    means = torch.stack([z[0, :, 0, :50].mean(1), z[0, :, 0, 50:].mean(1)])
    assert torch.allclose(q.codebook_KD, means, atol=1e-3)


def test_a_code_placed_anew_is_not_dragged_back() -> None:
    q = quantizer([[0.0, 0.0], [1.0, 1.0]], beta=0.0)
    average = EMACodebook(q, decay=0.99)
    average.place(torch.tensor([1]), torch.tensor([[5.0, -5.0]]))
    average.update(q, row([[0.0, 0.0]]), torch.tensor([[[0]]]))
    assert torch.allclose(q.codebook_KD[1], torch.tensor([5.0, -5.0]), atol=1e-3)


def test_nearest_codes_of_many_cells_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    quantizer, z = VectorQuantizer(9, 4), torch.randn(3, 4, 5, 7)
    whole = quantizer.nearest(z)
    monkeypatch.setattr("vq.models.quantizer.DISTANCES", 60)  # 7 cells at a time
    assert torch.equal(quantizer.nearest(z), whole)
