"""The report on what is shipped, drawn from the bundled weights over a handful of pictures."""

import re
from pathlib import Path

import pytest
import tiny
import torch

from vq.catalogue import CODECS
from vq.report import measure
from vq.report.__main__ import main


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The page and the folder of its pictures."""
    root = tmp_path_factory.mktemp("report")
    cats = tiny.write_set(root / "cats", train=140, val=12, size=64)
    photos = tiny.write_set(root / "photos", train=4, val=4, size=160)
    net = tiny.write_perceptual(root / "squeezenet.safetensors")
    words = ["--cats", str(cats), "--photos", str(photos), "--perceptual", str(net), "--samples", "16"]
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
    assert set(named) == {path.name for path in pictures.iterdir()} and len(named) == 6


def test_rates_are_those_of_the_codecs(tmp_path: Path) -> None:
    photos = tiny.write_set(tmp_path / "photos", train=2, val=3, size=160)
    with torch.inference_mode():
        curves = measure.rate_distortion(str(photos), 2)
    assert curves["VQ-VAE"][0][0] == pytest.approx(10 / 16) and curves["VQ-GAN"][0][0] == pytest.approx(10 / 64)
    rates = [rate for rate, _ in curves["JPEG"]]
    assert rates == sorted(rates) and len(rates) == len(measure.QUALITIES)


def test_parameters_are_counted_in_the_files() -> None:
    from vq.hub import load

    for name, entry in CODECS.items():
        assert measure.parameters(entry.folder) == sum(p.numel() for p in load(name).parameters())


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cats", "none", "--photos", "none", "--perceptual", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
