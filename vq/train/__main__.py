"""python -m vq.train {ae,vae,vqvae,vqgan} --data PATH[:weight] ... --out RUN"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from vq.models.squeezenet import SqueezeNet
from vq.train.autoencoders import SPECS, Spec, VectorRecipe, VQRecipe
from vq.train.data import Batches, DataError, PictureSet, parse_source
from vq.train.loop import Plan, Recipe, Trainer, best_precision

VAL_PICTURES = 256


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        return _train(args)
    except (DataError, ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _train(args: argparse.Namespace) -> int:
    spec = override(SPECS[args.model], args.set)
    set_seed(args.seed)
    sources = [parse_source(text) for text in args.data]
    size = spec.config.get("image_size", 64)
    batches = Batches([(PictureSet(p, "train"), w) for p, w in sources], size, spec.batch, args.seed)
    held_out = PictureSet(sources[0][0], "val").tensors(size, VAL_PICTURES)
    perceptual = SqueezeNet.from_file(args.perceptual) if args.perceptual else None
    probe = Accelerator(cpu=args.device == "cpu")
    precision = best_precision(probe.device) if args.precision == "auto" else args.precision
    accelerator = Accelerator(cpu=args.device == "cpu", mixed_precision=precision)
    recipe: Recipe = VQRecipe(spec, perceptual) if args.model in ("vqvae", "vqgan") else VectorRecipe(spec)
    plan = Plan(args.out, args.minutes, args.steps, args.resume, args.seed, args.save_minutes)
    if accelerator.is_main_process:
        parameters = sum(p.numel() for p in recipe.model.parameters())
        pictures = sum(map(len, batches.sets))
        print(f"{args.model}: {parameters / 1e6:.2f} M parameters, {pictures:,} pictures, precision {precision}")
    trainer = Trainer(recipe, batches, held_out, plan, accelerator)
    if not trainer.run():
        print(f"saved at step {trainer.clock.step}; go on with --resume")
        return 130
    trainer.validate()
    return 0


def override(spec: Spec, settings: list[str]) -> Spec:
    """Replace fields of the recipe ("lr=3e-4") or of the network's config ("config.code_dim=4"); values are JSON."""
    for text in settings:
        key, _, value = text.partition("=")
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError:
            parsed = value
        if key.startswith("config."):
            spec = dataclasses.replace(spec, config=spec.config | {key.removeprefix("config."): parsed})
        elif key in {f.name for f in dataclasses.fields(Spec)} - {"model", "config"}:
            spec = dataclasses.replace(spec, **{key: parsed})
        else:
            raise ValueError(f"--set {text}: no such setting")
    return spec


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vq.train", description="Train one model of the family.")
    parser.add_argument("model", choices=list(SPECS))
    parser.add_argument("--data", nargs="+", required=True, metavar="PATH[:weight]", help="folders or zips of pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder for checkpoints and the result")
    parser.add_argument("--perceptual", type=Path, metavar="PATH", help="SqueezeNet 1.1 weights (safetensors)")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--steps", type=int)
    parser.add_argument("--resume", action="store_true", help="go on from RUN/checkpoint if there is one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    parser.add_argument("--precision", choices=["auto", "no", "bf16"], default="auto")
    parser.add_argument("--save-minutes", type=float, default=4.0, help="minutes between checkpoints (default 4)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change the recipe: lr=3e-4, ...")
    return parser


if __name__ == "__main__":
    torch.backends.cudnn.benchmark = True
    sys.exit(main())
