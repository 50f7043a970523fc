"""SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360) as a feature extractor: inference and gradients, no training.

Feature distances in the manner of Zhang et al. 2018 (arXiv:1801.03924), but with unit weights in place of their fitted
heads: a "SqueezeNet feature distance", not LPIPS.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

TAPS = (1, 4, 7, 9, 10, 11, 12)
TAP_CHANNELS = (64, 128, 256, 384, 384, 512, 512)
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class Fire(nn.Module):
    def __init__(self, channels: int, squeeze: int, expand: int):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu()


class SqueezeNet(nn.Module):
    """The convolutional part of SqueezeNet 1.1. Pictures are (B,3,H,W) in [-1,1], H and W at least 32."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool()),
            *(Fire(64, 16, 64), Fire(128, 16, 64), pool()),
            *(Fire(128, 32, 128), Fire(256, 32, 128), pool()),
            *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
        )
        # torch's pictures are in [-1,1]; ImageNet's statistics are for [0,1]: x/2 + 1/2 is folded in here.
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1) * 2 - 1, persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1) * 2, persistent=False)

    @classmethod
    def from_file(cls, path: str | Path) -> "SqueezeNet":
        """Load a safetensors state dict in torchvision's layout; its classifier is left aside. Frozen, eval mode."""
        state = {k: v for k, v in load_file(path).items() if k.startswith("features.")}
        model = cls()
        model.load_state_dict(state, strict=True)
        return model.eval().requires_grad_(False)

    def activations(self, x_B3HW: Tensor) -> list[Tensor]:
        """What the network sees after TAPS: (B,C,h,w) each, none negative, C from TAP_CHANNELS."""
        x, taps = (x_B3HW - self.mean) / self.std, []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in TAPS:
                taps.append(x)
        return taps

    def distance(self, x_B3HW: Tensor, y_B3HW: Tensor) -> Tensor:
        """Feature distance (B,), see `activation_distance`."""
        return activation_distance(self.activations(x_B3HW), self.activations(y_B3HW))

    def pooled(self, x_B3HW: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,512): the last activations averaged over positions."""
        return self.features((x_B3HW - self.mean) / self.std).mean((2, 3))


def activation_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """(B,): squared difference of activations of unit length over channels, mean over positions, summed over taps."""
    pairs = zip(map(_unit, a), map(_unit, b), strict=True)
    return torch.stack([(x - y).square().sum(1).mean((1, 2)) for x, y in pairs]).sum(0)


def texture_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """(B,): how far the mean and the deviation of every channel of b are from those of a, relative to a's size.

    Squared differences over squared lengths, averaged over taps. Where a texture lies counts for nothing, how much of
    it there is for all: what is left of the Gram matrices of Gatys et al. 2015 (arXiv:1505.07376) on their diagonal, in
    the form of Huang & Belongie 2017 (arXiv:1703.06868).
    """
    terms = []
    for x, y in zip(map(_moments, a), map(_moments, b), strict=True):
        terms.append((x - y).square().sum(1) / (x.square().sum(1) + 1e-6))
    return torch.stack(terms).mean(0)


def _moments(x_BChw: Tensor) -> Tensor:
    """(B,2C): mean and standard deviation over positions."""
    variance, mean = torch.var_mean(x_BChw.flatten(2), 2, correction=0)
    return torch.cat([mean, (variance + 1e-6).sqrt()], 1)


def _unit(x_BChw: Tensor) -> Tensor:
    return x_BChw * torch.rsqrt(x_BChw.square().sum(1, keepdim=True) + 1e-10)
