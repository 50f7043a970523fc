"""app.py as it is started by hand: in a process of its own, with a folder for files and a log that tests can read."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from conftest import free_port

ROOT = Path(__file__).parent.parent
SECRET = "hf_VeryPrivateTokenThatMustNotShow"


class Program:
    """url: where it answers. files: Gradio's folder. log: what it prints, both streams."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], url: str):
        self.files, self._log, self.process, self.url = folder / "files", folder / "log", process, url

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stored(self) -> list[Path]:
        return [path for path in self.files.rglob("*") if path.is_file()]

    def alive(self) -> bool:
        return self.process.poll() is None and httpx.get(f"{self.url}/config", timeout=30).status_code == 200

    def private(self) -> list[str]:
        """What may stand in no answer and no log: the token, and where things lie."""
        return [SECRET, str(ROOT), str(Path.home()) + "/", sys.prefix, "Traceback (most", "site-packages"]

    def leaks(self, text: str) -> list[str]:
        return [word for word in self.private() if word in text]


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[Program]:
    """app.py, until the end of the block. variables: for its environment."""
    port = free_port()
    environment = {
        **os.environ,
        "GRADIO_TEMP_DIR": str(folder / "files"),
        "HF_TOKEN": SECRET,
        "OMP_NUM_THREADS": "1",
        "HF_ENDPOINT": "http://127.0.0.1:9",  # nobody is there
        "VQ_CACHE": str(folder / "cache"),
        **variables,
    }
    command = [sys.executable, "app.py", "--port", str(port), *arguments]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        program = Program(folder, process, f"http://127.0.0.1:{port}")
        try:
            until(lambda: answers(program), 120, "the server does not answer")
            yield program
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(program: Program) -> bool:
    assert program.process.poll() is None, program.log
    with suppress(httpx.HTTPError):
        return httpx.get(f"{program.url}/config", timeout=5).status_code == 200
    return False


def until(true: object, seconds: float, otherwise: str = "not in time") -> float:
    """Wait for `true()`: how many seconds it took."""
    start = time.monotonic()
    while not true():  # type: ignore[operator]
        assert time.monotonic() - start < seconds, otherwise
        time.sleep(0.02)
    return time.monotonic() - start


def sentence(text: object) -> bool:
    """Whether a text is one that a visitor can be shown: short, in English and in Chinese, without a path."""
    return (
        isinstance(text, str)
        and 10 < len(text) < 500
        and re.search(r"[a-z]{3}", text) is not None
        and re.search(r"[\u4e00-\u9fff]", text) is not None
        and not re.search(r"(/tmp|/usr|/home|/root|\.py\b|0x[0-9a-f]{6}|Traceback)", text)
    )
