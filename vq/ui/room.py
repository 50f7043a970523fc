"""The folder of uploads and of the endpoints' results: bounded in bytes and in age, whoever left what there.

Gradio itself deletes only what the running process made, and only by age.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gradio.utils import get_upload_folder

_STORED = re.compile(r"[0-9a-f]{64}")
_PARTIAL = re.compile(r"tmp\w+")
LOOK = 0.5  # seconds: looks that take longer become rarer in proportion
MOMENT = 60  # seconds that a folder may be empty: somebody is about to write into a new one


class Kept(NamedTuple):
    used: float
    size: int
    path: Path


@dataclass
class Room:
    """limit: bytes in all. free: bytes left on the disk. age: seconds after its last use that a file goes.

    partial: seconds after its last byte that an unfinished upload goes. every: seconds between two looks, more where
    a look takes long.
    """

    limit: int = 2_000_000_000
    free: int = 200_000_000
    age: float = 86400
    partial: float = 60
    every: float = 10
    _next: float = 0.0
    _used: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def due(self) -> bool:
        """Whether nobody has looked for a while."""
        return time.monotonic() >= self._next

    def tidy(self) -> None:
        """Delete what is too old or too much, if nobody has looked for a while."""
        if self.due:
            self.make(0)

    def make(self, needed: int) -> bool:
        """Whether `needed` bytes fit, if need be by deleting what is too old, and the longest unused.

        Between two looks what is announced is added up: a look at thousands of files takes longer than a request.
        """
        with self._lock:
            folder = Path(get_upload_folder())
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
            if self.due or not self._fits(folder, needed):
                begin = time.monotonic()
                self._next = begin + self.every  # nobody else needs to wait for this look
                self._used = self._clear(folder, needed)
                end = time.monotonic()
                self._next = end + self.every * max(1.0, (end - begin) / LOOK)
            if not self._fits(folder, needed):
                return False
            self._used += needed
            return True

    def _fits(self, folder: Path, needed: int) -> bool:
        return self._used + needed <= self.limit and needed + self.free <= disk_free(folder)

    def _clear(self, folder: Path, needed: int) -> int:
        """Delete what is too old, and the longest unused until `needed` bytes fit; how many bytes are left."""
        kept = sorted(files(folder))
        total, now = sum(file.size for file in kept), time.time()
        # What not even an empty folder would make room for deletes nobody's picture.
        wanted = total + needed - self.limit, needed + self.free - disk_free(folder)
        missing = max((size for size in wanted if size <= total), default=0)
        for file in kept:
            old = now - file.used > (self.age if file.path.parent != folder else self.partial)
            if old or missing > 0:
                total, missing = total - file.size, missing - file.size
                with suppress(OSError):
                    file.path.unlink()
        return total


def disk_free(folder: Path) -> int:
    """Bytes left on the folder's disk; 0 if it can't be told."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return 0


def files(folder: Path) -> Iterator[Kept]:
    """Gradio's files in its folder: each in one named by a hash, or an unfinished upload. Nothing else is touched.

    Folders that have been empty for a while are deleted.
    """
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):  # another process of the same user may be tidying, too
                yield from _within(entry)


def _within(entry: os.DirEntry[str]) -> Iterator[Kept]:
    """The files of one entry of the folder. Raises OSError when it has just gone."""
    found = []
    if entry.is_dir(follow_symlinks=False) and _STORED.fullmatch(entry.name):
        found = [Path(file.path) for file in os.scandir(entry) if file.is_file(follow_symlinks=False)]
        if not found and time.time() - entry.stat().st_mtime > MOMENT:
            os.rmdir(entry)
    elif entry.is_file(follow_symlinks=False) and _PARTIAL.fullmatch(entry.name):
        found = [Path(entry)]
    for path in found:
        with suppress(OSError):
            stat = path.stat()
            yield Kept(max(stat.st_mtime, stat.st_atime), stat.st_size, path)
