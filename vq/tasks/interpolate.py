"""From one picture to another along several paths, and the blend of four; what each step of a path costs."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vq.codec import Codec, Encoded
from vq.image import to_picture, to_tensor
from vq.latents import ORDERS, Order, bilinear, lerp, mix, slerp, swap, thresholds
from vq.tasks.common import SIZES
from vq.tasks.reconstruct import reconstruct_one

FRAMES = (3, 33)
SIDES = (3, 9)
SEEDS = 2**32

AnimationFormat = Literal["WEBP", "GIF"]


@dataclass(frozen=True, eq=False)
class End:
    """Where a path starts or ends: a codec's picture, 8-bit RGB and square, and the latent behind it (B = 1)."""

    picture: Image.Image
    encoded: Encoded


class Frame(NamedTuple):
    """One step of a path: 8-bit RGB, and tokens (1,h,w) int64 where the path goes over tokens."""

    picture: Image.Image
    tokens: Tensor | None


def end_of(codec: Codec, picture: Image.Image, size: int) -> End:
    """RGB picture -> its plain reconstruction; grid codecs work at `size` x `size`, which must be one of SIZES."""
    if size not in SIZES:
        raise ValueError(f"size: expected one of {', '.join(map(str, SIZES))}, got {size}")
    r = reconstruct_one(codec, "", picture, size, "crop")
    return End(r.picture, r.encoded)


# (codec, a, b, times, seed) -> the inner frames of a path, one for each t in (0,1).
Walk = Callable[[Codec, End, End, Sequence[float], int], Iterator[Frame]]


def _fade(codec: Codec, a: End, b: End, times: Sequence[float], seed: int) -> Iterator[Frame]:
    start, stop = to_tensor(a.picture), to_tensor(b.picture)
    return (Frame(to_picture(lerp(start, stop, t)), None) for t in times)


def _blend(between: Callable[[Tensor, Tensor, float], Tensor]) -> Walk:
    def walk(codec: Codec, a: End, b: End, times: Sequence[float], seed: int) -> Iterator[Frame]:
        return (_decoded(codec, Encoded(between(a.encoded.z, b.encoded.z, t))) for t in times)

    return walk


def _requantize(codec: Codec, a: End, b: End, times: Sequence[float], seed: int) -> Iterator[Frame]:
    start, stop = a.encoded.pre, b.encoded.pre
    if start is None or stop is None:  # sampled and edited pictures have codes only
        start, stop = a.encoded.z, b.encoded.z
    return (_decoded(codec, codec.quantize(lerp(start, stop, t))) for t in times)


def _swap(order: Order) -> Walk:
    def walk(codec: Codec, a: End, b: End, times: Sequence[float], seed: int) -> Iterator[Frame]:
        start, stop = _tokens(a), _tokens(b)
        cells = order(start, stop, _codebook(codec), seed)
        return (_looked_up(codec, swap(start, stop, cells, t)) for t in times)

    return walk


@dataclass(frozen=True)
class Path:
    """A way between two pictures. tokens: whether its codec must be quantised, or must not be; None: either."""

    walk: Walk
    tokens: bool | None = None

    def fits(self, quantised: bool) -> bool:
        return self.tokens in (None, quantised)


# In the order of the rows.
PATHS: dict[str, Path] = {
    "pixel": Path(_fade),
    "lerp": Path(_blend(lerp), tokens=False),
    "slerp": Path(_blend(slerp), tokens=False),
    "requantize": Path(_requantize, tokens=True),
    **{name: Path(_swap(order), tokens=True) for name, order in ORDERS.items()},
}


def paths_of(codec: Codec) -> list[str]:
    """Names of the paths that make sense for a codec."""
    return [name for name, path in PATHS.items() if path.fits(codec.codebook_size is not None)]


def interpolate(codec: Codec, a: End, b: End, path: str, frames: int, seed: int = 0) -> Iterator[Frame]:
    """`frames` frames from a to b, each as soon as it is ready; the first and the last are a and b themselves.

    Raises ValueError before the first: for a path that the codec has not, frames outside FRAMES, a seed outside
    [0,SEEDS), ends of two sizes.
    """
    if path not in paths_of(codec):
        raise ValueError(f"path: expected one of {', '.join(paths_of(codec))}, got {path!r}")
    _check_range("frames", frames, *FRAMES)
    _check_range("seed", seed, 0, SEEDS - 1)
    _check_alike([a, b])
    times = [i / (frames - 1) for i in range(1, frames - 1)]
    return _along(PATHS[path], codec, a, b, times, seed)


