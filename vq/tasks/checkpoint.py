"""A checkpoint from the Hub for one visitor: downloading it while somebody watches, and what to tell of it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vq.catalogue import Entry
from vq.sharing import POLL, Progress, Stop

if TYPE_CHECKING:  # what it imports takes seconds
    from vq.hub import Loaded

# (repo, subfolder, revision, progress, stop) -> the row of a table that names the checkpoint, and the checkpoint.
Download = Callable[[str, str, str, Progress, Stop], "tuple[Entry, Loaded]"]


@dataclass(frozen=True)
class Summary:
    """What there is to know of a checkpoint. latent: numbers a cell, or in all where there are no cells."""

    entry: Entry
    class_name: str
    parameters: int
    factor: int | None
    codebook_size: int | None
    latent: int | None
    image_size: int | None


def summarize(entry: Entry, loaded: "Loaded") -> Summary:
    codec = loaded.codec
    dim = getattr(codec, "dim", None) or getattr(codec, "latent_dim", None)
    latent = dim if codec.codebook is None else codec.codebook.shape[1]
    return Summary(
        entry, loaded.class_name, loaded.parameters, codec.factor, codec.codebook_size, latent, codec.image_size
    )


def watched(work: Callable[[Progress, Stop], object], stop: Callable[[], bool]) -> Iterator[tuple[int, int]]:
    """Bytes done and in all, whenever they have changed, until `work` is over. Raises what it raised.

    Whoever stops iterating stops the work.
    """
    seen, latest = (0, 0), [(0, 0)]
    failed: list[BaseException] = []
    over, left = threading.Event(), threading.Event()

    def run() -> None:
        try:
            work(lambda done, total: latest.__setitem__(0, (done, total)), lambda: left.is_set() or stop())
        except BaseException as error:  # it belongs to whoever watches
            failed.append(error)
        finally:
            over.set()

    threading.Thread(target=run, daemon=True, name="checkpoint").start()
    try:
        while not over.wait(4 * POLL):
            if latest[0] != seen:
                yield (seen := latest[0])
    finally:
        left.set()
    if failed:
        raise failed[0]
