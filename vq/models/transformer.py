"""A decoder-only transformer over the tokens of a grid codec, in raster order.

The prior of VQ-GAN (Esser et al. 2021, arXiv:2012.09841, section 3.2) in the manner of GPT-2 (Radford et al. 2019):
pre-norm blocks, causal attention, learned positions, a start token. Where it departs, it learns faster in little time:
a row and a column embedding in place of one for each position; the input names, besides the token before, those above
and above to the right, the nearest that raster order knows; squared ReLU (So et al. 2021, arXiv:2109.08668); no biases
in the blocks and no dropout; branches that start at zero.

Shapes: B batch, T sequence length, h, w grid, K codebook size, C width, N heads, E = C / N.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from vq.prior import Prior
from vq.sampling import Options


class Attention(nn.Module):
    """Causal self-attention: (B,T,C) -> (B,T,C)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def split(self, x_BTC: Tensor) -> Tensor:
        """(B,T,C) -> queries, keys and values (3,B,N,T,E)."""
        B, T, C = x_BTC.shape
        return self.qkv(x_BTC).view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)

    def merge(self, y_BNTE: Tensor) -> Tensor:
        """(B,N,T,E) -> (B,T,C)."""
        return self.out(y_BNTE.transpose(1, 2).flatten(2))

    def forward(self, x_BTC: Tensor) -> Tensor:
        q, k, v = self.split(x_BTC)
        return self.merge(F.scaled_dot_product_attention(q, k, v, is_causal=True))


