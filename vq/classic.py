"""JPEG and WebP at a given rate: what codes designed by hand make of the same number of bytes.

Both are counted as a codec's latent is: the picture's own data, without the headers and tables that a decoder for one
known size and quality could keep to itself.
JPEG: ITU-T T.81, annex B. WebP: RFC 9649 (container), RFC 6386 (VP8 frame header).
"""

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from PIL import Image

Format = Literal["JPEG", "WEBP"]
FORMATS: tuple[Format, ...] = ("JPEG", "WEBP")
_LOWEST: dict[Format, int] = {"JPEG": 1, "WEBP": 0}


class Compressed(NamedTuple):
    """A picture through JPEG or WebP: quality as Pillow counts it, bytes without headers and tables, the result."""

    format: Format
    quality: int
    bytes: int
    picture: Image.Image


def compress(picture: Image.Image, format: Format, quality: int) -> Compressed:
    """RGB picture -> Compressed. Huffman tables are fitted to the picture, chroma is halved, as cameras do."""
    file = io.BytesIO()
    picture.save(file, format, quality=quality, **({"optimize": True} if format == "JPEG" else {"method": 4}))
    return Compressed(format, quality, payload(file.getvalue()), Image.open(file).convert("RGB"))


def nearest(picture: Image.Image, format: Format, target: int) -> Compressed:
    """The quality whose bytes come closest to `target`; the better quality wins a tie."""
    at: Callable[[int], Compressed] = lru_cache(maxsize=None)(lambda quality: compress(picture, format, quality))
    low, high = _LOWEST[format], 100
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if at(middle).bytes < target else (low, middle)
    # Bytes grow with quality nearly everywhere: a few steps either side make up for where they don't.
    near = range(max(_LOWEST[format], low - 3), min(100, low + 3) + 1)
    return min((at(quality) for quality in near), key=lambda c: (abs(c.bytes - target), -c.quality))


def payload(data: bytes) -> int:
    """Bytes of the compressed picture itself. Raises ValueError for what is neither baseline JPEG nor lossy WebP."""
    if data[:2] == b"\xff\xd8":
        return _jpeg_payload(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_payload(data)
    raise ValueError("data: expected a JPEG or WebP file")


def _jpeg_payload(data: bytes) -> int:
    """Entropy-coded bytes: from the end of the scan header to the next marker, byte stuffing included."""
    total, i = 0, 2
    while i + 4 <= len(data) and data[i] == 0xFF and data[i + 1] != 0xD9:
        marker, i = data[i + 1], i + 2 + int.from_bytes(data[i + 2 : i + 4], "big")
        if marker == 0xDA:
            start, i = i, _next_marker(data, i)
            total += i - start
    return total


def _next_marker(data: bytes, i: int) -> int:
    """Where the next marker begins. FF 00 is a stuffed byte and FF D0 to D7 restart the coder: both are data."""
    while (i := data.find(b"\xff", i)) >= 0:
        following = data[i + 1 : i + 2]
        if following and following != b"\x00" and not b"\xd0" <= following <= b"\xd7":
            return i
        i += 2
    return len(data)


def _webp_payload(data: bytes) -> int:
    """The VP8 chunk without its frame tag (3 bytes) and key-frame header (7 bytes)."""
    i = 12
    while i + 8 <= len(data):
        size = int.from_bytes(data[i + 4 : i + 8], "little")
        if data[i : i + 4] == b"VP8 ":
            return size - 10
        i += 8 + size + size % 2
    raise ValueError("data: expected a lossy WebP file")
