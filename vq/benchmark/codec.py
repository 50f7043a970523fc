"""Encode and decode: our VQ-VAE beside diffusers' VQModel with as many parameters and the same factor, float32.

The peer gets the narrowest full-resolution layers that its parameter count allows, which makes it as fast as it can be,
and both memory layouts; weights are random, which changes no time. AutoencoderTiny and AutoencoderKL stand beside it at
the sizes that everybody downloads: those of madebyollin/taesd and of stabilityai/sd-vae-ft-mse.
"""

import argparse
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, VQModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vq.benchmark.report import Cell, Table, matmul_peak, medians
from vq.hub import load
from vq.models.vqvae import VQVAE

TOLERANCE = 0.03
BUDGET = 60.0  # seconds of a table, if three turns take no longer
PUBLIC = {"AutoencoderTiny": 2_445_063, "AutoencoderKL": 83_653_863}  # their parameters
KL_CONFIG: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}


@dataclass(frozen=True)
class Contestant:
    """A codec under the clock: x (B,3,H,W) -> latent -> (B,3,H,W)."""

    name: str
    model: nn.Module
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]

    def round_trip(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="vqvae", metavar="NAME_OR_PATH", help="a quantised codec (default: vqvae)")
    parser.add_argument("--size", type=int, default=256, metavar="S", help="side of the picture both work on")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512], help="sides for the growth")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64], help="batch sizes for the growth")
    parser.add_argument(
        "--public", nargs="*", choices=list(PUBLIC), default=list(PUBLIC), help="peers of public size (default: both)"
    )
    parser.add_argument("--rounds", type=int, default=9, help="turns of which the median counts")
    parser.add_argument("--device", default="cpu")


@torch.inference_mode()
def measure(args: argparse.Namespace) -> list[Table]:
    codec = cast(VQVAE, load(args.model, args.device))
    if not isinstance(codec, VQVAE):
        raise ValueError(f"{args.model}: only codecs of this project that quantise have a peer to race against")
    ours = Contestant("ours", codec, lambda x: codec.encode(x).z, codec.decode)
    peer = build_peer(ours.parameters, codec).to(args.device)
    rivals = [_contestant("VQModel", peer), _contestant("VQModel, channels-last", _channels_last(peer))]
    peak = matmul_peak(torch.device(args.device))
    tables = [_race([ours, *rivals], args, peak)]
    if args.public:
        tables.append(_beside_public(ours, args, peak))
    return [
        *tables,
        _growth("growth with the picture's side, batch 1", ours, [(1, s) for s in args.sizes], args),
        _growth(
            f"growth with the batch, {codec.image_size} px", ours, [(b, codec.image_size) for b in args.batches], args
        ),
    ]


def build_peer(parameters: int, codec: VQVAE) -> nn.Module:
    """A VQModel with the codec's factor, codes and, within 3 %, its number of parameters. Raises ValueError."""
    blocks = codec.factor.bit_length()
    for width in range(8, 513, 4):
        widths = [width * 2**i for i in range(blocks - 1)]
        for last in range(widths[-1], 2 * widths[-1] + 1, 4):
            config = _peer_config([*widths, last], codec)
            with torch.device("meta"):
                count = sum(p.numel() for p in cast(nn.Module, VQModel(**config)).parameters())
            if abs(count / parameters - 1) <= TOLERANCE:
                return cast(nn.Module, VQModel(**config)).eval().requires_grad_(False)
            if count > parameters * (1 + TOLERANCE):
                break
    raise ValueError(f"no VQModel with {parameters:,} parameters within {TOLERANCE:.0%}")


def _peer_config(widths: Sequence[int], codec: VQVAE) -> dict[str, Any]:
    dim = cast(Any, codec.config).code_dim
    return {
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "layers_per_block": 1,
        "mid_block_add_attention": False,
        "norm_num_groups": 4,
        "latent_channels": dim,
        "vq_embed_dim": dim,
        "num_vq_embeddings": codec.codebook_size,
    }


def _channels_last(model: nn.Module) -> nn.Module:
    return cast(Any, copy.deepcopy(model)).to(memory_format=torch.channels_last)


def build_public(name: str) -> nn.Module:
    """A peer of PUBLIC with random weights."""
    model = AutoencoderTiny() if name == "AutoencoderTiny" else AutoencoderKL(**KL_CONFIG)
    return cast(nn.Module, model).eval().requires_grad_(False)


