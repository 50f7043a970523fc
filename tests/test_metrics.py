"""Figures of merit against closed forms."""

import math

import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vq import metrics


def test_psnr_by_hand() -> None:
    x = torch.zeros(3, 3, 8, 8)
    y = x.clone()
    y[0] += 0.02  # 1 % of the range: MSE 1e-4 on [0,1]
    y[1] += 0.2
    assert metrics.psnr(x, y).tolist() == [pytest.approx(40, abs=1e-3), pytest.approx(20, abs=1e-3), math.inf]
    assert metrics.psnr(-torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 4)).item() == 0


def test_psnr_clamps_and_does_not_round() -> None:
    x, y = torch.ones(1, 3, 4, 4), torch.full((1, 3, 4, 4), 1.5)
    assert metrics.psnr(x, y).item() == math.inf
    x = torch.zeros(1, 3, 4, 4)
    assert 80 < metrics.psnr(x, x + 1e-4).item() < 90  # half a level of 8 bits would read as infinite


def test_ssim() -> None:
    x, y = tiny.pictures(3), tiny.pictures(3, seed=1)
    assert torch.allclose(metrics.ssim(x, x), torch.ones(3))
    assert torch.allclose(metrics.ssim(x, y), metrics.ssim(y, x), atol=1e-6) and metrics.ssim(x, y).max() < 0.95
    assert torch.allclose(metrics.ssim(x, y)[1:2], metrics.ssim(x[1:2], y[1:2]), atol=1e-6), "a figure a picture"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=50))
def test_counts_usage_and_perplexity(tokens: list[int]) -> None:
    counts = metrics.code_counts(torch.tensor(tokens).view(1, 1, -1), 10)
    assert counts.sum() == len(tokens) and counts.tolist() == [tokens.count(k) for k in range(10)]
    used = len(set(tokens))
    assert metrics.usage(counts) == pytest.approx(used / 10)
    assert 1 - 1e-9 <= metrics.perplexity(counts) <= used + 1e-9


def test_perplexity_by_hand() -> None:
    assert metrics.perplexity(torch.tensor([5, 5, 5, 5])) == pytest.approx(4)
    assert metrics.perplexity(torch.tensor([7, 0, 0, 0])) == pytest.approx(1)
    assert metrics.perplexity(torch.tensor([2, 1, 1])) == pytest.approx(math.exp(1.5 * math.log(2)))


def test_bits() -> None:
    assert metrics.bits(1024, torch.zeros(5, 8, 4, 4), torch.zeros(5, 4, 4)) == 160
    assert metrics.bits(None, torch.zeros(5, 128), None) == 2048


def _with_moments(mean: torch.Tensor, std: torch.Tensor, seed: int) -> torch.Tensor:
    """Samples whose mean and covariance are exactly `mean` and diag(std^2)."""
    x = torch.randn(50, len(mean), generator=torch.Generator().manual_seed(seed)).double()
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False).T
    return white * std + mean


def test_frechet_distance_of_gaussians_is_the_closed_form() -> None:
    mean_a, mean_b = torch.tensor([0.0, 1.0, 2.0]).double(), torch.tensor([3.0, 1.0, -2.0]).double()
    std_a, std_b = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([2.0, 2.0, 3.0]).double()
    a, b = _with_moments(mean_a, std_a, 0), _with_moments(mean_b, std_b, 1)
    expected = (mean_a - mean_b).square().sum() + (std_a - std_b).square().sum()
    assert metrics.frechet(a, b) == pytest.approx(float(expected), abs=1e-6)
    assert metrics.frechet(a, a) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_rotated_covariances() -> None:
    """Covariances that don't commute, against the matrix root of their product."""
    a, b = (torch.randn(200, 4, generator=torch.Generator().manual_seed(s)).double() for s in (2, 3))
    b = b @ torch.tensor([[1.0, 0.7, 0, 0], [0, 2.0, 0.3, 0], [0.5, 0, 0.4, 0], [0, 0, 1.0, 1.0]]).double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    roots = torch.linalg.eigvals(cov_a @ cov_b).real.sqrt().sum()
    expected = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * roots
    assert metrics.frechet(a, b) == pytest.approx(float(expected), rel=1e-8)


def test_components_of_few_dimensions_are_exact() -> None:
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(4)) * torch.tensor([5.0, 3.0, 2.0, 1.0, 0.1]) + 7
    mean, components, std = metrics.principal_components(x, 5)
    assert torch.allclose(mean, x.mean(0), atol=1e-5)
    assert torch.allclose(components @ components.T, torch.eye(5), atol=1e-5)
    assert (std[:-1] >= std[1:]).all()
    assert torch.allclose(((x - mean) @ components.T).std(0), std, atol=1e-4)
    assert torch.allclose(metrics.project(x, mean, components), x, atol=1e-4), "all components keep everything"


def test_components_of_many_dimensions_match_the_exact_ones() -> None:
    """The randomised range finder, on pictures, against a full decomposition: within 0.01 dB."""
    x = (tiny.pictures(300) + 0.1 * torch.randn(300, 3, 32, 32, generator=torch.Generator().manual_seed(5))).flatten(1)
    count = 20
    mean, components, std = metrics.principal_components(x, count)
    assert components.shape == (count, 3072) and torch.allclose(components @ components.T, torch.eye(count), atol=1e-4)
    exact = torch.linalg.svd((x - x.mean(0)).double(), full_matrices=False)
    assert torch.allclose(std.double(), exact.S[:count] / 299**0.5, rtol=1e-3)

    def psnr(rows: torch.Tensor) -> float:
        y = metrics.project(x, mean, rows)
        return float(metrics.psnr(x.view(-1, 3, 32, 32), y.view(-1, 3, 32, 32)).mean())

    assert psnr(components) == pytest.approx(psnr(exact.Vh[:count].float()), abs=0.01)


def test_components_draw_nothing_from_the_global_generator() -> None:
    x = tiny.pictures(40).flatten(1)
    before = torch.get_rng_state()
    first = metrics.principal_components(x, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, metrics.principal_components(x, 3), strict=True))