@torch.inference_mode()
def _along(path: Path, codec: Codec, a: End, b: End, times: Sequence[float], seed: int) -> Iterator[Frame]:
    yield Frame(a.picture, a.encoded.tokens if path.tokens else None)
    yield from path.walk(codec, a, b, times, seed)
    yield Frame(b.picture, b.encoded.tokens if path.tokens else None)


def corners(codec: Codec, ends: Sequence[End], side: int, seed: int = 0) -> Iterator[Frame]:
    """A side x side grid in reading order, blended from four pictures: top left, top right, bottom left, bottom right.

    Latents are blended bilinearly; of tokens, every cell comes from one of the four, with bilinear odds, by the seed.
    The corners are the four pictures themselves. Raises ValueError before the first frame: for a side outside SIDES, a
    seed outside [0,SEEDS), other than four ends, ends of several sizes.
    """
    if len(ends) != 4:
        raise ValueError(f"ends: expected 4, got {len(ends)}")
    _check_range("side", side, *SIDES)
    _check_range("seed", seed, 0, SEEDS - 1)
    _check_alike(ends)
    steps = [i / (side - 1) for i in range(side)]
    return _grid(codec, ends, steps, seed)


@torch.inference_mode()
def _grid(codec: Codec, ends: Sequence[End], steps: Sequence[float], seed: int) -> Iterator[Frame]:
    blend = _mixed if codec.codebook_size is not None else _blended
    at = blend(codec, ends, seed)
    whole = {(0.0, 0.0): ends[0], (1.0, 0.0): ends[1], (0.0, 1.0): ends[2], (1.0, 1.0): ends[3]}
    for down in steps:
        for across in steps:
            end = whole.get((across, down))
            yield at(across, down) if end is None else Frame(end.picture, end.encoded.tokens)


def _blended(codec: Codec, ends: Sequence[End], seed: int) -> Callable[[float, float], Frame]:
    latents = [end.encoded.z for end in ends]
    return lambda across, down: _decoded(codec, Encoded(bilinear(latents, across, down)))


def _mixed(codec: Codec, ends: Sequence[End], seed: int) -> Callable[[float, float], Frame]:
    tokens = [_tokens(end) for end in ends]
    turns = thresholds(tokens[0].shape, seed)
    return lambda across, down: _looked_up(codec, mix(tokens, turns, across, down))


def distances(frames: Sequence[Frame]) -> list[float]:
    """How far each frame is from the one before: root mean square over pixels and channels, in levels of 0 to 255."""
    levels = [np.asarray(frame.picture, np.float32) for frame in frames]
    return [math.sqrt(float(np.square(b - a).mean())) for a, b in pairwise(levels)]


def tokens_changed(frames: Sequence[Frame]) -> list[int] | None:
    """How many tokens each frame has that the one before had not; None for a path that doesn't go over tokens."""
    tokens = [frame.tokens for frame in frames if frame.tokens is not None]
    if not tokens:
        return None
    return [int((b != a).sum()) for a, b in pairwise(tokens)]


def animation(pictures: Sequence[Image.Image], format: AnimationFormat, ms: int = 80, side: int = 256) -> bytes:
    """Pictures as an endless animation, small ones enlarged by whole pixels up to `side`; both ends stay for a while.

    WebP is lossless; GIF has 256 colours a frame.
    """
    scale = max(1, side // pictures[0].width)
    size = (pictures[0].width * scale, pictures[0].height * scale)
    first, *rest = [picture.resize(size, Image.Resampling.NEAREST) for picture in pictures]
    durations = [ms * 8, *[ms] * (len(rest) - 1), ms * 8]
    options = {"lossless": True, "method": 0} if format == "WEBP" else {}
    file = io.BytesIO()
    first.save(file, format, save_all=True, append_images=rest, duration=durations, loop=0, **options)
    return file.getvalue()


def _decoded(codec: Codec, encoded: Encoded) -> Frame:
    # One by one: a batch would change the last bits, and with them the ends of a path between equal pictures.
    return Frame(to_picture(codec.decode(encoded.z).cpu()), encoded.tokens)


def _looked_up(codec: Codec, tokens: Tensor) -> Frame:
    return _decoded(codec, Encoded(codec.lookup(tokens), tokens))


def _tokens(end: End) -> Tensor:
    if end.encoded.tokens is None:
        raise ValueError("tokens: this picture has none")
    return end.encoded.tokens


def _codebook(codec: Codec) -> Tensor:
    if codec.codebook is None:
        raise ValueError("codec: this codec has no codebook")
    return codec.codebook


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name}: expected a whole number from {low} to {high}, got {value!r}")


def _check_alike(ends: Sequence[End]) -> None:
    sizes = {(end.picture.size, tuple(end.encoded.z.shape)) for end in ends}
    if len(sizes) > 1:
        raise ValueError("ends: the pictures must be of one size")
