"""What the page adds: a request over HTTP beside the task alone, and an edit from the pointer to the painted picture.

The server runs in a process of its own, as `python app.py` starts it; the tasks run in this one, on the same weights.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradio_client import Client, handle_file
from PIL import Image

from vq import load, load_prior
from vq.benchmark import browser
from vq.benchmark.report import Cell, Table, medians
from vq.benchmark.startup import PICTURE, ROOT, Server, connect, serving
from vq.catalogue import CODECS
from vq.image import open_picture
from vq.tasks import edit, interpolate, reconstruct, sample

if TYPE_CHECKING:
    from playwright.sync_api import Page

GRIDS = ((16, 64), (64, 256))  # (cells, pixels) a side
WARM_UP = 2  # strokes that don't count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=9, help="requests of each kind")
    parser.add_argument("--strokes", type=int, default=15, help="brush strokes at each size; 0: no browser")
    parser.add_argument("--app", type=Path, default=ROOT / "app.py", metavar="FILE", help="the server's script")


def measure(args: argparse.Namespace) -> list[Table]:
    if args.rounds < 1 or args.strokes < 0:
        raise ValueError("--rounds must be 1 or more, --strokes 0 or more")
    with serving(args.app) as server:
        tables = [requests(server, args.rounds)]
        if args.strokes:
            tables.append(strokes(server, args.strokes))
    return tables


def requests(server: Server, rounds: int) -> Table:
    """Each endpoint over HTTP, files up and down included, beside the same task as a function call."""
    client = connect(server, download_files=True)
    picture, sent = open_picture(PICTURE), handle_file(str(PICTURE))
    rows: list[list[Cell]] = []
    for name, (request, task) in pairs(client, sent, picture).items():
        seconds = medians({"page": request, "task": task}, rounds)
        page, alone = 1000 * seconds["page"], 1000 * seconds["task"]
        rows.append([name, page, alone, page - alone])
    columns = ["64 px", "over HTTP ms", "task alone ms", "added ms"]
    return Table("endpoints", columns, rows, f"medians of {rounds} in turns; pictures travel both ways as files")


def pairs(client: Client, sent: Any, picture: Image.Image) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Of each endpoint a request, and the task that it comes down to."""
    call, vqvae = client.predict, load("vqvae")
    tokens = edit.encode(vqvae, picture, 64)[1].tolist()
    edits = [{"op": "set", "code": 5, "cells": [[2, 3]]}]

    def walk() -> None:
        a, b = interpolate.end_of(vqvae, picture, 64), interpolate.end_of(vqvae, picture, 64)
        list(interpolate.interpolate(vqvae, a, b, "requantize", 9))

    def compressed(names: list[str]) -> None:
        list(reconstruct.reconstruct(load, picture, names, 64, "crop"))

    def edited() -> None:
        edit.decode(vqvae, edit.edit(vqvae, "vqvae", tokens, edits, load_prior))

    return {
        "/reconstruct, VQ-VAE": (
            partial(call, sent, ["vqvae"], 64, "crop", api_name="/reconstruct"),
            partial(compressed, ["vqvae"]),
        ),
        "/reconstruct, all four": (
            partial(call, sent, list(CODECS), 64, "crop", api_name="/reconstruct"),
            partial(compressed, list(CODECS)),
        ),
        "/interpolate, 9 frames": (
            partial(call, sent, sent, "vqvae", "requantize", 9, 0, 64, api_name="/interpolate"),
            walk,
        ),
        "/edit_tokens, one edit": (partial(call, "vqvae", tokens, edits, api_name="/edit_tokens"), edited),
        "/sample, one picture": (
            partial(call, "transformer", 1, 0, api_name="/sample"),
            partial(sample.sample, load, load_prior, sample.Settings("transformer", 1, 0)),
        ),
    }


def strokes(server: Server, count: int) -> Table:
    """Brush strokes in a real browser, timed by the page itself: from pointer up to the painted picture."""
    rows: list[list[Cell]] = []
    with _visit(server.url) as page:
        browser.open_editor(page)
        for cells, pixels in GRIDS:
            if not page.locator(f'input[name="vq-edit-size"][value="{pixels}"]').is_checked():
                browser.choose(page, "vq-edit-size", pixels)
            ms = sorted(browser.latencies(page, cells, WARM_UP + count)[WARM_UP:])
            rows.append([f"{cells}x{cells} tokens, {pixels} px", statistics.median(ms), ms[0], ms[-1]])
    return Table("an edit", ["VQ-VAE", "median ms", "least ms", "most ms"], rows, f"{count} brush strokes each")


@contextmanager
def _visit(url: str) -> Iterator["Page"]:
    """The page in a browser. Raises RuntimeError in one line if there is none, or if the page doesn't answer."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise RuntimeError("strokes need Playwright: install requirements-test.txt, or say --strokes 0") from error

    with sync_playwright() as playwright:
        try:
            chromium = browser.launch(playwright)
        except Error as error:
            raise RuntimeError("strokes need Chromium: run tests/chromium.sh, or say --strokes 0") from error
        try:
            page = chromium.new_page(locale="en-US", viewport={"width": 1280, "height": 900})
            page.set_default_timeout(browser.PATIENCE)
            page.goto(url)
            yield page
        except Error as error:
            raise RuntimeError(f"the page did not answer: {str(error).splitlines()[0]}") from error
        finally:
            chromium.close()
