"""Laws of VQ-VAE and VQ-GAN, which are one class."""

import pytest
import tiny
import torch
from torch.nn.functional import normalize


@pytest.mark.parametrize("name", tiny.GRIDS)
@pytest.mark.parametrize("shape", [(32, 32), (64, 32), (4, 4), (20, 36)])
def test_any_multiple_of_the_factor(name: str, shape: tuple[int, int]) -> None:
    net = tiny.model(name)
    x = torch.rand(2, 3, *shape) * 2 - 1
    encoded = net.encode(x)
    grid = (shape[0] // net.factor, shape[1] // net.factor)
    assert net.factor == 4
    assert encoded.tokens.shape == (2, *grid) and encoded.tokens.dtype == torch.int64
    assert encoded.z.shape == encoded.pre.shape == (2, 4, *grid)
    assert net.decode(encoded.z).shape == x.shape


@pytest.mark.parametrize("name", tiny.GRIDS)
def test_lookup_of_the_tokens_equals_z(name: str) -> None:
    net = tiny.model(name)
    encoded = net.encode(tiny.pictures(4))
    assert len(encoded.tokens.unique()) > 1
    assert torch.equal(net.lookup(encoded.tokens), encoded.z)
    assert torch.equal(net.decode(net.lookup(encoded.tokens)), net.decode(encoded.z))


@pytest.mark.parametrize("name", tiny.GRIDS)
def test_quantising_the_map_before_gives_the_same(name: str) -> None:
    net = tiny.model(name)
    encoded = net.encode(tiny.pictures(3))
    for a, b in zip(net.quantize(encoded.pre), encoded, strict=True):
        assert torch.equal(a, b)
    # A code is nearest to itself.
    assert torch.equal(net.quantize(encoded.z).tokens, encoded.tokens)


@pytest.mark.parametrize("name", tiny.GRIDS)
def test_codebook_is_what_lookup_gives(name: str) -> None:
    net = tiny.model(name)
    assert net.codebook.shape == (16, 4) and net.codebook_size == 16 and not net.codebook.requires_grad
    tokens = torch.arange(16).view(1, 4, 4)
    assert torch.equal(net.lookup(tokens)[0].flatten(1).T, net.codebook)
    if name == "vqvae":
        assert torch.allclose(net.codebook.norm(dim=1), torch.ones(16))


@pytest.mark.parametrize("name", tiny.GRIDS)
def test_encode_is_deterministic_and_agrees_with_training(name: str) -> None:
    net = tiny.model(name)
    x = tiny.pictures(2)
    encoded, out = net.encode(x), net(x)
    assert torch.equal(encoded.tokens, net.encode(x).tokens)
    assert torch.equal(out.quantized.tokens, encoded.tokens)
    assert torch.allclose(out.x_hat.clamp(-1, 1), net.decode(encoded.z), atol=1e-5)


def test_an_edited_token_changes_nearby_pixels_only() -> None:
    net = tiny.model("vqvae")
    tokens = torch.zeros(1, 16, 16, dtype=torch.int64)
    edited = tokens.clone()
    edited[0, 0, 0] = 5
    difference = (net.decode(net.lookup(tokens)) - net.decode(net.lookup(edited))).abs().amax((0, 1))
    assert difference[:4, :4].max() > 0
    assert difference[40:].max() == 0 and difference[:, 40:].max() == 0


def test_decode_is_clamped() -> None:
    net = tiny.model("vqvae-plain")
    y = net.decode(1e4 * torch.randn(2, 4, 8, 8))
    assert y.min() == -1 and y.max() == 1


@pytest.mark.parametrize(
    ("method", "value", "message"),
    [
        ("encode", torch.zeros(1, 3, 30, 32), "x: height and width must be multiples of 4, got 30x32"),
        ("encode", torch.zeros(1, 4, 32, 32), r"x: expected shape \(B,3,H,W\), got \(1,4,32,32\)"),
        ("encode", torch.zeros(1, 3, 0, 32), "x: expected shape"),
        ("encode", torch.zeros(1, 3, 32, 32, dtype=torch.float16), "x: expected dtype torch.float32"),
        ("encode", torch.full((1, 3, 32, 32), -1.01), r"x: values must lie in \[-1,1\]"),
        ("encode", torch.full((1, 3, 32, 32), float("nan")), r"x: values must lie in \[-1,1\]"),
        ("decode", torch.zeros(1, 5, 8, 8), r"z: expected shape \(B,4,h,w\), got \(1,5,8,8\)"),
        ("decode", torch.full((1, 4, 8, 8), float("nan")), "z: values must be finite"),
        ("decode", torch.zeros(1, 8, 8, dtype=torch.int64), "z: expected dtype torch.float32, got torch.int64"),
        ("quantize", torch.zeros(4, 8, 8), r"pre: expected shape \(B,4,h,w\), got \(4,8,8\)"),
        ("quantize", torch.full((1, 4, 8, 8), float("-inf")), "pre: values must be finite"),
        ("lookup", torch.zeros(1, 2, 2), "tokens: expected dtype torch.int64, got torch.float32"),
        ("lookup", torch.zeros(2, 2, dtype=torch.int64), r"tokens: expected shape \(B,h,w\), got \(2,2\)"),
        ("lookup", torch.full((1, 2, 2), 16), r"tokens: indices must lie in \[0,16\), got \[16, 16\]"),
        ("lookup", torch.full((1, 2, 2), -1), r"tokens: indices must lie in \[0,16\), got \[-1, -1\]"),
    ],
)
def test_wrong_input_is_named(method: str, value: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(tiny.model("vqvae"), method)(value)


def test_a_deeper_model_starts_as_the_shallow_one_it_grew_from() -> None:
    shallow, x = tiny.model("vqvae"), tiny.pictures(2)
    deep = tiny.VQVAE(**tiny.GRID | {"encoder_depths": [2, 2], "decoder_depths": [1, 3]}, unit_length=True).eval()
    deep.grow_from(shallow)
    assert sum(p.numel() for p in deep.parameters()) > sum(p.numel() for p in shallow.parameters())
    assert torch.equal(deep.encode(x).tokens, shallow.encode(x).tokens)
    torch.testing.assert_close(deep(x).x_hat, shallow(x).x_hat, rtol=0, atol=1e-6)


def test_a_larger_codebook_starts_as_the_codes_it_grew_from_split() -> None:
    few, x = tiny.model("vqvae"), tiny.pictures(4)
    many = tiny.VQVAE(**tiny.GRID | {"codebook_size": 64}, unit_length=True).eval()
    many.grow_from(few)
    torch.testing.assert_close(many.encoder(x), few.encoder(x))
    apart = torch.cdist(few.codebook, few.codebook).fill_diagonal_(9).amin(1)
    moved = (torch.cat([few.codebook] * 4) - many.stored_codebook).norm(dim=1) / apart.repeat(4)
    assert 0.2 < float(moved.mean()) < 0.5 and float(moved.min()) > 0
    before, after = few.encode(x), many.encode(x)
    assert (normalize(after.pre, dim=1) - after.z).norm() < (normalize(before.pre, dim=1) - before.z).norm()


@pytest.mark.parametrize("size", [8, 24])
def test_codes_are_split_into_whole_multiples_alone(size: int) -> None:
    with pytest.raises(ValueError, match=f"16 codes can't be split into {size}"):
        tiny.VQVAE(**tiny.GRID | {"codebook_size": size}).grow_from(tiny.model("vqvae"))


@pytest.mark.parametrize(
    "other",
    [{"widths": [8, 16]}, {"encoder_depths": [0, 0]}, {"decoder_depths": [0, 0]}, {"code_dim": 5}],
)
def test_growing_refuses_what_differs_in_more_than_depth(other: dict) -> None:
    with pytest.raises(ValueError, match="differ"):
        tiny.VQVAE(**tiny.GRID | other).grow_from(tiny.model("vqvae"))
