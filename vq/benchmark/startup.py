"""From the command to the first answer and the first reconstruction, beside `import gradio, torch` in the same
environment; memory after it, and after each tab was used.

Every figure is the median of fresh processes that take turns. A tab is used through its endpoint, which runs the same
tasks; the client is Gradio's own, and what it does before its first request counts.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from gradio_client import Client, handle_file

from vq.benchmark.report import Cell, Table
from vq.catalogue import CODECS, PRIORS

ROOT = Path(__file__).resolve().parent.parent.parent
BARE = "import gradio, torch"
DEADLINE = 300.0
LOCAL = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
PICTURE = ROOT / "vq" / "examples" / "chelsea.jpg"
CELLS = 16  # a side of the VQ-VAE's grid at 64 px

# A proxy from the environment must not stand between the server and its clock.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Start:
    """One start of the server. seconds: until it answered; bytes resident then, and once it had settled.

    first: seconds until a picture had been reconstructed, asked for as soon as the server answered; None: not asked.
    tabs: bytes resident after each tab was used, one after another.
    """

    seconds: float
    resident: int
    settled: int
    first: float | None = None
    tabs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """A server that answers at `url`, `seconds` after its command was given."""

    url: str
    pid: int
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes of each kind")
    parser.add_argument("--settle", type=float, default=20.0, metavar="S", help="seconds given to the warm-up thread")
    parser.add_argument("--no-tabs", action="store_true", help="only wait for the answer; use nothing")
    parser.add_argument("--app", type=Path, default=ROOT / "app.py", metavar="FILE", help="the server's script")


def measure(args: argparse.Namespace) -> list[Table]:
    starts: list[Start] = []
    bare: list[float] = []
    # The first round reads the files from the disk and doesn't count.
    for i in range(args.rounds + 1):
        start = launch(args.app, args.settle, not args.no_tabs) if i else launch(args.app, 0.0)
        seconds = run([sys.executable, "-c", BARE])
        if i:
            starts.append(start)
            bare.append(seconds)
    answer, imports = statistics.median(s.seconds for s in starts), statistics.median(bare)
    rows: list[Sequence[Cell]] = [["the server answers", answer, answer / imports, _mb([s.resident for s in starts])]]
    firsts = [s.first for s in starts if s.first is not None]
    if firsts:
        first = statistics.median(firsts)
        rows.append(["a picture is reconstructed", first, first / imports, None])
    rows.append(["warmed up", None, None, _mb([s.settled for s in starts])])
    for name in starts[0].tabs:
        rows.append([f"{name} used", None, None, _mb([s.tabs[name] for s in starts])])
    rows.append([BARE, imports, 1.0, None])
    return [Table("start", ["", "s", "x bare", "resident MB"], rows, f"medians of {args.rounds} fresh processes each")]


def run(command: Sequence[str]) -> float:
    """Seconds a command takes. Raises RuntimeError if it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=DEADLINE)
    if done.returncode:
        raise RuntimeError(f"{command[-1]}: {_last_line(done.stderr)}")
    return time.perf_counter() - start


def launch(app: Path, settle: float, use: bool = False) -> Start:
    """Start the server, wait until it answers, and end it. Raises RuntimeError if it ends by itself or is silent.

    use: whether to use each tab, too.
    """
    with serving(app) as server:
        begin, found = time.perf_counter(), resident(server.pid)
        first = None
        if use:
            client = connect(server)
            uses(client)["Reconstruct"]()
            first = server.seconds + time.perf_counter() - begin
        time.sleep(settle)
        return Start(server.seconds, found, resident(server.pid), first, after_tabs(client, server.pid) if use else {})


def connect(server: Server, download_files: bool = False) -> Client:
    """Gradio's own client, past any proxy.

    Unless told that there is nothing to verify, it reads all certificates of the system anew for every request.
    """
    with direct():
        return Client(server.url, verbose=False, download_files=download_files, ssl_verify=False)


def after_tabs(client: Client, pid: int) -> dict[str, int]:
    """Bytes resident after each tab was used, one after another."""
    found = {}
    for name, use in uses(client).items():
        use()
        found[name] = resident(pid)
    return found


def uses(client: Client) -> dict[str, Callable[[], object]]:
    """Of each tab what it is for, by its name, at 64 px."""
    sent = handle_file(str(PICTURE))
    grid = CELLS * [CELLS * [0]]

    def compare() -> None:
        client.predict(sent, list(CODECS), 64, "crop", api_name="/reconstruct")

    def walk() -> None:
        client.predict(sent, sent, "vqvae", "requantize", 9, 0, 64, api_name="/interpolate")

    def edit() -> None:
        client.predict("vqvae", grid, [{"op": "set", "code": 5, "cells": [[2, 3]]}], api_name="/edit_tokens")

    def draw() -> None:
        for prior in PRIORS:
            client.predict(prior, 16, 0, api_name="/sample")

    return {"Reconstruct": compare, "Interpolate": walk, "Edit tokens": edit, "Sample": draw}


@contextmanager
def serving(app: Path, *words: str) -> Iterator[Server]:
    """The server in a process of its own, from its first answer on. Raises RuntimeError as `launch` does."""
    port = free_port()
    with tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        command = [sys.executable, str(app), "--port", str(port), *words]
        server = subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=subprocess.DEVNULL, stderr=errors)
        try:
            while not _answers(port):
                if server.poll() is not None or time.perf_counter() - begin > DEADLINE:
                    errors.seek(0)
                    raise RuntimeError(f"{app.name} did not start: {_last_line(errors.read())}")
                time.sleep(0.01)
            yield Server(f"http://127.0.0.1:{port}", server.pid, time.perf_counter() - begin)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _answers(port: int) -> bool:
    try:
        with _DIRECT.open(f"http://127.0.0.1:{port}/", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def direct() -> Iterator[None]:
    """No proxy for clients that are made in here."""
    before = {name: os.environ.get(name) for name in LOCAL}
    os.environ.update(LOCAL)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def resident(pid: int) -> int:
    """Bytes of memory that a process and its children hold."""
    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])


def _environment() -> dict[str, str]:
    return os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"} | LOCAL


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")


def _mb(values: Sequence[int]) -> float:
    return statistics.median(values) / 1e6
