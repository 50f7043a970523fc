"""diffusers' autoencoders behind the contract: exactly their own forward pass, and the laws every codec obeys."""

import copy
import subprocess
import sys

import pytest
import torch
from standin_models import LAYOUTS, model

from vq.codec import Codec
from vq.pretrained import adapt, class_of

FACTORS = {"taesd": 8, "sd-vae-ft-mse": 8, "movq": 8, "amused": 16, "celebahq": 4}
QUANTISED = ("movq", "amused", "celebahq")


@pytest.fixture(scope="module", params=LAYOUTS)
def named(request):
    built = model(request.param)
    return request.param, built, adapt(built).eval()


def picture(height=64, width=32, batch=2):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.inference_mode()
def test_equals_the_diffusers_forward(named):
    name, built, codec = named
    x = picture()
    # AutoencoderKL's forward takes the posterior's mode unless told otherwise.
    expected = built(x).sample
    assert expected.std() > 1e-3
    y = codec.decode(codec.encode(x).z)
    assert torch.allclose(y, expected.clamp(-1, 1), atol=1e-4, rtol=0), name


def test_channels_last_changes_nothing_that_matters(named):
    _, built, codec = named
    faster = copy.deepcopy(codec).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        x = picture()
        y = faster.decode(faster.encode(x).z)
        assert torch.allclose(y, built(x).sample.clamp(-1, 1), atol=1e-4, rtol=0)


@torch.inference_mode()
def test_contract(named):
    name, _, codec = named
    assert isinstance(codec, Codec)
    assert codec.factor == FACTORS[name]
    x = picture(64, 32)
    encoded = codec.encode(x)
    h, w = 64 // codec.factor, 32 // codec.factor
    assert encoded.z.shape[0] == 2 and encoded.z.shape[2:] == (h, w)
    y = codec.decode(encoded.z)
    assert y.shape == x.shape and y.dtype == torch.float32 and y.abs().max() <= 1
    assert torch.equal(encoded.z, codec.encode(x).z)
    if name in QUANTISED:
        assert encoded.tokens.shape == (2, h, w) and encoded.tokens.dtype == torch.int64
        assert codec.codebook.shape == (codec.codebook_size, encoded.z.shape[1])
        assert len(encoded.tokens.unique()) > 1
        assert encoded.pre.shape == encoded.z.shape
    else:
        assert encoded.tokens is None and encoded.pre is None
        assert codec.codebook is None and codec.codebook_size is None


@torch.inference_mode()
@pytest.mark.parametrize("name", QUANTISED)
def test_lookup_and_quantize(name):
    built = model(name)
    codec = adapt(built)
    encoded = codec.encode(picture())
    assert torch.equal(codec.lookup(encoded.tokens), encoded.z)
    again = codec.quantize(encoded.pre)
    assert torch.equal(again.tokens, encoded.tokens) and torch.equal(again.z, encoded.z)
    indices = built.quantize(encoded.pre)[2][2].view_as(encoded.tokens)
    assert torch.equal(indices, encoded.tokens)
    # From indices, the way diffusers documents it.
    shape = (2, *encoded.tokens.shape[1:], codec.codebook.shape[1])
    z = built.quantize.get_codebook_entry(indices.flatten(), shape)
    assert torch.equal(z, encoded.z)
    if not built.config.lookup_from_codebook:
        expected = built.decode(z, force_not_quantize=True).sample
    else:
        expected = built.decode(indices.flatten(), force_not_quantize=True, shape=shape).sample
    assert torch.allclose(codec.decode(encoded.z), expected.clamp(-1, 1), atol=1e-4)


@torch.inference_mode()
def test_a_large_codebook_is_searched_in_parts(monkeypatch):
    built = model("celebahq")
    codec = adapt(built)
    whole = codec.encode(picture())
    monkeypatch.setattr("vq.pretrained._PAIRS", 64 * 7)
    assert torch.equal(codec.encode(picture()).tokens, whole.tokens)


@torch.inference_mode()
def test_decode_takes_what_is_not_in_the_codebook(named):
    _, _, codec = named
    z = codec.encode(picture()).z
    between = torch.lerp(z[:1], z[1:], 0.5)
    assert not torch.equal(codec.decode(between), codec.decode(z[:1]))


def test_the_mean_is_the_latent():
    built = model("sd-vae-ft-mse")
    with torch.inference_mode():
        x = picture()
        assert torch.equal(adapt(built).encode(x).z, built.encode(x).latent_dist.mean)


def test_taesd_latents_are_bytes():
    built = model("taesd")
    with torch.inference_mode():
        z = adapt(built).encode(picture()).z
    levels = (z / (2 * built.latent_magnitude) + built.latent_shift) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)


def test_image_size_is_what_the_author_gave():
    assert adapt(model("sd-vae-ft-mse")).image_size == 256
    assert adapt(model("movq")).image_size is None
    assert adapt(model("taesd")).image_size is None


def test_refusals(named):
    name, _, codec = named
    x = picture(64, 64, 1)
    for bad in (x[:, :, :63], x * 2, x.double(), x[0], x * float("nan")):
        with pytest.raises(ValueError, match=r"^x: "):
            codec.encode(bad)
    z = codec.encode(x).z
    for bad in (z[0], z[:, :-1], z.double(), z * float("inf")):
        with pytest.raises(ValueError, match=r"^z: "):
            codec.decode(bad)
    if name in QUANTISED:
        tokens = codec.encode(x).tokens
        for bad in (tokens + codec.codebook_size, tokens - 1000, tokens.int(), tokens[0]):
            with pytest.raises(ValueError, match=r"^tokens: "):
                codec.lookup(bad)
        with pytest.raises(ValueError, match=r"^pre: "):
            codec.quantize(z[:, :-1])
    else:
        with pytest.raises(ValueError, match="codebook"):
            codec.lookup(torch.zeros(1, 2, 2, dtype=torch.int64))
        with pytest.raises(ValueError, match="codebook"):
            codec.quantize(z)


def test_a_model_with_other_channels_is_refused():
    with pytest.raises(ValueError, match="channels"):
        adapt(class_of("AutoencoderKL")(in_channels=4, out_channels=4, norm_num_groups=4, block_out_channels=[8]))
    with pytest.raises(ValueError, match="factor"):
        adapt(class_of("AutoencoderTiny")(num_encoder_blocks=(1, 1), encoder_block_out_channels=(8, 8)))


def test_diffusers_classes_are_imported_only_when_one_is_loaded():
    code = "import sys, vq.hub, vq.pretrained; print([m for m in sys.modules if 'autoencoders.' in m])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
    code = "import sys, vq.messages, vq.catalogue; print([m for m in ('torch', 'diffusers') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
