"""python -m vq.publish to the stand-in Hub, and back by load."""

import json

import pytest
import torch
from huggingface_hub import set_client_factory
from safetensors.torch import save_file
from standin_hub import StandinHub

from vq import hub, publish, weights
from vq.messages import LoadError
from vq.models.autoencoder import AE
from vq.models.vqvae import VQVAE

REPO = "someone/vq-studio-vqvae"
CARD = "---\nlicense: apache-2.0\n---\n# VQ-VAE\n"


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    for name in ("VQ_WEIGHTS", "VQ_MAX_BYTES", "VQ_DEADLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("VQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", StandinHub.token)
    # Large files go the way of git-lfs: Xet's own servers can't be stood in for.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(hub, "_shelf", hub.Shelf(lambda: 8))


@pytest.fixture
def standin(monkeypatch):
    with StandinHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def codec():
    torch.manual_seed(0)
    return VQVAE(image_size=16, codebook_size=32, widths=[8, 8], encoder_depths=[0, 0], decoder_depths=[0, 0])


@pytest.fixture
def folder(codec, tmp_path):
    path = tmp_path / "mine"
    codec.save_pretrained(path)
    (path / "README.md").write_text(CARD)
    (path / "training.json").write_text("{}")
    (path / "secret.env").write_text("TOKEN=x")
    save_file({"counts": torch.arange(32)}, path / "statistics.safetensors")
    return path


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def run(*arguments):
    return publish.main([str(a) for a in arguments])


def test_published_and_loaded(standin, folder, codec, capsys, monkeypatch):
    assert run(folder, "--to", REPO) == 0
    commit = standin.repos[REPO].refs["main"]
    out = capsys.readouterr().out
    assert commit in out and f"{standin.url}/{REPO}/commit/{commit}" in out
    held = standin.repos[REPO].commits[commit]
    expected = {".gitattributes", "config.json", weights.SINGLE, "statistics.safetensors", "README.md", "training.json"}
    assert set(held) == expected
    assert held["README.md"].decode() == CARD and held[weights.SINGLE] == (folder / weights.SINGLE).read_bytes()
    assert not standin.repos[REPO].private
    loaded = hub.load_with_origin(REPO)
    assert same(loaded.codec, codec) and loaded.origin.commit == commit
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(loaded.codec.encode(x).tokens, codec.encode(x).tokens)
    assert torch.equal(hub.load_statistics(REPO)["counts"], torch.arange(32))
    monkeypatch.setenv("VQ_WEIGHTS", REPO.removesuffix("-vqvae"))
    assert same(hub.load("vqvae"), codec)


def test_a_second_time_replaces_the_weights(standin, tmp_path, folder):
    assert run(folder, "--to", REPO) == 0
    torch.manual_seed(1)
    other = AE(image_size=16, latent_dim=8, widths=[8, 16], depths=[0, 0])
    other.save_pretrained(tmp_path / "other", max_shard_size=10_000)
    (tmp_path / "other" / "README.md").write_text(CARD)
    assert run(tmp_path / "other", "--to", REPO) == 0
    held = standin.repos[REPO].commits[standin.repos[REPO].refs["main"]]
    assert weights.SINGLE not in held and "statistics.safetensors" not in held and weights.INDEX in held
    assert same(hub.load(REPO), other)


def test_dry_run_sends_nothing(standin, folder, capsys):
    assert run(folder, "--to", REPO, "--dry-run") == 0
    out = capsys.readouterr().out
    assert not standin.requests
    assert weights.SINGLE in out and "secret.env" not in out and "Nothing was uploaded" in out


def test_private(standin, folder, capsys):
    assert run(folder, "--to", REPO, "--private") == 0
    assert standin.repos[REPO].private
    assert run(folder, "--to", REPO, "--private") == 0
    standin.repos[REPO].private = False
    before = standin.repos[REPO].refs["main"]
    assert run(folder, "--to", REPO, "--private") == 2
    assert "public already" in capsys.readouterr().err and standin.repos[REPO].refs["main"] == before


def test_a_hub_that_hangs(standin, folder, capsys, monkeypatch):
    monkeypatch.setattr(hub, "PATIENCE", 1)
    monkeypatch.setenv("VQ_DEADLINE", "2")
    set_client_factory(hub._client)  # one that has seen neither of them
    standin.fault = "hang"
    assert run(folder, "--to", REPO) == 2
    assert "has sent nothing for 2 seconds" in capsys.readouterr().err
    standin.fault = None
    assert run(folder, "--to", REPO) == 0
    monkeypatch.undo()
    set_client_factory(hub._client)


def damaged(path):
    data = (path / weights.SINGLE).read_bytes()
    (path / weights.SINGLE).write_bytes(data[: len(data) // 2])


def other_config(path):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"code_dim": 4}))


REFUSED = {
    "truncated weights": (damaged, "broken"),
    "weights of another config": (other_config, "keys"),
    "no weights": (lambda path: (path / weights.SINGLE).unlink(), "broken"),
    "a pickle": (lambda path: (path / weights.SINGLE).rename(path / "model.bin"), "pickle"),
    "no card": (lambda path: (path / "README.md").unlink(), "card"),
    "no config": (lambda path: (path / "config.json").unlink(), "unknown"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_before_anything_is_sent(what, standin, folder, capsys):
    change, code = REFUSED[what]
    change(folder)
    with pytest.raises(LoadError) as caught:
        publish.publish(str(folder), REPO)
    assert caught.value.code == code
    assert run(folder, "--to", REPO) == 2
    assert capsys.readouterr().err == f"error: {caught.value}\n"
    assert not standin.requests


def test_missing_bundled_weights(standin, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vq.catalogue.WEIGHTS", tmp_path)
    assert run("vqgan", "--to", REPO) == 2
    assert "python -m vq.train vqgan" in capsys.readouterr().err


def test_what_the_hub_can_say_no_to(standin, folder, capsys, monkeypatch):
    assert run(folder, "--to", "no-slash") == 2
    assert "org/name" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "wrong")
    assert run(folder, "--to", REPO) == 2
    assert "write access" in capsys.readouterr().err and REPO not in standin.repos
    monkeypatch.setenv("HF_TOKEN", standin.token)
    (folder / "README.md").write_text("---\nlicense: none-such\n---\n")
    assert run(folder, "--to", REPO) == 2
    said = capsys.readouterr().err
    assert '"license" is not valid' in said and "Traceback" not in said
    standin.stop()
    assert run(folder, "--to", REPO) == 2
    assert "can't be reached" in capsys.readouterr().err
