"""Who may wait, for how long, and what becomes of the others: the queue behind the page.

A visitor is a session, or, for a call that names none, an address. Turns go round: of two visitors who wait, the one
served longer ago comes first, however many requests the other has sent; a visitor's own requests keep their order.

A request that can't wait is answered like one that failed, at once, by whatever way the client listens: an error whose
text holds, in English and Chinese, "try again in N s" (N a whole number of seconds, `RETRY` finds it). So a
gradio_client raises AppError with that text, /gradio_api/call streams `event: error`, and the page shows it. Nothing of
the request has been computed then, and the same request may be sent again.

The queue is Gradio's own; what is overridden is how a request enters it and which one leaves it.
"""

import asyncio
import ctypes
import math
import os
import random
import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import gradio as gr
from fastapi import Request
from gradio.context import LocalContext
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, EventQueue, Queue
from gradio.server_messages import EventMessage, ProcessCompletedMessage
from gradio.utils import error_payload

from vq.ui.texts import TEXTS, both

RETRY = re.compile(r"try again in (\d+) s")
GUESS = 1.0  # seconds that a request takes, as long as none of its kind has been served
AGED = 8  # one in so many requests is served for having waited longest, whosever turn it is
LONGEST = 120  # seconds that anybody is told to stay away
SESSIONS = 5000  # whose messages may lie unread


@dataclass(frozen=True)
class Limits:
    """What the page takes on. waiting: requests in the queue. each: of one visitor. address: of one address.

    memory: the share of the machine's memory, or of what its container may use, beyond which nothing new is begun.
    """

    waiting: int = 128
    each: int = 32
    address: int = 112
    memory: float = 0.8


class Mark(NamedTuple):
    """What the queue knows of a request. turn: a request waits for all of a smaller one, and for older equal ones."""

    visitor: str
    address: str
    turn: int


