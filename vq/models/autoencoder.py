"""AE and VAE with a vector latent: Kingma & Welling 2013, Auto-Encoding Variational Bayes, arXiv:1312.6114.

One network; the VAE's encoder predicts a mean and a log-variance where the AE's predicts the latent itself.

The encoder adds up a linear layer and a convolutional stack; the decoder draws a linear picture, which a U-Net then
refines. Stack and U-Net start at zero, so a fresh network is a linear autoencoder, whose optimum is the PCA (Bourlard &
Kamp 1988): training starts from there (`start_from_pca`), and they learn what no linear map can do. The U-Net sees the
linear picture rather than the latent: sharpening a blurred edge is a local matter there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from vq.codec import Encoded, check_picture, check_vector
from vq.models.layers import UNet, encoder_stack, zeroed


class AEOutput(NamedTuple):
    """x_hat (B,3,H,W), not clamped; z (B,D)."""

    x_hat: Tensor
    z: Tensor


class VAEOutput(NamedTuple):
    """x_hat (B,3,H,W), not clamped; z (B,D) drawn from N(mean, exp(logvar)); mean and logvar (B,D)."""

    x_hat: Tensor
    z: Tensor
    mean: Tensor
    logvar: Tensor


class AE(ModelMixin, ConfigMixin):
    """Deterministic autoencoder: (B,3,S,S) in [-1,1] -> (B,D) -> (B,3,S,S), S = image_size.

    widths: channels at S/2, S/4, ...; depths: the encoder's residual blocks at each, one less than the U-Net has.
    D = latent_dim.
    """

    factor: int | None = None
    codebook_size: int | None = None
    codebook: Tensor | None = None
    heads = 1  # vectors of latent_dim that the encoder ends in

    @register_to_config
    def __init__(
        self,
        image_size: int = 64,
        latent_dim: int = 128,
        widths: Sequence[int] = (32, 64, 96, 128),
        depths: Sequence[int] = (0, 1, 1, 0),
    ):
        super().__init__()
        self.image_size, self.latent_dim = image_size, latent_dim
        pixels, flat = 3 * image_size**2, widths[-1] * (image_size // 2 ** len(widths)) ** 2
        self.linear_encoder = nn.Linear(pixels, latent_dim)
        self.encoder = nn.Sequential(
            encoder_stack(widths, depths), nn.Flatten(), zeroed(nn.Linear(flat, self.heads * latent_dim))
        )
        self.linear_decoder = nn.Linear(latent_dim, pixels)
        self.refiner = UNet(widths, [depth + 1 for depth in depths])

    @torch.no_grad()
    def start_from_pca(self, mean_P: Tensor, components_DP: Tensor, std_D: Tensor) -> None:
        """Make the linear ways a PCA of pictures flattened to P numbers, with latents of unit variance."""
        self.linear_encoder.weight.copy_(components_DP / std_D[:, None])
        self.linear_encoder.bias.copy_(-(components_DP @ mean_P) / std_D)
        self.linear_decoder.weight.copy_((components_DP * std_D[:, None]).T)
        self.linear_decoder.bias.copy_(mean_P)

    def forward(self, x_B3HW: Tensor) -> AEOutput:
        z = self.linear_encoder(x_B3HW.flatten(1)) + self.encoder(x_B3HW)
        return AEOutput(self.generate(z), z)

    def generate(self, z_BD: Tensor) -> Tensor:
        """z (B,D) -> (B,3,H,W), not clamped: the decoder as training sees it."""
        linear = self.linear_decoder(z_BD).unflatten(1, (3, self.image_size, self.image_size))
        return linear + self.refiner(linear)

    def encode(self, x_B3HW: Tensor) -> Encoded:
        """x (B,3,S,S) in [-1,1] -> Encoded with z (B,D): the latent, or the posterior mean."""
        check_picture(x_B3HW, dtype=self.dtype, factor=None, image_size=self.image_size)
        return Encoded(self.linear_encoder(x_B3HW.flatten(1)) + self.encoder(x_B3HW)[:, : self.latent_dim])

    def decode(self, z_BD: Tensor) -> Tensor:
        """z (B,D) -> (B,3,S,S), clamped to [-1,1]."""
        check_vector(z_BD, self.latent_dim, self.dtype)
        return self.generate(z_BD).clamp(-1, 1)

    def lookup(self, tokens_Bhw: Tensor) -> Tensor:
        raise ValueError("tokens: this codec has no codebook")

    def quantize(self, pre_BDhw: Tensor) -> Encoded:
        raise ValueError("pre: this codec has no codebook")


class VAE(AE):
    """Variational autoencoder: the same network with a Gaussian head. `encode` returns the posterior mean."""

    heads = 2

    def posterior(self, x_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """x (B,3,S,S) -> mean (B,D), log-variance (B,D). The clamp only keeps exp() finite."""
        correction, logvar = self.encoder(x_B3HW).chunk(2, 1)
        return self.linear_encoder(x_B3HW.flatten(1)) + correction, logvar.clamp(-30, 20)

    def forward(self, x_B3HW: Tensor) -> VAEOutput:  # type: ignore[override]
        mean, logvar = self.posterior(x_B3HW)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        return VAEOutput(self.generate(z), z, mean, logvar)
