"""The one contract: every family answers it, and so does every bundled model."""

import inspect

import pytest
import tiny
import torch

from vq.catalogue import CODECS
from vq.codec import Codec, Encoded, fingerprint


@pytest.fixture(params=[*(f"tiny/{name}" for name in tiny.MODELS), *(f"bundled/{name}" for name in CODECS)])
def codec(request: pytest.FixtureRequest) -> Codec:
    kind, name = request.param.split("/")
    if kind == "tiny":
        return tiny.model(name)
    if not (CODECS[name].folder / "config.json").is_file():
        pytest.skip(f"weights/{name} is not there yet")
    from vq import load

    return load(name)


def test_answers_the_contract(codec: Codec) -> None:
    assert isinstance(codec, Codec)
    size = codec.image_size
    x = tiny.pictures(2, size)
    encoded = codec.encode(x)
    y = codec.decode(encoded.z)
    assert isinstance(encoded, Encoded)
    assert y.shape == x.shape and y.dtype == torch.float32 and y.abs().max() <= 1
    for a, b in zip(encoded, codec.encode(x), strict=True):
        assert (a is None and b is None) or torch.equal(a, b)
    if codec.codebook_size is None:
        assert codec.factor is None and codec.codebook is None and encoded.z.ndim == 2
        assert encoded.tokens is None and encoded.pre is None
        return
    grid = size // codec.factor
    assert encoded.tokens.shape == (2, grid, grid) and encoded.tokens.dtype == torch.int64
    assert codec.codebook.shape == (codec.codebook_size, encoded.z.shape[1])
    assert torch.equal(codec.lookup(encoded.tokens), encoded.z)
    assert torch.equal(codec.quantize(encoded.pre).tokens, encoded.tokens)


def test_refuses_what_it_cannot_take(codec: Codec) -> None:
    with pytest.raises(ValueError, match="x: "):
        codec.encode(torch.zeros(1, 3, codec.image_size + 1, codec.image_size))
    with pytest.raises(ValueError, match="x: "):
        codec.encode(torch.full((1, 3, codec.image_size, codec.image_size), 2.0))
    with pytest.raises(ValueError, match="z: "):
        codec.decode(torch.zeros(1))
    with pytest.raises(ValueError, match="tokens: "):
        codec.lookup(torch.full((1, 1, 1), 10**6))


@pytest.mark.parametrize("name", CODECS)
def test_bundled_weights_load_as_promised(name: str) -> None:
    """float32, eval mode, frozen; every file small enough for a repository without large-file storage."""
    folder = CODECS[name].folder
    if not (folder / "config.json").is_file():
        pytest.skip(f"weights/{name} is not there yet")
    from vq import load

    codec = load(name)
    assert codec is load(name) and not codec.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in codec.parameters())
    assert all(file.stat().st_size < 10_000_000 for file in folder.iterdir())
    assert (folder / "README.md").read_text().startswith("---\nlicense: apache-2.0")


def test_fingerprint_belongs_to_the_codebook() -> None:
    a, b = tiny.model("vqvae-plain", 0), tiny.model("vqvae-plain", 1)
    assert fingerprint(a) == fingerprint(tiny.model("vqvae-plain", 0)) != fingerprint(b)
    with pytest.raises(ValueError, match="no codebook"):
        fingerprint(tiny.model("ae"))


def test_the_public_surface() -> None:
    import vq

    assert vq.__all__[0] == "load" or "load" in vq.__all__
    assert list(inspect.signature(vq.load).parameters)[1] == "device"
    assert inspect.signature(vq.load).parameters["device"].default == "cpu"
