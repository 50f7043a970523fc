"""Priors: sampling with incremental state beside the naive loop, beside `transformers`' GPT-2, and beside the memory.

The peer is GPT2LMHeadModel.generate with its key/value cache, of the same width, depth and heads, in float32, with
random weights, which changes no time. Tokens are drawn at temperature 1 from all codes, but for whole pictures, which
are drawn as the prior does by default.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from vq import sampling
from vq.benchmark.report import Cell, Table, medians
from vq.codec import Codec
from vq.hub import load, load_prior
from vq.models.pixelcnn import PixelCNN
from vq.models.transformer import Transformer
from vq.prior import Prior
from vq.sampling import Options

NAIVE_POSITIONS = 8
BUDGET = 20.0  # seconds of a row, if three turns take no longer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--transformer", default="transformer", metavar="NAME_OR_PATH", help="a transformer prior")
    parser.add_argument("--pixelcnn", default="pixelcnn", metavar="NAME_OR_PATH", help="a PixelCNN prior")
    parser.add_argument("--codecs", nargs=2, metavar=("T", "P"), help="their codecs (default: those they name)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16], help="grids drawn together")
    parser.add_argument(
        "--grow-tokens", type=int, nargs="*", default=[64, 128, 256, 512, 1024], help="tokens for the growth"
    )
    parser.add_argument("--grow-batches", type=int, nargs="*", default=[1, 4, 16, 64], help="batches for the growth")
    parser.add_argument("--rounds", type=int, default=7, help="turns of which the median counts")
    parser.add_argument("--device", default="cpu")


def measure(args: argparse.Namespace) -> list[Table]:
    names = (args.transformer, args.pixelcnn)
    transformer, pixelcnn = (cast(Prior, load_prior(name, device=args.device)) for name in names)
    if not isinstance(transformer, Transformer) or not isinstance(pixelcnn, PixelCNN):
        raise ValueError("expected a transformer and a PixelCNN")
    priors = {"transformer": transformer, "PixelCNN": pixelcnn}
    codecs = [load(name, args.device) for name in args.codecs or (transformer.codec, pixelcnn.codec)]
    tables = [
        _against_naive(priors, args),
        _against_gpt2(transformer, args),
        _pictures(priors, codecs, args),
        _floor(priors, args),
        _growth_tokens(transformer, args),
        *(_growth_batch(name, prior, args) for name, prior in priors.items()),
    ]
    return [table for table in tables if table.rows]


def _plain(prior: Prior, n: int) -> Tensor:
    """n grids as the peers draw theirs."""
    return prior.sample(n, temperature=1.0, top_k=0, top_p=1.0)


def _against_naive(priors: dict[str, Prior], args: argparse.Namespace) -> Table:
    rows: list[Sequence[Cell]] = []
    for name, prior in priors.items():
        total = prior.grid[0] * prior.grid[1]
        count = min(NAIVE_POSITIONS, total)
        positions = [(2 * i + 1) * total // (2 * count) for i in range(count)]
        for n in args.batches:
            tasks: dict[str, Callable[[], object]] = {
                "cached": partial(_plain, prior, n),
                "naive": partial(sampling.naive, prior, n, 0, Options(), positions),
            }
            seconds = medians(tasks, args.rounds, warm_up=1, budget=BUDGET)
            naive = seconds["naive"] * total / count
            rows.append([f"{name}, batch {n}", total, seconds["cached"], naive, naive / seconds["cached"]])
    note = f"naive: a forward pass over the rows so far for each token, timed on {NAIVE_POSITIONS} positions and scaled"
    return Table("incremental and naive", ["", "tokens", "ours s", "naive s", "naive / ours"], rows, note)


def _against_gpt2(prior: Transformer, args: argparse.Namespace) -> Table:
    total, peer = prior.grid[0] * prior.grid[1], _gpt2(prior)
    rows: list[Sequence[Cell]] = []
    for n in args.batches:
        tasks = {"ours": partial(_plain, prior, n), "peer": partial(_generate, peer, n, total)}
        seconds = medians(tasks, args.rounds, budget=BUDGET)
        rates = [n * total / seconds[key] for key in ("ours", "peer")]
        rows.append([f"batch {n}", *rates, rates[0] / rates[1]])
    config = cast(Any, prior.config)
    note = f"width {config.width}, depth {config.depth}, {config.heads} heads, {total} tokens, key/value caches"
    return Table("tokens per second", ["", "ours", "GPT-2 generate", "ours / GPT-2"], rows, note)


def _gpt2(prior: Transformer) -> Any:
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError as error:
        raise ValueError("this part compares with the package transformers: pip install transformers") from error
    config, start = cast(Any, prior.config), prior.codebook_size
    peer = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=prior.codebook_size + 1,
            n_positions=prior.grid[0] * prior.grid[1] + 1,
            n_embd=config.width,
            n_layer=config.depth,
            n_head=config.heads,
            bos_token_id=start,
            eos_token_id=None,
        )
    )
    return peer.to(prior.device).eval().requires_grad_(False)


def _generate(peer: Any, n: int, total: int) -> Tensor:
    start = torch.full((n, 1), peer.config.bos_token_id, device=peer.device)
    options = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "pad_token_id": start[0, 0].item()}
    with torch.inference_mode():
        tokens = peer.generate(start, attention_mask=torch.ones_like(start), max_new_tokens=total, **options)
    if tokens.shape[1] != total + 1:
        raise RuntimeError(f"GPT-2 stopped after {tokens.shape[1] - 1} of {total} tokens")
    return cast(Tensor, tokens)


def _pictures(priors: dict[str, Prior], codecs: Sequence[Codec], args: argparse.Namespace) -> Table:
    tasks = {
        f"16 by the {name}": partial(_draw, prior, codec, 16)
        for (name, prior), codec in zip(priors.items(), codecs, strict=True)
    }
    rows: list[list[Cell]] = [[name, seconds] for name, seconds in medians(tasks, args.rounds, 1, BUDGET).items()]
    return Table("pictures, decoding included", ["", "s"], rows)


@torch.inference_mode()
def _draw(prior: Prior, codec: Codec, n: int) -> Tensor:
    return codec.decode(codec.lookup(prior.sample(n)))


def _floor(priors: Mapping[str, Prior], args: argparse.Namespace) -> Table:
    """How near a prior comes to reading its weights and its cache once a token, and doing nothing else."""
    rows: list[Sequence[Cell]] = []
    speeds = []
    for name, prior in priors.items():
        total = prior.grid[0] * prior.grid[1]
        weights, cache = touched(prior)
        bandwidth = _bandwidth(weights, prior.device)
        speeds.append(f"{bandwidth / 1e9:.1f}")
        for n in args.batches:
            seconds = medians({"ours": partial(_plain, prior, n)}, args.rounds, 1, BUDGET)["ours"] / total
            floor = (weights + n * cache) / bandwidth
            sizes = [weights / 1e6, n * cache / 1e6]
            rows.append([f"{name}, batch {n}", *sizes, 1e3 * floor, 1e3 * seconds, seconds / floor])
    columns = ["", "weights MB", "cache MB", "floor ms", "ours ms", "ours / floor"]
    note = f"a token; {' and '.join(speeds)} GB/s measured reading a block as large as the weights"
    return Table("the priors and the memory", columns, rows, note)


def touched(prior: Prior) -> tuple[int, int]:
    """Bytes read for a token at least: of weights, and for each grid of what is kept of the tokens before it."""
    config, total = cast(Any, prior.config), prior.grid[0] * prior.grid[1]
    if isinstance(prior, Transformer):
        used: list[Any] = [*prior.blocks.parameters(), *prior.head.parameters()]
        # Keys and values of every layer, half of the sequence on average.
        return 4 * sum(p.numel() for p in used), 4 * 2 * config.depth * config.width * total // 2
    # The vertical stack runs once a row, so a token bears its share of it.
    blocks, (_, columns), reach = list(cast(PixelCNN, prior).blocks), prior.grid, config.kernel // 2
    network = cast(PixelCNN, prior)
    rowwise = [network.above, *(layer for b in blocks for layer in (b.vertical, b.link))]
    by_row = sum(p.numel() for layer in rowwise for p in layer.parameters())
    parts = [*blocks, network.above, network.left, network.expand, network.narrow, network.codes]
    by_cell = network.bias_K.numel() + sum(p.numel() for part in parts for p in part.parameters()) - by_row
    # Of every layer the neighbours to the left, those above, and what the vertical stack hands on.
    kept = config.depth * config.width * ((reach + 1) + (reach + 1) + 2)
    return 4 * (by_cell + by_row // columns), 4 * kept


def _bandwidth(size: int, device: torch.device) -> float:
    """Bytes per second of reading a block of `size` bytes again and again, caches included."""
    block = torch.ones(size // 4, device=device)
    return 4 * block.numel() / medians({"read": block.sum}, rounds=15)["read"]


def _growth_tokens(prior: Transformer, args: argparse.Namespace) -> Table:
    """Networks like `prior` over larger grids."""
    config = cast(Any, prior.config)
    rows: list[Sequence[Cell]] = []
    for total in args.grow_tokens:
        grid = (total // 8, 8) if total < 256 else (16, total // 16)
        wider = Transformer(prior.codebook_size, grid, config.width, config.depth, config.heads)
        wider = cast(Transformer, wider.to(prior.device).eval().pack())
        seconds = medians({"ours": partial(_plain, wider, 1)}, args.rounds, 1, BUDGET)["ours"]
        rows.append([f"{total:,} tokens", total, seconds, total / seconds, 1e3 * seconds / total])
    columns = ["", "tokens", "s", "tokens/s", "ms a token"]
    return Table("growth with the tokens, transformer, batch 1", columns, rows)


def _growth_batch(name: str, prior: Prior, args: argparse.Namespace) -> Table:
    total = prior.grid[0] * prior.grid[1]
    rows: list[Sequence[Cell]] = []
    for n in args.grow_batches:
        seconds = medians({"ours": partial(_plain, prior, n)}, args.rounds, 1, BUDGET)["ours"]
        rows.append([f"batch {n}", n, seconds, n * total / seconds, 1e3 * seconds / total])
    columns = ["", "batch", "s", "tokens/s", "ms a position"]
    return Table(f"growth with the batch, {name}, {total} tokens", columns, rows)
