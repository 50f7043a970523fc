"""python -m vq.train {ae,vae,vqvae,vqgan,pixelcnn,transformer} --data PATH[:weight] ... --out RUN"""

import argparse
import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate.utils import set_seed
from safetensors import SafetensorError
from torch import nn

from vq import weights
from vq.hub import load, load_prior, locate
from vq.models.squeezenet import SqueezeNet
from vq.models.vqvae import VQVAE
from vq.pictures import PictureSet, read_leave_out
from vq.prior import Prior
from vq.train import priors
from vq.train.autoencoders import SPECS, Spec, VectorRecipe, VQRecipe
from vq.train.data import Batches, parse_source
from vq.train.export import DATA_NOTES, Account, export
from vq.train.export_prior import export_prior
from vq.train.loop import Plan, Recipe, Trainer, averaged
from vq.train.processes import left_alone, make_accelerator

VAL_PICTURES = 256
# DataError is a ValueError; safetensors has its own for a damaged file.
MISTAKES = (ValueError, OSError, SafetensorError)
S = TypeVar("S", Spec, priors.PriorSpec)
Finish = Callable[[Trainer], Path]


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        trainer, finish = trainer_of(args)
    except MISTAKES as error:
        # Every process meets the same mistake: one on each machine tells of it.
        return _refuse(error) if os.environ.get("LOCAL_RANK", "0") == "0" else 2
    if left_alone():
        print(
            "note: this process trains alone; several without GPUs need accelerate launch --multi_gpu", file=sys.stderr
        )
    try:
        if not trainer.complete(args.export_only):
            return 130
        if trainer.accelerator.is_main_process:
            print(f"weights and card are in {finish(trainer)}")
    except MISTAKES as error:
        return _refuse(error)
    return 0


