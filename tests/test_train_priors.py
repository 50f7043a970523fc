"""Training of the priors on a tiny codec and a handful of pictures: data, corruption, resume, the command."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from vq.codec import fingerprint
from vq.hub import load
from vq.models.pixelcnn import PixelCNN
from vq.models.transformer import Transformer
from vq.models.vqvae import VQVAE
from vq.train import augment, priors
from vq.train.__main__ import main
from vq.train.loop import Trainer
from vq.train.muon import Muon, orthogonal

TINY = {
    "transformer": ["config.width=16", "config.depth=1", "config.heads=2", "batch=4"],
    "pixelcnn": ["config.width=8", "config.depth=2", "config.codec=vqgan", "batch=4"],
}


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("codec")
    VQVAE(16, 12, 3, (6, 8), (0, 0), None, (0, 0)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 4)):
        (folder / split).mkdir()
        for i in range(count):
            small = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
            small.resize((16, 16), Image.Resampling.BICUBIC).save(folder / split / f"{i}.png")
    (folder / "train" / "broken.png").write_bytes(b"no picture")
    return folder


def run(name, codec, pictures, out, *more):
    command = [name, "--codec", str(codec), "--data", str(pictures), "--out", str(out), "--device", "cpu"]
    # One process holds one Accelerator: what "auto" picks differs between machines.
    return main([*command, "--precision", "no", *more, "--set", *TINY[name]])


@pytest.mark.parametrize("keep", [0.5, 0.9, 1.0, 0.0])
def test_corruption_replaces_the_share_it_says(keep):
    torch.manual_seed(0)
    tokens = torch.randint(1024, (200, 8, 8))
    noisy = priors.corrupt(tokens, keep, 1024)
    # A token drawn at random may be the one it replaces.
    expected = 1 - (1 - keep) * (1 - 1 / 1024)
    assert float((noisy == tokens).double().mean()) == pytest.approx(expected, abs=0.02 if 0 < keep < 1 else 0.002)
    assert int(noisy.min()) >= 0 and int(noisy.max()) < 1024
    if keep < 1:
        drawn = noisy[noisy != tokens].bincount(minlength=1024).double()
        assert float(drawn.mean() / drawn.var()) == pytest.approx(1, abs=0.25)  # a Poisson count: uniform


def test_the_target_is_the_unmodified_sequence(codec_folder):
    """With nothing kept, the network still learns to predict the true tokens: here always the same one."""
    torch.manual_seed(0)
    spec = priors.PriorSpec(Transformer, {"width": 16, "depth": 1, "heads": 2}, keep=0.0, lr=0.05)
    recipe = prepared(priors.PriorRecipe(spec, load(codec_folder), (4, 4), 0.0))
    x = torch.full((4, 4, 4), 7)
    for _ in range(30):
        recipe.step(x, 0.3)
    assert recipe.model.sample(1, temperature=0).unique().tolist() == [7]


def prepared(recipe):
    from accelerate import Accelerator

    recipe.prepare(Accelerator(cpu=True))
    return recipe


def test_tokens_are_those_of_the_codec_and_of_mirror_images(codec_folder, pictures, tmp_path):
    codec = load(codec_folder)
    sets = priors.token_sets(codec, [str(pictures)], tmp_path / "tokens.safetensors")
    assert sets["train"].shape == (10, 2, 4, 4)
    x = priors.PictureSet(pictures, "val").tensors(16)
    assert torch.equal(sets["val"][:, 0].long(), codec.encode(x).tokens)
    assert torch.equal(sets["val"][:, 1].long(), codec.encode(x.flip(3)).tokens)


@pytest.mark.parametrize("change", ["shifts", "tints"])
def test_changed_pictures_are_encoded_too(codec_folder, pictures, tmp_path, change):
    codec, cache = load(codec_folder), tmp_path / "tokens.safetensors"
    plain = priors.token_sets(codec, [str(pictures)], cache)
    more = priors.token_sets(codec, [str(pictures)], cache, **{change: 3})
    assert more["train"].shape == (10, 8, 4, 4) and more["val"].shape == plain["val"].shape
    assert torch.equal(more["train"][:, :2], plain["train"]) and torch.equal(more["val"], plain["val"])
    assert len(more["train"][0].unique(dim=0)) > 2
    other = priors.token_sets(codec, [str(pictures)], cache, **{"tints" if change == "shifts" else "shifts": 3})
    assert not torch.equal(other["train"], more["train"])
    assert torch.equal(priors.token_sets(codec, [str(pictures)], cache, **{change: 3})["train"], more["train"])


def test_listed_pictures_are_not_learnt(codec_folder, pictures, tmp_path):
    codec, cache = load(codec_folder), tmp_path / "tokens.safetensors"
    every = priors.token_sets(codec, [str(pictures)], cache)
    names = priors.PictureSet(pictures, "train").names
    fewer = priors.token_sets(codec, [str(pictures)], cache, left_out=names[2:4])
    assert torch.equal(fewer["train"], torch.cat([every["train"][:2], every["train"][4:]]))
    assert torch.equal(fewer["val"], every["val"])


@pytest.mark.parametrize(("dy", "dx"), [(2, 0), (-2, 1), (0, -3), (0, 0)])
def test_a_shift_moves_the_picture(dy, dx):
    x = torch.rand(1, 3, 8, 8)
    y = augment.shifted(x, dy, dx)
    inner = slice(3, 5)
    assert y.shape == x.shape
    assert torch.equal(y[..., inner, inner], x[..., 3 - dy : 5 - dy, 3 - dx : 5 - dx])


def test_a_tint_changes_light_and_nothing_else():
    x = torch.rand(400, 3, 6, 6) * 1.2 - 0.6
    y = augment.tinted(x, torch.Generator().manual_seed(0))
    assert torch.equal(y, augment.tinted(x, torch.Generator().manual_seed(0)))
    assert y.shape == x.shape and y.abs().max() <= 1 and len((y - x).flatten(1).mean(1).unique()) == 400
    # Pixel by pixel: wherever a pixel stands, the same becomes of it, and a brighter grey stays the brighter one.
    order = torch.randperm(36)
    moved = augment.tinted(x.flatten(2)[..., order].view_as(x), torch.Generator().manual_seed(0))
    assert torch.equal(moved.flatten(2), y.flatten(2)[..., order])
    steps = augment.tinted(torch.linspace(-0.6, 0.6, 6).expand(400, 3, 6, 6), torch.Generator().manual_seed(0))
    assert (steps.diff(dim=3) >= 0).all()
    assert abs(y.mean() - x.mean()) < 0.05


@pytest.mark.parametrize("strength", ["_EXPOSURE", "_BALANCE", "_CONTRAST", "_SATURATION"])
def test_every_part_of_a_tint_acts_alone(monkeypatch, strength):
    for name in ("_EXPOSURE", "_BALANCE", "_CONTRAST", "_SATURATION"):
        monkeypatch.setattr(augment, name, 0.2 if name == strength else 0.0)
    colours = torch.tensor([[0.2, 0.2, 0.2], [0.5, 0.1, -0.3], [-0.4, -0.4, -0.4]])  # grey, orange, a darker grey
    y = augment.tinted(colours.T.view(1, 3, 3, 1).repeat(2, 1, 1, 1), torch.Generator().manual_seed(0))
    assert not torch.allclose(y[0], y[1], atol=1e-3)
    grey = (y[:, :, [0, 2]] - y[:, :1, [0, 2]]).abs().max() < 1e-6  # what was grey still is
    untouched = torch.allclose(y[0, :, [0, 2]], y[1, :, [0, 2]], atol=1e-6)
    assert (bool(grey), untouched) == (strength != "_BALANCE", strength == "_SATURATION")


def test_the_cache_is_used_and_belongs_to_codec_and_pictures(codec_folder, pictures, tmp_path, monkeypatch):
    cache, codec = tmp_path / "tokens.safetensors", load(codec_folder)
    first = priors.token_sets(codec, [str(pictures)], cache)
    encoded = []
    encode = priors._encode_all
    monkeypatch.setattr(priors, "_encode_all", lambda *a, **k: encoded.append(1) or encode(*a, **k))
    again = priors.token_sets(codec, [str(pictures)], cache)
    assert not encoded
    assert all(torch.equal(first[k], again[k]) for k in first)
    other = VQVAE(16, 12, 3, (6, 8), (0, 0), None, (0, 0)).eval()
    priors.token_sets(other, [str(pictures)], cache)
    assert len(encoded) == 2
    (tmp_path / "more" / "train").mkdir(parents=True)
    (tmp_path / "more" / "val").mkdir()
    for split in ("train", "val"):
        Image.new("RGB", (16, 16)).save(tmp_path / "more" / split / "one.png")
    more = priors.token_sets(other, [str(pictures), str(tmp_path / "more")], cache)
    assert len(more["train"]) == 11


def test_an_adversarial_phase_leaves_the_cache_valid(codec_folder, pictures, tmp_path):
    codec = VQVAE.from_pretrained(codec_folder)
    pictures_of = {split: [priors.PictureSet(pictures, split)] for split in ("train", "val")}
    before = priors._origin(codec, pictures_of)
    with torch.no_grad():
        codec.decoder[0].weight.add_(1)
    assert priors._origin(codec, pictures_of) == before
    with torch.no_grad():
        codec.quantizer.codebook_KD.add_(1)
    assert priors._origin(codec, pictures_of) != before


def test_batches_are_a_function_of_seed_and_step():
    tokens = torch.arange(10).view(10, 1, 1)
    a, b = priors.TokenBatches(tokens, 4, 0), priors.TokenBatches(tokens, 4, 0)
    steps = [a.at(i) for i in range(10)]
    assert all(torch.equal(b.at(i), steps[i]) for i in reversed(range(10)))
    stream = b.iterate(3)
    assert all(torch.equal(next(stream), steps[i]) for i in range(3, 7))
    assert torch.cat(steps[:5]).flatten().sort().values.tolist() == sorted(2 * list(range(10)))
    halves = torch.stack([a.at(2, 0, 2), a.at(2, 1, 2)], 1).flatten()
    assert torch.equal(halves, steps[2].flatten())
    assert not torch.equal(priors.TokenBatches(tokens, 4, 1).at(0), steps[0])


def test_unigram_entropy():
    assert priors.unigram_entropy(torch.tensor([[0, 1], [2, 3]]), 9) == pytest.approx(math.log(4))
    assert priors.unigram_entropy(torch.zeros(3, 3, dtype=torch.int64), 9) == 0


def test_muon_takes_hidden_weights_only():
    for model in (Transformer(9, (2, 3), 8, 1, 2), PixelCNN(9, (2, 3), 4, 2)):
        hidden, rest = priors.split_parameters(model)
        assert {id(p) for p in (*hidden, *rest)} == {id(p) for p in model.parameters()}
        assert {id(p) for p in hidden} == {id(p) for p in model.blocks.parameters() if p.ndim > 1}


@pytest.mark.parametrize("shape", [(8, 8), (4, 20), (20, 4)])
def test_orthogonal_is_near_the_polar_factor(shape):
    m = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(m, full_matrices=False)
    x = orthogonal(m)
    singular = torch.linalg.svdvals(x)
    assert bool(((singular > 0.3) & (singular < 1.3)).all())
    assert float(((u @ v) * x).sum() / (x.norm() * (u @ v).norm())) > 0.95


def test_muon_fits_a_linear_map():
    torch.manual_seed(0)
    layer, target, x = nn.Linear(6, 5, bias=False), torch.randn(5, 6), torch.randn(64, 6)
    optimizer = Muon(layer.parameters(), lr=0.05)
    for i in range(200):
        loss = (layer(x) - x @ target.T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - i / 200)
        optimizer.step()
    assert loss.item() < 0.01


@pytest.mark.parametrize("name", list(TINY))
def test_the_command_trains_and_keeps_the_best(name, codec_folder, pictures, tmp_path):
    assert run(name, codec_folder, pictures, tmp_path, "--steps", "60") == 0
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    figures = [row["val"] for row in rows if "val" in row]
    sets = load_file(tmp_path / "tokens.safetensors")
    unigram = priors.unigram_entropy(sets["val"][:, 0], 12)
    assert figures[-1]["below_unigram"] == pytest.approx(unigram - figures[-1]["nats"])
    best = priors.SPECS[name].model.from_pretrained(tmp_path / "best")
    nats = float(best.surprisal(sets["val"][:, 0].long()).double().mean())
    assert nats == pytest.approx(min(f["nats"] for f in figures), abs=1e-6)
    assert nats < math.log(12)
    codec = load(codec_folder)
    assert (best.grid, best.codebook_sha256, best.codec) == ((4, 4), fingerprint(codec), "vqgan")
    best.check_codec(codec)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (8 * 34 - 2, 2 * 34 - 2)


def test_best_is_offered_once():
    best = priors.Best()
    best.offer(3.0)
    assert best.take() and not best.take()
    best.offer(3.1)
    assert not best.take()
    again = priors.Best()
    again.load_state_dict(best.state_dict())
    again.offer(3.05)
    assert not again.take()


@pytest.mark.parametrize("name", list(TINY))
def test_a_resumed_run_ends_with_the_same_parameters(name, codec_folder, pictures, tmp_path, monkeypatch):
    assert run(name, codec_folder, pictures, tmp_path / "whole", "--steps", "9") == 0
    step = priors.PriorRecipe.step

    def stop_at_four(self, x, progress):
        out = step(self, x, progress)
        if progress >= 3 / 9:
            trainer[0]._stop = True
        return out

    trainer, prepare = [], Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda self: trainer.append(self) or prepare(self))
    monkeypatch.setattr(priors.PriorRecipe, "step", stop_at_four)
    assert run(name, codec_folder, pictures, tmp_path / "parts", "--steps", "9") == 130
    monkeypatch.setattr(priors.PriorRecipe, "step", step)
    torch.manual_seed(123)  # what a new process would have
    assert run(name, codec_folder, pictures, tmp_path / "parts", "--steps", "9", "--resume") == 0
    whole, parts = (load_file(tmp_path / d / "checkpoint" / "model.safetensors") for d in ("whole", "parts"))
    assert all(torch.equal(whole[k], parts[k]) for k in whole)
    whole, parts = (
        load_file(tmp_path / d / "best" / "diffusion_pytorch_model.safetensors") for d in ("whole", "parts")
    )
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_a_prior_is_refused_for_another_codec(codec_folder):
    codec = load(codec_folder)
    prior = Transformer(12, (4, 4), 8, 1, 2, codebook_sha256=fingerprint(codec))
    prior.check_codec(codec)
    with pytest.raises(ValueError, match="another codebook of 'vqgan'"):
        prior.check_codec(VQVAE(16, 12, 3, (6, 8), (0, 0), None, (0, 0)))
    with pytest.raises(ValueError, match="needs 12 codes, got 9"):
        prior.check_codec(VQVAE(16, 9, 3, (6, 8), (0, 0), None, (0, 0)))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--codec", "nothing-there"], "nothing-there"),
        ([], "needs --codec"),
        (["--codec", "{codec}", "--data", "{pictures}:2"], "weights are for codecs"),
        (["--codec", "{codec}", "--set", "nonsense=1"], "nonsense"),
    ],
)
def test_the_command_says_what_is_wrong(more, words, codec_folder, pictures, tmp_path, capsys):
    given = [text.format(codec=codec_folder, pictures=pictures) for text in more]
    data = [] if "--data" in given else ["--data", str(pictures)]
    argv = ["transformer", *data, "--out", str(tmp_path / "run"), "--steps", "1", "--precision", "no", *given]
    assert main(argv) == 2
    assert words in capsys.readouterr().err
