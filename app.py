"""VQ Studio: serve the page. `python app.py --help` lists the few flags there are."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("Python 3.11 or newer is needed; this is %d.%d." % sys.version_info[:2])  # noqa: UP031

import argparse
import json
import os
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

# Before Gradio is imported: nothing is reported anywhere, and its start-up check of its own address passes no proxy.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
for variable in ("NO_PROXY", "no_proxy"):
    os.environ[variable] = ",".join(filter(None, [os.environ.get(variable), "127.0.0.1", "localhost"]))

from vq.catalogue import CODECS, Entry, Family  # noqa: E402

FAMILIES: dict[str, Family] = {"AE": "ae", "VAE": "vae", "VQVAE": "vqvae"}


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    check_device(options.device)
    codecs, folders = choose_codecs(options.model)
    from vq.ui import build_app, launch_options

    loader = Loader(options.device, folders)
    page = build_app(loader.load, loader.statistics, codecs)
    try:
        page.launch(
            server_port=options.port, share=options.share, prevent_thread_lock=True, quiet=False, **launch_options()
        )
    except OSError as error:
        if "port" not in str(error):
            raise
        sys.exit(f"Port {options.port} is in use: stop what uses it, or choose another with --port.")
    # Only now: what diffusers imports takes longer than everything else together, and the page is there already.
    threading.Thread(target=loader.warm_up, args=(list(codecs),), daemon=True).start()
    page.block_thread()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="See how an image tokenizer works.")
    port = os.environ.get("PORT") or os.environ.get("GRADIO_SERVER_PORT") or "7860"
    parser.add_argument("--port", type=int, default=port, help="7860 by default, or the variable PORT")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="the best there is by default")
    parser.add_argument("--share", action="store_true", help="a public address through Gradio's relay")
    parser.add_argument(
        "--model", action="append", default=[], help="a bundled name, or a folder of a run; put first; may be repeated"
    )
    return parser.parse_args(arguments)


def check_device(device: str | None) -> None:
    """End with one clear line if the device asked for isn't there."""
    if device in (None, "cpu"):
        return
    import torch

    if not (torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()):
        sys.exit(f"--device {device}: this machine has none that PyTorch can use; leave the flag out, or say cpu.")


def choose_codecs(models: list[str]) -> tuple[dict[str, Entry], dict[str, Path]]:
    """The catalogue with the models asked for in front, and the folders of those that came as one."""
    first: dict[str, Entry] = {}
    folders: dict[str, Path] = {}
    for model in models:
        if model in CODECS:
            first[model] = CODECS[model]
            continue
        folder = Path(model).resolve()
        # A run called like a bundled model stands beside it, under its longer name.
        name = folder.name if folder.name not in CODECS else f"{folder.parent.name}/{folder.name}"
        first[name], folders[name] = Entry(name, family_of(folder), name), folder
    return first | {name: entry for name, entry in CODECS.items() if name not in first}, folders


def family_of(folder: Path) -> Family:
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        names = ", ".join(CODECS)
        sys.exit(f"--model {folder}: expected one of {names}, or a folder with a config.json and weights.")
    return FAMILIES.get(kind, "vqvae")


class Loader:
    """Codecs by the names the page uses. Importing vq.hub twice at once is safe: the second waits for the first."""

    def __init__(self, device: str | None, folders: dict[str, Path]):
        self._device, self._folders = device, folders

    @cached_property
    def device(self) -> str:
        if self._device is not None:
            return self._device
        import torch

        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"

    def load(self, name: str) -> Any:
        from vq import hub

        return hub.load(self._folders.get(name, name), self.device)

    def statistics(self, name: str) -> Any:
        from vq import hub

        return hub.load_statistics(self._folders.get(name, name))

    def warm_up(self, names: list[str]) -> None:
        """Load everything and use it once, so that the first visitor doesn't pay for it."""
        from PIL import Image

        from vq import tasks

        picture = Image.new("RGB", (64, 64), "grey")
        for name in names:
            try:
                next(tasks.reconstruct(self.load, picture, [name]))
            except ValueError as error:
                print(f"{name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
