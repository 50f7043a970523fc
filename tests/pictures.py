"""One file of every kind a visitor may bring, made on the spot."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def photo(width: int = 96, height: int = 64) -> Image.Image:
    """Smooth colours with an edge: not constant, not noise."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    levels = np.stack([x, y, (x > y) * 0.8], -1) * 255
    return Image.fromarray(levels.astype(np.uint8))


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return encoded(photo(), "JPEG", exif=exif)


def _alpha() -> bytes:
    picture = photo().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return encoded(picture, "PNG")


def _sixteen() -> bytes:
    return encoded(Image.fromarray(np.asarray(photo().convert("L")).astype(np.uint16) * 257), "PNG")


def _animated() -> bytes:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)


KINDS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded(photo(), "JPEG"),
    "png": lambda: encoded(photo(), "PNG"),
    "webp": lambda: encoded(photo(), "WEBP"),
    "tiff": lambda: encoded(photo(), "TIFF"),
    "bmp": lambda: encoded(photo(), "BMP"),
    "grey": lambda: encoded(photo().convert("L"), "PNG"),
    "rotated": _rotated,
    "alpha": _alpha,
    "cmyk": lambda: encoded(photo().convert("CMYK"), "JPEG"),
    "sixteen": _sixteen,
    "palette": lambda: encoded(photo().quantize(16), "PNG"),
    "animated": _animated,
    "tall": lambda: encoded(photo(32, 400), "PNG"),
    "one": lambda: encoded(Image.new("RGB", (1, 1), "teal"), "PNG"),
}


def hundred_megapixels() -> bytes:
    return encoded(Image.new("L", (10_000, 10_000), 90), "PNG", compress_level=1)
