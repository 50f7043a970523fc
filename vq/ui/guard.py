"""The page's door: requests of bounded size, routes that the page has, and failures that are one sentence.

`Page` is Gradio's Blocks, with a queue of our own; `Gate` stands before Gradio's server. Neither an answer nor the log
ever holds a trace, or a path of the server: what fails for a reason of ours is one line in the log, what fails since
somebody sent nonsense is none.
"""

import errno
import logging
import re
import secrets
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from anyio.to_thread import run_sync
from gradio import route_utils
from gradio.exceptions import ComponentProcessingError
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vq.ui.common import failure
from vq.ui.fetch import localize
from vq.ui.limits import FairQueue, Limits
from vq.ui.room import Room
from vq.ui.texts import TEXTS, both

log = logging.getLogger("vq.ui")

HERE = Path(__file__).parents[2]
UPLOAD = 100_000_000  # bytes of a file
BODY = 40_000_000  # bytes of any other request
SLACK = 1_000_000  # bytes around a file
API = "/gradio_api/"
# Of Gradio's own routes, those that the page has no use for: each writes files, fetches addresses or tells of others.
CLOSED = (
    "process_recording",
    "proxy=",
    "file=http:",
    "file=https:",
    "file/",
    "component_server",
    "custom_component",
    "deep_link",
    "dev/",
    "profiling",
    "run-history",
    "runs",
    "undo-vibe-edit",
    "vibe-",
)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_CHOICE = re.compile(r"Value: (.*) (?:is|are) not in the list of choices: (.*)", re.DOTALL)
CLOSED_ROOTS = ("/monitoring", "/gradio_api/deep_link")
SALT = 32  # bytes


class Upload(route_utils.GradioUploadFile):
    """An uploaded file. Whoever knows its name can read it, and nobody but its owner ever learns the name.

    Gradio names a file by a hash of its content and of a secret that is the same for all: whoever had the same picture
    would be told the same folder, and could try out under which name it had been uploaded before. Here the hash is
    salted anew for each upload.

    A file isn't bound to the session that brought it, since nothing that asks for a file says whose it is: an <img>
    has no header to name a session; cookies are blocked in the frame in which a Space is shown; gradio_client keeps
    none; and what a program got as a result is often opened by another: a browser, or whatever an MCP client hands the
    address to.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.sha.update(secrets.token_bytes(SALT))


route_utils.GradioUploadFile = Upload  # type: ignore[misc]


class Page(gr.Blocks):
    """Gradio's Blocks. Whatever a handler raises reaches the visitor as one sentence in both languages."""

    def __init__(self, limits: Limits | None = None, **kwargs: Any):
        self.limits = limits or Limits()
        super().__init__(**kwargs)

    def queue(  # type: ignore[override]
        self,
        status_update_rate: float | Literal["auto"] = "auto",
        api_open: bool | None = None,
        max_size: int | None = None,
        **kwargs: Any,
    ) -> "Page":
        """Gradio calls this itself; there is no other way into the handlers than the queue.

        Gradio's own would make a server besides, which leaving the `with` block and launching do again.
        """
        self.api_open = False
        self._queue = FairQueue(
            self.limits,
            live_updates=status_update_rate == "auto",
            concurrency_count=self.max_threads,
            update_intervals=1 if status_update_rate == "auto" else status_update_rate,
            max_size=None,  # ours says how long to wait
            blocks=self,
            **kwargs,
        )
        return self

    async def process_api(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            if kwargs.get("iterator") is None:
                pairs = zip(block_fn.inputs, inputs, strict=False)
                inputs = [await localize(block, value) for block, value in pairs]
            return await super().process_api(block_fn, inputs, *args, **kwargs)
        except Exception as error:
            raise told(error) from None


def told(error: Exception) -> gr.Error:
    """What a visitor is told of an error."""
    if isinstance(error, gr.Error):
        return gr.Error(in_both(error), duration=error.duration, title=error.title, print_exception=False)
    if callable(getattr(error, "text", None)):
        return failure(error)
    place = ours(error)
    return gr.Error(both(reason(error, place)), print_exception=False)


def in_both(error: gr.Error) -> str:
    """The text of an error in both languages. Gradio's own has English alone, and may quote what was sent."""
    text = str(error.message)
    if names_paths(text):
        return both("bad_request")
    if _CHINESE.search(text):
        return text
    if (choice := _CHOICE.fullmatch(text)) is not None:
        return filled("choice", choice[1][:60], choice[2][:150])
    # Ours name the argument and what was expected of it.
    return both("bad_request") if error.print_exception else filled("argument", text[:200])


def filled(key: str, *values: Any) -> str:
    """A text in both languages, filled in."""
    return " / ".join(text.format(*values) for text in TEXTS[key])


def reason(error: BaseException, place: str | None) -> str:
    """The key of the sentence for an error. A fault of ours is noted in the log."""
    chain = causes(error)
    numbers = [e.errno for e in chain if isinstance(e, OSError)]
    if any(number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) for number in numbers):
        log.error("no room on the disk (%s)", place)
        return "no_room"
    if place is None or isinstance(error, ComponentProcessingError):
        return "picture_gone" if errno.ENOENT in numbers else "bad_request"
    log.error("%s at %s", " from ".join(type(e).__name__ for e in chain), place)
    return "fault"


