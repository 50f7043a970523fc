"""The figures mean what their definitions say: checked with codecs whose errors are known beforehand."""

import json
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file
from torch import Tensor

from vq import metrics
from vq.codec import Encoded
from vq.evaluate import __main__ as command
from vq.evaluate import codec as module
from vq.evaluate.__main__ import main
from vq.evaluate.codec import evaluate, frechet_sides
from vq.models.squeezenet import SqueezeNet
from vq.pictures import DataError, PictureSet


class Shift:
    """A codec that keeps everything but adds a constant: its PSNR is known. Grey pictures stay clear of the clamp."""

    factor, codebook_size, codebook, image_size = 1, None, None, tiny.SIZE

    def __init__(self, by: float):
        self.by = by

    def encode(self, x: Tensor) -> Encoded:
        return Encoded(x)

    def decode(self, z: Tensor) -> Tensor:
        return z + self.by


class Linear:
    """A vector codec that is a PCA fitted on its own training pictures."""

    factor, codebook_size, codebook, image_size = None, None, None, tiny.SIZE

    def __init__(self, x: Tensor, count: int):
        self.mean, self.components, _ = metrics.principal_components(x.flatten(1), count)

    def encode(self, x: Tensor) -> Encoded:
        return Encoded((x.flatten(1) - self.mean) @ self.components.T)

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.components + self.mean).view(-1, 3, tiny.SIZE, tiny.SIZE).clamp(-1, 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_set(tmp_path_factory.mktemp("data") / "blobs", train=20, val=6)


@pytest.fixture(scope="module")
def perceptual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_perceptual(tmp_path_factory.mktemp("perceptual") / "squeezenet.safetensors")


def test_psnr_is_the_mean_over_pictures(data: Path) -> None:
    x = PictureSet(data, "val").tensors(tiny.SIZE)
    figures = evaluate(Shift(0.02), data)
    assert figures["psnr"] == pytest.approx(float(metrics.psnr(x, x + 0.02).mean()), abs=1e-4)
    assert 40 <= figures["psnr"] < 42, "40 dB but for what the clamp takes"
    assert figures["pictures"] == 6 and figures["bits_per_pixel"] == 3 * 16
    assert "usage" not in figures and "pca_psnr" not in figures


def test_a_perfect_codec_is_as_far_as_real_pictures(data: Path, perceptual: Path) -> None:
    figures = evaluate(Shift(0.0), data, perceptual=SqueezeNet.from_file(perceptual))
    assert figures["psnr"] == float("inf") and figures["ssim"] == pytest.approx(1) and figures["feature_distance"] == 0
    assert figures["frechet"] == figures["frechet_real"] > 0 and figures["frechet_pictures"] == 6


def test_a_worse_codec_is_farther(data: Path, perceptual: Path) -> None:
    net = SqueezeNet.from_file(perceptual)
    near, far = (evaluate(Shift(by), data, perceptual=net) for by in (0.05, 0.5))
    assert near["frechet"] < far["frechet"] and near["frechet_real"] == far["frechet_real"]
    assert near["feature_distance"] < far["feature_distance"] and near["ssim"] > far["ssim"]


def test_usage_and_perplexity_are_of_the_whole_set(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = tiny.model("vqvae")
    counts = metrics.code_counts(codec.encode(PictureSet(data, "train").tensors(tiny.SIZE)).tokens, 16)
    monkeypatch.setattr(module, "BATCH", 3)  # the last batch is smaller
    figures = evaluate(codec, data, "train")
    assert figures["pictures"] == 20 and figures["usage"] == metrics.usage(counts)
    assert figures["perplexity"] == pytest.approx(metrics.perplexity(counts), rel=0.02)
    assert figures["bits_per_pixel"] == pytest.approx(4 / 16)


def test_pca_of_the_same_size(data: Path) -> None:
    codec = Linear(PictureSet(data, "train").tensors(tiny.SIZE), 5)
    figures = evaluate(codec, data)
    assert figures["pca_psnr"] == pytest.approx(figures["psnr"], abs=0.01)
    assert figures["bits_per_pixel"] == pytest.approx(5 * 16 / tiny.SIZE**2)
    # With as many components as pictures a PCA would only remember them.
    assert evaluate(Linear(PictureSet(data, "train").tensors(tiny.SIZE), 20), data)["pca_psnr"] is None


def test_sides_of_the_frechet_distance(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reference: the first of train/. Others: all of val/, filled up from train/ after those. Nothing twice."""
    monkeypatch.setattr(module, "FRECHET_PICTURES", 8)
    reference, others = frechet_sides(data, tiny.SIZE)
    named = [(s.pictures.split, list(s.indices)) for s in (reference, *others)]
    assert named == [("train", list(range(8))), ("val", list(range(6))), ("train", [8, 9])]
    monkeypatch.setattr(module, "FRECHET_PICTURES", 4)
    named = [(s.pictures.split, list(s.indices)) for s in frechet_sides(data, tiny.SIZE)[1]]
    assert named == [("val", [0, 1, 2, 3])]
    monkeypatch.setattr(module, "FRECHET_PICTURES", 2000)
    reference, others = frechet_sides(data, tiny.SIZE)
    assert [len(s.indices) for s in (reference, *others)] == [20, 6]


def test_frechet_distance_is_that_of_pooled_features(
    data: Path, perceptual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRECHET_PICTURES", 8)
    net = SqueezeNet.from_file(perceptual)
    train, val = (PictureSet(data, split).tensors(tiny.SIZE) for split in ("train", "val"))
    figures = evaluate(Shift(0.1), data, perceptual=net)
    other = torch.cat([val, train[8:10]])
    assert figures["frechet_pictures"] == 8
    assert figures["frechet_real"] == pytest.approx(metrics.frechet(net.pooled(other), net.pooled(train[:8])), rel=1e-2)
    expected = metrics.frechet(net.pooled(other + 0.1), net.pooled(train[:8]))
    assert figures["frechet"] == pytest.approx(expected, rel=1e-2)


def test_squares_are_unscaled_unless_asked(tmp_path: Path) -> None:
    tiny.write_pictures(tmp_path / "val", 2, (96, 64))
    tiny.write_pictures(tmp_path / "train", 2, (96, 64))
    pictures = PictureSet(tmp_path, "val")
    crop, whole = (next(iter(module.Squares(pictures, 32, resize))) for resize in (False, True))
    assert torch.equal(crop, pictures.tensors(32)) and crop.shape == whole.shape == (2, 3, 32, 32)
    small = torch.nn.functional.avg_pool2d(pictures.tensors(64), 2)
    assert (whole - small).abs().mean() < 0.02 < (crop - small).abs().mean()


def test_a_plain_folder_can_be_measured_whole(tmp_path: Path) -> None:
    tiny.write_pictures(tmp_path, 5)
    assert evaluate(tiny.model("vqvae"), tmp_path, "all")["pictures"] == 5


def test_broken_pictures_are_left_out_and_counted(tmp_path: Path) -> None:
    root = tiny.write_set(tmp_path / "set", train=3, val=4)
    (root / "val" / "0001.png").write_bytes(b"no picture")
    figures = evaluate(Shift(0.1), root)
    assert (figures["pictures"], figures["skipped"]) == (3, 1)
    for file in (root / "val").iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(DataError, match="broken"):
        evaluate(Shift(0.1), root)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("saved")
    for name in ("ae", "vqvae"):
        tiny.model(name).save_pretrained(root / name)
    return {name: root / name for name in ("ae", "vqvae")}


def test_the_command_prints_a_table_and_writes_json(
    saved: dict[str, Path], data: Path, perceptual: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    argv = [str(saved["vqvae"]), "--data", str(data), "--perceptual", str(perceptual), "--json", str(file)]
    assert main(argv) == 0
    out, figures = capsys.readouterr().out, json.loads(file.read_text())
    assert out.startswith("vqvae on blobs, val: 6 pictures at 32 px")
    for key, label, form in module.ROWS:
        if key != "pca_psnr":
            assert label in out and form.format(figures[key]) in out
    assert figures["model"] == "vqvae" and str(data) not in file.read_text()


ERRORS = {
    "unknown model": (["nothing", "--data", "{data}"], "nothing"),
    "missing data": (["{vqvae}", "--data", "{data}/none"], "no such folder or zip"),
    "no multiple": (["{vqvae}", "--data", "{data}", "--size", "30"], "size: must be a multiple of 4"),
    "too small": (["{vqvae}", "--data", "{data}", "--size", "8"], "size: at least 16 pixels"),
    "too small for features": (["{vqvae}", "--data", "{data}", "--size", "16", "--perceptual", "{net}"], "at least 32"),
    "vector codec": (
        ["{ae}", "--data", "{data}", "--size", "64"],
        "size: this codec takes 32x32 pictures only, got 64",
    ),
    "missing features": (["{ae}", "--data", "{data}", "--perceptual", "{data}/none"], "none"),
    "broken features": (["{ae}", "--data", "{data}", "--perceptual", "{data}/val/0000.png"], ""),
}


@pytest.mark.parametrize("case", ERRORS)
def test_mistakes_are_one_clear_line(
    case: str, saved: dict[str, Path], data: Path, perceptual: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, message = ERRORS[case]
    argv = [w.format(data=data, net=perceptual, **saved) for w in words]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_infinity_becomes_null(tmp_path: Path) -> None:
    assert command._finite({"psnr": float("inf"), "ssim": 1.0}) == {"psnr": None, "ssim": 1.0}
    assert "inf dB" in command.table({"data": "x", "split": "val", "size": 32, "pictures": 1, "psnr": float("inf")})


def test_perceptual_file_is_complete(perceptual: Path) -> None:
    assert len(load_file(perceptual)) == 50
