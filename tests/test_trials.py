"""Short runs that differ in one setting: each is made once, from the same start, and reported beside the recipe."""

import json
from pathlib import Path

import pytest
import tiny

from vq.report import pictures
from vq.report import trials as report
from vq.train import priors, trials
from vq.train.__main__ import override
from vq.train.autoencoders import SPECS
from vq.train.trials import STUDIES, Study, Trial, main

GRID = [f"config.{k}={json.dumps(v)}" for k, v in {**tiny.GRID, "image_size": 64}.items()]
PRIOR = ("config.width=16", "config.depth=1", "config.heads=2", "batch=4")
TINY = {
    "codec": Study(
        "vqgan",
        (*GRID, "adversary_start=1", "batch=2"),
        4,
        (Trial("the recipe"), Trial("again", (), 1), Trial("batch", ("batch=1",)), Trial("rate", ("lr=0",))),
        "psnr",
    ),
    "prior": Study(
        "transformer", PRIOR, 8, (Trial("the recipe"), Trial("dropout", ("config.dropout=0.5",))), "nats", 3
    ),
}


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(trials, "STUDIES", TINY)
    cats = tiny.write_set(tmp_path / "cats", train=6, val=5, size=64)
    net = tiny.write_perceptual(tmp_path / "squeezenet.safetensors")
    return ["--data", str(cats), "--perceptual", str(net), "--out", str(tmp_path / "out")]


def test_every_run_stands_there_and_is_made_once(words, tmp_path, monkeypatch):
    assert main(words) == 0
    file = tmp_path / "out" / "trials.json"
    found = json.loads(file.read_text())
    for name, study in TINY.items():
        rows = found[name]["rows"]
        assert [(tuple(row["settings"]), row["seed"]) for row in rows] == [(t.settings, t.seed) for t in study.trials]
        assert all(study.figure in row["figures"] and row["pictures_per_second"] > 0 for row in rows)
    first, seed, batch, still = [row["figures"] for row in found["codec"]["rows"]]
    assert len({row["psnr"] for row in (first, seed, batch, still)}) == 4, "each setting does something"
    text = file.read_text()
    monkeypatch.setattr(trials, "run", lambda *_: pytest.fail("made again"))
    assert main(words) == 0 and file.read_text() == text


def test_what_a_stopped_call_lacks_is_made_by_the_next(words, tmp_path):
    assert main(["prior", *words]) == 0
    file = tmp_path / "out" / "trials.json"
    found = json.loads(file.read_text())
    lost = found["prior"]["rows"].pop(0)
    file.write_text(json.dumps(found))
    assert main(["prior", *words]) == 0
    again = json.loads(file.read_text())["prior"]["rows"]
    assert again[0]["figures"] == lost["figures"], "in its place, and as before: every seed reproduces its result"
    assert again[1:] == found["prior"]["rows"] and "codec" not in json.loads(file.read_text())


def test_few_pictures_are_the_same_in_every_run(words, tmp_path, capfd):
    assert main(["prior", *words]) == 0
    assert capfd.readouterr().out.count("6 grids") == 2, "three pictures and their mirror images"


def test_figures_of_another_length_of_run_do_not_count(words, tmp_path, monkeypatch):
    assert main(["prior", *words]) == 0
    file = tmp_path / "out" / "trials.json"
    before = json.loads(file.read_text())["prior"]["rows"]
    longer = {"prior": Study(**{**vars(TINY["prior"]), "pictures": 16})}
    monkeypatch.setattr(trials, "STUDIES", longer)
    assert main(words) == 0
    study = json.loads(file.read_text())["prior"]
    assert study["pictures"] == 16 and [r["figures"] for r in study["rows"]] != [r["figures"] for r in before]


def test_a_stopped_run_leaves_what_was_found(words, tmp_path, monkeypatch):
    whole = trials.run

    def stopped(study, trial, rig):
        if trial.settings:
            raise KeyboardInterrupt
        return whole(study, trial, rig)

    monkeypatch.setattr(trials, "run", stopped)
    assert main(["prior", *words]) == 130
    assert len(json.loads((tmp_path / "out" / "trials.json").read_text())["prior"]["rows"]) == 1


def test_mistakes_are_one_line(words, capsys):
    assert main(["nonsense", *words]) == 2
    assert capsys.readouterr().err == "error: nonsense: no such study; there are codec, prior\n"
    words[1] += "-not"
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_every_setting_is_one_that_the_recipe_has():
    for name, study in STUDIES.items():
        assert len({(t.settings, t.seed) for t in study.trials}) == len(study.trials), name
        for trial in study.trials:
            spec = override((SPECS | priors.SPECS)[study.model], [*study.base, *trial.settings])
            assert sum(p.numel() for p in spec.model(**spec.config).parameters()) < 8e6
            assert study.pictures % spec.batch == 0


def test_the_report_tells_what_a_setting_did(words, tmp_path):
    assert main(words) == 0
    studies = report.read(tmp_path / "out" / "trials.json")
    text = report.markdown("codec", studies["codec"])
    row = studies["codec"]["rows"][2]["figures"]
    assert f"| batch | `batch=1` | {row['psnr']:.2f} | {row['frechet']:,.0f} |" in text
    assert "of 3 different ones" in report.markdown("prior", studies["prior"])
    pictures.trials_plot(studies, tmp_path / "trials.png")
    assert (tmp_path / "trials.png").stat().st_size > 10_000
    assert report.read(tmp_path / "none.json") == {}
