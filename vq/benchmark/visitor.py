"""A visitor over HTTP: a session, pictures of their own, one wish after another, as fast as answers come.

No Gradio here: as many of these as wanted share one thread, and take little of the processor that the server needs.
"""

import asyncio
import io
import json
import random
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from PIL import Image

from vq.benchmark.startup import CELLS
from vq.catalogue import CODECS

API = "/gradio_api"
# What the queue says to whom it can't take; see vq.ui.limits.
RETRY = re.compile(r"try again in (\d+) s")
# Somebody looks at a picture, edits it a while, looks at another one.
WISHES = (
    "/reconstruct, all four",
    "/edit_tokens",
    "/edit_tokens",
    "/edit_tokens",
    "/reconstruct, VQ-VAE",
    "/interpolate",
    "/edit_tokens",
    "/sample",
)
CODES = 1024  # tokens sent lie below; the VQ-VAE has no fewer codes
SIDE = 256  # of the pictures sent
PATIENCE = 600.0  # seconds without a byte


class Refused(Exception):  # noqa: N818 (an answer, not a mistake)
    """The answer to a request was an error; the text is the server's."""


@dataclass(frozen=True)
class Served:
    """A wish that came true: which, seconds since the clock started, and seconds it took."""

    wish: str
    begin: float
    seconds: float


@dataclass
class Visitor:
    """Number `number` of those who share `http` and the pictures' `source`. Times count from `clock`."""

    http: httpx.AsyncClient
    source: Image.Image
    number: int
    clock: float
    served: list[Served] = field(default_factory=list)
    turned_away: int = 0
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = uuid.uuid4().hex
        self.dice = random.Random(self.number)
        self.tokens = [[self.dice.randrange(CODES) for _ in range(CELLS)] for _ in range(CELLS)]

    async def stay(self, until: float) -> None:
        """Wish for one thing after another until that time, beginning somewhere in WISHES."""
        i = self.number
        while time.perf_counter() < until:
            begin = time.perf_counter()
            wish = WISHES[i % len(WISHES)]
            try:
                await self.make(wish)
            except Refused as answer:
                if (wait := RETRY.search(str(answer))) is None:
                    self.errors.append(f"{wish}: {answer}"[:200])
                    await asyncio.sleep(1)
                else:
                    self.turned_away += 1
                    await asyncio.sleep(int(wait[1]))
                continue
            except httpx.HTTPError as error:
                self.errors.append(f"{wish}: {type(error).__name__} {error}"[:200])
                await asyncio.sleep(1)
                continue
            self.note(wish, begin)
            i += 1

    def note(self, wish: str, begin: float) -> None:
        self.served.append(Served(wish, begin - self.clock, time.perf_counter() - begin))

    async def make(self, wish: str) -> None:
        """One request, its pictures fetched. Raises Refused or httpx.HTTPError."""
        endpoint = wish.partition(",")[0]
        answer = await self.call(endpoint, await self.data(wish))
        if endpoint == "/edit_tokens":
            self.tokens = answer[0]
        for path in files(answer):
            (await self.http.get(f"{API}/file={path}")).raise_for_status()

    async def data(self, wish: str) -> list[Any]:
        if wish == "/edit_tokens":
            cell = [self.dice.randrange(CELLS), self.dice.randrange(CELLS)]
            return ["vqvae", self.tokens, [{"op": "set", "code": self.dice.randrange(CODES), "cells": [cell]}]]
        if wish == "/sample":
            return ["transformer", 1, self.dice.randrange(2**31), 1.0, 0, 1.0]
        picture = await self.upload()
        if wish == "/interpolate":
            return [picture, await self.upload(), "vqvae", "requantize", 9, 0, 64]
        return [picture, list(CODECS) if wish.endswith("four") else ["vqvae"], 64, "crop"]

    async def upload(self) -> dict[str, Any]:
        """Another cut of the source, as nobody sends a picture twice: Gradio's record of it."""
        left, top = (self.dice.randrange(max(1, length - SIDE)) for length in self.source.size)
        file = io.BytesIO()
        self.source.crop((left, top, left + SIDE, top + SIDE)).save(file, "JPEG", quality=90)
        reply = await self.http.post(f"{API}/upload", files={"files": ("picture.jpg", file.getvalue(), "image/jpeg")})
        return {"path": _read(reply)[0], "meta": {"_type": "gradio.FileData"}}

    async def call(self, endpoint: str, data: list[Any]) -> Any:
        """What an endpoint answers. Raises Refused."""
        body = {"data": data, "session_hash": self.session}
        event = _read(await self.http.post(f"{API}/call{endpoint}", json=body))["event_id"]
        async with self.http.stream("GET", f"{API}/call{endpoint}/{event}") as reply:
            async for name, text in _events(reply):
                if name == "complete":
                    return json.loads(text)
                if name == "error":
                    raise Refused(text)
        raise Refused("the answer ended before it came")


def files(answer: Any) -> list[str]:
    """The paths of all files in an answer."""
    if isinstance(answer, dict):
        if (answer.get("meta") or {}).get("_type") == "gradio.FileData":
            return [answer["path"]]
        answer = list(answer.values())
    return [path for part in answer for path in files(part)] if isinstance(answer, list) else []


async def _events(reply: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    if reply.status_code != 200:
        raise Refused(f"{reply.status_code} {(await reply.aread()).decode()[:200]}")
    name = ""
    async for line in reply.aiter_lines():
        field, _, text = line.partition(": ")
        if field == "event":
            name = text
        elif field == "data":
            yield name, text


def _read(reply: httpx.Response) -> Any:
    if reply.status_code != 200:
        raise Refused(f"{reply.status_code} {reply.text[:200]}")
    return reply.json()
