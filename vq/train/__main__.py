"""python -m vq.train {ae,vae,vqvae,vqgan,pixelcnn,transformer} --data PATH[:weight] ... --out RUN"""

import argparse
import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import TypeVar, cast

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import set_seed
from safetensors import SafetensorError

from vq.hub import load
from vq.models.squeezenet import SqueezeNet
from vq.models.vqvae import VQVAE
from vq.train import priors
from vq.train.autoencoders import SPECS, Spec, VectorRecipe, VQRecipe
from vq.train.data import Batches, PictureSet, parse_source
from vq.train.export import DATA_NOTES, Account, export
from vq.train.loop import Plan, Recipe, Trainer, averaged, best_precision

VAL_PICTURES = 256
S = TypeVar("S", Spec, priors.PriorSpec)


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        if args.model in priors.SPECS:
            return priors.train(args, override(priors.SPECS[args.model], args.set))
        return _train(args)
    # DataError is a ValueError; safetensors has its own for a damaged file.
    except (ValueError, OSError, SafetensorError) as error:
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
    # An Accelerator can't be made twice with different precisions: ask its base for the device.
    device = PartialState(cpu=args.device == "cpu").device
    precision = best_precision(device) if args.precision == "auto" else args.precision
    accelerator = Accelerator(cpu=args.device == "cpu", mixed_precision=precision)
    recipe: Recipe
    if args.model in ("vqvae", "vqgan"):
        recipe = VQRecipe(spec, perceptual, cast(VQVAE, load(args.grow)) if args.grow else None)
    else:
        recipe = VectorRecipe(spec)
        if not (args.export_only or (args.resume and (args.out / "checkpoint").exists())):
            recipe.start(torch.cat([s.tensors(size) for s in batches.sets]))
    plan = Plan(args.out, args.minutes, args.steps, args.resume, args.seed, args.save_minutes)
    if accelerator.is_main_process:
        parameters = sum(p.numel() for p in recipe.model.parameters())
        pictures = sum(map(len, batches.sets))
        print(f"{args.model}: {parameters / 1e6:.2f} M parameters, {pictures:,} pictures, precision {precision}")
    trainer = Trainer(recipe, batches, held_out, plan, accelerator)
    if args.export_only:
        trainer.restore()
    elif not trainer.run():
        print(f"saved at step {trainer.clock.step}; go on with --resume")
        return 130
    trainer.validate()
    if accelerator.is_main_process:
        account = Account(
            args.model,
            command(args),
            sources,
            spec,
            args.seed,
            precision,
            accelerator.num_processes,
            trainer.clock.step,
            trainer.clock.seconds,
        )
        with averaged(recipe) as model:
            folder = export(args.out, model, account, perceptual, args.data_notes)
        print(f"weights and card are in {folder}")
    accelerator.wait_for_everyone()
    return 0


def command(args: argparse.Namespace) -> str:
    """The command that trains this again, with files by their names: where they lie is nobody's business."""
    words = ["python", "-m", "vq.train", args.model, "--data"]
    words += [
        f"{Path(path).name}{'' if weight == 1 else f':{weight:g}'}" for path, weight in map(parse_source, args.data)
    ]
    words += ["--grow", Path(args.grow).name] if args.grow else []
    words += ["--perceptual", args.perceptual.name] if args.perceptual else []
    words += ["--minutes", f"{args.minutes:g}"] if args.minutes is not None else ["--steps", str(args.steps)]
    words += ["--grow", Path(args.grow).name] if args.grow else []
    words += ["--out", "RUN", *(["--seed", str(args.seed)] if args.seed else [])]
    words += ["--set", *args.set] if args.set else []
    return shlex.join(words)


def override(spec: S, settings: list[str]) -> S:
    """Replace fields of the recipe ("lr=3e-4") or of the network's config ("config.code_dim=4"); values are JSON."""
    for text in settings:
        key, _, value = text.partition("=")
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError:
            parsed = value
        if key.startswith("config."):
            spec = dataclasses.replace(spec, config=spec.config | {key.removeprefix("config."): parsed})
        elif key in {f.name for f in dataclasses.fields(spec)} - {"model", "config"}:
            spec = dataclasses.replace(spec, **{key: parsed})
        else:
            raise ValueError(f"--set {text}: no such setting")
    return spec


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vq.train", description="Train one model of the family.")
    parser.add_argument("model", choices=[*SPECS, *priors.SPECS])
    parser.add_argument("--data", nargs="+", required=True, metavar="PATH[:weight]", help="folders or zips of pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder for checkpoints and the result")
    parser.add_argument("--codec", metavar="NAME|FOLDER", help="the codec whose tokens a prior learns")
    parser.add_argument("--perceptual", type=Path, metavar="PATH", help="SqueezeNet 1.1 weights (safetensors)")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--steps", type=int)
    parser.add_argument("--resume", action="store_true", help="go on from RUN/checkpoint if there is one")
    parser.add_argument(
        "--export-only", action="store_true", help="write the weights folder from RUN/checkpoint as it is"
    )
    parser.add_argument(
        "--data-notes", type=Path, default=DATA_NOTES, help="Markdown: a section on each source's origin"
    )
    parser.add_argument("--grow", metavar="NAME|FOLDER", help="start from a shallower model of the same widths")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    parser.add_argument("--precision", choices=["auto", "no", "bf16"], default="auto")
    parser.add_argument("--save-minutes", type=float, default=4.0, help="minutes between checkpoints (default 4)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change the recipe: lr=3e-4, ...")
    return parser


if __name__ == "__main__":
    torch.backends.cudnn.benchmark = True
    sys.exit(main())
