"""Discriminators of pictures.

PatchGAN: Isola et al. 2017, arXiv:1611.07004, as VQ-GAN (arXiv:2012.09841) uses it. On features of a pretrained
network: Sauer et al. 2021, Projected GANs, arXiv:2111.01007, without its random projections.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """(B,3,H,W) in [-1,1] -> logits (B,1,h',w'): one verdict for each overlapping patch, higher meaning real.

    Group norm instead of batch norm: a verdict on one picture must not depend on the others of its batch.
    """

    def __init__(self, widths: Sequence[int] = (64, 128, 256)):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for width_in, width in pairwise(widths):
            layers += [
                nn.Conv2d(width_in, width, 4, stride=2, padding=1, bias=False),
                nn.GroupNorm(min(16, width), width),
                nn.LeakyReLU(0.2),
            ]
        self.net = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, x_B3HW: Tensor) -> Tensor:
        return self.net(x_B3HW)


class FeatureDiscriminator(nn.Module):
    """Activations of a frozen network, one (B,C,h,w) >= 0 for each of `channels` -> as many maps of logits (B,1,h,w).

    Judging what a pretrained network sees takes far fewer pictures than learning to see.
    """

    def __init__(self, channels: Sequence[int], width: int = 64):
        super().__init__()
        self.heads = nn.ModuleList(_head(count, width) for count in channels)

    def forward(self, activations: Sequence[Tensor]) -> list[Tensor]:
        # Activations reach from zero to hundreds; the logarithm brings all taps to one scale.
        return [head(x.log1p()) for head, x in zip(self.heads, activations, strict=True)]


def _head(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, width, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 1, 1),
    )
