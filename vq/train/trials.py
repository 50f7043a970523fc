"""Short runs that differ from a recipe in one setting, or the few that answer one question: what does it do?

    python -m vq.train.trials --data cats64.zip --perceptual squeezenet1_1.safetensors --out FOLDER

All runs of a study train on as many pictures; those of one seed see the same ones in the same order. The first few
repeat the recipe with other seeds: their spread is what chance does. FOLDER/trials.json has the figures. A run that
stands there is not made again, so that a stopped call can be repeated (on the same machine, or rounding differs). The
report reads weights/trials.json: copy the file there.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vq.codec import Codec, fingerprint
from vq.evaluate.codec import evaluate
from vq.evaluate.reference import Reference
from vq.hub import load
from vq.models.squeezenet import SqueezeNet
from vq.pictures import PictureSet
from vq.train import priors
from vq.train.__main__ import MISTAKES, parser, spec_of, trainer_of
from vq.train.export import curve, store
from vq.train.loop import Trainer, averaged

FILE = "trials.json"
SIZE = 64
KEPT = ("psnr", "frechet", "usage", "perplexity", "nats")


class Trial(NamedTuple):
    """A question, and the settings (as --set takes them) of one answer to it; none: the recipe as it is."""

    question: str
    settings: tuple[str, ...] = ()
    seed: int = 0

    def made(self, row: Mapping[str, Any]) -> bool:
        return (tuple(row["settings"]), row["seed"]) == (self.settings, self.seed)


@dataclass(frozen=True)
class Study:
    """Trials of one model.

    base: settings of every run. pictures: how many a run trains on, the same one twice counted twice. few: so many
    different ones; None: all there are.
    """

    model: str
    base: tuple[str, ...]
    pictures: int
    trials: tuple[Trial, ...]
    few: int | None = None

    @property
    def prior(self) -> bool:
        return self.model in priors.SPECS


def _seeds(count: int) -> tuple[Trial, ...]:
    return tuple(Trial("the recipe", (), seed) for seed in range(count))


def _answers(question: str, *answers: str) -> tuple[Trial, ...]:
    return tuple(Trial(question, tuple(answer.split())) for answer in answers)


STUDIES = {
    # Before its adversary comes. Restarts in proportion to the length of a run; as often for every batch.
    "VQ-GAN, no adversary": Study(
        "vqgan",
        ("adversary_start=1", "restart_every=24"),
        4800,
        (
            *_seeds(5),
            *_answers("code dimension", "config.code_dim=4", "config.code_dim=16"),
            *_answers("codes of any length", "config.unit_length=false"),
            *_answers("codebook by moving averages", "ema_codebook=true"),
            *_answers("restarts of unused codes", "restart_below=0", "restart_below=0.3"),
            *_answers(
                "decoder wider than encoder, or narrower",
                "config.widths=[32,96,192] config.decoder_widths=[64,144,288]",
                "config.widths=[64,144,288] config.decoder_widths=[32,96,192]",
            ),
            *_answers(
                "width against depth",
                "config.widths=[64,160,320] config.encoder_depths=[0,0,0] config.decoder_depths=[0,1,1]",
                "config.widths=[40,112,224] config.encoder_depths=[1,1,2] config.decoder_depths=[1,3,2]",
            ),
            *_answers("perceptual weight", "perceptual=0", "perceptual=0.1"),
            *_answers("learning rate", "lr=5e-4", "lr=2e-3"),
            *_answers("batch", "batch=8 restart_every=48", "batch=32 restart_every=12"),
            *_answers("averaged weights", "ema=0", "ema=0.9"),
        ),
    ),
    "VQ-GAN": Study(
        "vqgan",
        ("restart_every=24",),
        4800,
        (
            *_seeds(3),
            *_answers("when the adversary starts", "adversary_start=0.4", "adversary_start=0.85"),
            *_answers("an adversary of features, too, and texture", "feature_adversarial=0.1 adversarial_texture=2.5"),
        ),
    ),
    "Transformer": Study(
        "transformer",
        (),
        6400,
        (
            *_seeds(3),
            *_answers(
                "width against depth",
                "config.width=192 config.depth=10",
                "config.width=320 config.depth=4 config.heads=5",
            ),
            *_answers("learning rate of hidden layers", "muon_lr=0.01", "muon_lr=0.04"),
        ),
    ),
    # So few pictures that over-fitting shows in minutes.
    "Transformer, 500 pictures": Study(
        "transformer",
        (),
        6400,
        (
            *_seeds(3),
            *_answers("tokens kept", "keep=1.0", "keep=0.8"),
            *_answers("dropout instead", "keep=1.0 config.dropout=0.1", "keep=1.0 config.dropout=0.3"),
        ),
        few=500,
    ),
}


class Rig:
    """What all runs of a call share. out: the folder of trials.json, of the run at hand, and of the last tokens."""

    def __init__(self, data: str, perceptual: Path, out: Path, precision: str = "auto"):
        self.data, self.perceptual, self.out, self.precision = data, perceptual, out, precision
        self.reference = Reference(data, SIZE, SqueezeNet.from_file(perceptual))
        out.mkdir(parents=True, exist_ok=True)


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        if unknown := [name for name in args.studies if name not in STUDIES]:
            raise ValueError(f"{unknown[0]}: no such study; there are {'; '.join(STUDIES)}")
        rig = Rig(args.data, args.perceptual, args.out, args.precision)
        for name in args.studies or STUDIES:
            conduct(name, STUDIES[name], rig)
    except MISTAKES as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"the figures are in {args.out / FILE}; the report takes them from weights/{FILE}")
    return 0


def conduct(name: str, study: Study, rig: Rig) -> None:
    """Make the runs of a study that FOLDER/trials.json lacks, and write their figures there one by one."""
    file = rig.out / FILE
    known: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    about = _about(study, rig)
    record = known.get(name, {})
    old = record["rows"] if {key: record.get(key) for key in about} == about else []
    rows: list[dict[str, Any]] = []
    for trial in study.trials:
        row = next((row for row in old if trial.made(row)), None)
        if row is None:
            print(f"{name}: {trial.question}, {' '.join(trial.settings) or f'seed {trial.seed}'}", flush=True)
            row = run(study, trial, rig)
        rows.append(trial._asdict() | {key: value for key, value in row.items() if key not in Trial._fields})
        later = [row for row in old if any(t.made(row) for t in study.trials[len(rows) :])]
        known[name] = about | {"rows": rows + later}
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(known, indent=1) + "\n")
        fresh.replace(file)


def _about(study: Study, rig: Rig) -> dict[str, Any]:
    """What all runs of a study share; of another kind are none of its runs."""
    spec = spec_of(parser().parse_args(_words(study, Trial(""), rig, rig.out)))
    recipe = {key: value for key, value in dataclasses.asdict(spec).items() if key != "model"}
    about = {"model": study.model, "base": study.base, "pictures": study.pictures, "few": study.few, "recipe": recipe}
    names = [name for split in ("train", "val") for name in PictureSet(rig.data, split).names]
    about |= {"data": Path(rig.data).name, "names": hashlib.sha256("\n".join(names).encode()).hexdigest()}
    about |= {"codebook_sha256": fingerprint(_codec(study))} if study.prior else {}
    return cast(dict[str, Any], json.loads(json.dumps(about)))


@cache
def _codec(study: Study) -> Codec:
    return load(priors.SPECS[study.model].config["codec"])


def run(study: Study, trial: Trial, rig: Rig) -> dict[str, Any]:
    """One run, in a folder emptied for it; without figures if it diverged. Raises KeyboardInterrupt when stopped.

    multiplications: of a picture's way forward, in products with the network's matrices and kernels.
    """
    folder, tokens = rig.out / "run", rig.out / "tokens.safetensors"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if tokens.exists():  # of the prior before; made again if they are others'
        shutil.copy(tokens, folder)
    args = parser().parse_args(_words(study, trial, rig, folder))
    args.steps = study.pictures // spec_of(args).batch
    trainer, _ = trainer_of(args)
    network = trainer.recipe.model
    row = {"parameters": sum(p.numel() for p in network.parameters()), "multiplications": _multiplications(trainer)}
    try:
        if not trainer.complete():
            raise KeyboardInterrupt
        found = _measured(trainer, rig, folder / "weights")
    except (ValueError, RuntimeError) as error:
        if not _diverged(network):
            raise
        print(f"diverged: {error}", flush=True)
    if _diverged(network):  # which is an answer, too; without an error its figures would mean nothing
        return row | {"figures": {}}
    if study.prior:
        shutil.copy(folder / tokens.name, tokens)
    kept = {key: found[key] for key in KEPT if found.get(key) is not None and math.isfinite(found[key])}
    return row | {"figures": {key: round(value, 4) for key, value in kept.items()}}


def _diverged(network: nn.Module) -> bool:
    return not all(bool((p.abs() < 1e6).all()) for p in network.parameters())  # no comparison with NaN is true


def _words(study: Study, trial: Trial, rig: Rig, folder: Path) -> list[str]:
    """The command of a run, but for its length."""
    words = [study.model, "--data", rig.data, "--perceptual", str(rig.perceptual), "--out", str(folder)]
    words += ["--seed", str(trial.seed), "--save-minutes", "1e9", "--steps", "1", "--precision", rig.precision]
    words += ["--set", *study.base, *trial.settings]
    words += ["--codec", priors.SPECS[study.model].config["codec"]] if study.prior else []
    if study.few is not None and (others := _others(PictureSet(rig.data, "train").names, study.few)):
        left_out = folder / "left_out.txt"
        left_out.write_text("\n".join(others))
        words += ["--leave-out", str(left_out)]
    return words


def _others(names: Sequence[str], count: int) -> list[str]:
    """All but so many of them, evenly spread."""
    kept = {i * len(names) // count for i in range(count)}
    return [name for i, name in enumerate(names) if i not in kept]


@torch.no_grad()
def _multiplications(trainer: Trainer) -> int:
    network: nn.Module = trainer.recipe.model
    x: Tensor = trainer.held_out[:1].to(trainer.accelerator.device)
    with FlopCounterMode(display=False) as counter:
        network(x)
    return cast(int, counter.get_total_flops()) // 2  # it counts additions as well


@torch.inference_mode()
def _measured(trainer: Trainer, rig: Rig, folder: Path) -> dict[str, Any]:
    """A prior's held-out figures; of a codec, those of what would be stored."""
    if isinstance(trainer.recipe, priors.PriorRecipe):
        held_out: dict[str, Any] = curve(trainer.plan.out / "log.jsonl")["held_out"][-1]
        return held_out
    with averaged(trainer.recipe) as model:
        store(cast(nn.Module, model), folder)
        codec = cast(Codec, type(model).from_pretrained(folder).float().eval())
    return evaluate(codec, rig.data) | {"frechet": rig.reference.frechet_of(codec)}


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m vq.train.trials", description="What each setting of a recipe does.")
    p.add_argument("studies", nargs="*", metavar="STUDY", help=f"any of: {'; '.join(STUDIES)} (default: all)")
    p.add_argument("--data", required=True, metavar="PATH", help="a folder or zip of pictures")
    p.add_argument("--perceptual", type=Path, required=True, metavar="PATH", help="SqueezeNet 1.1 (safetensors)")
    p.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for trials.json, and the run at hand")
    p.add_argument("--precision", choices=["auto", "no", "bf16"], default="auto")
    return p


if __name__ == "__main__":
    sys.exit(main())
