"""What a prior's run leaves behind, and its figures: on a tiny codec, tiny priors and a handful of pictures."""

import json
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

from vq import metrics
from vq.evaluate import prior as module
from vq.evaluate.__main__ import main as evaluate_main
from vq.hub import load, load_prior
from vq.models.squeezenet import SqueezeNet
from vq.sampling import Options
from vq.train import export_prior
from vq.train.__main__ import main

SETTINGS = ["config.width=16", "config.depth=1", "config.heads=2", "config.codec=vqvae", "batch=4"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_set(tmp_path_factory.mktemp("data") / "blobs", train=10, val=6)


@pytest.fixture(scope="module")
def perceptual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_perceptual(tmp_path_factory.mktemp("perceptual") / "squeezenet.safetensors")


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codec") / "vqvae"
    tiny.model("vqvae").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def weights(data: Path, perceptual: Path, codec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    remarks = run / "remarks.md"
    remarks.write_text("Keeping 0.95 was best.")
    words = ["--data", str(data), "--codec", str(codec), "--perceptual", str(perceptual), "--out", str(run)]
    more = ["--steps", "12", "--samples", "8", "--remarks", str(remarks), "--precision", "no", "--device", "cpu"]
    assert main(["transformer", *words, *more, "--set", *SETTINGS]) == 0
    return run / "weights"


def test_the_folder_loads_and_belongs_to_its_codec(weights: Path, codec: Path) -> None:
    prior = load_prior(weights, codec)
    assert prior.grid == (8, 8) and prior.codec == "vqvae"
    assert {p.dtype for p in prior.parameters()} == {torch.float32}
    other = tiny.model("vqvae", seed=1)
    with pytest.raises(ValueError, match="another codebook"):
        prior.check_codec(other)


def test_its_defaults_are_the_options_with_the_smallest_distance(weights: Path) -> None:
    tried = json.loads((weights / "training.json").read_text())["tried"]
    assert [Options(r["temperature"], r["top_k"], r["top_p"]) for r in tried] == list(export_prior.TRIED)
    best = min(tried, key=lambda row: row["frechet"])
    assert load_prior(weights).defaults == Options(best["temperature"], best["top_k"], best["top_p"])


def test_the_card_tells_figures_command_and_remarks(weights: Path, data: Path) -> None:
    card, record = (weights / "README.md").read_text(), json.loads((weights / "training.json").read_text())
    figures = record["figures"][0]
    assert f"| nats per token | {figures['nats']:.3f} |" in card and f"{figures['frechet']:.0f}" in card
    assert "python -m vq.train transformer --data blobs --codec vqvae" in card and "Keeping 0.95 was best." in card
    assert "pipeline_tag: unconditional-image-generation" in card and "(sheet.png)" in card
    for text in (card, (weights / "training.json").read_text(), (weights / "config.json").read_text()):
        assert str(data.parent) not in text
    with Image.open(weights / "sheet.png") as sheet:
        assert sheet.width > sheet.height > 3 * tiny.SIZE - 1


def test_the_figures_are_those_of_the_stored_weights(weights: Path, codec: Path, data: Path, perceptual: Path) -> None:
    record = json.loads((weights / "training.json").read_text())["figures"][0]
    net = SqueezeNet.from_file(perceptual)
    again = module.evaluate_prior(load_prior(weights), load(codec), data, net, 8)
    assert record.keys() == again.keys()
    for key, value in again.items():
        assert record[key] == (value if isinstance(value, str) else pytest.approx(value)), key
    assert again["below_unigram"] == pytest.approx(again["unigram"] - again["nats"])


def test_samples_that_are_copies_lie_at_distance_zero() -> None:
    among = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    assert float(module.nearest(among[3:9], among).max()) < 1e-3
    far = torch.full((2, 8), 100.0)
    assert torch.allclose(module.nearest(far, among), torch.cdist(far, among).amin(1))


def test_pictures_are_those_of_the_seeds(weights: Path, codec: Path) -> None:
    prior, of = load_prior(weights), load(codec)
    drawn = torch.cat(list(module.pictures(prior, of, module.BATCH + 3)))
    assert len(drawn) == module.BATCH + 3
    assert torch.equal(drawn[:2], of.decode(of.lookup(prior.sample(module.BATCH, 0)))[:2])
    assert torch.equal(drawn[-3:], of.decode(of.lookup(prior.sample(3, 1))))


def test_tuning_measures_each_option(weights: Path, codec: Path, data: Path, perceptual: Path) -> None:
    net, prior, of = SqueezeNet.from_file(perceptual), load_prior(weights), load(codec)
    (row,) = export_prior.tune(prior, of, str(data), net, 6, [Options(top_p=0.5)])
    real = torch.cat([net.pooled(x) for x in export_prior.frechet_sides(data, tiny.SIZE)[0]])
    drawn = net.pooled(of.decode(of.lookup(prior.sample(6, 0, top_p=0.5))))
    assert row["frechet"] == pytest.approx(metrics.frechet(drawn, real))


def test_the_command_measures_priors(
    weights: Path, codec: Path, data: Path, perceptual: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(weights), "--codec", str(codec), "--data", str(data)]
    assert evaluate_main([*words, "--perceptual", str(perceptual), "--samples", "6"]) == 0
    out = capsys.readouterr().out
    assert "nats per token" in out and "held-out pictures" in out
    assert evaluate_main(["normal", "--data", str(data)]) == 2
    assert "--codec" in capsys.readouterr().err


def test_a_gaussian_has_no_likelihood_figures(data: Path, perceptual: Path) -> None:
    from vq.prior import GaussianPrior

    codec = tiny.model("vae")
    figures = module.evaluate_prior(
        GaussianPrior.normal("vae", tiny.VECTOR["latent_dim"]), codec, data, SqueezeNet.from_file(perceptual), 6
    )
    assert "nats" not in figures and figures["frechet"] > 0 and len(figures["neighbour"]) == 3
