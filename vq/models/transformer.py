"""A decoder-only transformer over the tokens of a grid codec, in raster order.

The prior of VQ-GAN (Esser et al. 2021, arXiv:2012.09841, section 3.2) in the manner of GPT-2 (Radford et al. 2019):
pre-norm blocks, causal attention, learned positions, a start token. Where it departs, it learns faster in little time:
a row and a column embedding in place of one for each position; the input names, besides the token before, those above
and above to the right, the nearest that raster order knows; squared ReLU (So et al. 2021, arXiv:2109.08668); no biases
in the blocks; branches that start at zero; dropout, after each branch, only if told.

Shapes: B batch, T sequence length, h, w grid, K codebook size, C width, N heads, E = C / N.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from vq.prior import Prior
from vq.sampling import Options

TILE = 32  # columns: two vector registers of AVX-512, four of AVX2


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
    """(B,T,C) -> (B,T,C): x + attention(norm(x)), then x + mlp(norm(x)), in training with dropout of what is added."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.down.weight)

    def mlp(self, x_BTC: Tensor) -> Tensor:
        return self.down(self.up(self.norm2(x_BTC)).relu().square())

    def forward(self, x_BTC: Tensor) -> Tensor:
        x_BTC = x_BTC + self.drop(self.attention(self.norm1(x_BTC)))
        return x_BTC + self.drop(self.mlp(x_BTC))