class FairQueue(Queue):
    """Gradio's queue, bounded for each visitor, with turns."""

    def __init__(self, limits: Limits, **kwargs: Any):
        super().__init__(**kwargs)
        self.limits = limits
        self._marks: dict[str, Mark] = {}
        # By concurrency_id: the turn being served, and every visitor's latest.
        self._turn: Counter[str] = Counter()
        self._latest: dict[str, dict[str, int]] = {}
        self._served = 0

    async def push(self, body: PredictBodyInternal, request: Request, username: str | None) -> Any:
        fn = self.blocks.fns.get(cast(int, body.fn_index))
        if fn is None or len(body.data) < len(fn.inputs) or fn.fn is None:
            return False, both("bad_request"), "error"
        address = request.client.host if request.client else ""
        visitor = body.session_hash or address
        if (refusal := self._refusal(visitor, address)) is not None:
            return True, self._turn_away(body, fn, request, refusal), "success"
        answer = await super().push(body, request, username)
        if answer[0] and (event := self.event_ids_to_events.get(str(answer[1]))) is not None:
            self._line_up(event, visitor, address)
        return answer

    def _refusal(self, visitor: str, address: str) -> str | None:
        """Why a visitor has to come back later, in both languages; None if they needn't."""
        waiting = [mark for event in self._events() if (mark := self._marks.get(event._id)) is not None]
        here = sum(mark.visitor == visitor for mark in waiting)
        near = sum(mark.address == address for mark in waiting)
        if here >= self.limits.each:
            return self._later("queue_yours", here)
        if len(self) >= self.limits.waiting or near >= self.limits.address:
            return self._later("queue_full", len({mark.visitor for mark in waiting}))
        if used_memory() > self.limits.memory:
            return self._later("queue_memory", len(waiting))
        return None

    def _later(self, key: str, turns: int) -> str:
        """By then so many turns are over, and as many places free."""
        known = [time.avg_time for time in self.process_time_per_fn.values() if time.count]
        seconds = turns * (sum(known) / len(known) if known else GUESS)
        wait = min(LONGEST, max(1, math.ceil(seconds)))
        return " / ".join(text.format(wait) for text in TEXTS[key])

    def _turn_away(self, body: PredictBodyInternal, fn: Any, request: Request, refusal: str) -> str:
        """Answer a request as if it had been tried and had failed: its event's id."""
        event = Event(body.session_hash, fn, request, None)
        self._listen(event)
        output = error_payload(gr.Error(refusal, title=both("queue_title")), False)
        self.send_message(event, ProcessCompletedMessage(output=cast(Any, output), success=False))
        return event._id

    def _listen(self, event: Event) -> None:
        """A place for what the visitor is told. Gradio keeps those that nobody has come to read."""
        messages, ids = self.pending_messages_per_session, self.pending_event_ids_session
        if event.session_hash not in messages:
            messages[event.session_hash] = asyncio.Queue()
        ids.setdefault(event.session_hash, set()).add(event._id)
        if len(ids) > SESSIONS:
            for session in [session for session in ids if session not in messages]:
                del ids[session]

    def _line_up(self, event: Event, visitor: str, address: str) -> None:
        """Move a request that has just entered to where its turn is."""
        line, latest = self._line(event), self._latest.setdefault(event.concurrency_id, {})
        now = self._turn[event.concurrency_id]
        turn = max(now, latest.get(visitor, now - 1) + 1)
        latest[visitor] = turn
        self._marks[event._id] = Mark(visitor, address, turn)
        line.queue.remove(event)
        place = bisect_right(line.queue, turn, key=self._turn_of)
        line.queue.insert(place, event)
        self.broadcast_estimations(event.concurrency_id, place)

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        lines = list(self.event_queue_per_concurrency_id.items())
        random.shuffle(lines)
        for name, line in lines:
            if line.queue and (line.concurrency_limit is None or line.current_concurrency < line.concurrency_limit):
                return [self._take(name, line)], False, name
        return None

    def _take(self, name: str, line: EventQueue) -> Event:
        """Whose turn it is; now and then the oldest, or newcomers without end would keep later requests for ever."""
        self._served += 1
        event = min(line.queue, key=lambda e: e.enqueue_time) if self._served % AGED == 0 else line.queue[0]
        line.queue.remove(event)
        # One that was let through for its age is ahead of its turn.
        self._turn[name] = min(map(self._turn_of, [event, *line.queue]))
        self._forget(name)
        return event

    def _turn_of(self, event: Event) -> int:
        mark = self._marks.get(event._id)
        return 0 if mark is None else mark.turn

    def _forget(self, name: str) -> None:
        """What is known of requests that have left, by whatever way, and of visitors whose turn is over."""
        waiting = {event._id for event in self._events()}
        self._marks = {id: mark for id, mark in self._marks.items() if id in waiting}
        self._latest[name] = {v: turn for v, turn in self._latest.get(name, {}).items() if turn >= self._turn[name]}

    def _line(self, event: Event) -> EventQueue:
        return self.event_queue_per_concurrency_id[event.concurrency_id]

    def _events(self) -> list[Event]:
        return [event for line in self.event_queue_per_concurrency_id.values() for event in line.queue]

    def compute_analytics_summary(self, records: Any) -> Any:
        """Nothing: the page shows none, and Gradio goes through its last 10,000 events after every single one."""
        return self.cached_event_analytics_summary

    def send_message(self, event: Event, event_message: EventMessage) -> None:
        """What fails without a sentence of ours gets one: a visitor is never left with nothing.

        And a visitor who has left in this very moment gets none; Gradio's queue would end with a KeyError.
        """
        if event.session_hash not in self.pending_messages_per_session:
            return
        if isinstance(event_message, ProcessCompletedMessage) and not event_message.success:
            output = cast(dict[str, Any], event_message.output)
            if not output.get("error"):
                output["error"] = both("bad_request")
        super().send_message(event, event_message)


def present() -> bool:
    """Whether whoever asked for what is being computed here still listens. True where nobody can know."""
    blocks, id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = None if blocks is None or id is None else blocks._queue.event_ids_to_events.get(id)
    return event is None or event.alive


def used_memory() -> float:
    """The share of what this process may use that it does use; 0 where the system doesn't tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / allowed_memory()
    except (OSError, ValueError, IndexError):
        return 0.0


@cache
def allowed_memory() -> int:
    """Bytes of the machine, or of its container if that has fewer."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        path = Path("/sys/fs/cgroup") / name
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            found.append(int(text))
    return min(found)


def release_memory() -> None:
    """Give freed memory back to the system, where the C library can.

    Of its own accord glibc keeps what large pictures took, for every thread that once decoded one: hundreds of
    megabytes. This takes a millisecond if there is nothing to give back, some tens if there is.
    """
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Any:
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # Windows has no library of that kind
        return None
