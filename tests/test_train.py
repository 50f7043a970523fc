"""Training through the command's own door, on tiny models: exact resume, saving on Ctrl-C, and what is left behind."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from accelerate import Accelerator
from diffusers.configuration_utils import register_to_config
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import one_hot

from vq import metrics
from vq.codec import fingerprint
from vq.evaluate.codec import evaluate
from vq.hub import load, load_statistics
from vq.models.squeezenet import SqueezeNet
from vq.models.transformer import Transformer
from vq.models.vqvae import VQVAE
from vq.pictures import PictureSet
from vq.prior import Prior
from vq.sampling import Options
from vq.train import export
from vq.train.__main__ import main
from vq.train.autoencoders import Spec, VectorRecipe, VQRecipe, redraw
from vq.train.loop import Clock, Plan, cosine


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_set(tmp_path_factory.mktemp("data") / "blobs")


@pytest.fixture(scope="module")
def perceptual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_perceptual(tmp_path_factory.mktemp("perceptual") / "squeezenet.safetensors")


def state(run: Path) -> dict[str, Tensor]:
    """All that a checkpoint holds of the model, the discriminator, the averages and the codebook's book-keeping."""
    found: dict[str, Tensor] = {}
    for file in sorted((run / "checkpoint").iterdir()):
        if file.suffix == ".safetensors":
            found |= {f"{file.stem}.{k}": v for k, v in load_file(file).items()}
        elif file.suffix in (".pkl", ".bin") and not file.name.startswith("random_states"):
            found |= _tensors(file.stem, torch.load(file, weights_only=False))
    return found


def _tensors(name: str, value: object) -> dict[str, Tensor]:
    if isinstance(value, Tensor):
        return {name: value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {k: t for key, item in pairs for k, t in _tensors(f"{name}.{key}", item).items()}


# The VQ-GAN's adversary enters after half of the 8 steps: stop before, at and after the switch.
STOPS = [("ae", 3), ("vae", 3), ("vqvae", 3), ("vqvae-ema", 4), ("vqgan", 2), ("vqgan", 4), ("vqgan", 5), ("vqgan", 6)]


@pytest.fixture(scope="module")
def uninterrupted(
    data: Path, perceptual: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, Path | None]]:
    """Name of a run -> its folder after 8 steps in one go, and the perceptual weights it needs. Nothing is exported."""
    root = tmp_path_factory.mktemp("whole")

    def run(name: str) -> tuple[Path, Path | None]:
        weights = perceptual if name == "vqgan" else None
        if not (root / name).exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("vq.train.__main__.export", lambda run, *_: run)
                assert tiny.train(name, data, root / name, perceptual=weights, steps=8) == 0
        return root / name, weights

    return run


