"""The one contract every autoencoder answers, whether ours or adapted from the Hub.

Shape legend, used by every file of the package:
    B batch   H, W picture size in pixels   h, w grid size in cells   D latent or code dimension   K codebook size
"""

import hashlib
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


class Encoded(NamedTuple):
    """What a picture becomes inside a codec.

    z:      what `decode` takes: (B,D) for vector codecs, (B,D,h,w) for grid codecs. The quantised map for quantised
            codecs, the posterior mean for Gaussian ones.
    tokens: (B,h,w) int64 in [0,K) for quantised codecs, else None.
    pre:    (B,D,h,w), the map before quantisation, for quantised codecs, else None.
    """

    z: Tensor
    tokens: Tensor | None = None
    pre: Tensor | None = None


@runtime_checkable
class Codec(Protocol):
    """encode, decode and, for quantised codecs, lookup and quantize. All raise ValueError on input they can't take."""

    @property
    def factor(self) -> int | None:
        """Pixels of picture side per grid cell; None for vector codecs."""

    @property
    def codebook_size(self) -> int | None:
        """K; None for codecs that don't quantise."""

    @property
    def image_size(self) -> int | None:
        """The picture side the codec was trained at, in pixels; vector codecs take no other."""

    @property
    def codebook(self) -> Tensor | None:
        """(K,D); None for codecs that don't quantise."""

    def encode(self, x_B3HW: Tensor) -> Encoded:
        """x (B,3,H,W) float32 in [-1,1] -> Encoded. Deterministic."""

    def decode(self, z: Tensor) -> Tensor:
        """z as in Encoded -> (B,3,H,W), clamped to [-1,1]."""

    def lookup(self, tokens_Bhw: Tensor) -> Tensor:
        """tokens (B,h,w) int64 -> z (B,D,h,w). Quantised codecs only."""

    def quantize(self, pre_BDhw: Tensor) -> Encoded:
        """pre (B,D,h,w) -> Encoded. Quantised codecs only."""


def fingerprint(codec: Codec) -> str:
    """sha256 (hex) of the codebook as it is stored, in float32: what tokens and priors of this codec belong to.

    Raises ValueError for codecs that don't quantise.
    """
    # Unit-length codes are computed from the stored ones, and their last bit may depend on the processor.
    codes = getattr(codec, "stored_codebook", codec.codebook)
    if codes is None:
        raise ValueError("codec: this codec has no codebook")
    return hashlib.sha256(codes.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()


def device_of(codec: Codec) -> torch.device:
    """Where a codec computes; the CPU if it doesn't say."""
    return getattr(codec, "device", torch.device("cpu"))


def check_picture(x: Tensor, *, dtype: torch.dtype, factor: int | None, image_size: int | None) -> None:
    """Raise ValueError unless x is (B,3,H,W) of `dtype` in [-1,1], sized for the codec.

    With a factor, H and W must be multiples of it; without one, both must equal image_size.
    """
    _check_tensor(x, "x", dtype)
    if x.ndim != 4 or x.shape[1] != 3 or 0 in x.shape:
        raise ValueError(f"x: expected shape (B,3,H,W), got {_shape(x)}")
    height, width = x.shape[2:]
    if factor is not None and (height % factor or width % factor):
        raise ValueError(f"x: height and width must be multiples of {factor}, got {height}x{width}")
    if factor is None and (height, width) != (image_size, image_size):
        raise ValueError(f"x: this codec takes {image_size}x{image_size} pictures only, got {height}x{width}")
    # `not all(<=)` rather than `any(>)`: NaN must fail too.
    if not bool((x.abs() <= 1).all()):
        raise ValueError(f"x: values must lie in [-1,1], got [{x.min():.3g}, {x.max():.3g}]")


def check_vector(z: Tensor, dim: int, dtype: torch.dtype) -> None:
    """Raise ValueError unless z is (B,dim), of `dtype` and finite."""
    _check_tensor(z, "z", dtype)
    if z.ndim != 2 or z.shape[1] != dim or len(z) == 0:
        raise ValueError(f"z: expected shape (B,{dim}), got {_shape(z)}")
    _check_finite(z, "z")


def check_grid(z: Tensor, dim: int, dtype: torch.dtype, name: str = "z") -> None:
    """Raise ValueError unless z is (B,dim,h,w), of `dtype` and finite."""
    _check_tensor(z, name, dtype)
    if z.ndim != 4 or z.shape[1] != dim or 0 in z.shape:
        raise ValueError(f"{name}: expected shape (B,{dim},h,w), got {_shape(z)}")
    _check_finite(z, name)


def check_tokens(tokens: Tensor, codebook_size: int) -> None:
    """Raise ValueError unless tokens is (B,h,w) int64 in [0,codebook_size)."""
    _check_tensor(tokens, "tokens", torch.int64)
    if tokens.ndim != 3 or 0 in tokens.shape:
        raise ValueError(f"tokens: expected shape (B,h,w), got {_shape(tokens)}")
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= codebook_size:
        raise ValueError(f"tokens: indices must lie in [0,{codebook_size}), got [{low}, {high}]")


def _check_tensor(x: Tensor, name: str, dtype: torch.dtype) -> None:
    if not isinstance(x, Tensor):
        raise ValueError(f"{name}: expected a torch.Tensor, got {type(x).__name__}")
    if x.dtype != dtype:
        raise ValueError(f"{name}: expected dtype {dtype}, got {x.dtype}")


def _check_finite(x: Tensor, name: str) -> None:
    if not bool(x.isfinite().all()):
        raise ValueError(f"{name}: values must be finite, got NaN or infinity")


def _shape(x: Tensor) -> str:
    return f"({','.join(map(str, x.shape))})"