def _refuse(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


def trainer_of(args: argparse.Namespace) -> tuple[Trainer, Finish]:
    """The trainer of what `parser` read, and what makes a weights folder of its result. Raises those of MISTAKES."""
    return (_prior if args.model in priors.SPECS else _codec)(args)


def _codec(args: argparse.Namespace) -> tuple[Trainer, Finish]:
    """`trainer_of` an autoencoder."""
    spec = cast(Spec, spec_of(args))
    set_seed(args.seed)
    sources = [parse_source(text) for text in args.data]
    size = spec.config.get("image_size", 64)
    left_out = _left_out(args)
    batches = Batches([(PictureSet(p, "train", left_out), w) for p, w in sources], size, spec.batch, args.seed)
    held_out = PictureSet(sources[0][0], "val").tensors(size, VAL_PICTURES)
    perceptual = SqueezeNet.from_file(args.perceptual) if args.perceptual else None
    accelerator, precision = make_accelerator(args.device, args.precision, spec.batch)
    recipe: Recipe
    if args.model in ("vqvae", "vqgan"):
        grow_from = cast(VQVAE, load(args.grow)) if args.grow else None
        prior = cast(Prior, load_prior(args.prior, device=accelerator.device)) if args.prior else None
        recipe = VQRecipe(spec, perceptual, grow_from, prior)
    else:
        recipe = VectorRecipe(spec)
        resumes = args.export_only or (args.resume and (args.out / "checkpoint").exists())
        if args.grow:
            recipe.grow_from(cast(nn.Module, load(args.grow)))
        elif not resumes and accelerator.is_main_process:
            recipe.start(torch.cat([s.tensors(size) for s in batches.sets]))
    if accelerator.is_main_process:
        parameters = sum(p.numel() for p in recipe.model.parameters())
        pictures = sum(map(len, batches.sets))
        print(f"{args.model}: {parameters / 1e6:.2f} M parameters, {pictures:,} pictures, precision {precision}")

    def finish(trainer: Trainer) -> Path:
        with averaged(recipe) as model:
            return export(args.out, model, _account(args, spec, precision, trainer), perceptual, args.data_notes)

    return Trainer(recipe, batches, held_out, _plan(args), accelerator), finish


def _prior(args: argparse.Namespace) -> tuple[Trainer, Finish]:
    """`trainer_of` a token prior."""
    spec = cast(priors.PriorSpec, spec_of(args))
    if args.codec is None:
        raise ValueError(f"{args.model} needs --codec NAME or FOLDER: the codec whose tokens it learns")
    sources = [_unweighted(text) for text in args.data]
    set_seed(args.seed)
    codec = load(args.codec)
    if codec.codebook_size is None:
        raise ValueError(f"--codec {args.codec}: expected a quantised codec, this one has no tokens")
    perceptual = SqueezeNet.from_file(args.perceptual) if args.perceptual else None
    accelerator, precision = make_accelerator(args.device, args.precision, spec.batch)
    # First of all, then the first of each machine, whose disk may be its own.
    with accelerator.main_process_first(), accelerator.local_main_process_first():
        cache = args.out / "tokens.safetensors"
        tokens = priors.token_sets(codec, sources, cache, spec.shifts, spec.tints, _left_out(args))
    train_tokens, held_out = tokens["train"].flatten(0, 1), tokens["val"][:, 0].long()
    set_seed(args.seed)  # the network starts the same, whether the tokens were encoded now or before
    unigram = priors.unigram_entropy(held_out, codec.codebook_size)
    recipe = priors.PriorRecipe(spec, codec, (held_out.shape[1], held_out.shape[2]), unigram)
    if args.grow:
        recipe.grow_from(spec.model.from_pretrained(locate(args.grow, weights.PRIORS)))
    if accelerator.is_main_process:
        parameters = sum(p.numel() for p in recipe.model.parameters())
        print(
            f"{args.model}: {parameters / 1e6:.2f} M parameters, {len(train_tokens):,} grids, precision {precision}, "
            f"unigram entropy {unigram:.3f} nats"
        )

    def finish(trainer: Trainer) -> Path:
        best = cast(Prior, spec.model.from_pretrained(args.out / "best")).eval()
        account = _account(args, spec, precision, trainer)
        return export_prior(args.out, best, codec, account, perceptual, args.samples, args.data_notes)

    stream = priors.TokenBatches(train_tokens, spec.batch, args.seed)
    return Trainer(recipe, stream, held_out, _plan(args), accelerator), finish


def _plan(args: argparse.Namespace) -> Plan:
    length = {"minutes": args.minutes, "steps": args.steps}
    pace = {"save_minutes": args.save_minutes, "log_seconds": args.log_seconds}
    return Plan(args.out, **length, resume=args.resume, seed=args.seed, **pace)


def _left_out(args: argparse.Namespace) -> frozenset[str]:
    return read_leave_out(args.leave_out) if args.leave_out else frozenset()


def _unweighted(text: str) -> str:
    path, weight = parse_source(text)
    if weight != 1:
        raise ValueError(f"--data {text}: a prior learns every picture alike; weights are for codecs")
    return path


def _account(args: argparse.Namespace, spec: Spec | priors.PriorSpec, precision: str, trainer: Trainer) -> Account:
    return Account(
        args.model,
        command(args),
        [parse_source(text) for text in args.data],
        spec,
        args.seed,
        precision,
        trainer.accelerator.num_processes,
        trainer.clock.step,
        trainer.clock.seconds,
        args.remarks.read_text() if args.remarks else "",
        _left_out(args),
    )


def command(args: argparse.Namespace) -> str:
    """The command that trains this again, with files by their names: where they lie is nobody's business."""
    words = ["python", "-m", "vq.train", args.model, "--data"]
    words += [
        f"{Path(path).name}{'' if weight == 1 else f':{weight:g}'}" for path, weight in map(parse_source, args.data)
    ]
    words += ["--leave-out", args.leave_out.name] if args.leave_out else []
    words += ["--codec", Path(args.codec).name] if args.codec else []
    words += ["--grow", Path(args.grow).name] if args.grow else []
    words += ["--prior", Path(args.prior).name] if args.prior else []
    words += ["--perceptual", args.perceptual.name] if args.perceptual else []
    words += ["--minutes", f"{args.minutes:g}"] if args.minutes is not None else ["--steps", str(args.steps)]
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


def spec_of(args: argparse.Namespace) -> Spec | priors.PriorSpec:
    """The recipe with what was changed of it. Raises ValueError for a setting that it doesn't have."""
    table: dict[str, Any] = {**SPECS, **priors.SPECS}
    return override(table[args.model], args.set)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m vq.train", description="Train one model of the family.")
    p.add_argument("model", choices=[*SPECS, *priors.SPECS])
    p.add_argument("--data", nargs="+", required=True, metavar="PATH[:weight]", help="folders or zips of pictures")
    p.add_argument("--leave-out", type=Path, metavar="FILE", help="names of pictures not to train on, one a line")
    p.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder for checkpoints and the result")
    p.add_argument("--codec", metavar="NAME|FOLDER", help="the codec whose tokens a prior learns")
    p.add_argument("--perceptual", type=Path, metavar="PATH", help="SqueezeNet 1.1 weights (safetensors)")
    length = p.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--steps", type=int)
    p.add_argument("--resume", action="store_true", help="go on from RUN/checkpoint if there is one")
    p.add_argument("--export-only", action="store_true", help="write the weights folder from RUN/checkpoint as it is")
    p.add_argument("--data-notes", type=Path, default=DATA_NOTES, help="Markdown: a section on each source's origin")
    p.add_argument("--remarks", type=Path, metavar="FILE", help="Markdown: more on the training, for the card")
    p.add_argument(
        "--samples", type=int, default=2000, help="a prior's pictures for the Fréchet distance (default 2000)"
    )
    p.add_argument(
        "--grow",
        metavar="NAME|FOLDER",
        help="start from stored weights: of the same network; for VQ-VAE and VQ-GAN, also of a shallower one, or of "
        "one with fewer codes, which are split",
    )
    p.add_argument(
        "--prior", metavar="NAME|FOLDER", help="the prior that draws tokens anew for a VQ-GAN's decoder (see redrawn)"
    )
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--device", choices=["auto", "cpu"], default="auto")
    p.add_argument("--precision", choices=["auto", "no", "bf16"], default="auto")
    p.add_argument("--save-minutes", type=float, default=4.0, help="minutes between checkpoints (default 4)")
    p.add_argument("--log-seconds", type=float, default=20.0, help="seconds between two lines (default 20)")
    p.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change the recipe: lr=3e-4, ...")
    return p


if __name__ == "__main__":
    torch.backends.cudnn.benchmark = True
    sys.exit(main())
