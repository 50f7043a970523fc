"""Two processes under `accelerate launch` train as one does: the same curve, one and the same network on both.

All runs share one launch, since starting the processes takes longer than training these tiny models.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from program import until
from safetensors.torch import load_file

from vq.hub import load
from vq.models.vqvae import VQVAE
from vq.train.__main__ import main
from vq.train.autoencoders import CodebookKeeper

ROOT = Path(__file__).parent.parent
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
FOLDERS = ("alone", "both")
STEPS = 12
ROUNDING = 1e-4

VQ = {"batch": 4, "restart_every": 2, "restart_below": 0.9}
ADVERSARY = {"adversary_start": 0.5, "discriminator_widths": [8, 16], "feature_adversarial": 0.1}
RUNS = {
    "ae": tiny.settings(tiny.VECTOR, batch=4),
    "vae": tiny.settings(tiny.VECTOR, batch=16),
    "vqvae": tiny.settings(tiny.GRID | {"unit_length": True}, **VQ, log_mse=True),
    "vqvae-ema": tiny.settings(tiny.GRID, **VQ, ema_codebook=True),
    "vqgan": tiny.settings(tiny.GRID, **VQ, **ADVERSARY, adversarial_texture=1.0),
    "transformer": tiny.settings({"width": 16, "depth": 1, "heads": 2}, batch=4, keep=1.0),
}
# The VAE's noise is another one for every share of a batch. All others differ by rounding alone.
EXACT = [name for name in RUNS if name != "vae"]


class Runs:
    """The same runs by one process and by two: folders alone/NAME and both/NAME.

    said, errors: what the two printed. placed: how often codes were placed in the run of that name by one process.
    """

    def __init__(self, root: Path):
        self.root, self.said, self.errors = root, "", ""
        self.placed: Counter[str] = Counter()
        self.data = tiny.write_set(root / "blobs")
        self.perceptual = tiny.write_perceptual(root / "squeezenet.safetensors")
        torch.manual_seed(0)
        VQVAE(**tiny.GRID).save_pretrained(root / "codec")

    def words(self, name: str, folder: str, *more: str) -> list[str]:
        """What follows `python -m vq.train`."""
        kind = name.split("-")[0]
        words = [kind, "--data", str(self.data), "--out", str(self.root / folder), "--steps", str(STEPS)]
        words += ["--device", "cpu", "--precision", "no", "--log-seconds", "0", *more]
        words += ["--perceptual", str(self.perceptual)] if kind == "vqgan" else []
        words += ["--codec", str(self.root / "codec")] if kind == "transformer" else []
        return [*words, *RUNS[name]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All of them, done."""
    runs = Runs(tmp_path_factory.mktemp("several"))
    jobs: list[dict[str, Any]] = [{"words": runs.words(name, f"both/{name}")} for name in RUNS]
    jobs.append({"words": runs.words("vqvae", "both/stopped"), "interrupt": 5})
    jobs.append({"words": runs.words("vqvae", "both/parts"), "interrupt": 3})
    jobs.append({"words": runs.words("vqvae", "both/parts", "--resume")})
    jobs.append({"words": [*runs.words("vqvae", "both/odd"), "batch=3"]})
    jobs.append({"words": endless(runs.words("vqvae", "both/interrupted"))})
    (runs.root / "jobs.json").write_text(json.dumps(jobs))
    launch(runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vq.train.__main__.export", lambda run, *_: run)
        patch.setattr("vq.train.__main__.export_prior", lambda run, *_: run)
        placed, place = [], CodebookKeeper._place
        patch.setattr(CodebookKeeper, "_place", lambda *args: placed.append(name) or place(*args))
        for name in RUNS:
            assert main(runs.words(name, f"alone/{name}")) == 0
        runs.placed = Counter(placed)
    return runs


def endless(words: list[str]) -> list[str]:
    place = words.index("--steps") + 1
    return [*words[:place], "100000", *words[place + 1 :]]


def launch(runs: Runs) -> None:
    """All jobs by `accelerate launch` of two processes.

    The last of them ends by Ctrl-C, as a terminal sends it: to the launcher and to both processes, which the launcher
    tells once more.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *LAUNCH, str(ROOT / "tests" / "several.py"), str(runs.root / "jobs.json")]
    last = runs.root / "both" / "interrupted"
    with (runs.root / "said").open("w+") as said, (runs.root / "errors").open("w+") as errors:
        pipes: dict[str, Any] = {"stdout": said, "stderr": errors}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **pipes)
        try:
            until(lambda: process.poll() is not None or (last / "log.jsonl").exists(), 300)
            assert process.poll() is None, (runs.root / "errors").read_text()
            os.killpg(process.pid, signal.SIGINT)
            process.wait(100)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    runs.said, runs.errors = ((runs.root / name).read_text() for name in ("said", "errors"))


def curve(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def ended(run: Path, rank: int) -> dict[str, Any]:
    return torch.load(run / f"process-{rank}.pt")


@pytest.mark.parametrize("name", EXACT)
def test_the_loss_curve_is_that_of_one_process(name: str, runs: Runs) -> None:
    alone, both = curve(runs.root / "alone" / name), curve(runs.root / "both" / name)
    assert len(alone) == STEPS and [row.keys() for row in both] == [row.keys() for row in alone]
    for one, two in zip(alone, both, strict=True):
        assert two == pytest.approx(one, rel=2e-3, abs=3e-4)


def test_noise_differs_and_the_curve_stays_within_it(runs: Runs) -> None:
    alone, both = (curve(runs.root / folder / "vae") for folder in ("alone", "both"))
    squares = [torch.tensor([row["squares"] for row in rows]) for rows in (alone, both)]
    assert not torch.equal(*squares)
    assert float(squares[1].mean()) == pytest.approx(float(squares[0].mean()), rel=0.1)
    streams = [ended(runs.root / "both" / "vae", rank)["noise"] for rank in (0, 1)]
    assert not torch.equal(*streams)


@pytest.mark.parametrize("name", RUNS)
def test_both_processes_end_with_the_same_state(name: str, runs: Runs) -> None:
    """Networks, averages, codes: bit for bit."""
    one, two = (ended(runs.root / "both" / name, rank)["alike"] for rank in (0, 1))
    assert len(one) > 20 and one.keys() == two.keys()
    assert not [key for key in one if not torch.equal(one[key], two[key])]


# The AE starts at an optimum, where gradients are rounding errors, and Adam makes full steps of them.
@pytest.mark.parametrize("name", [name for name in EXACT if name != "ae"])
def test_the_weights_are_those_of_one_process(name: str, runs: Runs) -> None:
    alone, both = (load_file(runs.root / folder / name / "checkpoint" / "model.safetensors") for folder in FOLDERS)
    assert alone.keys() == both.keys()
    for key in alone:
        torch.testing.assert_close(both[key], alone[key], rtol=0, atol=ROUNDING)


def test_codes_were_restarted_on_the_way(runs: Runs) -> None:
    """Codes are placed once at the start, and when restarted: what the tests above compare includes that."""
    assert all(runs.placed[name] >= 3 for name in RUNS if name.startswith("vq"))


def test_one_told_to_stop_stops_both_and_resume_is_exact(runs: Runs) -> None:
    """Only the second got the signal. Resumed by both: bit for bit the uninterrupted run."""
    assert [ended(runs.root / "both" / "stopped", rank)["code"] for rank in (0, 1)] == [130, 130]
    for rank in (0, 1):
        whole, parts = (ended(runs.root / "both" / name, rank)["alike"] for name in ("vqvae", "parts"))
        assert not [key for key in whole if not torch.equal(whole[key], parts[key])]


def test_the_first_process_exports(runs: Runs) -> None:
    weights = runs.root / "both" / "vqvae" / "weights"
    assert json.loads((weights / "training.json").read_text())["processes"] == 2
    assert "2 processes" in (weights / "README.md").read_text() and isinstance(load(weights), VQVAE)


def test_one_process_goes_on_where_two_stopped(runs: Runs) -> None:
    run, whole = runs.root / "both" / "stopped", curve(runs.root / "alone" / "vqvae")
    assert len(curve(run)) == 5
    assert main(runs.words("vqvae", "both/stopped", "--resume")) == 0
    for one, two in zip(whole, curve(run), strict=True):
        assert two == pytest.approx(one, rel=2e-3, abs=3e-4)


def test_a_batch_that_can_not_be_shared_is_one_clear_line(runs: Runs) -> None:
    assert [ended(runs.root / "both" / "odd", rank)["code"] for rank in (0, 1)] == [2, 2]
    complaints = [line for line in runs.errors.splitlines() if line.startswith("error:")]
    assert len(complaints) == 1 and "batch of 3" in complaints[0] and "2 processes" in complaints[0]
    assert not (runs.root / "both" / "odd" / "log.jsonl").exists()


def test_ctrl_c_saves(runs: Runs) -> None:
    run = runs.root / "both" / "interrupted"
    assert [ended(run, rank)["code"] for rank in (0, 1)] == [130, 130]
    assert runs.said.count("saved at step") == 3 and "without saving" not in runs.said + runs.errors
    assert len(load_file(run / "checkpoint" / "model.safetensors")) > 20
