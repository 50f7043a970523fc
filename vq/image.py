"""Pictures in, tensors out, and back: the only place where PIL meets torch.

`open_picture` takes whatever Pillow reads and gives 8-bit RGB; `to_tensor` and `to_picture` are inverses on 8-bit RGB.
"""

import io
import math
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

MAX_PIXELS = 100_000_000
ENOUGH = 8_000_000  # pixels; nobody here needs more, and twice as many would take twice the memory on their way to RGB
_LARGEST = float(np.finfo(np.float32).max)
Fit = Literal["crop", "pad"]

# Our own limit, checked before a pixel is decoded, replaces Pillow's warning.
Image.MAX_IMAGE_PIXELS = None


class PictureError(ValueError):
    """A picture that can't be used. `code` names the reason: "unreadable" or "too_large"."""

    def __init__(self, code: Literal["unreadable", "too_large"], message: str):
        super().__init__(message)
        self.code = code


def open_picture(source: str | Path | bytes | BinaryIO | Image.Image) -> Image.Image:
    """Anything Pillow reads -> 8-bit RGB, upright, first frame, alpha composited on white, colours in sRGB.

    Raises PictureError for what is no picture, is broken, or has more than MAX_PIXELS pixels.
    """
    try:
        picture = source if isinstance(source, Image.Image) else _open(source)
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise PictureError("too_large", f"picture has {width}x{height} pixels; the limit is {MAX_PIXELS:,}")
        # JPEG decodes at half or quarter size for next to nothing; nobody here needs more than 2,048 pixels a side.
        picture.draft(None, (2048, 2048))
        picture.load()
        if picture is source:
            return _to_rgb(ImageOps.exif_transpose(picture))
        ImageOps.exif_transpose(picture, in_place=True)
        return _to_rgb(picture)
    except PictureError:
        raise
    # Pillow's decoders raise nearly anything on broken bytes (struct.error, IndexError, SyntaxError, ...).
    except Exception as error:
        raise PictureError("unreadable", "not a picture Pillow can read, or a broken one") from error


def _open(source: str | Path | bytes | BinaryIO) -> Image.Image:
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


def _to_rgb(picture: Image.Image) -> Image.Image:
    picture = _to_srgb(_smaller(_to_8bit(picture)))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def _to_8bit(picture: Image.Image) -> Image.Image:
    """Grey pictures with 16 or 32 bits a pixel, integer or float -> 8 bits; others unchanged."""
    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;"):
        return picture
    pixels = np.asarray(picture)
    # A few rows at a time: as float64, a picture of a hundred million pixels takes gigabytes.
    rows = range(0, len(pixels), 256)
    low = min((_finite(pixels[y : y + 256]).min() for y in rows), default=0.0)
    high = max((_finite(pixels[y : y + 256]).max() for y in rows), default=0.0)
    if picture.mode == "F":
        top = next((t for t in (1.0, 255.0, 65535.0) if high <= t), high)
    else:
        top = 65535.0 if high <= 65535 else high
    low = min(low, 0.0)
    levels = np.empty(pixels.shape, np.uint8)
    for y in rows:
        levels[y : y + 256] = np.round((_finite(pixels[y : y + 256]) - low) / (top - low) * 255)
    return Image.fromarray(levels)


def _finite(values: np.ndarray) -> np.ndarray:
    """As float64, infinities as the largest float32, so that differences stay finite."""
    return np.nan_to_num(values.astype(np.float64), posinf=_LARGEST, neginf=-_LARGEST)


def _smaller(picture: Image.Image) -> Image.Image:
    """A picture of more than ENOUGH pixels averaged down by a whole factor, its shorter side to 1,024 at least."""
    width, height = picture.size
    factor = min(math.isqrt(width * height // ENOUGH), min(width, height) // 1024)
    if factor < 2:
        return picture
    if picture.mode in ("1", "P", "PA") or "transparency" in picture.info:  # indices have no average
        picture = picture.convert("RGBA")
    return picture.reduce(factor)


def _to_srgb(picture: Image.Image) -> Image.Image:
    """Apply an embedded colour profile. An unusable one is ignored, as viewers do."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "CMYK", "L"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or picture
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture


def fit_square(picture: Image.Image, size: int, fit: Fit = "crop") -> Image.Image:
    """RGB picture -> size x size: its centre square ("crop"), or all of it on grey ("pad")."""
    if fit == "pad":
        width, height = picture.size
        scale = size / max(width, height)
        inner = picture.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.LANCZOS)
        canvas = Image.new("RGB", (size, size), (128, 128, 128))
        canvas.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
        return canvas
    return ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)


def contain(picture: Image.Image, side: int) -> Image.Image:
    """All of an RGB picture, its longer side `side` pixels."""
    scale = side / max(picture.size)
    width, height = (max(1, round(length * scale)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def to_tensor(picture: Image.Image) -> Tensor:
    """RGB picture -> (1,3,H,W) float32 in [-1,1]."""
    return unit_to_signed(torch.from_numpy(np.array(picture, dtype=np.uint8)).permute(2, 0, 1)[None].float() / 255)


def to_picture(x_13HW: Tensor) -> Image.Image:
    """(1,3,H,W) or (3,H,W) in [-1,1] -> RGB picture, rounded to 8 bits."""
    x = x_13HW[0] if x_13HW.ndim == 4 else x_13HW
    levels = (signed_to_unit(x.detach().float()) * 255).round().clamp(0, 255)
    return Image.fromarray(levels.to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy())


def unit_to_signed(x: Tensor) -> Tensor:
    """[0,1] -> [-1,1]."""
    return x * 2 - 1


def signed_to_unit(x: Tensor) -> Tensor:
    """[-1,1] -> [0,1]."""
    return x / 2 + 0.5


def sheet(rows: list[Tensor], scale: int = 2, gap: int = 2) -> Image.Image:
    """Rows of (n,3,S,S) in [-1,1] -> one picture on white, each tile enlarged `scale` times by nearest neighbour."""
    side = rows[0].shape[-1] * scale
    columns = max(len(row) for row in rows)
    canvas = Image.new("RGB", (columns * (side + gap) - gap, len(rows) * (side + gap) - gap), "white")
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            picture = to_picture(tile).resize((side, side), Image.Resampling.NEAREST)
            canvas.paste(picture, (j * (side + gap), i * (side + gap)))
    return canvas
