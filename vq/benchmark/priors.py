"""Priors: sampling with incremental state beside the naive loop, beside `transformers`' GPT-2, and beside the memory.

The peer is GPT2LMHeadModel.generate with its key/value cache, of the same width, depth and heads, in float32, with
random weights, which changes no time. Tokens are drawn at temperature 1 from all codes, but for whole pictures, which
are drawn as the prior does by default.
"""

import argparse
from collections.abc import Callable, Sequence
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--transformer", default="transformer", metavar="NAME_OR_PATH", help="a transformer prior")
    parser.add_argument("--pixelcnn", default="pixelcnn", metavar="NAME_OR_PATH", help="a PixelCNN prior")
    parser.add_argument("--codecs", nargs=2, metavar=("T", "P"), help="their codecs (default: those they name)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16], help="grids drawn together")
    parser.add_argument("--grow-tokens", type=int, nargs="*", default=[64, 256, 1024], help="tokens for the growth")
    parser.add_argument("--grow-batches", type=int, nargs="*", default=[1, 4, 16, 64], help="batches for the growth")
    parser.add_argument("--rounds", type=int, default=7, help="turns of which the median counts")


def measure(args: argparse.Namespace) -> list[Table]:
    transformer, pixelcnn = (cast(Prior, load_prior(name)) for name in (args.transformer, args.pixelcnn))
    if not isinstance(transformer, Transformer) or not isinstance(pixelcnn, PixelCNN):
        raise ValueError("expected a transformer and a PixelCNN")
    priors = {"transformer": transformer, "PixelCNN": pixelcnn}
    codecs = [load(name) for name in args.codecs or (transformer.codec, pixelcnn.codec)]
    tables = [
        _against_naive(priors, args),
        _against_gpt2(transformer, args),
        _pictures(priors, codecs, args),
        _floor(transformer, args),
        _growth(transformer, args),
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
            seconds = medians(tasks, args.rounds, warm_up=1)
            naive = seconds["naive"] * total / count
            rows.append([name, n, total, seconds["cached"], naive, naive / seconds["cached"]])
    note = f"naive: a forward pass over the rows so far for each token, timed on {NAIVE_POSITIONS} positions and scaled"
    return Table("incremental and naive", ["", "batch", "tokens", "ours s", "naive s", "naive / ours"], rows, note)


def _against_gpt2(prior: Transformer, args: argparse.Namespace) -> Table:
    total, peer = prior.grid[0] * prior.grid[1], _gpt2(prior)
    rows: list[Sequence[Cell]] = []
    for n in args.batches:
        tasks = {"ours": partial(_plain, prior, n), "peer": partial(_generate, peer, n, total)}
        seconds = medians(tasks, args.rounds)
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
    return peer.eval().requires_grad_(False)


def _generate(peer: Any, n: int, total: int) -> Tensor:
    start = torch.full((n, 1), peer.config.bos_token_id)
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
    rows: list[list[Cell]] = [[name, seconds] for name, seconds in medians(tasks, args.rounds, warm_up=1).items()]
    return Table("pictures, decoding included", ["", "s"], rows)


@torch.inference_mode()
def _draw(prior: Prior, codec: Codec, n: int) -> Tensor:
    return codec.decode(codec.lookup(prior.sample(n)))


def _floor(prior: Transformer, args: argparse.Namespace) -> Table:
    """How near the transformer comes to reading its weights and its cache once a token, and doing nothing else."""
    config, total = cast(Any, prior.config), prior.grid[0] * prior.grid[1]
    weights = 4 * sum(p.numel() for p in (*prior.blocks.parameters(), *prior.head.parameters()))
    bandwidth = _bandwidth(weights)
    rows: list[Sequence[Cell]] = []
    for n in args.batches:
        # Keys and values of every layer, half of the sequence on average.
        cache = 4 * n * 2 * config.depth * config.width * total / 2
        seconds = medians({"ours": partial(_plain, prior, n)}, args.rounds)["ours"] / total
        floor = (weights + cache) / bandwidth
        rows.append([f"batch {n}", weights / 1e6, cache / 1e6, 1e3 * floor, 1e3 * seconds, seconds / floor])
    columns = ["", "weights MB", "cache MB", "floor ms", "ours ms", "ours / floor"]
    note = f"a token; {bandwidth / 1e9:.1f} GB/s measured reading a block as large as the weights"
    return Table("the transformer and the memory", columns, rows, note)


def _bandwidth(size: int) -> float:
    """Bytes per second of reading a block of `size` bytes again and again, caches included."""
    block = torch.ones(size // 4)
    return 4 * block.numel() / medians({"read": block.sum}, rounds=15)["read"]


def _growth(prior: Transformer, args: argparse.Namespace) -> Table:
    config = cast(Any, prior.config)
    side = {total: (total // 8, 8) if total < 256 else (16, total // 16) for total in args.grow_tokens}
    tasks: dict[tuple[int, int], Callable[[], object]] = {}
    for total, grid in side.items():
        wider = Transformer(prior.codebook_size, grid, config.width, config.depth, config.heads).eval()
        tasks |= {(total, n): partial(_plain, wider, n) for n in args.grow_batches}
    rows: list[Sequence[Cell]] = []
    for (total, n), task in tasks.items():
        seconds = medians({"ours": task}, rounds=max(1, args.rounds // 3), warm_up=1)["ours"]
        rows.append([f"{total} tokens, batch {n}", seconds, n * total / seconds, 1e3 * seconds / total])
    return Table("growth of the transformer", ["", "s", "tokens/s", "ms a position"], rows)
