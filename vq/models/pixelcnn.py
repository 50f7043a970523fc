"""Gated PixelCNN over the tokens of a grid codec: van den Oord et al. 2016, Conditional Image Generation with PixelCNN
Decoders, arXiv:1606.05328.

Two stacks: the vertical one sees every row above, the horizontal one what stands to the left in the same row, and takes
from the vertical one at each layer. Together they see all that comes before and nothing else: no blind spot. In place
of masked kernels the tokens are shifted once, down for one stack and to the right for the other; the convolutions then
look at their own cell and back. Row and column embeddings tell where on the grid a cell lies.

One table of codes serves reading and predicting (Press and Wolf 2017, arXiv:1608.05859): with thousands of codes most
parameters would stand in such tables.

Shapes: B batch, h, w grid, K codebook size, C width, E code width, D dimension of the codec's codes, r rows of a
vertical kernel (and columns of a horizontal one).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from vq.models.layers import zeroed
from vq.prior import Prior
from vq.sampling import Options

PART = 256  # cells whose logits a training step computes at a time


def code_features(codes_KD: Tensor, width: int) -> Tensor:
    """(K,D) -> (K,width), each column of about unit variance: the codes, then random Fourier features of them (Rahimi
    and Recht 2007, Random Features for Large-Scale Kernel Machines). Codes that lie close get similar rows."""
    x = (codes_KD - codes_KD.mean(0)) / codes_KD.std(0, correction=0).clamp(min=1e-6)
    more, generator = max(width - x.shape[1], 0), torch.Generator().manual_seed(0)
    waves = torch.randn(x.shape[1], more, generator=generator)
    phases = 2 * math.pi * torch.rand(more, generator=generator)
    return torch.cat([x[:, :width], 2**0.5 * (x @ waves + phases).cos()], 1)


def gate(x: Tensor, dim: int = 1) -> Tensor:
    """(..,2C,..) -> (..,C,..): tanh of one half times the sigmoid of the other."""
    a, b = x.chunk(2, dim)
    return a.tanh() * b.sigmoid()


class GatedLayer(nn.Module):
    """One layer of both stacks: (B,C,h,w) twice -> (B,C,h,w) twice."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.reach = kernel // 2
        self.vertical = nn.Conv2d(width, 2 * width, (self.reach + 1, kernel))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.horizontal = nn.Conv2d(width, 2 * width, (1, self.reach + 1))
        self.out = nn.Conv2d(width, width, 1)
        zeroed(self.out)

    def forward(self, above: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
        reach = self.reach
        v = self.vertical(F.pad(above, (reach, reach, reach, 0)))
        x = self.horizontal(F.pad(left, (reach, 0))) + self.link(v)
        return above + gate(v), left + self.out(gate(x))


class PixelCNN(Prior):
    """Tokens (B,h,w) in [0,K) -> logits (B,h,w,K) of each, given those before it.

    width C, depth: layers, kernel: columns a vertical kernel sees, odd; depth * (kernel // 2) must span the grid, or
    there would be a blind spot. code_width E: numbers a code has in the table. The other arguments: see `Prior` and
    `Options`.
    """

    @register_to_config
    def __init__(
        self,
        codebook_size: int = 1024,
        grid: Sequence[int] = (16, 16),
        width: int = 112,
        depth: int = 8,
        kernel: int = 5,
        code_width: int = 64,
        codec: str = "vqvae",
        codebook_sha256: str | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
    ):
        super().__init__()
        h, w = grid
        if kernel % 2 == 0:
            raise ValueError(f"kernel: expected an odd number, got {kernel}")
        if depth * (kernel // 2) < max(h, w) - 1:
            raise ValueError(f"depth: {depth} layers of kernel {kernel} leave a blind spot on a {h}x{w} grid")
        self.describe(codebook_size, (h, w), codec, codebook_sha256, Options(temperature, top_k, top_p))
        self.codes = nn.Embedding(codebook_size, code_width)
        self.above, self.left = (nn.Linear(code_width, width, bias=False) for _ in range(2))
        self.row_hC = nn.Parameter(torch.zeros(h, width))
        self.column_wC = nn.Parameter(torch.zeros(w, width))
        self.width, self.kernel = width, kernel
        self.blocks: Any = nn.ModuleList(GatedLayer(width, kernel) for _ in range(depth))
        self.expand = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, code_width)
        zeroed(self.narrow)
        self.bias_K = nn.Parameter(torch.zeros(codebook_size))
        for place in (self.row_hC, self.column_wC):
            nn.init.normal_(place, std=0.3)

    @torch.no_grad()
    def begin(self, codebook_KD: Tensor) -> None:
        """What is learnt of one code then holds for those like it, from the first step on."""
        self.codes.weight.copy_(code_features(codebook_KD, self.codes.embedding_dim))

    def forward(self, tokens_Brw: Tensor) -> Tensor:
        """tokens (B,r,w), the first r <= h rows -> logits (B,r,w,K) of every token, given those before it."""
        return self.logits(self.features(tokens_Brw))

    def features(self, tokens_Brw: Tensor) -> Tensor:
        """tokens (B,r,w) -> (B,r,w,C): what the horizontal stack makes of the tokens before each."""
        self.check_tokens(tokens_Brw)
        tokens = tokens_Brw.to(self.device)
        place = self.place(0, tokens.shape[1])
        codes = self.codes(tokens)
        above = F.pad(self.above(codes)[:, :-1], (0, 0, 0, 0, 1, 0)) + place
        left = F.pad(self.left(codes)[:, :, :-1], (0, 0, 1, 0)) + place
        above, left = above.permute(0, 3, 1, 2), left.permute(0, 3, 1, 2)
        for layer in self.blocks:
            above, left = layer(above, left)
        return left.permute(0, 2, 3, 1)

    def nats(self, read_Bhw: Tensor, tokens_Bhw: Tensor) -> Tensor:
        """See `Prior.nats`. The logits are computed a few cells at a time, which saves time, not memory: with thousands
        of codes, every operation on all of them would go through the memory instead of the caches."""
        parts = zip(self.features(read_Bhw).flatten(0, 2).split(PART), tokens_Bhw.flatten().split(PART), strict=True)
        sums = [F.cross_entropy(self.logits(features).float(), tokens, reduction="sum") for features, tokens in parts]
        return torch.stack(sums).sum() / tokens_Bhw.numel()

    def place(self, start: int, stop: int) -> Tensor:
        """Where the cells of rows start ... stop - 1 lie: (stop-start,w,C)."""
        return self.row_hC[start:stop, None] + self.column_wC

    def logits(self, left_C: Tensor) -> Tensor:
        """(..,C) -> (..,K)."""
        return F.linear(self.narrow(self.expand(left_C.relu()).relu()), self.codes.weight, self.bias_K)

    def pack(self) -> "PixelCNN":
        """Lay the weights out in memory as the convolutions like them; the values stay. Returns itself."""
        self.to(memory_format=torch.channels_last)
        for layer in (self.expand, self.narrow):
            layer.weight.data = layer.weight.data.T.contiguous().T
        return self

    def start(self, n: int) -> "CachedSteps":
        return CachedSteps(self, n)


class CachedSteps:
    """n growing grids with the features of what has been read: the vertical stack runs once a row, the horizontal one
    once a cell, each on just the cells its kernels reach."""

    def __init__(self, network: PixelCNN, n: int):
        self.network, self.known, self.read = network, 0, 0
        h, w = network.grid
        width, reach = network.width, network.kernel // 2
        options = {"dtype": network.dtype, "device": network.device}
        layers = range(len(network.blocks))
        self.tokens = torch.zeros((n, h, w), dtype=torch.int64, device=network.device)
        # Zero borders stand for the padding of the convolutions.
        self.above = [torch.zeros((n, width, h + reach, w + 2 * reach), **options) for _ in layers]
        self.left = [torch.zeros((n, w + reach, width), **options) for _ in layers]
        self.links: list[Tensor] = []
        self.kernels = [layer.horizontal.weight[:, :, 0].transpose(1, 2).flatten(1) for layer in network.blocks]

    def feed(self, tokens_nm: Tensor) -> Tensor:
        """Append m tokens (n,m) to each grid, m >= 1 except to begin with -> logits (n,K) of the one that follows."""
        w, stop = self.network.grid[1], self.known + tokens_nm.shape[1]
        self.tokens.flatten(1)[:, self.known : stop] = tokens_nm
        self.known = stop
        features = torch.empty(0)
        for row in range(self.read // w, stop // w + 1):
            first, last = max(self.read - row * w, 0), min(stop - row * w, w - 1)
            if first == 0:
                self._read_row(row)
            features = self._read_cells(row, first, last)
        self.read = stop + 1
        return self.network.logits(features[:, -1])

    def _read_row(self, row: int) -> None:
        """The vertical stack at `row`, from the tokens above; leaves what the horizontal stack takes from it."""
        network, reach, w = self.network, self.network.kernel // 2, self.network.grid[1]
        x = network.place(row, row + 1)[0].expand(len(self.tokens), -1, -1)
        if row:
            x = x + network.above(network.codes(self.tokens[:, row - 1]))
        x, self.links = x.transpose(1, 2)[:, :, None], []
        for layer, cache in zip(network.blocks, self.above, strict=True):
            cache[:, :, row + reach, reach : reach + w] = x[:, :, 0]
            v = layer.vertical(cache[:, :, row : row + reach + 1])
            self.links.append((layer.link(v)[:, :, 0] + layer.horizontal.bias[:, None]).transpose(1, 2).contiguous())
            x = x + gate(v)
        for cache in self.left:
            cache.zero_()

    def _read_cells(self, row: int, first: int, last: int) -> Tensor:
        """The horizontal stack at the cells first ... last of `row`: (n,last-first+1,C)."""
        network, reach, n = self.network, self.network.kernel // 2, len(self.tokens)
        count, width = last - first + 1, network.width
        x = network.place(row, row + 1)[:, first : last + 1].expand(n, -1, -1)
        shown = network.left(network.codes(self.tokens[:, row, max(first - 1, 0) : last]))
        x = x + (shown if first else F.pad(shown, (0, 0, 1, 0)))
        for layer, cache, links, kernel in zip(network.blocks, self.left, self.links, self.kernels, strict=True):
            cache[:, first + reach : last + reach + 1] = x
            # Windows of reach + 1 neighbours, overlapping in memory: no copy for a single cell.
            windows = cache[:, first:].as_strided((n, count, (reach + 1) * width), cache.stride(), first * width)
            y = F.linear(windows.flatten(0, 1), kernel).view(n, count, -1) + links[:, first : last + 1]
            x = x + F.linear(gate(y, 2), layer.out.weight[:, :, 0, 0], layer.out.bias)
        return x
