"""What each process runs under `accelerate launch`: the training command, several times over.

python several.py JOBS: a JSON file with a list of {"words": [...], "interrupt": N}. At step N the second process alone
is told to stop. RUN/process-R.pt keeps how process R ended: its exit code and its state. The last job is one that
whoever started this interrupts from outside.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import nn

from vq.train import __main__ as command
from vq.train.autoencoders import VQRecipe
from vq.train.loop import Trainer


def run(words: list[str], interrupt: int | None, rank: int) -> None:
    out, trainers = Path(words[words.index("--out") + 1]), []
    complete = Trainer.complete
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "complete", lambda self, *a: trainers.append(self) or complete(self, *a))
        if out.name != "vqvae":  # one export is enough
            patch.setattr(command, "export", lambda run, *_: run)
            patch.setattr(command, "export_prior", lambda run, *_: run)
        if interrupt and rank == 1:
            for _ in range(2):  # as from a terminal, and from the launcher, which passes it on
                tiny.interrupt_at(patch, VQRecipe, interrupt)
        code = command.main(words)
    out.mkdir(exist_ok=True)
    torch.save({"code": code} | (state(trainers[0].recipe) if trainers else {}), out / f"process-{rank}.pt")


def state(recipe: Any) -> dict[str, Any]:
    """Everything that must be alike on all processes, and the random numbers' state, which must not."""
    networks = {key: value for key, value in vars(recipe).items() if isinstance(value, nn.Module)}
    alike = {f"{name}.{key}": t for name, net in networks.items() for key, t in net.state_dict().items()}
    alike |= {f"average.{i}": t for i, t in enumerate(recipe.ema.shadow_params)}
    return {"alike": alike, "noise": torch.get_rng_state()}


if __name__ == "__main__":
    jobs = json.loads(Path(sys.argv[1]).read_text())
    for job in jobs:
        if job is jobs[-1]:  # what comes once training has ended must not keep its end from being noted
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        run(job["words"], job.get("interrupt"), int(os.environ["RANK"]))
