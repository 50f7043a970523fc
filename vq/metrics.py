"""Figures of merit. Pictures are (B,3,H,W) in [-1,1]; what is computed on [0,1] says so."""

import math
from typing import cast

import torch
from torch import Tensor

from vq.image import signed_to_unit


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """10 log10(1/MSE) on [0,1] for each picture, in dB: (B,). Equal pictures give infinity."""
    mse = (signed_to_unit(x).clamp(0, 1) - signed_to_unit(y).clamp(0, 1)).square().flatten(1).mean(1)
    return -10 * mse.log10()


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) on [0,1], Gaussian window of sigma 1.5, for each picture: (B,)."""
    # torchmetrics takes seconds to import; the page must answer before.
    from torchmetrics.functional.image import structural_similarity_index_measure

    pair = (signed_to_unit(x).clamp(0, 1), signed_to_unit(y).clamp(0, 1))
    values = structural_similarity_index_measure(*pair, data_range=1.0, reduction="none")
    return cast(Tensor, values).reshape(-1)


def code_counts(tokens: Tensor, codebook_size: int) -> Tensor:
    """How often each code occurs: (K,) int64."""
    return tokens.flatten().bincount(minlength=codebook_size)


def entropy(counts_K: Tensor) -> float:
    """-sum p log p of the code frequencies, in nats."""
    p = counts_K.double() / counts_K.sum().clamp(min=1)
    return float(torch.special.entr(p).sum())


def perplexity(counts_K: Tensor) -> float:
    """exp(-sum p log p) of the code frequencies: between 1 and K, the number of equally used codes."""
    return math.exp(entropy(counts_K))


def usage(counts_K: Tensor) -> float:
    """Share of the codes that occur at all, in [0,1]."""
    return float((counts_K > 0).double().mean())


def bits(codebook_size: int | None, z: Tensor, tokens: Tensor | None) -> float:
    """Size of one picture's latent in bits: log2 K a token, or 16 a number where nothing is quantised."""
    if tokens is not None and codebook_size:
        return tokens[0].numel() * math.log2(codebook_size)
    return z[0].numel() * 16.0


def frechet(a_ND: Tensor, b_ND: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features, each (N,D) (Dowson & Landau 1982).

    |mu_a - mu_b|^2 + tr(A + B - 2 (A B)^1/2), computed in float64. The trace of the root is the sum of the singular
    values of A^1/2 B^1/2, which needs no root of a matrix that isn't symmetric.
    """
    a, b = a_ND.double(), b_ND.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    root = torch.linalg.svdvals(_psd_root(cov_a) @ _psd_root(cov_b)).sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * root)


def _psd_root(m: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(m)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def principal_components(x_ND: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (D,), the `count` directions of greatest variance as orthonormal rows (count,D), and the std along each.

    Exact for D up to 2,048. Beyond that a randomised range finder (Halko, Martinsson & Tropp 2011, arXiv:0909.4061)
    with 64 directions to spare and four power iterations: on pictures its error is below 0.01 dB of the exact PSNR.
    """
    mean = x_ND.double().mean(0).to(x_ND)
    if x_ND.shape[1] <= 2048:
        values, vectors = torch.linalg.eigh(torch.cov(x_ND.double().T))
        components, variances = vectors.T.flip(0)[:count].to(x_ND), values.flip(0)[:count].clamp(min=0).to(x_ND)
        return mean, components.contiguous(), variances.sqrt()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        spare = min(count + 64, *x_ND.shape)
        _, scales, vectors = torch.pca_lowrank(x_ND, q=spare, niter=4)
    return mean, vectors.T[:count].contiguous(), scales[:count] / math.sqrt(max(1, len(x_ND) - 1))


def project(x_ND: Tensor, mean_D: Tensor, components_KD: Tensor) -> Tensor:
    """(N,D) -> (N,D): what is left of x when only its coordinates along the components are kept."""
    return (x_ND - mean_D) @ components_KD.T @ components_KD + mean_D
