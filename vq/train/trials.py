"""Short runs that differ from a recipe in one setting each: what does that setting do?

    python -m vq.train.trials --data cats64.zip --perceptual squeezenet1_1.safetensors --out FOLDER

Every run of a study sees as many pictures, in the same order, and starts from the same seed; the first few are the
recipe itself from several seeds, and their spread is what chance does. FOLDER/trials.json has the figures; a run that
stands there is not made again, so that a stopped call can be repeated. The report reads weights/trials.json.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from vq.codec import Codec
from vq.evaluate.codec import evaluate
from vq.evaluate.reference import Reference
from vq.models.squeezenet import SqueezeNet
from vq.pictures import PictureSet
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


@dataclass(frozen=True)
class Study:
    """Trials of one model.

    base: settings of every run. pictures: how many a run sees, the same one twice counted twice. few: train on so many
    different ones; None: on all. figure: what decides.
    """

    model: str
    base: tuple[str, ...]
    pictures: int
    trials: tuple[Trial, ...]
    figure: str
    few: int | None = None


class Rig:
    """What all runs of a call share. out: the folder of trials.json, of the run at hand, and of the last tokens."""

    def __init__(self, data: str, perceptual: Path, out: Path):
        self.data, self.perceptual, self.out = data, perceptual, out
        self.reference = Reference(data, SIZE, SqueezeNet.from_file(perceptual))
        out.mkdir(parents=True, exist_ok=True)


def _seeds(count: int) -> tuple[Trial, ...]:
    return tuple(Trial("the recipe, other seeds" if seed else "the recipe", (), seed) for seed in range(count))


def _answers(question: str, *answers: str) -> tuple[Trial, ...]:
    return tuple(Trial(question, tuple(answer.split())) for answer in answers)


STUDIES = {
    # Without its adversary until the last question. A short run's average may not reach back far.
    "vqgan": Study(
        "vqgan",
        ("adversary_start=1", "ema=0.98"),
        6400,
        (
            *_seeds(3),
            *_answers("code dimension", "config.code_dim=4", "config.code_dim=16"),
            *_answers("codes of any length", "config.unit_length=false"),
            *_answers("codebook by moving averages", "ema_codebook=true"),
            *_answers("restarts of unused codes", "restart_below=0", "restart_below=0.3"),
            *_answers(
                "decoder wider than encoder, and narrower",
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
            *_answers("batch", "batch=8", "batch=32"),
            *_answers("averaged weights", "ema=0", "ema=0.995"),
            *_answers("when the adversary starts", "adversary_start=0.5", "adversary_start=0.75"),
        ),
        "psnr",
    ),
    "transformer": Study(
        "transformer",
        ("ema=0.98",),
        6400,
        (
            *_seeds(2),
            *_answers(
                "width against depth",
                "config.width=192 config.depth=10",
                "config.width=320 config.depth=4 config.heads=5",
            ),
            *_answers("learning rate of hidden layers", "muon_lr=0.01", "muon_lr=0.04"),
        ),
        "nats",
    ),
    # So few pictures that over-fitting shows in minutes.
    "transformer, 500 pictures": Study(
        "transformer",
        ("ema=0.98",),
        6400,
        (
            *_seeds(2),
            *_answers("tokens kept", "keep=1.0", "keep=0.8"),
            *_answers("dropout", "keep=1.0 config.dropout=0.1", "keep=1.0 config.dropout=0.3"),
        ),
        "nats",
        few=500,
    ),
}


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        rig = Rig(args.data, args.perceptual, args.out)
        if unknown := [name for name in args.studies if name not in STUDIES]:
            raise ValueError(f"{unknown[0]}: no such study; there are {', '.join(STUDIES)}")
        for name in args.studies or STUDIES:
            conduct(name, STUDIES[name], rig)
    except MISTAKES as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"the figures are in {args.out / FILE}")
    return 0


def conduct(name: str, study: Study, rig: Rig) -> None:
    """Make the runs of a study that FOLDER/trials.json lacks, and write their figures there one by one."""
    file = rig.out / FILE
    known: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    about = {"model": study.model, "base": list(study.base), "pictures": study.pictures, "few": study.few}
    about["figure"] = study.figure
    record = known.get(name, {})
    if {key: record.get(key) for key in about} != about:
        record = about | {"rows": []}
    for trial in study.trials:
        if any(_same(row, trial) for row in record["rows"]):
            continue
        print(f"{name}: {trial.question}, {' '.join(trial.settings) or f'seed {trial.seed}'}", flush=True)
        record["rows"].append(trial._asdict() | run(study, trial, rig))
        order = {(t.settings, t.seed): i for i, t in enumerate(study.trials)}
        record["rows"].sort(key=lambda row: order.get((tuple(row["settings"]), row["seed"]), len(order)))
        file.write_text(json.dumps(known | {name: record}, indent=1) + "\n")


def _same(row: Mapping[str, Any], trial: Trial) -> bool:
    return (tuple(row["settings"]), row["seed"]) == (trial.settings, trial.seed)


def run(study: Study, trial: Trial, rig: Rig) -> dict[str, Any]:
    """One run, in a folder that is emptied for it. Raises KeyboardInterrupt when it was stopped."""
    folder, tokens = rig.out / "run", rig.out / "tokens.safetensors"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if tokens.exists():  # of the prior before; made again if they are others'
        shutil.copy(tokens, folder)
    trainer = _trainer(study, trial, rig, folder)
    if not trainer.complete():
        raise KeyboardInterrupt
    if (folder / tokens.name).exists():
        shutil.copy(folder / tokens.name, tokens)
    log = curve(folder / "log.jsonl")
    figures: dict[str, Any] = log["held_out"][-1]
    if study.figure == "psnr":
        figures = _measured(trainer, rig, folder / "weights")
    parameters = sum(p.numel() for p in trainer.recipe.model.parameters())
    rate = study.pictures / max(trainer.clock.seconds, 1e-9)
    return {
        "parameters": parameters,
        "pictures_per_second": round(rate, 1),
        "figures": {key: round(figures[key], 4) for key in KEPT if figures.get(key) is not None},
    }


def _trainer(study: Study, trial: Trial, rig: Rig, folder: Path) -> Trainer:
    settings = [*study.base, *trial.settings]
    words = [study.model, "--data", rig.data, "--perceptual", str(rig.perceptual), "--out", str(folder)]
    words += ["--seed", str(trial.seed), "--save-minutes", "1e9", "--steps", "1", "--set", *settings]
    if study.model in ("pixelcnn", "transformer"):
        words += ["--codec", {"pixelcnn": "vqvae", "transformer": "vqgan"}[study.model]]
    if study.few is not None:
        names = PictureSet(rig.data, "train").names
        left_out = folder / "left_out.txt"
        left_out.write_text("\n".join(set(names) - set(_spread(names, study.few))))
        words += ["--leave-out", str(left_out)]
    args = parser().parse_args(words)
    args.steps = study.pictures // spec_of(args).batch
    return trainer_of(args)[0]


def _spread(names: Sequence[str], count: int) -> Iterator[str]:
    """So many of them, evenly spread."""
    return (names[i * len(names) // count] for i in range(min(count, len(names))))


@torch.inference_mode()
def _measured(trainer: Trainer, rig: Rig, folder: Path) -> dict[str, Any]:
    """The figures of a codec as it would be stored."""
    with averaged(trainer.recipe) as model:
        store(cast(nn.Module, model), folder)
        stored = type(model).from_pretrained(folder).float().eval()
    codec = cast(Codec, stored)
    return evaluate(codec, rig.data) | {"frechet": rig.reference.frechet_of(codec)}


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m vq.train.trials", description="What each setting of a recipe does.")
    p.add_argument("studies", nargs="*", metavar="STUDY", help=f"any of: {'; '.join(STUDIES)} (default: all)")
    p.add_argument("--data", required=True, metavar="PATH", help="a folder or zip of pictures")
    p.add_argument("--perceptual", type=Path, required=True, metavar="PATH", help="SqueezeNet 1.1 (safetensors)")
    p.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for trials.json, and the run at hand")
    return p


if __name__ == "__main__":
    sys.exit(main())
