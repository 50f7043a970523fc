"""diffusers' autoencoders behind the contract of `vq.codec`: VQModel, AutoencoderKL and AutoencoderTiny.

What each hides: VQModel (Esser et al. 2021, arXiv:2012.09841; spatial norm: Zheng et al. 2022, MoVQ, arXiv:2209.09002)
takes flat indices, wants its own quantised map in the decoder and has two meanings of `decode`; AutoencoderKL (Rombach
et al. 2022, arXiv:2112.10752) answers with a distribution; AutoencoderTiny (TAESD) stores its latent in bytes.
None of the latents is multiplied by the config's scaling_factor: that serves a diffusion model, which isn't here, and
scaling there and back would only lose precision.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vq.codec import Encoded, check_grid, check_picture, check_tokens

# Distances of so many cell-code pairs at a time: 256 MiB in float32.
_PAIRS = 2**26
_UNSET_SAMPLE_SIZE = 32  # what the classes write into a config whose author gave nothing


class Unfit(ValueError):  # noqa: N818
    """Why a model can't be a codec here: in English, in Chinese."""


class Adapter(nn.Module):
    """A diffusers autoencoder as a `Codec`. All work on any picture whose sides are multiples of `factor`."""

    codebook_size: int | None = None
    codebook: Tensor | None = None

    def __init__(self, model: Any, factor: int, dim: int):
        super().__init__()
        self.model, self.factor, self.dim = model, factor, dim
        config = model.config
        if config.in_channels != 3 or config.out_channels != 3:
            given = f"{config.in_channels}, {config.out_channels}"
            raise Unfit(f"channels in and out: {given}, not 3, 3", f"输入与输出通道数：{given}，应为 3, 3")
        side = getattr(config, "sample_size", None)
        self.image_size: int | None = side if isinstance(side, int) and side != _UNSET_SAMPLE_SIZE else None

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    def encode(self, x_B3HW: Tensor) -> Encoded:
        """x (B,3,H,W) in [-1,1] -> Encoded with z (B,D,H/f,W/f)."""
        check_picture(x_B3HW, dtype=self.dtype, factor=self.factor, image_size=None)
        return self._encode(x_B3HW)

    def decode(self, z_BDhw: Tensor) -> Tensor:
        """z (B,D,h,w) -> (B,3,f*h,f*w), clamped to [-1,1]."""
        check_grid(z_BDhw, self.dim, self.dtype)
        return self._decode(z_BDhw).clamp(-1, 1)

    def lookup(self, tokens_Bhw: Tensor) -> Tensor:
        raise ValueError("tokens: this codec has no codebook")

    def quantize(self, pre_BDhw: Tensor) -> Encoded:
        raise ValueError("pre: this codec has no codebook")

    @abstractmethod
    def _encode(self, x_B3HW: Tensor) -> Encoded: ...

    @abstractmethod
    def _decode(self, z_BDhw: Tensor) -> Tensor: ...


class GaussianAdapter(Adapter):
    """AutoencoderKL: z is the posterior mean."""

    def __init__(self, model: Any):
        super().__init__(model, 2 ** (len(model.config.block_out_channels) - 1), model.config.latent_channels)

    def _encode(self, x_B3HW: Tensor) -> Encoded:
        return Encoded(self.model.encode(x_B3HW).latent_dist.mode())

    def _decode(self, z_BDhw: Tensor) -> Tensor:
        return self.model.decode(z_BDhw).sample


class TinyAdapter(Adapter):
    """AutoencoderTiny: z is the latent as its forward pass stores it, one byte a number, spread over ±magnitude."""

    def __init__(self, model: Any):
        config = model.config
        if config.upsampling_scaling_factor != 2 or len(config.num_encoder_blocks) != len(config.num_decoder_blocks):
            raise Unfit("encoder and decoder don't scale by the same factor", "编码器与解码器的缩放倍数不同")
        super().__init__(model, 2 ** (len(config.num_encoder_blocks) - 1), config.latent_channels)

    def _encode(self, x_B3HW: Tensor) -> Encoded:
        bytes_ = self.model.scale_latents(self.model.encode(x_B3HW).latents).mul(255).round()
        return Encoded(self.model.unscale_latents(bytes_ / 255))

    def _decode(self, z_BDhw: Tensor) -> Tensor:
        return self.model.decode(z_BDhw).sample


class VQAdapter(Adapter):
    """VQModel, with group or spatial norm, whether or not its config says lookup_from_codebook."""

    def __init__(self, model: Any):
        config = model.config
        dim = config.latent_channels if config.vq_embed_dim is None else config.vq_embed_dim
        super().__init__(model, 2 ** (len(config.block_out_channels) - 1), dim)
        self.codebook_size = config.num_vq_embeddings
        self.spatial = config.norm_type == "spatial"

    @property
    def codebook(self) -> Tensor:  # type: ignore[override]
        return self.model.quantize.embedding.weight.detach()

    def _encode(self, x_B3HW: Tensor) -> Encoded:
        return self.quantize(self.model.encode(x_B3HW).latents)

    def quantize(self, pre_BDhw: Tensor) -> Encoded:
        """pre (B,D,h,w) -> Encoded: the nearest code of every cell."""
        check_grid(pre_BDhw, self.dim, self.dtype, "pre")
        cells_ND = pre_BDhw.permute(0, 2, 3, 1).reshape(-1, self.dim)
        # As the model measures it, but never all pairs of a large picture and a large codebook at once.
        parts = cells_ND.split(max(1, _PAIRS // len(self.codebook)))
        nearest = torch.cat([torch.cdist(part, self.codebook).argmin(1) for part in parts])
        tokens = nearest.view(len(pre_BDhw), *pre_BDhw.shape[2:])
        return Encoded(self._embed(tokens), tokens, pre_BDhw)

    def lookup(self, tokens_Bhw: Tensor) -> Tensor:
        """tokens (B,h,w) int64 in [0,K) -> z_q (B,D,h,w)."""
        check_tokens(tokens_Bhw, len(self.codebook))
        return self._embed(tokens_Bhw)

    def _embed(self, tokens_Bhw: Tensor) -> Tensor:
        return nn.functional.embedding(tokens_Bhw, self.codebook).permute(0, 3, 1, 2).contiguous()

    def _decode(self, z_BDhw: Tensor) -> Tensor:
        # Not model.decode: it would quantise again, or with lookup_from_codebook take z for indices.
        model = self.model
        return model.decoder(model.post_quant_conv(z_BDhw), z_BDhw if self.spatial else None)


_ADAPTERS: dict[str, Callable[[Any], Adapter]] = {
    "VQModel": VQAdapter,
    "AutoencoderKL": GaussianAdapter,
    "AutoencoderTiny": TinyAdapter,
}
NAMES = tuple(_ADAPTERS)


def class_of(name: str) -> type[nn.Module]:
    """The diffusers class of that name, imported only now. `name` must be one of NAMES."""
    import diffusers

    return getattr(diffusers, name)


def adapt(model: nn.Module) -> Adapter:
    """A diffusers model as a Codec. Raises Unfit for a config this project can't work with."""
    return _ADAPTERS[type(model).__name__](model)
