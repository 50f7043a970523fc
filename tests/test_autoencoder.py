"""Laws of AE and VAE."""

import pytest
import tiny
import torch

from vq import metrics
from vq.train.losses import gaussian_kl


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_shapes_and_contract(name: str) -> None:
    net = tiny.model(name)
    x = tiny.pictures(3)
    encoded = net.encode(x)
    assert encoded.z.shape == (3, 6) and encoded.tokens is None and encoded.pre is None
    assert net.decode(encoded.z).shape == x.shape
    assert (net.factor, net.codebook_size, net.codebook, net.image_size) == (None, None, None, tiny.SIZE)


def test_ae_and_vae_differ_by_the_head_only() -> None:
    ae, vae = (dict(tiny.model(name).named_parameters()) for name in ("ae", "vae"))
    assert ae.keys() == vae.keys()
    assert [k for k in ae if ae[k].shape != vae[k].shape] == ["encoder.2.weight", "encoder.2.bias"]


def test_vae_encodes_to_the_mean_and_draws_nothing() -> None:
    net = tiny.model("vae")
    x = tiny.pictures(2)
    before = torch.get_rng_state()
    z = net.encode(x).z
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(z, net.encode(x).z) and torch.equal(z, net.posterior(x)[0])


def test_vae_noise_is_standard_normal() -> None:
    """Not uniform, not scaled: the quantiles of (z - mean)/std are those of N(0, 1)."""
    net = tiny.model("vae")
    torch.manual_seed(5)
    with torch.no_grad():
        out = net(tiny.pictures(1).expand(2000, -1, -1, -1))
    eps = ((out.z - out.mean) / (0.5 * out.logvar).exp()).flatten()
    levels = torch.tensor([0.02, 0.16, 0.5, 0.84, 0.98])
    expected = torch.distributions.Normal(0.0, 1.0).icdf(levels)
    assert (eps.quantile(levels) - expected).abs().max() < 0.07


def test_kl_is_that_of_torch_distributions() -> None:
    torch.manual_seed(6)
    mean, logvar = torch.randn(7, 5), torch.randn(7, 5)
    posterior = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(gaussian_kl(mean, logvar), expected, atol=1e-5)
    assert torch.equal(gaussian_kl(torch.zeros(1, 5), torch.zeros(1, 5)), torch.zeros(1))
    assert gaussian_kl(torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2)).item() == 2.0


def test_vae_gradient_reaches_mean_and_variance() -> None:
    net = tiny.model("vae")
    net(tiny.pictures(2)).x_hat.sum().backward()
    mean, logvar = net.encoder[-1].weight.grad.chunk(2)
    assert mean.abs().sum() > 0 and logvar.abs().sum() > 0


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_decode_is_clamped(name: str) -> None:
    net = tiny.model(name)
    y = net.decode(1e4 * torch.randn(4, 6))
    assert y.min() == -1 and y.max() == 1


BAD_PICTURES = [
    (torch.zeros(1, 3, 64, 64), "x: this codec takes 32x32 pictures only, got 64x64"),
    (torch.zeros(3, 32, 32), r"x: expected shape \(B,3,H,W\), got \(3,32,32\)"),
    (torch.zeros(1, 1, 32, 32), r"x: expected shape \(B,3,H,W\), got \(1,1,32,32\)"),
    (torch.zeros(0, 3, 32, 32), r"x: expected shape"),
    (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "x: expected dtype torch.float32, got torch.uint8"),
    (torch.full((1, 3, 32, 32), 1.5), r"x: values must lie in \[-1,1\], got \[1.5, 1.5\]"),
    (torch.full((1, 3, 32, 32), float("nan")), r"x: values must lie in \[-1,1\], got \[nan, nan\]"),
    ([[0.0]], "x: expected a torch.Tensor, got list"),
]


@pytest.mark.parametrize(("x", "message"), BAD_PICTURES)
@pytest.mark.parametrize("name", ["ae", "vae"])
def test_wrong_pictures_are_named(name: str, x: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.model(name).encode(x)


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (torch.zeros(2, 7), r"z: expected shape \(B,6\), got \(2,7\)"),
        (torch.zeros(6), r"z: expected shape \(B,6\), got \(6\)"),
        (torch.zeros(0, 6), r"z: expected shape \(B,6\), got \(0,6\)"),
        (torch.zeros(2, 6, dtype=torch.float64), "z: expected dtype torch.float32, got torch.float64"),
        (torch.full((1, 6), float("inf")), "z: values must be finite"),
    ],
)
def test_wrong_latents_are_named(z: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny.model("ae").decode(z)


def test_no_codebook_to_look_into() -> None:
    net = tiny.model("vae")
    with pytest.raises(ValueError, match="no codebook"):
        net.lookup(torch.zeros(1, 2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="no codebook"):
        net.quantize(torch.zeros(1, 4, 2, 2))


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_a_fresh_network_that_starts_from_a_pca_is_that_pca(name: str) -> None:
    torch.manual_seed(0)
    net, x = tiny.MODELS[name]().eval(), tiny.pictures(40)
    mean, components, std = metrics.principal_components(x.flatten(1), net.latent_dim)
    net.start_from_pca(mean, components, std)
    z = net.encode(x).z
    torch.testing.assert_close(z.std(0), torch.ones(net.latent_dim), rtol=1e-3, atol=0)
    expected = metrics.project(x.flatten(1), mean, components).view_as(x)
    torch.testing.assert_close(net.generate(z), expected, rtol=0, atol=1e-3)