def causes(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def ours(error: BaseException) -> str | None:
    """The innermost line of our own code that an error came through, as file:line; None if it met none."""
    frames = [frame for e in causes(error) for frame in traceback.extract_tb(e.__traceback__)]
    places = [
        f"{Path(frame.filename).relative_to(HERE).as_posix()}:{frame.lineno}"
        for frame in frames
        if Path(frame.filename).is_relative_to(HERE / "vq") and Path(frame.filename) != Path(__file__)
    ]
    return places[-1] if places else None


def names_paths(text: str) -> bool:
    """Whether a sentence holds a path of the server."""
    from gradio.utils import get_upload_folder

    known = {str(HERE), str(Path.home()), str(Path(get_upload_folder()).resolve()), sys.prefix, get_upload_folder()}
    return any(path in text for path in known if len(path) > 1)


class Gate:
    """ASGI middleware before Gradio's routes: closes those that the page hasn't, and bounds what is sent."""

    def __init__(self, app: ASGIApp, room: Room):
        self.app, self.room = app, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        upload = path.rstrip("/") == f"{API}upload"
        limit = UPLOAD + SLACK if upload else BODY
        refusal = await self.refusal(path, upload, announced(scope), limit)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self.answer(scope, Incoming(receive, limit), send)

    async def refusal(self, path: str, upload: bool, size: int | None, limit: int) -> JSONResponse | None:
        if path.startswith(CLOSED_ROOTS) or (path.startswith(API) and path[len(API) :].lower().startswith(CLOSED)):
            return said("not_here", 404)
        if size is not None and size > limit:
            return too_large(limit)
        if upload:  # one that doesn't say how large it is may become as large as any
            return None if await run_sync(self.room.make, limit if size is None else size) else said("no_room", 507)
        if self.room.due and path.startswith((f"{API}queue/join", f"{API}call/")):
            await run_sync(self.room.tidy)
        return None

    async def answer(self, scope: Scope, incoming: "Incoming", send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            if started or not incoming.over:  # what Gradio makes of half a request is of no interest
                started = True
                await send(message)

        refusal = None
        try:
            await self.app(scope, incoming, watch)
        except ClientDisconnect:
            return
        except Exception as error:
            key = reason(error, ours(error))
            refusal = said(key, {"fault": 500, "no_room": 507}.get(key, 400))
        refusal = too_large(incoming.limit) if incoming.over else refusal
        if refusal is not None and not started:
            await refusal(scope, incoming, send)
        elif refusal is not None:
            # Gradio tells a stream that it fails, and fails; without an end that would look like a broken connection.
            with suppress(Exception):  # one of announced length has no end but its last byte
                await send({"type": "http.response.body", "body": b""})


class Incoming:
    """What comes in, until it is more than a request may have, whatever it had announced."""

    def __init__(self, receive: Receive, limit: int):
        self.receive, self.limit = receive, limit
        self.got, self.over = 0, False

    async def __call__(self) -> Message:
        message = await self.receive()
        self.got += len(message.get("body", b""))
        if self.got > self.limit:
            self.over = True
            return {"type": "http.disconnect"}
        return message


def announced(scope: Scope) -> int | None:
    """How many bytes a request says it has, if it says so."""
    text = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(text) if text.isdigit() else None


def said(key: str, status: int, *values: Any) -> JSONResponse:
    """A refusal in both languages, in the shape that Gradio's clients read."""
    return JSONResponse({"detail": filled(key, *values)}, status)


def too_large(limit: int) -> JSONResponse:
    return said("upload_large", 413) if limit > UPLOAD else said("body_large", 413, limit // 10**6)
