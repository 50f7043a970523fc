"""Weights folders: what is saved comes back exactly, what is damaged is refused."""

import json
import os
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from vq.catalogue import CODECS
from vq.hub import LoadError, load, load_statistics


@pytest.fixture(params=tiny.MODELS)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[torch.nn.Module, Path]:
    net = tiny.model(request.param)
    net.save_pretrained(tmp_path / "net")
    return net, tmp_path / "net"


def test_save_and_load_is_exact(saved: tuple[torch.nn.Module, Path]) -> None:
    net, folder = saved
    back = load(folder)
    assert dict(back.config).items() >= {k: v for k, v in net.config.items() if not k.startswith("_")}.items()
    for (name, p), (other, q) in zip(net.named_parameters(), back.named_parameters(), strict=True):
        assert name == other and torch.equal(p, q)
    x = tiny.pictures(2)
    # The loaded one is laid out channels-last, whose convolutions add up in another order.
    assert torch.allclose(back.decode(back.encode(x).z), net.decode(net.encode(x).z), atol=1e-5)


def test_loaded_is_ready_to_use(saved: tuple[torch.nn.Module, Path]) -> None:
    codec = load(saved[1])
    assert codec is load(str(saved[1])), "cached"
    assert not codec.training and not any(p.requires_grad for p in codec.parameters())


def test_half_precision_is_computed_in_float32(tmp_path: Path) -> None:
    net = tiny.model("vqvae").half()
    net.save_pretrained(tmp_path / "half")
    assert (
        load_file(tmp_path / "half" / "diffusion_pytorch_model.safetensors")["encoder.1.weight"].dtype == torch.float16
    )
    codec = load(tmp_path / "half")
    assert {p.dtype for p in codec.parameters()} == {torch.float32}
    codec.encode(tiny.pictures(1))


def test_unknown_name_is_one_clear_line() -> None:
    with pytest.raises(LoadError) as caught:
        load("nothing-like-it")
    assert caught.value.code == "unknown" and "nothing-like-it" in str(caught.value)
    assert "\n" not in str(caught.value) and all(name in str(caught.value) for name in CODECS)


def _damage(folder: Path, how: str) -> None:
    weights, config = folder / "diffusion_pytorch_model.safetensors", folder / "config.json"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "missing weights":
        weights.unlink()
    elif how == "no json":
        config.write_text("{")
    elif how == "other class":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"_class_name": "UNet2DModel"}))
    else:
        state = load_file(weights)
        first = next(iter(state))
        if how == "missing key":
            del state[first]
        elif how == "extra key":
            state["more"] = torch.zeros(1)
        else:
            state[first] = torch.zeros(3, 3)
        save_file(state, weights, {"format": "pt"})


@pytest.mark.parametrize(
    "how", ["truncated", "missing weights", "no json", "other class", "missing key", "extra key", "other shape"]
)
def test_damaged_folders_are_refused(tmp_path: Path, how: str) -> None:
    tiny.model("ae").save_pretrained(tmp_path / "net")
    _damage(tmp_path / "net", how)
    with pytest.raises(LoadError) as caught:
        load(tmp_path / "net")
    assert "\n" not in str(caught.value) and "net" in str(caught.value)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    tiny.model("ae").save_pretrained(tmp_path / "net")
    (tmp_path / "net" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"x": Bomb()}, tmp_path / "net" / "diffusion_pytorch_model.bin")
    with pytest.raises(LoadError):
        load(tmp_path / "net")
    assert not (tmp_path / "exploded").exists()


def test_statistics_lie_beside_the_weights(tmp_path: Path) -> None:
    tiny.model("vqvae").save_pretrained(tmp_path / "net")
    assert load_statistics(tmp_path / "net") is None
    save_file({"counts": torch.arange(16)}, tmp_path / "net" / "statistics.safetensors")
    assert torch.equal(load_statistics(tmp_path / "net")["counts"], torch.arange(16))
    (tmp_path / "net" / "statistics.safetensors").write_bytes(b"{}")
    with pytest.raises(LoadError, match="statistics"):
        load_statistics(tmp_path / "net")


@pytest.mark.parametrize("name", CODECS)
def test_bundled_statistics_fit_their_codec(name: str) -> None:
    if not (CODECS[name].folder / "config.json").is_file():
        pytest.skip(f"weights/{name} is not there yet")
    codec, found = load(name), load_statistics(name)
    if codec.codebook_size:
        assert found["counts"].shape == (codec.codebook_size,) and found["counts"].min() >= 0
        return
    dim = codec.config.latent_dim
    assert found["mean"].shape == found["std"].shape == (dim,)
    assert torch.allclose(found["components"] @ found["components"].T, torch.eye(dim), atol=1e-4)
    assert (found["std"][:-1] >= found["std"][1:]).all()
