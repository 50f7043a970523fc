"""Seeing a codebook: a colour for every code, such that codes close to each other look alike."""

import torch
from torch import Tensor

# OKLab -> linear sRGB: Björn Ottosson 2020, "A perceptual color space for image processing".
_LAB_TO_LMS = (
    (1.0, 0.3963377774, 0.2158037573),
    (1.0, -0.1055613458, -0.0638541728),
    (1.0, -0.0894841775, -1.2914855480),
)
_LMS_TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


def false_colours(codebook_KD: Tensor) -> Tensor:
    """(K,D) -> (K,3) uint8 sRGB. Lightness, then hue, follow the codebook's three strongest directions.

    Ranks instead of values spread the colours evenly, whatever the codes' distribution.
    """
    codes = codebook_KD.detach().double().cpu()
    codes = codes - codes.mean(0)
    _, _, directions = torch.linalg.svd(codes, full_matrices=False)
    # A singular vector's sign is arbitrary: fix it, so that colours don't depend on the library at hand.
    signs = directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
    scores = codes @ (directions * signs)[:3].T
    scores = torch.nn.functional.pad(scores, (0, 3 - scores.shape[1]))
    ranks = scores.argsort(0).argsort(0).double() / max(1, len(codes) - 1)
    lab = ranks * torch.tensor([0.5, 0.24, 0.24]) + torch.tensor([0.38, -0.12, -0.12])
    return _oklab_to_srgb(lab)


def _oklab_to_srgb(lab_N3: Tensor) -> Tensor:
    """(N,3) OKLab -> (N,3) uint8 sRGB; what lies outside the gamut is clipped."""
    linear = (lab_N3.double() @ torch.tensor(_LAB_TO_LMS).double().T) ** 3 @ torch.tensor(_LMS_TO_RGB).double().T
    linear = linear.clamp(0, 1)
    srgb = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (srgb * 255).round().to(torch.uint8)
