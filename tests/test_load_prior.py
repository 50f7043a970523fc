"""Loading priors: by folder, shared, checked against a codec; the Gaussians of vector codecs."""

import pytest
import torch
from safetensors.torch import save_file
from tiny_priors import TINY

from vq import load_prior
from vq.codec import fingerprint
from vq.hub import load
from vq.models.autoencoder import VAE
from vq.models.transformer import Transformer
from vq.models.vqvae import VQVAE


@pytest.mark.parametrize("name", list(TINY))
def test_a_folder_loads_exactly_and_once(name, tmp_path):
    prior = TINY[name](temperature=0.8)
    prior.save_pretrained(tmp_path)
    loaded = load_prior(tmp_path)
    assert loaded is load_prior(str(tmp_path))
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert torch.equal(loaded.sample(3, seed=1), prior.sample(3, seed=1))


def test_half_precision_weights_compute_in_float32(tmp_path):
    prior = TINY["transformer"]()
    prior.half().save_pretrained(tmp_path, max_shard_size="10KB")
    loaded = load_prior(tmp_path)
    assert loaded.dtype == torch.float32
    assert torch.equal(loaded.head.weight.half(), prior.head.weight)


def test_the_codec_is_checked_when_named(tmp_path):
    VQVAE(16, 12, 3, (6, 8), (0, 0), None, (0, 0)).save_pretrained(tmp_path / "codec")
    VQVAE(16, 12, 3, (6, 8), (0, 0), None, (0, 0)).save_pretrained(tmp_path / "other")
    sha = fingerprint(load(tmp_path / "codec"))
    Transformer(12, (4, 4), 8, 1, 2, codebook_sha256=sha).save_pretrained(tmp_path / "prior")
    assert load_prior(tmp_path / "prior", codec=tmp_path / "codec").codebook_sha256 == sha
    with pytest.raises(ValueError, match="another codebook"):
        load_prior(tmp_path / "prior", codec=tmp_path / "other")


def test_a_codec_is_no_prior_and_a_prior_no_codec(tmp_path):
    VQVAE(16, 12, 3, (6, 8), (0, 0), None, (0, 0)).save_pretrained(tmp_path / "codec")
    TINY["pixelcnn"]().save_pretrained(tmp_path / "prior")
    with pytest.raises(ValueError, match="VQVAE"):
        load_prior(tmp_path / "codec")
    with pytest.raises(ValueError, match="PixelCNN"):
        load(tmp_path / "prior")
    with pytest.raises(ValueError, match="nowhere"):
        load_prior(tmp_path / "nowhere")


def test_gaussians_belong_to_a_vector_codec(tmp_path):
    vae, grid = tmp_path / "vae", tmp_path / "grid"
    VAE(16, 5, (4, 4), (0, 0)).save_pretrained(vae)
    VQVAE(16, 12, 3, (6, 8), (0, 0), None, (0, 0)).save_pretrained(grid)
    z = load_prior("normal", codec=vae).sample(3, seed=1)
    assert z.shape == (3, 5)
    assert load(vae).decode(z).shape == (3, 3, 16, 16)
    with pytest.raises(ValueError, match=r"statistics\.safetensors"):
        load_prior("fitted", codec=vae)
    mean = torch.arange(5.0)
    save_file({"mean": mean, "components": torch.eye(5), "std": torch.full((5,), 0.5)}, vae / "statistics.safetensors")
    fitted = load_prior("fitted", codec=vae).sample(3, seed=1)
    torch.testing.assert_close(fitted, mean + z / 2)
    for name in ("normal", "fitted"):
        with pytest.raises(ValueError, match="name the codec"):
            load_prior(name)
        with pytest.raises(ValueError, match="vector latent"):
            load_prior(name, codec=grid)
