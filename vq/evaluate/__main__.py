"""python -m vq.evaluate NAME_OR_PATH --data PATH: the figures of a codec or a prior, as a table and as JSON."""

import argparse
import json
import math
import sys
from pathlib import Path

from safetensors import SafetensorError

from vq import weights
from vq.catalogue import GAUSSIANS, PRIORS
from vq.evaluate import codec, prior
from vq.evaluate.codec import FRECHET_PICTURES, Figures
from vq.evaluate.prior import written
from vq.hub import load, load_prior
from vq.models.squeezenet import SqueezeNet
from vq.prior import Prior


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        perceptual = SqueezeNet.from_file(args.perceptual).to(args.device) if args.perceptual else None
        figures = _evaluate_prior(args, perceptual) if _is_prior(args.model) else _evaluate_codec(args, perceptual)
    # LoadError and DataError are ValueErrors; safetensors has its own for a damaged file.
    except (ValueError, OSError, SafetensorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{Path(args.model).name} on {table(figures)}")
    if args.json:
        args.json.write_text(json.dumps({"model": Path(args.model).name} | _finite(figures), indent=2) + "\n")
    return 0


def _evaluate_codec(args: argparse.Namespace, perceptual: SqueezeNet | None) -> Figures:
    return codec.evaluate(load(args.model, args.device), args.data, args.split, args.size, perceptual, args.resize)


def _evaluate_prior(args: argparse.Namespace, perceptual: SqueezeNet | None) -> Figures:
    if args.model in GAUSSIANS and args.codec is None:
        raise ValueError(f"{args.model}: name the codec it is for, --codec ae or vae")
    of = load_prior(args.model, args.codec, args.device)
    if isinstance(of, Prior) and args.codec is None:
        of.check_codec(load(of.codec, args.device))
    return prior.evaluate_prior(of, load(args.codec or of.codec, args.device), args.data, perceptual, args.samples)


def _is_prior(model: str) -> bool:
    config = Path(model) / weights.CONFIG
    if model in (*PRIORS, *GAUSSIANS) or not config.is_file():
        return model in (*PRIORS, *GAUSSIANS)
    return json.loads(config.read_text(encoding="utf-8")).get("_class_name") in weights.PRIORS


def table(figures: Figures) -> str:
    """The figures that apply, one a line."""
    head = f"{figures['data']}, {figures['split']}: {figures['pictures']:,} pictures at {figures['size']} px"
    rows = codec.ROWS if "psnr" in figures else prior.ROWS
    shown = [(label, written(figures[key], form)) for key, label, form in rows if figures.get(key) is not None]
    width = max(len(label) for label, _ in shown)
    return "\n".join([head, *(f"  {label:<{width}}  {value:>10}" for label, value in shown)])


def _finite(figures: Figures) -> Figures:
    """JSON has no infinity: a perfect reconstruction's PSNR becomes null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in figures.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vq.evaluate", description="Measure a codec or a prior on pictures."
    )
    parser.add_argument("model", metavar="NAME_OR_PATH", help="a model's name, or a weights folder")
    parser.add_argument("--codec", metavar="NAME_OR_PATH", help="the codec of a prior (default: the one it names)")
    parser.add_argument("--data", required=True, metavar="PATH", help="a folder or zip of pictures")
    parser.add_argument("--split", choices=["train", "val", "all"], default="val")
    parser.add_argument("--size", type=int, metavar="S", help="side of the pictures (default: as trained)")
    parser.add_argument("--resize", action="store_true", help="scale pictures to S before cropping their centre")
    parser.add_argument("--perceptual", type=Path, metavar="PATH", help="SqueezeNet 1.1 weights (safetensors)")
    parser.add_argument(
        "--samples", type=int, default=FRECHET_PICTURES, help="a prior's pictures for Fréchet distances"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
