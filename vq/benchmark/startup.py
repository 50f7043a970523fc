"""From the command to the first answer, beside `import gradio, torch` in the same environment; memory after it.

Every figure is the median of fresh processes that take turns.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from vq.benchmark.report import Cell, Table

ROOT = Path(__file__).resolve().parent.parent.parent
BARE = "import gradio, torch"
DEADLINE = 300.0

# A proxy from the environment must not stand between the server and its clock.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Start:
    """One start of the server. seconds: until it answered; bytes resident then, and once it had settled."""

    seconds: float
    resident: int
    settled: int


@dataclass(frozen=True)
class Server:
    """A server that answers at `url`, `seconds` after its command was given."""

    url: str
    pid: int
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes of each kind")
    parser.add_argument("--settle", type=float, default=20.0, metavar="S", help="seconds given to the warm-up thread")
    parser.add_argument("--app", type=Path, default=ROOT / "app.py", metavar="FILE", help="the server's script")


def measure(args: argparse.Namespace) -> list[Table]:
    starts, bare = [], []
    # The first round reads the files from the disk and doesn't count.
    for i in range(args.rounds + 1):
        start = launch(args.app, args.settle if i else 0.0)
        seconds = run([sys.executable, "-c", BARE])
        if i:
            starts.append(start)
            bare.append(seconds)
    answer, imports = statistics.median(s.seconds for s in starts), statistics.median(bare)
    rows: list[Sequence[Cell]] = [
        ["the server answers", answer, answer / imports, _mb([s.resident for s in starts])],
        ["warmed up", None, None, _mb([s.settled for s in starts])],
        [BARE, imports, 1.0, None],
    ]
    return [Table("start", ["", "s", "x bare", "resident MB"], rows, f"medians of {args.rounds} fresh processes each")]


def run(command: Sequence[str]) -> float:
    """Seconds a command takes. Raises RuntimeError if it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=DEADLINE)
    if done.returncode:
        raise RuntimeError(f"{command[-1]}: {_last_line(done.stderr)}")
    return time.perf_counter() - start


def launch(app: Path, settle: float) -> Start:
    """Start the server, wait until it answers, and end it. Raises RuntimeError if it ends by itself or is silent."""
    with serving(app) as server:
        resident = _resident(server.pid)
        time.sleep(settle)
        return Start(server.seconds, resident, _resident(server.pid))


@contextmanager
def serving(app: Path) -> Iterator[Server]:
    """The server in a process of its own, from its first answer on. Raises RuntimeError as `launch` does."""
    port = free_port()
    with tempfile.TemporaryFile("w+") as errors:
        begin = time.perf_counter()
        command = [sys.executable, str(app), "--port", str(port)]
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


def _resident(pid: int) -> int:
    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])


def _environment() -> dict[str, str]:
    local = "127.0.0.1,localhost"
    return os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "NO_PROXY": local, "no_proxy": local}


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")


def _mb(values: Sequence[int]) -> float:
    return statistics.median(values) / 1e6