class Block(nn.Module):
    """(B,T,C) -> (B,T,C): x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.down.weight)

    def mlp(self, x_BTC: Tensor) -> Tensor:
        return self.down(self.up(self.norm2(x_BTC)).relu().square())

    def forward(self, x_BTC: Tensor) -> Tensor:
        x_BTC = x_BTC + self.attention(self.norm1(x_BTC))
        return x_BTC + self.mlp(x_BTC)


class Transformer(Prior):
    """Tokens (B,h,w) in [0,K) -> logits (B,h,w,K) of each, given those before it.

    width C, depth: blocks, heads N (C a multiple of N). The other arguments: see `Prior` and `Options`.
    """

    @register_to_config
    def __init__(
        self,
        codebook_size: int = 1024,
        grid: Sequence[int] = (8, 8),
        width: int = 256,
        depth: int = 8,
        heads: int = 4,
        codec: str = "vqgan",
        codebook_sha256: str | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
    ):
        super().__init__()
        h, w = grid
        if width % heads:
            raise ValueError(f"width: expected a multiple of heads ({heads}), got {width}")
        self.describe(codebook_size, (h, w), codec, codebook_sha256, Options(temperature, top_k, top_p))
        # Row K stands for "nothing": the start of the sequence, and cells beyond the grid's edge.
        self.before, self.above, self.beyond = (nn.Embedding(codebook_size + 1, width) for _ in range(3))
        self.row_h1C = nn.Parameter(torch.zeros(h, 1, width))
        self.column_wC = nn.Parameter(torch.zeros(w, width))
        self.width = width
        self.blocks: Any = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, codebook_size)
        for weight in (self.before.weight, self.above.weight, self.beyond.weight, self.row_h1C, self.column_wC):
            nn.init.normal_(weight, std=0.3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens_Brw: Tensor) -> Tensor:
        """tokens (B,r,w), the first r <= h rows -> logits (B,r,w,K) of every token, given those before it."""
        self.check_tokens(tokens_Brw)
        B, r, w = tokens_Brw.shape
        logits = self.continuation(tokens_Brw.flatten(1)[:, :-1])
        return logits.view(B, r, w, self.codebook_size)

    def continuation(self, tokens_BT: Tensor) -> Tensor:
        """The first T < h * w tokens (B,T) -> logits (B,T+1,K): of the first token, of the one after the first, ..."""
        tokens_BT = tokens_BT.to(self.device)
        count = tokens_BT.shape[1] + 1
        x = self.embed(self.padded(tokens_BT), self.surroundings()[:count], self.places()[:count])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def padded(self, tokens_BT: Tensor) -> Tensor:
        """(B,T) -> (B,w+T): a row of "nothing" before the first token."""
        return F.pad(tokens_BT, (self.grid[1], 0), value=self.codebook_size)

    def surroundings(self) -> Tensor:
        """(T,3) int64, T = h * w: the cells of `padded` that each position is told of: before, above, beyond."""
        h, w = self.grid
        t = torch.arange(h * w, device=self.device)
        # At the right edge there is no cell above to the right, but in raster order the first of the row at hand. Cell
        # 0 of `padded` is always "nothing".
        return torch.stack([w + t - 1, t, torch.where(t % w == w - 1, 0, t + 1)], 1)

    def places(self) -> Tensor:
        """(T,C): row and column of each position."""
        return (self.row_h1C + self.column_wC).flatten(0, 1)

    def embed(self, padded_BP: Tensor, surroundings_m3: Tensor, places_mC: Tensor) -> Tensor:
        """What the network is told before it predicts m positions: (B,m,C), from their rows of the two tables."""
        before, above, beyond = padded_BP[:, surroundings_m3].unbind(2)
        return self.before(before) + self.above(above) + self.beyond(beyond) + places_mC

    def pack(self) -> "Transformer":
        """Lay the weights out in memory as products with few rows like them; the values stay. Returns itself."""
        for block in self.blocks:
            for layer in (block.attention.qkv, block.up, block.down):
                # (out,in) with `out` contiguous: up to twice as fast.
                layer.weight.data = layer.weight.data.T.contiguous().T
        self.head.weight.data = self.head.weight.data.T.contiguous().T
        return self

    def start(self, n: int) -> "CachedSteps":
        return CachedSteps(self, n)


class Layer(NamedTuple):
    """What a step needs of a block, taken out of its modules: their calls would cost more than the products do.

    Matrices are (in,out), views of the weights. keys, values: (n,N,T,E), filled up to what has been read.
    """

    norm1: Tensor
    qkv: Tensor
    out: Tensor
    norm2: Tensor
    up: Tensor
    down: Tensor
    keys: Tensor
    values: Tensor


class CachedSteps:
    """n growing grids with the keys and values of what has been read: a step costs one position, not all of them."""

    def __init__(self, network: Transformer, n: int):
        self.network, self.known, self.read, self.n = network, 0, 0, n
        self.layers = [_layer(block, n, network.grid[0] * network.grid[1]) for block in network.blocks]
        self.surroundings, self.places = network.surroundings(), network.places()
        self.padded = network.padded(torch.full((n, len(self.places)), network.codebook_size, device=network.device))

    def feed(self, tokens_nm: Tensor) -> Tensor:
        """Append m tokens (n,m) to each grid, m >= 1 except to begin with -> logits (n,K) of the one that follows."""
        network, start = self.network, self.read
        w, count = network.grid[1], tokens_nm.shape[1]
        self.padded[:, w + self.known : w + self.known + count] = tokens_nm
        self.known += count
        self.read = stop = self.known + 1
        # Rows are (grid, position) pairs: a step of one position is made of plain matrix products.
        x = network.embed(self.padded, self.surroundings[start:stop], self.places[start:stop]).flatten(0, 1)
        for layer in self.layers:
            y = self._attend(torch.mm(_norm(x, layer.norm1), layer.qkv), layer, start, stop)
            x = torch.addmm(x, y, layer.out)
            y = torch.mm(_norm(x, layer.norm2), layer.up).relu_()
            x = torch.addmm(x, y.mul_(y), layer.down)
        return network.head(network.norm(x.view(self.n, stop - start, -1)[:, -1]))

    def _attend(self, qkv: Tensor, layer: Layer, start: int, stop: int) -> Tensor:
        """qkv (n*m,3C) of the positions start ... stop - 1; keeps keys and values, returns (n*m,C)."""
        heads = layer.keys.shape[1]
        q, k, v = qkv.view(self.n, stop - start, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        layer.keys[:, :, start:stop], layer.values[:, :, start:stop] = k, v
        keys, values = layer.keys[:, :, :stop], layer.values[:, :, :stop]
        seen = None if stop == start + 1 else torch.ones(stop, stop, dtype=torch.bool, device=q.device).tril()[start:]
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=seen)
        return y.transpose(1, 2).reshape(len(qkv), -1)


def _layer(block: Block, n: int, total: int) -> Layer:
    attention, width = block.attention, block.up.in_features
    size = (n, attention.heads, total, width // attention.heads)
    matrices = [layer.weight.T for layer in (attention.qkv, attention.out, block.up, block.down)]
    keys, values = torch.empty(2, *size, dtype=matrices[0].dtype, device=matrices[0].device)
    qkv, out, up, down = matrices
    return Layer(block.norm1.weight, qkv, out, block.norm2.weight, up, down, keys, values)


def _norm(x: Tensor, weight: Tensor) -> Tensor:
    return torch.layer_norm(x, weight.shape, weight)