def _public(name: str, layout: str, model: Any) -> Contestant:
    def encode(x: Tensor) -> Tensor:
        made = model.encode(x)
        return made.latents if hasattr(made, "latents") else made.latent_dist.mode()

    return Contestant(name + layout, model, encode, lambda z: model.decode(z).sample)


def _contestant(name: str, model: Any) -> Contestant:
    # decode() quantises first: our encode() does that, so the sums compare and the halves don't quite.
    return Contestant(name, model, lambda x: model.encode(x).latents, lambda z: model.decode(z).sample)


def _race(contestants: Sequence[Contestant], args: argparse.Namespace, peak: float) -> Table:
    x = _noise(1, args.size, args.device)
    tasks: dict[str, Callable[[], object]] = {}
    for c in contestants:
        z = c.encode(x)
        tasks |= {
            f"{c.name}/encode": partial(c.encode, x),
            f"{c.name}/decode": partial(c.decode, z),
            f"{c.name}/both": partial(c.round_trip, x),
        }
    seconds = medians(tasks, args.rounds, budget=BUDGET)
    fastest = min(seconds[f"{c.name}/both"] for c in contestants[1:])
    rows: list[Sequence[Cell]] = []
    for c in contestants:
        both, flops = seconds[f"{c.name}/both"], _flops(c, x)
        halves = [1000 * seconds[f"{c.name}/{half}"] for half in ("encode", "decode")]
        rate = flops / both
        rows.append(
            [c.name, c.parameters, *halves, 1000 * both, both / fastest, flops / 1e9, rate / 1e9, f"{rate / peak:.0%}"]
        )
    columns = ["", "parameters", "encode ms", "decode ms", "both ms", "x peer", "GFLOP", "GFLOP/s", "of peak"]
    note = (
        f"peak: {peak / 1e9:.0f} GFLOP/s in a 2048x2048 matrix product. x peer: time over that of the faster VQModel."
    )
    return Table(f"encode + decode of one {args.size} px picture", columns, rows, note)


def _beside_public(ours: Contestant, args: argparse.Namespace, peak: float) -> Table:
    """Round trips only: the largest peer takes seconds for one."""
    contestants = [ours]
    for name in args.public:
        peer = build_public(name).to(args.device)
        contestants += [_public(name, "", peer), _public(name, ", channels-last", _channels_last(peer))]
    x = _noise(1, args.size, args.device)
    flops = {c.name: _flops(c, x) for c in contestants}  # warms up, too
    seconds = medians({c.name: partial(c.round_trip, x) for c in contestants}, args.rounds, 0, BUDGET)
    rows: list[Sequence[Cell]] = []
    for c in contestants:
        both, rate = seconds[c.name], flops[c.name] / seconds[c.name]
        share = f"{rate / peak:.0%}"
        rows.append(
            [c.name, c.parameters, 1000 * both, both / seconds[ours.name], flops[c.name] / 1e9, rate / 1e9, share]
        )
    columns = ["", "parameters", "both ms", "x ours", "GFLOP", "GFLOP/s", "of peak"]
    note = "factor 8, random weights; theirs are the sizes of taesd and of sd-vae-ft-mse"
    return Table(f"public sizes: one {args.size} px picture", columns, rows, note)


def _growth(title: str, ours: Contestant, shapes: Sequence[tuple[int, int]], args: argparse.Namespace) -> Table:
    inputs = {f"{b} x {s} px": _noise(b, s, args.device) for b, s in shapes}
    tasks = {name: partial(ours.round_trip, x) for name, x in inputs.items()}
    seconds = medians(tasks, args.rounds, budget=BUDGET)
    rows: list[Sequence[Cell]] = []
    for (batch, side), (name, value) in zip(shapes, seconds.items(), strict=True):
        rows.append([name, batch, side, 1000 * value, batch / value, 1e9 * value / (batch * side**2)])
    return Table(title, ["", "batch", "side", "ms", "pictures/s", "ns a pixel"], rows)


def _flops(contestant: Contestant, x: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        contestant.round_trip(x)
    return counter.get_total_flops()


def _noise(batch: int, size: int, device: str) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(batch, 3, size, size, generator=generator) * 2 - 1).to(device)
