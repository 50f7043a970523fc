"""python -m vq.space OUT: collect what a Hugging Face Space needs into a new folder, and check that it starts.

What goes in: app.py, the modules it reaches, what lies beside them, the weights, README.md with its front matter,
requirements.txt, LICENSE. What is checked: no file over 10 MB (a Space takes larger ones only by Git LFS), front matter
as Spaces read it, one exact version a requirement, and a start under a Space's variables in a fresh environment, up to
an answer of the endpoint.

Variables: VQ_WEIGHTS=org/prefix leaves weights/ out, and lets the Space's build fetch them from the Hub instead.
ZEROGPU=1 leaves torch to the Space.
"""

import argparse
import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from vq.catalogue import CODECS, PRIORS, WEIGHTS

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE = 10_000_000
PLAIN = ("app.py", "requirements.txt", "LICENSE")
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
HARDWARE = ("cpu-basic", "cpu-upgrade", "zero-a10g", "t4-small", "t4-medium", "l4x1", "a10g-small", "a10g-large")
REQUIRED = ("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "license")
OPTIONAL = ("short_description", "tags", "models", "suggested_hardware", "preload_from_hub", "pinned")
# Weights travel with what loading and crediting them takes.
BESIDE = ("config.json", "README.md", "statistics.safetensors")
STARTS_WITHIN = 180  # seconds
INHERITED = ("PATH", "LANG", "HF_ENDPOINT", "NO_PROXY", "no_proxy", "LD_LIBRARY_PATH")

ASK = """
import sys
from gradio_client import Client, handle_file
rows = Client(sys.argv[1], verbose=False).predict(handle_file(sys.argv[2]), api_name="/reconstruct")
print(", ".join(f"{row['codec']} {row['psnr']:.1f} dB" for row in rows))
"""


class SpaceError(Exception):
    """What keeps the folder from being a Space, in one sentence."""


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 2 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m vq.space", description="Collect and check a Space.")
    parser.add_argument("out", type=Path, help="a folder that is new, empty, or a fresh clone of the Space")
    parser.add_argument("--python", type=Path, help="start with this interpreter instead of a fresh environment")
    args = parser.parse_args(arguments)
    try:
        weights, zero = os.environ.get("VQ_WEIGHTS", "").strip("/"), os.environ.get("ZEROGPU") == "1"
        collect(args.out, weights, zero)
        check(args.out)
        print(start(args.out, args.python, weights))
    except SpaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = sum(file.stat().st_size for file in files(args.out))
    print(f"{args.out}: {size / 1e6:.1f} MB, ready to push to a Space.")
    if weights:
        print(f"In the Space's settings, add the variable VQ_WEIGHTS={weights}.")
    return 0


def collect(out: Path, weights: str = "", zero: bool = False) -> None:
    """Copy what a Space needs. Raises SpaceError if anything is there already."""
    if out.exists() and any(path.name not in (".git", ".gitattributes") for path in out.iterdir()):
        raise SpaceError(f"{out} is not empty: name a new folder")
    chosen = {ROOT / name for name in PLAIN} | modules(ROOT / "app.py")
    chosen |= {path for folder in ("ui/static", "examples") for path in files(ROOT / "vq" / folder)}
    chosen |= set() if weights else set(weight_files())
    for path in sorted(chosen):
        target = out / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (out / "README.md").write_text(readme(weights, zero), encoding="utf-8")
    if zero:
        lines = (out / "requirements.txt").read_text().splitlines()
        (out / "requirements.txt").write_text("".join(f"{line}\n" for line in lines if name_of(line) != "torch"))


def files(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file() and not {".git", "__pycache__"} & set(p.parts))


def modules(start: Path) -> set[Path]:
    """The files of this project that a file imports, wherever in it and in what it imports, itself included."""
    found, waiting = set[Path](), [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                waiting += [p for name in imported(node) for p in places(name)]
    return found


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def places(name: str) -> list[Path]:
    """The files that importing a module of this project runs; none for others' modules and for what is no module."""
    parts = name.split(".")
    if parts[0] != "vq":
        return []
    packages = [ROOT.joinpath(*parts[: i + 1], "__init__.py") for i in range(len(parts))]
    return [path for path in (*packages, ROOT.joinpath(*parts).with_suffix(".py")) if path.is_file()]


def weight_files() -> Iterator[Path]:
    for entry in (CODECS | PRIORS).values():
        for path in sorted((WEIGHTS / entry.name).glob("*")):
            if path.name in BESIDE or path.name.startswith("diffusion_pytorch_model"):
                yield path


def readme(weights: str, zero: bool) -> str:
    """Front matter and introduction of the project's README, without its pictures."""
    front, body = split((ROOT / "README.md").read_text(encoding="utf-8"))
    if weights:
        repos = [f"{weights}-{name}" for name in CODECS | PRIORS]
        front |= {"models": repos, "preload_from_hub": repos}
    if zero:
        front["suggested_hardware"] = "zero-a10g"
    return (
        f"---\n{yaml.safe_dump(front, allow_unicode=True, sort_keys=False)}---\n\n{body.partition('![')[0].strip()}\n"
    )


def split(text: str) -> tuple[dict[str, Any], str]:
    match = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL)
    try:
        front = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        raise SpaceError("README.md: its front matter is no YAML") from error
    if match is None or not isinstance(front, dict):
        raise SpaceError("README.md: it has no front matter")
    return front, match[2]


def check(out: Path) -> None:
    """Raise SpaceError for what a Space would not take."""
    for path in files(out):
        if path.stat().st_size > MAX_FILE:
            raise SpaceError(f"{path.relative_to(out)}: {path.stat().st_size:,} bytes, the limit is {MAX_FILE:,}")
    pins = requirements((out / "requirements.txt").read_text(encoding="utf-8"))
    check_front(split((out / "README.md").read_text(encoding="utf-8"))[0], pins, out)


def requirements(text: str) -> dict[str, str]:
    """Name -> version. Raises SpaceError for a line without an exact version."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        if not re.fullmatch(r"[\w.-]+==[\w.]+", line):
            raise SpaceError(f"requirements.txt: '{line}' has no exact version")
    return dict(line.split("==") for line in lines)


def name_of(line: str) -> str:
    return line.partition("==")[0].strip()


def check_front(front: Mapping[str, Any], pins: Mapping[str, str], out: Path) -> None:
    repos = [*front.get("models", []), *front.get("preload_from_hub", [])]
    python = re.fullmatch(r"3\.(\d+)", str(front.get("python_version")))
    faults = {
        **{key: key not in front for key in REQUIRED},
        **{key: True for key in front if key not in (*REQUIRED, *OPTIONAL)},
        "sdk": front.get("sdk") != "gradio",
        "sdk_version": front.get("sdk_version") != pins.get("gradio"),
        "python_version": python is None or int(python[1]) < 11,
        "app_file": not (out / str(front.get("app_file"))).is_file(),
        "colorFrom": front.get("colorFrom") not in COLOURS,
        "colorTo": front.get("colorTo") not in COLOURS,
        "emoji": not 0 < len(str(front.get("emoji", ""))) <= 4 or str(front.get("emoji")).isascii(),
        "short_description": len(str(front.get("short_description", ""))) > 60,
        "suggested_hardware": front.get("suggested_hardware", HARDWARE[0]) not in HARDWARE,
        "models, preload_from_hub": not all(re.fullmatch(r"[\w.-]+/[\w.-]+", str(repo)) for repo in repos),
    }
    wrong = [key for key, fault in faults.items() if fault]
    if wrong:
        raise SpaceError(f"README.md: front matter that Spaces don't take: {', '.join(wrong)}")


def start(out: Path, python: Path | None = None, weights: str = "") -> str:
    """Start the folder as a Space would, with nothing of this environment, and ask it once: what it answered."""
    with tempfile.TemporaryDirectory() as home:
        python = python or environment(Path(home, "venv"), out)
        port = free_port()
        variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
        variables |= {"HOME": home, "SPACE_ID": "someone/vq-studio", "SYSTEM": "spaces", "PYTHONDONTWRITEBYTECODE": "1"}
        variables |= {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port), "TMPDIR": home}
        variables |= {"VQ_WEIGHTS": weights} if weights else {}
        with Path(home, "log").open("w+") as log:
            server = subprocess.Popen(
                [python, "app.py"], cwd=out, env=variables, stdout=log, stderr=subprocess.STDOUT, text=True
            )
            try:
                return ask(server, python, f"http://127.0.0.1:{port}", out, variables)
            except (subprocess.SubprocessError, OSError) as error:
                log.seek(0)
                said = (log.read().strip() or str(error)).splitlines()[-1]
                raise SpaceError(f"it does not start: {said}") from error
            finally:
                server.terminate()
                server.wait()


def environment(folder: Path, out: Path) -> Path:
    """A fresh environment with what the Space will install; torch too, which ZeroGPU brings along."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pins = requirements((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    packages = ["-r", str(out / "requirements.txt"), f"torch=={pins['torch']}"]
    command: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    if subprocess.run(command).returncode:
        raise SpaceError("its requirements can't be installed")
    return python


def ask(server: "subprocess.Popen[str]", python: Path, url: str, out: Path, variables: dict[str, str]) -> str:
    """What the endpoint makes of an example, once the server listens. Raises OSError, SubprocessError."""
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    for _ in range(STARTS_WITHIN * 5):
        try:
            socket.create_connection(address, 1).close()
            break
        except OSError:
            if server.poll() is not None:
                raise
            with_pause(server)
    picture = out / "vq" / "examples" / "chelsea.jpg"
    command: list[str | Path] = [python, "-c", ASK, url, picture]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=STARTS_WITHIN)
    if done.returncode:
        raise SpaceError(f"its endpoint does not answer: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def with_pause(server: "subprocess.Popen[str]") -> None:
    """A fifth of a second, or less if the server ends."""
    try:
        server.wait(0.2)
    except subprocess.TimeoutExpired:
        return


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
