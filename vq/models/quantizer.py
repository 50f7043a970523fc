"""Vector quantisation: van den Oord et al. 2017, Neural Discrete Representation Learning, arXiv:1711.00937.

The EMA codebook follows the paper's appendix A.1. Weighing the commitment term (and not the codebook term) by 0.25
follows its equation 3.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

# Distances held at a time. On a CPU 512 KiB, which stay in the cache: worth a factor of 2.5 with 8,192 codes. On a GPU
# 256 MiB, so that its many cores have work, and large pictures still need no gigabytes.
DISTANCES, DISTANCES_GPU = 2**17, 2**26


class Quantized(NamedTuple):
    """What quantising a map gives, for training.

    z:          (B,D,h,w), z_q in value, with the straight-through gradient.
    tokens:     (B,h,w) int64 in [0,K).
    loss:       scalar: beta * codebook + gamma * commitment.
    codebook:   scalar: mean of (sg[z] - z_q)^2; its gradient moves the codebook only.
    commitment: scalar: mean of (z - sg[z_q])^2; its gradient moves the encoder only.
    """

    z: Tensor
    tokens: Tensor
    loss: Tensor
    codebook: Tensor
    commitment: Tensor


class VectorQuantizer(nn.Module):
    """Nearest-code quantiser with K codes of dimension D.

    beta weighs ||sg[z] - z_q||^2 and gamma ||z - sg[z_q]||^2, both averaged over all elements; beta = 0 leaves the
    codebook to `EMACodebook`. unit_length: codes and inputs are projected onto the unit sphere first (Yu et al. 2021,
    ViT-VQGAN, arXiv:2110.04627), which bounds the encoder's scale and keeps codes in reach.
    """

    def __init__(self, codebook_size: int, dim: int, beta: float = 1.0, gamma: float = 0.25, unit_length: bool = False):
        super().__init__()
        self.beta, self.gamma, self.unit_length = beta, gamma, unit_length
        self.codebook_KD = nn.Parameter(torch.randn(codebook_size, dim) / dim**0.5)

    @property
    def codes_KD(self) -> Tensor:
        """(K,D): the codes as they are compared and looked up."""
        return nn.functional.normalize(self.codebook_KD, dim=1) if self.unit_length else self.codebook_KD

    def project(self, z_BDhw: Tensor) -> Tensor:
        """(B,D,h,w) -> the map as it is compared: on the unit sphere if codes are, else unchanged."""
        return nn.functional.normalize(z_BDhw, dim=1) if self.unit_length else z_BDhw

    def nearest(self, z_BDhw: Tensor) -> Tensor:
        """(B,D,h,w), projected -> tokens (B,h,w) int64: argmin of the squared distance; the lowest index wins a tie."""
        z_BhwD = z_BDhw.permute(0, 2, 3, 1)
        # Distances differ in their last bits: autocast would pick wrong codes.
        with torch.autocast(z_BDhw.device.type, enabled=False):
            # ||z - e||^2 without ||z||^2, which is the same for every code.
            codes = self.codes_KD
            squares, z_ND = codes.square().sum(1), z_BhwD.reshape(-1, z_BhwD.shape[-1])
            held = DISTANCES if z_ND.device.type == "cpu" else DISTANCES_GPU
            parts = z_ND.split(max(1, held // len(codes)))
            nearest = [torch.addmm(squares, part, codes.T, alpha=-2).argmin(1) for part in parts]
        return torch.cat(nearest).view(z_BhwD.shape[:-1])

    def lookup(self, tokens_Bhw: Tensor) -> Tensor:
        """tokens (B,h,w) int64 -> z_q (B,D,h,w)."""
        return nn.functional.embedding(tokens_Bhw, self.codes_KD).permute(0, 3, 1, 2)

    def forward(self, z_BDhw: Tensor) -> Quantized:
        z_BDhw = self.project(z_BDhw)
        with torch.no_grad():
            tokens = self.nearest(z_BDhw)
        z_q = self.lookup(tokens)
        codebook = (z_BDhw.detach() - z_q).square().mean()
        commitment = (z_BDhw - z_q.detach()).square().mean()
        loss = self.beta * codebook + self.gamma * commitment
        return Quantized(z_BDhw + (z_q - z_BDhw).detach(), tokens, loss, codebook, commitment)


def split(codes_KD: Tensor, size: int) -> Tensor:
    """(K,D) -> (size,D): every code size/K times, each moved about a third of the way to where its neighbour stands.

    A larger codebook that starts from a trained one, as Linde, Buzo and Gray 1980 double theirs. Raises ValueError if
    size is no multiple of K, or there is one code only.
    """
    if size % len(codes_KD) or len(codes_KD) < 2:
        raise ValueError(f"a codebook of {len(codes_KD)} codes can't be split into {size}")
    apart = torch.cdist(codes_KD, codes_KD).fill_diagonal_(float("inf")).amin(1, keepdim=True)
    step = torch.randn(size // len(codes_KD), *codes_KD.shape) / codes_KD.shape[1] ** 0.5
    return (codes_KD + apart * step / 3).flatten(0, 1)


class EMACodebook(nn.Module):
    """Moving-average codebook: each code is the mean of the vectors it stands for, decayed. Replaces the beta term.

    Counts and sums start from the current codebook, each code counted once.
    """

    counts_K: Tensor
    sums_KD: Tensor

    def __init__(self, quantizer: VectorQuantizer, decay: float = 0.99, epsilon: float = 1e-5):
        super().__init__()
        self.decay, self.epsilon = decay, epsilon
        self.register_buffer("counts_K", torch.ones(len(quantizer.codebook_KD), device=quantizer.codebook_KD.device))
        self.register_buffer("sums_KD", quantizer.codebook_KD.detach().clone())

    @torch.no_grad()
    def update(self, quantizer: VectorQuantizer, z_BDhw: Tensor, tokens_Bhw: Tensor) -> None:
        """One step towards the means of z (B,D,h,w) under tokens (B,h,w); writes the codebook in place."""
        z_ND = z_BDhw.detach().permute(0, 2, 3, 1).flatten(0, 2).float()
        sums = torch.zeros_like(self.sums_KD).index_add_(0, tokens_Bhw.flatten(), z_ND)
        self.counts_K.lerp_(tokens_Bhw.flatten().bincount(minlength=len(self.counts_K)).float(), 1 - self.decay)
        self.sums_KD.lerp_(sums, 1 - self.decay)
        total = self.counts_K.sum()
        # Laplace smoothing keeps a code nobody uses where it is, instead of dividing by zero.
        smoothed = (self.counts_K + self.epsilon) / (total + len(self.counts_K) * self.epsilon) * total
        quantizer.codebook_KD.copy_(self.sums_KD / smoothed[:, None])

    @torch.no_grad()
    def place(self, codes: Tensor, vectors: Tensor) -> None:
        """Restart `codes` (n,) int64 at `vectors` (n,D)."""
        self.counts_K[codes] = 1.0
        self.sums_KD[codes] = vectors
