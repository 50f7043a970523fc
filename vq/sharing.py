"""Sharing costly work between threads: one piece of work at a time for one key, and a bounded shelf for results.

Knows nothing of models: `vq.hub` loads through it.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Progress = Callable[[int, int], object]  # bytes done, bytes in all
Stop = threading.Event | Callable[[], bool] | None

POLL = 0.05  # seconds between two looks at progress and stop


class Stopped(Exception):  # noqa: N818 (a signal, not a mistake)
    """Whoever asked for the work has stopped waiting for it."""


class Overdue(Exception):  # noqa: N818
    """The work gave no sign of life for as long as it had promised."""


class Job:
    """One piece of work in a thread of its own. The work reports and asks through `report`, `expect` and `check`."""

    def __init__(self) -> None:
        self.progress = (0, 0)
        self.finished = threading.Event()
        self.cancelled = threading.Event()
        self.clients = 0
        self.result: Any = None
        self.error: BaseException | None = None
        self._deadline: float | None = None
        self._patience: float | None = None

    def report(self, done: int, total: int) -> None:
        """Tell whoever waits how far it got. Raises Stopped if nobody waits any more."""
        self.progress = (done, total)
        self.expect(self._patience)
        self.check()

    def expect(self, seconds: float | None) -> None:
        """Promise a sign of life within so many seconds from now, and after every report; None ends the promise."""
        self._patience = seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def check(self) -> None:
        """Raises Stopped if nobody waits any more."""
        if self.cancelled.is_set():
            raise Stopped

    @property
    def overdue(self) -> bool:
        deadline = self._deadline
        return deadline is not None and time.monotonic() > deadline


class Flights:
    """Runs work such that all who ask for the same key at the same time share one run, its progress and its result."""

    def __init__(self) -> None:
        self._jobs: dict[Hashable, Job] = {}
        self._lock = threading.Lock()

    def run(self, key: Hashable, work: Callable[[Job], T], progress: Progress | None = None, stop: Stop = None) -> T:
        """The result of `work`, or what it raised. `progress` is called in the calling thread.

        Raises Stopped once `stop` is set; the work itself ends when all who share it have stopped. Raises Overdue if
        the work broke its promise: it is left alone then, and the next to ask starts afresh.
        """
        job = self._join(key, work)
        try:
            self._wait(job, progress, stop)
        finally:
            self._leave(key, job)
        if job.error is not None:
            raise job.error
        return job.result

    def _join(self, key: Hashable, work: Callable[[Job], Any]) -> Job:
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                job = self._jobs[key] = Job()
                threading.Thread(target=self._work, args=(key, job, work), daemon=True, name=f"load {key}").start()
            job.clients += 1
            return job

    def _work(self, key: Hashable, job: Job, work: Callable[[Job], Any]) -> None:
        try:
            job.result = work(job)
        except BaseException as error:  # it belongs to those who wait, whatever it is
            job.error = error
        finally:
            self._drop(key, job)
            job.finished.set()

    @staticmethod
    def _wait(job: Job, progress: Progress | None, stop: Stop) -> None:
        stopped = stop.is_set if isinstance(stop, threading.Event) else stop
        seen = job.progress
        while not job.finished.wait(POLL):
            if progress is not None and job.progress != seen:
                seen = job.progress
                progress(*seen)
            if stopped is not None and stopped():
                raise Stopped
            if job.overdue:
                job.cancelled.set()
                raise Overdue
        if progress is not None and job.progress != seen:
            progress(*job.progress)

    def _leave(self, key: Hashable, job: Job) -> None:
        with self._lock:
            job.clients -= 1
            if job.clients == 0:
                job.cancelled.set()
        if job.cancelled.is_set():
            self._drop(key, job)

    def _drop(self, key: Hashable, job: Job) -> None:
        with self._lock:
            if self._jobs.get(key) is job:
                del self._jobs[key]


class Shelf(Generic[T]):
    """The `capacity()` most recently used results; the least recently used goes first."""

    def __init__(self, capacity: Callable[[], int]):
        self._capacity = capacity
        self._items: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key]

    def put(self, key: Hashable, item: T) -> None:
        with self._lock:
            self._items[key] = item
            self._items.move_to_end(key)
            while len(self._items) > max(1, self._capacity()):
                self._items.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._items.clear()

    def __len__(self) -> int:
        return len(self._items)