@pytest.mark.parametrize(("name", "stop"), STOPS)
def test_stop_and_resume_is_exact(
    name: str,
    stop: int,
    uninterrupted: Callable[[str], tuple[Path, Path | None]],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C during step `stop`, then --resume: the parameters of an uninterrupted run, bit for bit."""
    whole, weights = uninterrupted(name)
    parts = tmp_path / "parts"
    monkeypatch.setattr("vq.train.__main__.export", lambda run, *_: run)
    with monkeypatch.context() as patch:
        tiny.interrupt_at(patch, VQRecipe if name.startswith("vq") else VectorRecipe, stop)
        assert tiny.train(name, data, parts, perceptual=weights, steps=8) == 130
    assert (parts / "checkpoint").is_dir()
    assert tiny.train(name, data, parts, "--resume", perceptual=weights, steps=8) == 0
    a, b = state(whole), state(parts)
    assert a.keys() == b.keys() and len(a) > 20
    assert not [key for key in a if not torch.equal(a[key], b[key])]
    assert (whole / "before_adversary").exists() == (parts / "before_adversary").exists() == (name == "vqgan")


def test_resuming_a_finished_run_only_exports(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    tiny.train("ae", data, run)
    before, weights = state(run), load_file(run / "weights" / "diffusion_pytorch_model.safetensors")
    for file in (run / "weights").iterdir():
        file.unlink()
    assert tiny.train("ae", data, run, "--resume") == 0
    after = state(run)
    assert not [key for key in before if not torch.equal(before[key], after[key])]
    again = load_file(run / "weights" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(weights[k], again[k]) for k in weights)


def test_a_run_can_be_exported_as_it_stands(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert tiny.train("vqvae", data, run, "--export-only") == 2
    assert "no checkpoint" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        tiny.interrupt_at(patch, VQRecipe, 3)
        assert tiny.train("vqvae", data, run) == 130
    before = state(run)
    assert tiny.train("vqvae", data, run, "--export-only") == 0
    assert json.loads((run / "weights" / "training.json").read_text())["steps"] == 3
    assert not [key for key, value in before.items() if not torch.equal(value, state(run)[key])]


@pytest.fixture(scope="module")
def finished(data: Path, perceptual: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The weights folders of a VAE's and a VQ-GAN's run."""
    root = tmp_path_factory.mktemp("runs")
    for name, weights in (("vae", None), ("vqgan", perceptual)):
        assert tiny.train(name, data, root / name, perceptual=weights, steps=8) == 0
    return {name: root / name / "weights" for name in ("vae", "vqgan")}


@pytest.mark.parametrize("name", ["vae", "vqgan"])
def test_what_a_run_leaves_behind(name: str, finished: dict[str, Path], data: Path) -> None:
    folder = finished[name]
    assert {f.name for f in folder.iterdir()} == {
        *("config.json", "diffusion_pytorch_model.safetensors", "statistics.safetensors"),
        *("training.json", "sheet.png", "README.md"),
    }
    stored = load_file(folder / "diffusion_pytorch_model.safetensors")
    assert {t.dtype for t in stored.values()} == {export.STORED}
    record = json.loads((folder / "training.json").read_text())
    assert record["steps"] == 8 and record["pictures"] == 8 * record["recipe"]["batch"]
    assert record["data"] == [{"name": "blobs", "weight": 1.0, "train": 20, "val": 6}]
    assert record["held_out"] and record["figures"][0]["pictures"] == 6


@pytest.mark.parametrize("name", ["vae", "vqgan"])
def test_figures_are_those_of_what_is_stored(
    name: str, finished: dict[str, Path], data: Path, perceptual: Path
) -> None:
    record = json.loads((finished[name] / "training.json").read_text())
    net = SqueezeNet.from_file(perceptual) if name == "vqgan" else None
    again = evaluate(load(finished[name]), data, "val", tiny.SIZE, net)
    (stored,) = record["figures"]
    texts = {key for key, value in again.items() if isinstance(value, str)}
    assert {key: stored[key] for key in texts} == {key: again[key] for key in texts}
    assert {k: v for k, v in stored.items() if k not in texts} == pytest.approx(
        {k: v for k, v in again.items() if k not in texts}, rel=1e-5
    )


def test_stored_weights_are_the_averaged_ones(finished: dict[str, Path]) -> None:
    run = finished["vae"].parent
    average = torch.load(run / "checkpoint" / "custom_checkpoint_0.pkl", weights_only=False)["shadow_params"]
    stored = load(finished["vae"]).parameters()
    assert all(torch.equal(a.to(export.STORED).float(), p) for a, p in zip(average, stored, strict=True))


def test_weights_do_not_tell_the_folder_they_were_read_from(tmp_path: Path) -> None:
    export.store(tiny.model("vqvae"), tmp_path / "first")
    export.store(VQVAE.from_pretrained(tmp_path / "first"), tmp_path / "second")
    first, second = ((tmp_path / name / "config.json").read_text() for name in ("first", "second"))
    assert first == second and str(tmp_path) not in second


def test_a_vq_gan_is_measured_against_itself_before_its_adversary(finished: dict[str, Path]) -> None:
    folder = finished["vqgan"]
    record = json.loads((folder / "training.json").read_text())
    before, after = record["before_adversary"][0], record["figures"][0]
    assert before["frechet"] > 0 and after["frechet"] > 0 and before["frechet_real"] == after["frechet_real"]
    assert f"{after['frechet'] / before['frechet']:.2f} times" in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", ["vae", "vqgan"])
def test_the_card_is_complete_and_tells_no_paths(name: str, finished: dict[str, Path], data: Path) -> None:
    card = (finished[name] / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\nlibrary_name: vq-studio\n") and card.count("\n---\n") == 1
    for heading in ("## Figures", "## Data and licences", "## Training", "## Limits"):
        assert heading in card
    assert f"python -m vq.train {name} --data blobs" in card and "| PSNR |" in card and "(sheet.png)" in card
    for text in (card, (finished[name] / "training.json").read_text(), (finished[name] / "config.json").read_text()):
        assert str(data.parent) not in text and str(finished[name].parent) not in text and "/tmp" not in text


def test_the_card_quotes_the_notes_on_its_data(tmp_path: Path) -> None:
    notes = tmp_path / "DATA.md"
    notes.write_text("# Data\n\n## cats\n\nFrom *there*, MIT.\n\n## dogs\n\nFrom elsewhere, CC0.\n")
    found = export.read_notes(notes, [("some/where/cats.zip", 3.0), ("fish", 1.0)])
    assert found == {"cats.zip": "From *there*, MIT.", "fish": "Origin and licence not recorded."}


def test_notes_on_the_bundled_data_name_every_licence() -> None:
    notes = export.read_notes(export.DATA_NOTES, [("cats64.zip", 3.0), ("photos160.zip", 1.0)])
    assert "MIT" in notes["cats64.zip"] and all(w in notes["photos160.zip"] for w in ("CC0", "MIT", "CC BY 4.0"))


def test_statistics_of_a_vector_codec(finished: dict[str, Path], data: Path) -> None:
    codec, found = load(finished["vae"]), load_statistics(finished["vae"])
    z = codec.encode(PictureSet(data, "train").tensors(tiny.SIZE)).z
    assert torch.allclose(found["mean"], z.mean(0), atol=1e-4)
    along = (z - found["mean"]) @ found["components"].T
    assert torch.allclose(along.std(0), found["std"], atol=1e-4) and (found["std"][:-1] >= found["std"][1:]).all()
    assert torch.allclose(torch.corrcoef(along[:, :3].T), torch.eye(3), atol=1e-2)


def test_statistics_of_a_quantised_codec(finished: dict[str, Path], data: Path) -> None:
    codec, found = load(finished["vqgan"]), load_statistics(finished["vqgan"])
    tokens = codec.encode(PictureSet(data, "train").tensors(tiny.SIZE)).tokens
    assert found["counts"].sum() == 20 * 8 * 8
    assert (found["counts"] - metrics.code_counts(tokens, 16)).abs().sum() <= 4  # near ties fall either way


def test_statistics_are_of_the_pictures_trained_on(data: Path) -> None:
    codec = tiny.model("vqvae")
    left_out = set(PictureSet(data, "train").names[:5])
    kept = PictureSet(data, "train", left_out).tensors(tiny.SIZE)
    counts = export.statistics(codec, str(data), left_out)["counts"]
    assert counts.sum() == 15 * 8 * 8
    assert torch.equal(counts, metrics.code_counts(codec.encode(kept).tokens, 16))


def test_training_lowers_the_loss(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = VectorRecipe(Spec(tiny.AE, tiny.VECTOR, lr=5e-3))
    recipe.prepare(Accelerator(cpu=True, mixed_precision="no"))
    x = tiny.pictures(8)
    losses = [recipe.step(x, 0.3)["squares"].item() for _ in range(100)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_restarted_code_really_moves() -> None:
    """Codes far from every encoder output are put onto one, and their Adam moments and averages with them."""
    torch.manual_seed(0)
    spec = Spec(VQVAE, tiny.GRID, batch=2, restart_every=2, restart_below=0.03)
    recipe = VQRecipe(spec)
    recipe.prepare(Accelerator(cpu=True, mixed_precision="no"))
    x, codes = tiny.pictures(4), recipe.model.quantizer.codebook_KD
    for _ in range(2):
        recipe.step(x, 0.1)
    with torch.no_grad():
        codes[5:] = 100.0 + torch.arange(11)[:, None]
    recipe.step(x, 0.1)
    assert codes[5:].min() > 99, "not yet"
    recipe.step(x, 0.1)
    assert codes[5:].max() < 50
    assert not recipe.codes.counts.any() and not recipe.codes.since
    moments = recipe.optimizer.state[codes]
    assert not moments["exp_avg"][5:].any() and not moments["exp_avg_sq"][5:].any()
    index = next(i for i, p in enumerate(recipe.model.parameters()) if p is codes)
    assert recipe.ema.shadow_params[index][5:].max() < 50
    used = recipe.model.encode(x).tokens.unique()
    assert (used >= 5).any(), "and is chosen again"


def test_no_restarts_in_the_last_fifth() -> None:
    torch.manual_seed(0)
    recipe = VQRecipe(Spec(VQVAE, tiny.GRID, batch=2, restart_every=1))
    recipe.prepare(Accelerator(cpu=True, mixed_precision="no"))
    recipe.step(tiny.pictures(2), 0.1)
    with torch.no_grad():
        recipe.model.quantizer.codebook_KD[5:] = 100.0
    recipe.step(tiny.pictures(2), 0.9)
    assert recipe.model.quantizer.codebook_KD[5:].min() > 99


def test_frozen_tokens_stay_while_the_decoder_learns() -> None:
    torch.manual_seed(0)
    before = tiny.model("vqvae")
    recipe = VQRecipe(
        Spec(VQVAE, {**tiny.GRID, "unit_length": True}, freeze_tokens=True, restart_every=1), None, before
    )
    recipe.prepare(Accelerator(cpu=True, mixed_precision="no"))
    x = tiny.pictures(4)
    for _ in range(3):
        recipe.step(x, 0.1)
    assert torch.equal(recipe.model.encode(x).tokens, before.encode(x).tokens)
    assert torch.equal(recipe.model.stored_codebook, before.stored_codebook)
    pairs = zip(recipe.model.decoder.parameters(), before.decoder.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(ValueError, match="--grow"):
        VQRecipe(Spec(VQVAE, tiny.GRID, freeze_tokens=True))


class OneToken(Prior):
    """Sure of one and the same token everywhere."""

    @register_to_config
    def __init__(self, token: int, codebook_size: int = 16, grid: Sequence[int] = (8, 8)):
        super().__init__()
        self.describe(codebook_size, (grid[0], grid[1]), "vqgan", None, Options())
        self.token = token

    def forward(self, tokens_Bhw: Tensor) -> Tensor:
        return 100.0 * one_hot(torch.full_like(tokens_Bhw, self.token), self.codebook_size)


def test_redrawn_tokens_are_the_priors_up_to_a_share() -> None:
    torch.manual_seed(0)
    tokens = torch.randint(8, (400, 8, 8))
    assert torch.equal(redraw(OneToken(9), tokens, 0.0), tokens)
    drawn = redraw(OneToken(9), tokens, 0.5)
    assert torch.equal(drawn[drawn != 9], tokens[drawn != 9])
    shares = (drawn == 9).flatten(1).double().mean(1)
    assert shares.mean() == pytest.approx(0.25, abs=0.02)
    assert shares.std() > 0.1 and shares.max() < 0.8, "each picture has its own share"
    assert redraw(OneToken(9), tokens, 1.0).eq(9).double().mean() == pytest.approx(0.5, abs=0.04)


def test_a_decoder_meets_redrawn_tokens(perceptual: Path) -> None:
    """The adversarial phase judges as many pictures of redrawn tokens; they count in texture and verdicts alone."""
    torch.manual_seed(0)
    before, x = tiny.model("vqvae"), tiny.pictures(2)
    spec = Spec(
        VQVAE, {**tiny.GRID, "unit_length": True}, batch=2, adversary_start=0.0, redrawn=1.0, adversarial_texture=1.0
    )
    seen: dict[bool, dict[str, Tensor]] = {}
    for told in (False, True):
        net = SqueezeNet.from_file(perceptual)
        prior = OneToken(3) if told else None
        recipe = VQRecipe(replace(spec, redrawn=float(told)), net, before, prior)
        recipe.prepare(Accelerator(cpu=True, mixed_precision="no"))
        judged: list[int] = []
        recipe.d_net.register_forward_pre_hook(lambda _, words, judged=judged: judged.append(len(words[0])))
        seen[told] = recipe.step(x, 0.5)
        assert judged == ([4, 6] if told else [2, 4])
        assert torch.equal(recipe.model.encode(x).tokens, before.encode(x).tokens)
    plain, both = seen[False], seen[True]
    assert torch.equal(plain["l1"], both["l1"]) and torch.equal(plain["perceptual"], both["perceptual"])
    assert not torch.equal(plain["texture"], both["texture"])


def test_a_prior_that_does_not_fit_is_refused(perceptual: Path) -> None:
    spec = Spec(VQVAE, tiny.GRID, adversary_start=0.0, redrawn=0.5)
    with pytest.raises(ValueError, match="needs 17 codes"):
        VQRecipe(spec, SqueezeNet.from_file(perceptual), None, OneToken(3, codebook_size=17))
    with pytest.raises(ValueError, match="--prior needs redrawn"):
        VQRecipe(replace(spec, redrawn=0.0), SqueezeNet.from_file(perceptual), None, OneToken(3))


def test_the_command_draws_tokens_anew(data: Path, perceptual: Path, tmp_path: Path) -> None:
    codec = tiny.model("vqvae-plain")
    codec.save_pretrained(tmp_path / "codec")
    prior = Transformer(16, (8, 8), width=16, depth=1, heads=2, codec="vqgan", codebook_sha256=fingerprint(codec))
    prior.save_pretrained(tmp_path / "prior")
    words = ["vqgan", "--data", str(data), "--out", str(tmp_path / "run"), "--steps", "2", "--device", "cpu"]
    words += ["--precision", "no"]
    words += ["--grow", str(tmp_path / "codec"), "--prior", str(tmp_path / "prior"), "--perceptual", str(perceptual)]
    settings = [*tiny.RUNS["vqgan"], "redrawn=0.5", "adversary_start=0.0"]
    assert main([*words, *settings]) == 0
    record = json.loads((tmp_path / "run" / "weights" / "training.json").read_text())
    assert "--prior prior" in record["command"] and record["recipe"]["redrawn"] == 0.5


def test_broken_pictures_are_counted_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tiny.write_set(tmp_path / "set", train=12, val=3)
    (root / "train" / "0002.png").write_bytes(b"no picture")
    (root / "val" / "0001.png").write_bytes(b"no picture")
    assert tiny.train("ae", root, tmp_path / "run", "--log-seconds", "0", steps=8) == 0
    assert "broken pictures skipped" in capsys.readouterr().out
    record = json.loads((tmp_path / "run" / "weights" / "training.json").read_text())
    assert record["figures"][0]["pictures"] == 2 and record["figures"][0]["skipped"] == 1
    assert record["curve"] and record["curve"][-1]["step"] == 8


ERRORS = {
    "missing path": (["ae", "--data", "{tmp}/nowhere"], "nowhere: no such folder or zip"),
    "empty set": (["ae", "--data", "{tmp}/empty"], "no pictures for the split 'train'"),
    "no zip": (["ae", "--data", "{tmp}/file.zip"], "neither a folder nor a zip"),
    "bad weight": (["ae", "--data", "{data}:0"], "positive weight"),
    "no perceptual weights": (["vqgan", "--data", "{data}"], "needs --perceptual"),
    "missing perceptual weights": (["vqgan", "--data", "{data}", "--perceptual", "{tmp}/none"], "none"),
    "redrawn, no prior": (["vqvae", "--data", "{data}", "--set", "redrawn=0.5"], "redrawn needs --prior"),
    "more than all": (["vqvae", "--data", "{data}", "--set", "redrawn=1.5"], "a share in [0,1], got 1.5"),
    "unknown setting": (["ae", "--data", "{data}", "--set", "speed=9"], "speed=9"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_mistakes_are_one_clear_line(case: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.zip").write_bytes(b"no zip")
    words, message = ERRORS[case]
    argv = [w.format(tmp=tmp_path, data=data) for w in words]
    argv += ["--out", str(tmp_path / "run"), "--steps", "2", "--device", "cpu", "--precision", "no"]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_resumed_log_tells_each_step_once(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = [{"step": s, "seconds": float(s), "loss": {"mse": m}} for s, m in ((1, 9), (2, 8), (3, 7), (2, 6), (3, 5))]
    rows.insert(2, {"step": 2, "seconds": 2.0, "val": {"psnr": 20.0}})
    log.write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = export.curve(log)
    assert [(r["step"], r["mse"]) for r in found["curve"]] == [(1, 9), (2, 6), (3, 5)]
    assert found["held_out"] == [{"step": 2, "seconds": 2.0, "psnr": 20.0}]


def test_long_curves_are_thinned(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"step": s, "seconds": 1.0, "loss": {"mse": 1.0}}) + "\n" for s in range(1001)))
    found = export.curve(log)["curve"]
    assert 150 < len(found) <= export.CURVE_POINTS and found[-1]["step"] == 1000


def test_schedule() -> None:
    assert cosine(0.0) < 0.1 and cosine(0.02) == pytest.approx(1.0) and cosine(1.0) == pytest.approx(0.0)
    assert cosine(0.51) == pytest.approx(0.5)
    values = [cosine(p / 100) for p in range(2, 101)]
    assert values == sorted(values, reverse=True)


def test_time_stands_still_while_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("vq.train.loop.time.perf_counter", lambda: now[0])
    clock = Clock(Plan(Path(), minutes=1.0))
    now[0] = 30.0
    clock.tick()
    now[0] = 500.0  # validation
    clock.pause()
    now[0] = 515.0
    clock.tick()
    assert clock.step == 2 and clock.progress == pytest.approx(0.75)
    other = Clock(Plan(Path(), minutes=1.0))
    other.load_state_dict(clock.state_dict())
    assert other.progress == clock.progress and other.step == 2
