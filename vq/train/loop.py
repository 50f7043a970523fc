"""The training loop every model shares: schedule, logging, validation, checkpoints, exact resume.

A `Recipe` knows one model; the loop knows time. Progress runs from 0 to 1 by steps or by minutes. With --steps, a run
that was stopped and resumed ends with the parameters of an uninterrupted one. Of several processes the first keeps the
time, validates and writes; all of them log, save and stop at the same step.
"""

import json
import math
import shutil
import signal
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import set_seed
from diffusers.training_utils import EMAModel
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from vq.train.processes import average_gradients

# Ctrl-C reaches a process of several twice, from the terminal and from the launcher: within so many seconds it is one.
ECHO = 5.0


class Stream(Protocol):
    """Training data, drawn reproducibly. `batch`: items a step; `skipped`: unreadable ones so far."""

    @property
    def batch(self) -> int: ...

    @property
    def skipped(self) -> int: ...

    def iterate(self, step: int, rank: int = 0, world: int = 1) -> Generator[Tensor, None, None]:
        """This process's share of every batch from `step` on: pictures (b,3,S,S), or tokens (b,h,w)."""


class Recipe(Protocol):
    """How one model trains. `step` runs one optimisation step on x (B,3,S,S), with progress in [0,1).

    For a prior, x are tokens (B,h,w).
    """

    @property
    def model(self) -> Any: ...

    @property
    def ema(self) -> EMAModel: ...

    def prepare(self, accelerator: Accelerator) -> None:
        """Hand every module, optimizer and further state to the accelerator, once."""

    def step(self, x: Tensor, progress: float) -> dict[str, Tensor]:
        """Take one step; return scalars to log."""

    def validate(self, x: Tensor) -> tuple[dict[str, float], Image.Image]:
        """Figures on held-out pictures (N,3,S,S), and a sheet to look at."""

    def milestone(self) -> str | None:
        """A name when the model as it stands should be kept beside the final one, else None."""


@dataclass(frozen=True)
class Plan:
    """How long and where. Exactly one of minutes and steps is set."""

    out: Path
    minutes: float | None = None
    steps: int | None = None
    resume: bool = False
    seed: int = 0
    save_minutes: float = 4.0
    log_seconds: float = 20.0


