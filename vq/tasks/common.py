"""What all tasks share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Union, cast, get_args

from vq.codec import Codec
from vq.image import Fit

if TYPE_CHECKING:  # what it imports takes seconds
    from vq.prior import GaussianPrior, Prior

Load = Callable[[str], Codec]
# (prior, codec or None): see vq.hub.load_prior.
LoadPrior = Callable[[str, str | None], Union["Prior", "GaussianPrior"]]
Size = Literal[64, 128, 256, 512]
SIZES: tuple[int, ...] = get_args(Size)
FITS: tuple[str, ...] = get_args(Fit)


def working_size(codec: Codec, size: int) -> int:
    """The side a picture gets for this codec: `size` for grid codecs, its own for vector codecs."""
    return size if codec.factor is not None else cast(int, codec.image_size)
