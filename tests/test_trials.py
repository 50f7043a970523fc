"""Short runs that differ in one setting: each is made once, from the same start, and judged by the recipe's spread."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch

from vq.report import pictures
from vq.report import trials as report
from vq.report.page import page
from vq.train import priors, trials
from vq.train.__main__ import override
from vq.train.autoencoders import SPECS
from vq.train.trials import STUDIES, Study, Trial, main

GRID = [f"config.{k}={json.dumps(v)}" for k, v in {**tiny.GRID, "image_size": 64}.items()]
PRIOR = ("config.width=16", "config.depth=1", "config.heads=2", "batch=4")
RECIPE = (Trial("the recipe"), Trial("the recipe", (), 1))
TINY = {
    "codec": Study(
        "vqgan",
        (*GRID, "adversary_start=1", "batch=2"),
        4,
        (*RECIPE, Trial("batch", ("batch=1",)), Trial("rate", ("lr=1e30",)), Trial("rate", ("lr=0",))),
    ),
    "prior": Study("transformer", PRIOR, 8, (*RECIPE, Trial("dropout", ("config.dropout=0.5",))), few=3),
}
PSNR = report.FIGURES[0]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(trials, "STUDIES", TINY)
    cats = tiny.write_set(tmp_path / "cats", train=6, val=5, size=64)
    net = tiny.write_perceptual(tmp_path / "squeezenet.safetensors")
    return ["--data", str(cats), "--perceptual", str(net), "--out", str(tmp_path / "out"), "--precision", "no"]


@pytest.fixture
def found(tmp_path):
    return lambda: json.loads((tmp_path / "out" / "trials.json").read_text())


def made(rows):
    return [(tuple(row["settings"]), row["seed"]) for row in rows]


def test_every_run_stands_there_and_is_made_once(words, found, monkeypatch):
    assert main(words) == 0
    before = found()
    for name, study in TINY.items():
        assert made(before[name]["rows"]) == [(t.settings, t.seed) for t in study.trials]
    first, seed, batch, wild, still = before["codec"]["rows"]
    assert len({row["figures"]["psnr"] for row in (first, seed, batch, still)}) == 4, "each setting does something"
    assert wild["figures"] == {}, "a run that diverges holds up no other"
    # At each of 64 cells every weight of a block's matrices, and of the head's, once; of some kernels attention counts.
    weights, attention = 64 * (12 * 16 * 16 + 16 * 1024), 2 * 64 * 64 * 16
    assert before["prior"]["rows"][0]["multiplications"] in (weights, weights + attention)
    monkeypatch.setattr(trials, "run", lambda *_: pytest.fail("made again"))
    assert main(words) == 0 and found() == before


def test_what_a_stopped_call_lacks_is_made_by_the_next(words, tmp_path, found):
    assert main(["prior", *words]) == 0
    before = found()
    lacking = {"prior": before["prior"] | {"rows": before["prior"]["rows"][1:]}}
    (tmp_path / "out" / "trials.json").write_text(json.dumps(lacking))
    assert main(["prior", *words]) == 0
    assert found() == before, "in its place, with the same figures: a seed reproduces its result"


def test_the_same_few_pictures_in_every_run(words, tmp_path, monkeypatch):
    whole, left_out = trials.run, []

    def run(*args):
        row = whole(*args)
        left_out.append((tmp_path / "out" / "run" / "left_out.txt").read_text().splitlines())
        return row

    monkeypatch.setattr(trials, "run", run)
    assert main(["prior", *words]) == 0
    assert left_out == [[f"train/{i:04}.png" for i in (1, 3, 5)]] * 3


def test_a_set_that_has_no_more_pictures_is_taken_whole(words, found, monkeypatch):
    monkeypatch.setattr(trials, "STUDIES", {"prior": replace(TINY["prior"], few=6, trials=RECIPE[:1])})
    assert main(words) == 0 and found()["prior"]["rows"][0]["figures"]["nats"] > 0


@pytest.mark.parametrize("change", [{"pictures": 16}, {"base": (*PRIOR, "keep=0.5")}, {"few": 2}])
def test_runs_of_another_kind_do_not_count(words, found, monkeypatch, change):
    assert main(["prior", *words]) == 0
    again, whole = [], trials.run
    monkeypatch.setattr(trials, "run", lambda *args: again.append(args[1]) or whole(*args))
    monkeypatch.setattr(trials, "STUDIES", {"prior": replace(TINY["prior"], **change)})
    assert main(words) == 0
    assert again == list(TINY["prior"].trials) and len(found()["prior"]["rows"]) == len(again)


def test_a_mistake_is_no_divergence(words, found, monkeypatch):
    def broken(*_):
        raise RuntimeError("no space left")

    monkeypatch.setattr(trials, "_measured", broken)
    with pytest.raises(RuntimeError, match="no space left"):
        main(["prior", *words])


def test_a_stopped_run_leaves_what_was_found(words, found, monkeypatch):
    whole = trials.run

    def stopped(study, trial, rig):
        if trial.settings:
            raise KeyboardInterrupt
        return whole(study, trial, rig)

    monkeypatch.setattr(trials, "run", stopped)
    assert main(["prior", *words]) == 130
    assert made(found()["prior"]["rows"]) == [((), 0), ((), 1)]


def test_mistakes_are_one_line(words, capsys):
    assert main(["nonsense", *words]) == 2
    assert capsys.readouterr().err == "error: nonsense: no such study; there are codec; prior\n"
    words[1] += "-not"
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("name", STUDIES)
def test_every_setting_of_a_study_is_one_that_the_recipe_has_and_differs_from_it(name):
    study = STUDIES[name]
    recipe = override((SPECS | priors.SPECS)[study.model], list(study.base))
    assert len({(t.settings, t.seed) for t in study.trials}) == len(study.trials)
    for trial in study.trials:
        spec = override(recipe, list(trial.settings))
        assert (spec == recipe) == (not trial.settings)
        assert sum(p.numel() for p in spec.model(**spec.config).parameters()) < 10e6
        assert study.pictures % spec.batch == 0
        # The average begins by reaching back a tenth of the steps: nearer to 1 than that, `ema` would do nothing.
        steps = study.pictures // spec.batch
        assert spec == recipe or spec.ema == recipe.ema or spec.ema < (1 + steps) / (10 + steps)
    report.band({"rows": [t._asdict() | {"figures": {"x": t.seed}} for t in study.trials]}, "x")


def study_of(recipe, **others):
    """Rows of a study by their PSNR."""
    rows = [{"settings": [], "seed": i, "figures": {"psnr": v, "frechet": v}} for i, v in enumerate(recipe)]
    return {
        "rows": rows + [{"settings": [k], "seed": 0, "figures": {"psnr": v, "frechet": v}} for k, v in others.items()]
    }


def test_the_band_holds_nineteen_of_twenty_further_seeds():
    generator, inside = torch.Generator().manual_seed(0), 0
    for values in torch.randn(2000, 5, generator=generator).tolist():
        low, high = report.band(study_of(values[:4]), "psnr")
        inside += low <= values[4] <= high
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)
    with pytest.raises(ValueError, match="2 to 10 seeds, got 1"):
        report.band(study_of([1.0]), "psnr")


def test_what_is_beyond_the_band_is_better_or_worse():
    study = study_of([20.0, 20.1, 20.2], a=20.15, b=25.0, c=15.0)
    rows = {row["settings"][0]: row for row in study["rows"] if row["settings"]}
    assert [report.verdict(study, rows[k], PSNR) for k in "abc"] == ["chance", "better", "worse"]
    frechet = next(f for f in report.FIGURES if f.key == "frechet")
    assert [report.verdict(study, rows[k], frechet) for k in "abc"] == ["chance", "worse", "better"]


def test_the_report_tells_what_a_setting_did(words, tmp_path, found, monkeypatch):
    assert main(words) == 0
    path = tmp_path / "out" / "trials.json"
    monkeypatch.setattr(report, "read", lambda: json.loads(path.read_text()))
    figures = {"psnr": 1.0, "frechet": 3.0, "frechet_real": 2.0, "usage": 1.0, "perplexity": 9.0}
    codecs = {name: {"cats": figures, "photos": figures} for name in ("ae", "vae", "vqvae", "vqgan")}
    text = page(codecs, {}, {}, "make report", "pictures")
    row = found()["codec"]["rows"][2]["figures"]
    assert f"| batch | `batch=1` | {row['psnr']:.2f} |" in text.replace("**", "")
    assert "| rate | `lr=1e30` | diverged | diverged |" in text and "drawn from 3 different ones" in text
    pictures.trials_plot(found(), tmp_path / "trials.png")
    assert (tmp_path / "trials.png").stat().st_size > 10_000


def test_without_trials_the_report_says_nothing_of_them(tmp_path):
    assert report.read(tmp_path / "none.json") == {}
