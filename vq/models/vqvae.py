"""VQ-VAE (van den Oord et al. 2017, arXiv:1711.00937) and, trained adversarially, VQ-GAN (Esser et al. 2021,
arXiv:2012.09841): one fully convolutional class for both."""

from collections.abc import Sequence
from typing import NamedTuple

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from vq.codec import Encoded, check_grid, check_picture, check_tokens
from vq.models.layers import decoder_stack, deepen, encoder_stack
from vq.models.quantizer import Quantized, VectorQuantizer, split


class VQOutput(NamedTuple):
    """x_hat (B,3,H,W), not clamped; pre (B,D,h,w); quantized: tokens and loss terms."""

    x_hat: Tensor
    pre: Tensor
    quantized: Quantized


class VQVAE(ModelMixin, ConfigMixin):
    """(B,3,H,W) in [-1,1] -> tokens (B,H/f,W/f) in [0,K) -> (B,3,H,W), for any H, W that are multiples of f.

    f = 2 ** len(widths). widths: channels at H/2, H/4, ...; encoder_depths, decoder_depths: residual blocks at each;
    decoder_widths: None means widths. K = codebook_size, D = code_dim. image_size: the side it was trained at.
    """

    @register_to_config
    def __init__(
        self,
        image_size: int = 64,
        codebook_size: int = 1024,
        code_dim: int = 8,
        widths: Sequence[int] = (64, 160),
        encoder_depths: Sequence[int] = (1, 1),
        decoder_widths: Sequence[int] | None = None,
        decoder_depths: Sequence[int] = (1, 3),
        beta: float = 1.0,
        gamma: float = 0.25,
        unit_length: bool = False,
    ):
        super().__init__()
        self.factor = 2 ** len(widths)
        self.codebook_size, self.code_dim, self.image_size = codebook_size, code_dim, image_size
        decoder_widths = decoder_widths or widths
        self.encoder = nn.Sequential(encoder_stack(widths, encoder_depths), nn.Conv2d(widths[-1], code_dim, 1))
        self.quantizer = VectorQuantizer(codebook_size, code_dim, beta, gamma, unit_length)
        self.decoder = nn.Sequential(
            nn.Conv2d(code_dim, decoder_widths[-1], 3, padding=1), decoder_stack(decoder_widths, decoder_depths)
        )

    @property
    def codebook(self) -> Tensor:
        return self.quantizer.codes_KD.detach()

    @property
    def stored_codebook(self) -> Tensor:
        """(K,D): the codes before any projection, as the weights' file holds them."""
        return self.quantizer.codebook_KD.detach()

    def grow_from(self, shallow: "VQVAE") -> None:
        """Start as a shallower model of the same widths, or one of fewer codes, which are then split.

        Raises ValueError if they differ otherwise.
        """
        deepen(shallow.encoder, self.encoder)
        deepen(shallow.decoder, self.decoder)
        if shallow.code_dim != self.code_dim:
            raise ValueError("grow_from: the codebooks differ in dimension")
        if shallow.codebook_size == self.codebook_size:
            self.quantizer.load_state_dict(shallow.quantizer.state_dict())
        else:
            self.quantizer.codebook_KD.data.copy_(split(shallow.codebook, self.codebook_size))

    def forward(self, x_B3HW: Tensor) -> VQOutput:
        pre = self.encoder(x_B3HW).float()  # autocast must not blur the quantiser
        quantized = self.quantizer(pre)
        return VQOutput(self.decoder(quantized.z), pre, quantized)

    def encode(self, x_B3HW: Tensor) -> Encoded:
        """x (B,3,H,W) in [-1,1] -> Encoded: z_q, tokens and the map before quantisation."""
        check_picture(x_B3HW, dtype=self.dtype, factor=self.factor, image_size=None)
        return self.quantize(self.encoder(x_B3HW))

    def quantize(self, pre_BDhw: Tensor) -> Encoded:
        """pre (B,D,h,w) -> Encoded: the nearest code of every cell."""
        check_grid(pre_BDhw, self.code_dim, self.dtype, "pre")
        tokens = self.quantizer.nearest(self.quantizer.project(pre_BDhw))
        return Encoded(self.quantizer.lookup(tokens), tokens, pre_BDhw)

    def lookup(self, tokens_Bhw: Tensor) -> Tensor:
        """tokens (B,h,w) int64 in [0,K) -> z_q (B,D,h,w)."""
        check_tokens(tokens_Bhw, self.codebook_size)
        return self.quantizer.lookup(tokens_Bhw)

    def decode(self, z_BDhw: Tensor) -> Tensor:
        """z (B,D,h,w) -> (B,3,f*h,f*w), clamped to [-1,1]."""
        check_grid(z_BDhw, self.code_dim, self.dtype)
        return self.decoder(z_BDhw).clamp(-1, 1)
