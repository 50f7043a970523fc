"""The panel "Your checkpoint": an autoencoder from the Hub joins the codecs of the one visitor who asked for it.

Tabs learn of it through studio.extras, a gr.State with one catalogue row for each of the visitor's checkpoints, and
studio.load opens them by name like any other codec.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from vq.catalogue import PUBLIC, Entry
from vq.tasks.checkpoint import Download, Summary, summarize, watched
from vq.ui.common import Studio, panel, sentences
from vq.ui.texts import both

EXTRAS = 3  # of one visitor; the oldest goes
AT_ONCE = 3  # downloads of all visitors
LONGEST = 300  # characters of a field


class Wish(NamedTuple):
    repo: str
    subfolder: str
    revision: str
    request: int


@dataclass
class Turn:
    """Number of a visitor's latest request; a download for an earlier one stops."""

    number: int = 0


def build(studio: Studio) -> None:
    """The panel, where the page is allowed to have one."""
    if studio.download is None:
        return
    download = studio.download
    turn, summaries = gr.State(Turn()), gr.State(())
    rows = [public(entry) for entry in PUBLIC.values()]
    checkpoint = panel("checkpoint", idle(0, ()), rows=rows, longest=LONGEST)

    def open_(
        turn: Turn, extras: tuple[Entry, ...], summaries: tuple[Summary, ...], event: gr.EventData
    ) -> Iterator[tuple[Any, Any, Any]]:
        wish = read_wish(event._data)
        yield gr.skip(), gr.skip(), gr.skip()
        if wish.request <= turn.number:  # stopped while it waited for its turn
            return
        turn.number = wish.request
        yield from show(download, wish, lambda: turn.number != wish.request, extras, summaries)

    def halt(turn: Turn, event: gr.EventData) -> None:
        turn.number = max(turn.number, read_request(event._data))

    shared: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    outputs = [checkpoint, studio.extras, summaries]
    checkpoint.open(
        open_,
        [turn, studio.extras, summaries],
        outputs,
        concurrency_id="checkpoint",
        concurrency_limit=AT_ONCE,
        **shared,
    )
    checkpoint.halt(halt, turn, None, queue=False, **shared)


def show(
    download: Download, wish: Wish, stop: Any, extras: tuple[Entry, ...], summaries: tuple[Summary, ...]
) -> Iterator[tuple[Any, Any, Any]]:
    """Values of (panel, extras, summaries) while a checkpoint is on its way."""
    value = idle(wish.request, summaries) | {"state": "loading"}
    yield value, gr.skip(), gr.skip()
    got: list[Any] = []
    try:
        work = watched(lambda progress, stop: got.extend(download(*wish[:3], progress, stop)), stop)
        for done, total in work:
            yield value | {"done": done, "total": total}, gr.skip(), gr.skip()
        entry, loaded = got
    except ValueError as error:
        yield value | {"state": "failed", "error": sentences(error)}, gr.skip(), gr.skip()
        return
    extras = (*(e for e in extras if e.name != entry.name), entry)[-EXTRAS:]
    summaries = (*(s for s in summaries if s.entry in extras and s.entry != entry), summarize(entry, loaded))
    yield idle(wish.request, summaries) | {"state": "ready"}, extras, summaries


def idle(request: int, summaries: tuple[Summary, ...]) -> dict[str, Any]:
    """What the panel shows; see static/checkpoint.js."""
    value: dict[str, Any] = {"state": "idle", "request": request, "done": 0, "total": 0, "error": None}
    return value | {"loaded": [describe(s) for s in reversed(summaries)]}


def describe(s: Summary) -> dict[str, Any]:
    e = s.entry
    row: dict[str, Any] = {"name": e.name, "title": e.title, "repo": e.repo, "subfolder": e.subfolder}
    row |= {"commit": e.revision, "licence": e.licence, "class_name": s.class_name}
    row |= {"parameters": s.parameters, "factor": s.factor}
    return row | {"codebook_size": s.codebook_size, "latent": s.latent, "image_size": s.image_size}


def public(e: Entry) -> dict[str, Any]:
    row = {"name": e.name, "title": e.title, "repo": e.repo, "subfolder": e.subfolder, "revision": e.revision}
    return row | {"licence": e.licence, "size": e.size}


def read_wish(sent: Any) -> Wish:
    """What the browser sent is checked, since anybody can send anything."""
    request = read_request(sent)
    wish = Wish(sent.get("repo"), sent.get("subfolder"), sent.get("revision"), request)
    if not all(isinstance(field, str) and len(field) <= LONGEST for field in wish[:3]):
        raise gr.Error(both("bad_request"), print_exception=False)
    return wish


def read_request(sent: Any) -> int:
    request = sent.get("request") if isinstance(sent, dict) else None
    if not isinstance(request, int) or isinstance(request, bool) or request < 0:
        raise gr.Error(both("bad_request"), print_exception=False)
    return request
