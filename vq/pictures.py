"""Pictures in folders and zips, split into those to train on and those held out."""

import hashlib
import zipfile
from collections.abc import Collection
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from vq.image import PictureError, fit_square, open_picture, to_tensor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
VAL_SHARE = 0.05


class DataError(ValueError):
    """A path that holds no usable pictures; the message is one line for the person at the terminal."""


class PictureSet:
    """The pictures of one split of a folder or zip, read when asked for.

    A source with train/ and val/ folders is split by them; any other by a hash of the file names, VAL_SHARE to val.
    The split "all" is every picture. `leave_out` names pictures that are passed over, as `names` would name them.
    Raises DataError when the path is missing, is no folder or zip, or has no picture in the split.
    """

    def __init__(self, path: str | Path, split: str, leave_out: Collection[str] = ()):
        self.path, self.split = Path(path), split
        self._zip = _open_zip(self.path)
        names = self._zip.namelist() if self._zip else _walk(self.path)
        chosen = _select(sorted(n for n in names if Path(n).suffix.lower() in SUFFIXES), split)
        self.names = [name for name in chosen if name not in leave_out]
        if not self.names:
            raise DataError(f"{path}: no pictures for the split '{split}'")

    def __len__(self) -> int:
        return len(self.names)

    def read(self, i: int) -> Image.Image:
        """Picture i as RGB. Raises PictureError if it is broken."""
        name = self.names[i]
        try:
            data = self._zip.read(name) if self._zip else (self.path / name).read_bytes()
        except (OSError, zipfile.BadZipFile) as error:
            raise PictureError("unreadable", f"{name} can't be read") from error
        return open_picture(data)

    def tensors(self, size: int, limit: int | None = None, start: int = 0) -> Tensor:
        """(N,3,size,size) in [-1,1]: centre squares in name order, broken pictures left out. May be empty."""
        out: list[Tensor] = []
        for i in range(start, len(self)):
            if limit is not None and len(out) == limit:
                break
            try:
                out.append(to_tensor(centre(self.read(i), size)))
            except PictureError:
                continue
        return torch.cat(out) if out else torch.empty(0, 3, size, size)


def centre(picture: Image.Image, size: int) -> Image.Image:
    """The size x size centre of the picture, unscaled where it is large enough, else its centre square enlarged."""
    width, height = picture.size
    if min(width, height) < size:
        return fit_square(picture, size)
    left, top = (width - size) // 2, (height - size) // 2
    return picture.crop((left, top, left + size, top + size))


def read_leave_out(path: str | Path) -> frozenset[str]:
    """Names of pictures, one a line, of a list for `PictureSet`; empty lines and those that begin with # don't count.

    Raises DataError for a file that is missing, is no text, or names nothing.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no list of pictures to leave out") from error
    names = frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not names:
        raise DataError(f"{path}: names no picture to leave out")
    return names


def _open_zip(path: Path) -> zipfile.ZipFile | None:
    if path.is_dir():
        return None
    if not path.exists():
        raise DataError(f"{path}: no such folder or zip")
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: neither a folder nor a zip") from error


def _walk(root: Path) -> list[str]:
    return [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]


def _select(names: list[str], split: str) -> list[str]:
    if split == "all":
        return names
    folders = {part for name in names for part in Path(name).parts[:-1]}
    if {"train", "val"} <= folders:
        return [n for n in names if split in Path(n).parts[:-1]]
    return [n for n in names if (_is_val(n) if split == "val" else not _is_val(n))]


def _is_val(name: str) -> bool:
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big") < VAL_SHARE * 2**32
