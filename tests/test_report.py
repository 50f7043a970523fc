"""The report on what is shipped, drawn from the bundled weights over a handful of pictures."""

import json
import re
from pathlib import Path

import pytest
import tiny
import torch

from vq.catalogue import CODECS, WEIGHTS
from vq.evaluate.codec import evaluate
from vq.evaluate.prior import evaluate_prior
from vq.evaluate.reference import Reference
from vq.hub import load
from vq.models.squeezenet import SqueezeNet
from vq.report import measure
from vq.report.__main__ import SIZE, main
from vq.report.page import goals, page
from vq.train.card import card


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def written(root: Path) -> tuple[str, Path]:
    """The page and the folder of its pictures."""
    cats = tiny.write_set(root / "cats", train=16, val=12, size=64)
    photos = tiny.write_set(root / "photos", train=2, val=2, size=160)
    net = tiny.write_perceptual(root / "squeezenet.safetensors")
    words = ["--cats", str(cats), "--photos", str(photos), "--perceptual", str(net), "--samples", "10"]
    assert main([*words, "--out", str(root / "README.md"), "--pictures", str(root / "pictures")]) == 0
    return (root / "README.md").read_text(), root / "pictures"


def test_every_codec_and_generator_has_its_row(written: tuple[str, Path]) -> None:
    page, _ = written
    for entry in CODECS.values():
        assert re.search(rf"^\| {re.escape(entry.title)} \| \d+\.\d\d dB", page, re.M), entry.title
    for row, _, _ in measure.generators():
        assert re.search(rf"^\| {re.escape(row.title)} \|", page, re.M), row.title
    assert "| together |" in page


def test_every_picture_it_names_is_there(written: tuple[str, Path]) -> None:
    page, pictures = written
    named = re.findall(r"!\[[^]]*\]\(pictures/([^)]+)\)", page)
    assert set(named) == {path.name for path in pictures.iterdir()} and len(named) == 8


def test_figures_are_those_that_evaluate_prints(root: Path, written: tuple[str, Path]) -> None:
    """Though the report shares what several models are compared with, and evaluate computes it for each."""
    cats, net = str(root / "cats"), SqueezeNet.from_file(root / "squeezenet.safetensors")
    with torch.inference_mode():
        reference = Reference(cats, SIZE, net)
        row, prior, codec = measure.generators()[2]
        drawn = measure.generate(row, prior, codec, cats, reference, 5)
        found = measure.codec_figures(row.codec, cats, "", reference)["cats"]
    alone = evaluate(codec, cats, perceptual=net)
    assert found == {key: pytest.approx(alone[key]) if isinstance(alone[key], float) else alone[key] for key in found}
    again = evaluate_prior(prior, codec, cats, net, 5)
    assert drawn.figures.keys() == again.keys()
    for key, value in again.items():
        assert drawn.figures[key] == (value if isinstance(value, str) else pytest.approx(value)), key


def test_goals_are_met_or_fall_short() -> None:
    figures = {"psnr": 24.6, "pca_psnr": 24.0, "usage": 1.0, "perplexity": 849.9} | {
        "frechet": 700.0,
        "frechet_real": 400.0,
    }
    codecs = {name: {"cats": figures, "photos": {"psnr": 26.0}} for name in CODECS}
    generators = {
        "VQ-VAE + PixelCNN": {"below_unigram": 1.69, "frechet": 9.0, "frechet_real": 1.0},
        "VQ-GAN + transformer": {"below_unigram": 1.5, "frechet": 3.0, "frechet_real": 1.0},
    }
    records = {"vqgan": {"before_adversary": [{"frechet": 1000.0}]}}
    lines = page(codecs, generators, records, "make report", "pictures").splitlines()
    rows = [line.split(" | ") for line in lines if line.endswith((" aim |", " must |", " less than must |"))]
    assert [row[-1][:-2] for row in rows] == [
        *("aim", "aim", "less than must", "must", "must", "must", "aim"),
        *("less than must", "less than must", "aim", "must"),
    ]
    assert rows[0][2:5] == ["24.00 dB", "24.50 dB", "**24.60 dB**"] and rows[7][4] == "**0.70**"
    assert any("Above that floor 300 are left of 600, 0.50 times." in line for line in lines)
    assert goals(codecs, {}, {})[-1].reached is None, "without the record of the state before"


def test_rates_are_those_of_the_codecs(tmp_path: Path) -> None:
    photos = tiny.write_set(tmp_path / "photos", train=2, val=3, size=160)
    with torch.inference_mode():
        curves = measure.rate_distortion(str(photos), 2)
    assert curves["VQ-VAE"][0][0] == pytest.approx(13 / 16) and curves["VQ-GAN"][0][0] == pytest.approx(10 / 64)
    rates = [rate for rate, _ in curves["JPEG"]]
    assert rates == sorted(rates) and len(rates) == len(measure.QUALITIES)


def test_parameters_are_counted_in_the_files() -> None:
    for name, entry in CODECS.items():
        assert measure.parameters(entry.folder) == sum(p.numel() for p in load(name).parameters())


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cats", "none", "--photos", "none", "--perceptual", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_too_few_samples_are_refused_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--cats", "none", "--photos", "none", "--perceptual", "none", "--samples", str(measure.COLUMNS - 1)]
    assert main(words) == 2
    assert capsys.readouterr().err == "error: --samples: expected 10 or more, a row of a sheet, got 9\n"


@pytest.mark.parametrize("name", ["vqvae", "vqgan"])
def test_the_card_of_bundled_weights_can_be_written_again(name: str) -> None:
    record = json.loads((WEIGHTS / name / "training.json").read_text())
    assert f"becomes one of {load(name).codebook_size:,} tokens. " in card(record, {})
