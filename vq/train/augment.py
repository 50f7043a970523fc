"""Changed versions of training pictures, for priors: more token grids from the same pictures.

A shift moves the codec's grid over the picture, and with it the 8x8 blocks of a picture once stored as JPEG; a tint
changes colours alone, pixel by pixel, so that blocks stay where they are. Tints follow the colour jitter of Howard 2013
(arXiv:1312.5402): exposure and white balance, contrast, saturation.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

# Luma of ITU-R BT.601, and how far tints go: standard deviations of logarithms, so that up and down are alike.
_LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
STRENGTHS = _EXPOSURE, _BALANCE, _CONTRAST, _SATURATION = 0.12, 0.04, 0.1, 0.2


def views(x_B3HW: Tensor, shifts: int, tints: int, reach: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The pictures themselves, then `shifts` shifted versions, up to `reach` pixels each way, then `tints` tinted.

    A shift is one for all pictures of a version, a tint each picture's own.
    """
    yield x_B3HW
    for dy, dx in torch.randint(-reach, reach + 1, (shifts, 2), generator=generator).tolist():
        yield shifted(x_B3HW, dy, dx)
    for _ in range(tints):
        yield tinted(x_B3HW, generator)


def shifted(x_B3HW: Tensor, dy: int, dx: int) -> Tensor:
    """Pictures moved down by dy and right by dx pixels; what leaves no picture behind is filled by reflection."""
    pad = max(dx, 0), max(-dx, 0), max(dy, 0), max(-dy, 0)
    height, width = x_B3HW.shape[-2:]
    top, left = max(-dy, 0), max(-dx, 0)
    return F.pad(x_B3HW, pad, mode="reflect")[..., top : top + height, left : left + width]


def tinted(x_B3HW: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (B,3,H,W) in [-1,1] with exposure, white balance, contrast and saturation drawn for each; in [-1,1]."""

    def factor(deviation: float, channels: int = 1) -> Tensor:
        return torch.exp(deviation * torch.randn(len(x_B3HW), channels, 1, 1, generator=generator)).to(x_B3HW)

    y = (x_B3HW + 1) / 2 * factor(_EXPOSURE) * factor(_BALANCE, 3)
    y = (y - 0.5) * factor(_CONTRAST) + 0.5
    grey = (y * _LUMA.to(y)).sum(1, keepdim=True)
    return (torch.lerp(grey.expand_as(y), y, factor(_SATURATION)) * 2 - 1).clamp(-1, 1)