class Clock:
    """Steps taken and seconds spent, over all the sessions of a run."""

    def __init__(self, plan: Plan):
        self.plan, self.step, self.seconds = plan, 0, 0.0
        self._mark = time.perf_counter()

    def tick(self) -> None:
        now = time.perf_counter()
        self.step, self.seconds, self._mark = self.step + 1, self.seconds + now - self._mark, now

    def pause(self) -> None:
        """Leave out the time since the last tick (validation, saving)."""
        self._mark = time.perf_counter()

    @property
    def progress(self) -> float:
        if self.plan.steps is not None:
            return self.step / self.plan.steps
        assert self.plan.minutes is not None
        return self.seconds / (60 * self.plan.minutes)

    def state_dict(self) -> dict[str, float]:
        return {"step": self.step, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.step, self.seconds = int(state["step"]), state["seconds"]
        self.pause()


def cosine(progress: float, warmup: float = 0.02) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2016, arXiv:1608.03983)."""
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


def copy_weights(trained: nn.Module, model: nn.Module) -> None:
    """Both must be the same network. Raises ValueError."""
    try:
        model.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise ValueError(f"--grow: expected the same network. {error}") from error


@contextmanager
def averaged(recipe: Recipe) -> Iterator[Any]:
    """The model with its averaged weights, in eval mode; the weights in training come back afterwards."""
    parameters = list(recipe.model.parameters())
    recipe.ema.store(parameters)
    recipe.ema.copy_to(parameters)
    recipe.model.eval()
    try:
        yield recipe.model
    finally:
        recipe.model.train()
        recipe.ema.restore(parameters)


def descend(
    accelerator: Accelerator, loss: Tensor, *optimizers: tuple[AcceleratedOptimizer | Optimizer, float]
) -> None:
    """One step of each optimizer at its learning rate, times the `scale` of each parameter group that has one."""
    for optimizer, lr in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("scale", 1.0)
        optimizer.zero_grad()
    accelerator.backward(loss)
    for optimizer, _ in optimizers:
        average_gradients(accelerator, [p for group in optimizer.param_groups for p in group["params"]])
        optimizer.step()


class Trainer:
    """Runs a recipe over batches until its plan is done. Ctrl-C and SIGTERM save first, then end the run."""

    def __init__(self, recipe: Recipe, batches: Stream, held_out: Tensor, plan: Plan, accelerator: Accelerator):
        self.recipe, self.batches, self.held_out, self.plan = recipe, batches, held_out, plan
        self.accelerator, self.clock = accelerator, Clock(plan)
        self.checkpoint = plan.out / "checkpoint"
        self._stop, self._told = False, float("inf")
        recipe.prepare(accelerator)
        accelerator.register_for_checkpointing(self.clock)
        if accelerator.process_index:
            set_seed(plan.seed + accelerator.process_index)  # the networks are alike, the noise must not be

    def run(self) -> bool:
        """Train; True when the plan is done, False when it was interrupted."""
        self.plan.out.mkdir(parents=True, exist_ok=True)
        self._recover()
        if self.plan.resume and self._found():
            self.restore()
            self._say(f"resumed at step {self.clock.step}")
        previous = [signal.signal(s, self._interrupt) for s in (signal.SIGINT, signal.SIGTERM)]
        try:
            self._loop()
            self.save()
            if self._stop:
                self._say(f"saved at step {self.clock.step}; go on with --resume")
        finally:
            for s, handler in zip((signal.SIGINT, signal.SIGTERM), previous, strict=True):
                signal.signal(s, handler)
        return not self._stop

    def complete(self, export_only: bool = False) -> bool:
        """Train to the end of the plan, or only take up the checkpoint, then validate. False when interrupted."""
        if export_only:
            self.restore()
        elif not self.run():
            return False
        self.validate()
        return True

    def restore(self) -> None:
        """Take up the state of RUN/checkpoint. Raises FileNotFoundError if there is none."""
        self._recover()
        if not self._found():
            raise FileNotFoundError(f"{self.plan.out}: no checkpoint there yet")
        self.accelerator.load_state(str(self.checkpoint))
        self.recipe.ema.to(self.accelerator.device)

    def _loop(self) -> None:
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        stream = self.batches.iterate(self.clock.step, rank, world)
        window: dict[str, list[Tensor]] = {}
        logged = saved = self.clock.seconds
        self.recipe.model.train()
        self.clock.pause()
        self._agree()
        while self.clock.progress < 1 and not self._stop:
            x = next(stream).to(self.accelerator.device)
            if x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            for key, value in self.recipe.step(x, self.clock.progress).items():
                window.setdefault(key, []).append(value.detach())
            self.clock.tick()
            self._agree()
            if name := self.recipe.milestone():
                self._export(self.plan.out / name)
            now = self.clock.seconds
            if now - logged > self.plan.log_seconds:
                self._log(window, now - logged)
                window, logged = {}, now
            if now - saved > 60 * self.plan.save_minutes:
                self.validate()
                self.save()
                window, logged, saved = {}, now, now
                self.clock.pause()
        stream.close()

    def _agree(self) -> None:
        """The clock of the first process is that of all, and all stop when one was told to."""
        self._stop = self._stop or self._told < float("inf")
        if self.accelerator.num_processes > 1:
            first = self.accelerator.is_main_process
            said = torch.tensor([self.clock.seconds if first else 0, self._stop], dtype=torch.float64)
            said = self.accelerator.reduce(said.to(self.accelerator.device), "sum")
            self.clock.seconds, self._stop = float(said[0]), bool(said[1])

    def validate(self) -> None:
        """Figures and a sheet of the averaged model, written to RUN/ by the first process."""
        if not self.accelerator.is_main_process:
            return
        with averaged(self.recipe), torch.no_grad():
            figures, sheet = self.recipe.validate(self.held_out.to(self.accelerator.device))
        self._record({"val": figures})
        self._say("  held out: " + "  ".join(f"{k} {v:.4g}" for k, v in figures.items()))
        sheet.save(self.plan.out / "sheet.png")
        if name := self.recipe.milestone():
            self._export(self.plan.out / name)

    def save(self) -> None:
        """Write the checkpoint beside the old one, then swap: a kill in between leaves one that works."""
        fresh, old = self.checkpoint.with_suffix(".new"), self.checkpoint.with_suffix(".old")
        if self.accelerator.is_main_process:
            shutil.rmtree(fresh, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(fresh))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            shutil.rmtree(old, ignore_errors=True)
            if self.checkpoint.exists():
                self.checkpoint.rename(old)
            fresh.rename(self.checkpoint)
            shutil.rmtree(old, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def _found(self) -> bool:
        """Whether there is a checkpoint. Raises FileNotFoundError if some processes see it and others don't."""
        seen = torch.tensor([int(self.checkpoint.exists())], device=self.accelerator.device)
        count = int(self.accelerator.reduce(seen, "sum"))
        if 0 < count < self.accelerator.num_processes:
            raise FileNotFoundError(f"{self.plan.out}: to resume, all machines must see the same folder")
        return count > 0

    def _recover(self) -> None:
        """After a kill between the two renames of `save`, the new checkpoint is whole and lacks only its name."""
        fresh, old = self.checkpoint.with_suffix(".new"), self.checkpoint.with_suffix(".old")
        if self.accelerator.is_main_process and not self.checkpoint.exists() and old.exists():
            (fresh if fresh.exists() else old).rename(self.checkpoint)
        self.accelerator.wait_for_everyone()

    def _export(self, folder: Path) -> None:
        if self.accelerator.is_main_process:
            with averaged(self.recipe) as model:
                model.save_pretrained(folder)

    def _log(self, window: dict[str, list[Tensor]], seconds: float) -> None:
        means = torch.stack([torch.stack(v).float().mean() for v in window.values()])
        losses = dict(zip(window, self.accelerator.reduce(means, "mean").tolist(), strict=True))
        count = max(len(v) for v in window.values())
        rate = count * self.batches.batch / seconds
        self._record({"loss": losses, "pictures_per_second": rate})
        share = f"{100 * self.clock.progress:5.1f} %  step {self.clock.step}  {rate:.0f} pictures/s"
        skips = torch.tensor(self.batches.skipped, device=self.accelerator.device)
        broken = int(self.accelerator.reduce(skips, "sum"))
        skipped = f"  {broken} broken pictures skipped" if broken else ""
        self._say(share + "  " + "  ".join(f"{k} {v:.4g}" for k, v in losses.items()) + skipped)

    def _record(self, row: dict[str, object]) -> None:
        if self.accelerator.is_main_process:
            with (self.plan.out / "log.jsonl").open("a") as log:
                log.write(json.dumps({"step": self.clock.step, "seconds": round(self.clock.seconds, 1)} | row) + "\n")

    def _say(self, text: str) -> None:
        if self.accelerator.is_main_process:
            print(text, flush=True)

    def _interrupt(self, *_: object) -> None:
        now = time.monotonic()
        if now - self._told > (ECHO if self.accelerator.num_processes > 1 else 0):
            sys.exit("stopped without saving")
        if self._told == float("inf"):
            self._told = now
            self._say("stopping after this step; the checkpoint is saved")