class Transformer(Prior):
    """Tokens (B,h,w) in [0,K) -> logits (B,h,w,K) of each, given those before it.

    width C, depth: blocks, heads N (C a multiple of N); dropout acts in training alone. The other arguments: see
    `Prior` and `Options`.
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
        dropout: float = 0.0,
    ):
        super().__init__()
        h, w = grid
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout: expected a share in [0,1), got {dropout!r}")
        if width % heads:
            raise ValueError(f"width: expected a multiple of heads ({heads}), got {width}")
        self.describe(codebook_size, (h, w), codec, codebook_sha256, Options(temperature, top_k, top_p))
        # Row K stands for "nothing": the start of the sequence, and cells beyond the grid's edge.
        self.before, self.above, self.beyond = (nn.Embedding(codebook_size + 1, width) for _ in range(3))
        self.row_h1C = nn.Parameter(torch.zeros(h, 1, width))
        self.column_wC = nn.Parameter(torch.zeros(w, width))
        self.width = width
        self.blocks: Any = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, codebook_size)
        self.packed: Packed | None = None
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
        """Lay the weights out in memory as products with few rows like them; the values stay. Returns itself.

        Call it again once the weights have changed or moved: for a single row it keeps a copy of them.
        """
        for block in self.blocks:
            for layer in (block.attention.qkv, block.up, block.down):
                # (out,in) with `out` contiguous: up to twice as fast.
                layer.weight.data = layer.weight.data.T.contiguous().T
        self.head.weight.data = self.head.weight.data.T.contiguous().T
        self.packed = Packed.of(self, tiled=True)
        return self

    def start(self, n: int) -> "CachedSteps":
        return CachedSteps(self, n)


class Product(NamedTuple):
    """Products with a weight (out,in): a view (in,out) of it and, for a single row, tiles (out/TILE,in,TILE) or None.

    A product with a single row is as fast as the weight is read. Tile by tile it is read in the order in which it lies
    in memory: up to three times as fast.
    """

    matrix: Tensor
    tiles: Tensor | None

    @classmethod
    def of(cls, weight: Tensor, tiled: bool) -> "Product":
        if not tiled or len(weight) % TILE:
            return cls(weight.T, None)
        return cls(weight.T, weight.detach().unflatten(0, (-1, TILE)).transpose(1, 2).contiguous())

    def __call__(self, x: Tensor) -> Tensor:
        """(rows,in) -> (rows,out)."""
        if self.tiles is None or len(x) > 1:
            return torch.mm(x, self.matrix)
        return torch.bmm(x.expand(len(self.tiles), 1, -1), self.tiles).view(1, -1)

    def add(self, to: Tensor, x: Tensor) -> Tensor:
        """to (rows,out) or (out,), x (rows,in) -> to + x times the weight, (rows,out)."""
        if self.tiles is None or len(x) > 1:
            return torch.addmm(to, x, self.matrix)
        return torch.baddbmm(to.view(-1, 1, TILE), x.expand(len(self.tiles), 1, -1), self.tiles).view(1, -1)


class Layer(NamedTuple):
    """What a step needs of a block, taken out of its modules: their calls would cost more than the products do."""

    norm1: Tensor
    qkv: Product
    out: Product
    norm2: Tensor
    up: Product
    down: Product


class Packed(NamedTuple):
    """What a step needs of a network."""

    layers: list[Layer]
    norm: Tensor
    head: Product

    @classmethod
    def of(cls, network: Transformer, tiled: bool) -> "Packed":
        layers = []
        for block in network.blocks:
            linear = (block.attention.qkv, block.attention.out, block.up, block.down)
            qkv, out, up, down = (Product.of(layer.weight, tiled) for layer in linear)
            layers.append(Layer(block.norm1.weight, qkv, out, block.norm2.weight, up, down))
        return cls(layers, network.norm.weight, Product.of(network.head.weight, tiled))


class CachedSteps:
    """n growing grids with the keys and values of what has been read: a step costs one position, not all of them."""

    def __init__(self, network: Transformer, n: int):
        self.network, self.known, self.read, self.n = network, 0, 0, n
        self.packed = network.packed or Packed.of(network, tiled=False)
        self.bias, self.places = network.head.bias, network.places()
        total, tables = len(self.places), (network.before.weight, network.above.weight, network.beyond.weight)
        self.padded = network.padded(torch.full((n, total), network.codebook_size, device=network.device))
        # The three tables as one, and the rows in it that each position is told of.
        self.table = torch.cat(tables)
        self.offsets = torch.arange(3, device=network.device) * len(tables[0])
        self.surroundings = network.surroundings()
        # Queries, keys and values of each layer: (L,3,n*N,T,E), and the same as `qkv` gives them: (L,n,T,3,N,E).
        depth, heads = len(network.blocks), network.blocks[0].attention.heads
        size = (depth, 3, n * heads, total, network.width // heads)
        self.kept = torch.empty(size, dtype=self.table.dtype, device=self.table.device)
        self.rows = self.kept.unflatten(2, (n, heads)).permute(0, 2, 4, 1, 3, 5)
        self.scale, self.zero = size[-1] ** -0.5, self.kept.new_zeros(1)

    def feed(self, tokens_nm: Tensor) -> Tensor:
        """Append m tokens (n,m) to each grid, m >= 1 except to begin with -> logits (n,K) of the one that follows."""
        start, after = self.read, self.network.grid[1] + self.known
        self.padded[:, after : after + tokens_nm.shape[1]] = tokens_nm
        self.known += tokens_nm.shape[1]
        self.read = stop = self.known + 1
        # Rows are (grid, position) pairs: a step of one position is made of plain matrix products.
        x = self._embed(start, stop).flatten(0, 1)
        unseen = self._unseen(stop - start, stop)
        for layer, cache in zip(self.packed.layers, self._caches(start, stop), strict=True):
            y = self._attend(layer.qkv(_norm(x, layer.norm1)), cache, unseen)
            x = layer.out.add(x, y)
            y = layer.up(_norm(x, layer.norm2)).relu_()
            x = layer.down.add(x, y.mul_(y))
        last = x.view(self.n, stop - start, -1)[:, -1]
        return self.packed.head.add(self.bias, _norm(last, self.packed.norm))

    def _embed(self, start: int, stop: int) -> Tensor:
        """`Transformer.embed` of the positions start ... stop - 1, in fewer operations: (n,m,C)."""
        cells = self.padded[:, self.surroundings[start:stop]] + self.offsets
        return torch.embedding(self.table, cells).sum(2).add_(self.places[start:stop])

    def _caches(self, start: int, stop: int) -> Iterator[tuple[Tensor, ...]]:
        """Of each layer: where to keep the new positions (n,m,3,N,E), their queries (n*N,m,E), all keys and values."""
        # Views of all layers at once: one by one they would cost more than the attention does.
        queries, keys, values = self.kept.unbind(1)
        keys = keys[:, :, :stop].transpose(2, 3)
        views = (self.rows[:, :, start:stop], queries[:, :, start:stop], keys, values[:, :, :stop])
        return zip(*(view.unbind(0) for view in views), strict=True)

    def _attend(self, qkv: Tensor, cache: tuple[Tensor, ...], unseen: Tensor) -> Tensor:
        """qkv (n*m,3C) of the positions read last; keeps keys and values, returns (n*m,C).

        Two products: with so few queries, `scaled_dot_product_attention` takes longer.
        """
        new, queries, keys, values = cache
        new.copy_(qkv.view(new.shape))
        weights = torch.baddbmm(unseen, queries, keys, alpha=self.scale).softmax(2)
        return torch.bmm(weights, values).view(self.n, -1, *queries.shape[1:]).transpose(1, 2).reshape(len(qkv), -1)

    def _unseen(self, m: int, stop: int) -> Tensor:
        """What is added to the scores of the last m of `stop` positions: -inf for those after them, (m,stop)."""
        if m == 1:
            return self.zero
        return torch.full((m, stop), -torch.inf, dtype=self.zero.dtype, device=self.zero.device).triu(stop - m + 1)


def _norm(x: Tensor, weight: Tensor) -> Tensor:
    return torch.layer_norm(x, weight.shape, weight)
