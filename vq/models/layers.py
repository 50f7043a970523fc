"""The few layers every autoencoder here is made of.

Pre-activation residual blocks (He et al. 2016, arXiv:1603.05027) without normalisation: their last convolution starts
at zero, so a fresh network is close to linear and trains stably (Zhang et al. 2019, Fixup, arXiv:1901.09321). Nothing
mixes distant positions, so an edited token changes only the pixels within the decoder's reach, and a picture's size or
its neighbours in the batch change nothing.

Resolution changes through pixel (un)shuffling (Shi et al. 2016, arXiv:1609.05158): full-resolution layers are what
costs most on a CPU.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all its parameters set to zero: what it adds to starts undisturbed."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class ResBlock(nn.Module):
    """(B,C,h,w) -> (B,C,h,w): x + conv(relu(conv(relu(x))))."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        zeroed(self.conv2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x.relu()).relu())


class Up(nn.Module):
    """(B,C,h,w) -> (B,C',2h,2w) by a convolution and a pixel shuffle.

    The four sub-pixels of a cell start with equal weights, which leaves no checkerboard (Aitken et al. 2017, ICNR,
    arXiv:1707.02937).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, kernel, padding=kernel // 2)
        with torch.no_grad():
            for parameter in self.conv.parameters():
                parameter.copy_(parameter[::4].repeat_interleave(4, 0))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(self.conv(x), 2)


def encoder_stack(widths: Sequence[int], depths: Sequence[int]) -> nn.Sequential:
    """(B,3,H,W) -> (B,widths[-1],H/f,W/f) with f = 2 ** len(widths); stage i has depths[i] residual blocks."""
    layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1)]
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if i:
            layers.append(nn.Conv2d(widths[i - 1], width, 4, stride=2, padding=1))
        layers += [ResBlock(width) for _ in range(depth)]
    return nn.Sequential(*layers, nn.ReLU())


def decoder_stack(widths: Sequence[int], depths: Sequence[int]) -> nn.Sequential:
    """(B,widths[-1],h,w) -> (B,3,f*h,f*w), the mirror of `encoder_stack`; the output is not clamped."""
    layers: list[nn.Module] = []
    for i in reversed(range(len(widths))):
        layers += [ResBlock(widths[i]) for _ in range(depths[i])]
        if i:
            layers.append(Up(widths[i], widths[i - 1]))
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(widths[0], 12, 3, padding=1), nn.PixelShuffle(2))


class UNet(nn.Module):
    """(B,3,H,W) -> (B,3,H,W): what to add to a picture. It starts at zero (Ronneberger et al. 2015, arXiv:1505.04597).

    widths: channels at H/2, H/4, ...; depths: residual blocks at each, on the way up.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int]):
        super().__init__()
        steps = list(pairwise(widths))
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1))
        self.down = nn.ModuleList(nn.Conv2d(wide, deep, 4, stride=2, padding=1) for wide, deep in steps)
        self.up = nn.ModuleList(Up(deep, wide, kernel=1) for wide, deep in steps)
        self.blocks = nn.ModuleList(
            nn.Sequential(*[ResBlock(width) for _ in range(depth)]) for width, depth in zip(widths, depths, strict=True)
        )
        self.head = zeroed(nn.Conv2d(widths[0], 12, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        scales = [self.stem(x)]
        for down in self.down:
            scales.append(down(scales[-1].relu()))
        h = self.blocks[-1](scales.pop())
        for up, blocks in zip(reversed(self.up), reversed(self.blocks[:-1]), strict=True):
            h = blocks(up(h.relu()) + scales.pop())
        return nn.functional.pixel_shuffle(self.head(h.relu()), 2)


def deepen(shallow: nn.Module, deep: nn.Module) -> None:
    """Copy a stack's weights into a deeper one of the same widths; the blocks it has more of start as the identity.

    The deep stack then computes what the shallow one did (Chen et al. 2015, Net2Net, arXiv:1511.05641). Raises
    ValueError if the stacks differ in more than their number of residual blocks.
    """
    old = list(_flat(shallow))
    for layer in _flat(deep):
        if isinstance(layer, ResBlock) and not (old and isinstance(old[0], ResBlock)):
            continue
        try:
            layer.load_state_dict(old.pop(0).state_dict())
        except (IndexError, RuntimeError) as error:
            raise ValueError("deepen: the stacks differ in more than their depth") from error
    if old:
        raise ValueError("deepen: the stacks differ in more than their depth")


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of nested Sequentials, in order."""
    if isinstance(module, nn.Sequential):
        for child in module:
            yield from _flat(child)
    else:
        yield module
