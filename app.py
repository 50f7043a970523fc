"""VQ Studio: serve the page. `python app.py --help` lists the few flags there are."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("Python 3.11 or newer is needed; this is %d.%d." % sys.version_info[:2])  # noqa: UP031

import argparse
import contextlib
import gc
import importlib.util
import json
import os
import tempfile
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

# Before Gradio is imported: nothing is reported anywhere, and its start-up check of its own address passes no proxy.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
for variable in ("NO_PROXY", "no_proxy"):
    os.environ[variable] = ",".join(filter(None, [os.environ.get(variable), "127.0.0.1", "localhost"]))

# Uploads lie in a folder of their own, which vq.ui.room keeps small, and not among those of other Gradio apps.
os.environ.setdefault(
    "GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir(), f"vq-studio-{os.getuid() if hasattr(os, 'getuid') else 0}"))
)

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  (on a ZeroGPU Space it must come before PyTorch)

from vq.catalogue import CODECS, GAUSSIANS, PRIORS, Entry, Family  # noqa: E402
from vq.messages import LoadError  # noqa: E402

MCP = "mcp==1.30.0"
FAMILIES: dict[str, Family] = {"AE": "ae", "VAE": "vae", "VQVAE": "vqvae"}


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    check_device(options.device)
    check_mcp(options.mcp)
    codecs, folders = choose_codecs(options.model)
    # What is imported stays: looking through it for garbage again and again takes a fourth of the start; see `settle`.
    gc.disable()
    from vq.ui import build_app, launch_options

    loader = Loader(options.device, folders)
    if zero_gpu():
        loader.place([*codecs, *PRIORS])
    download = loader.download if visitors_allowed() else None
    page = build_app(loader.load, loader.load_prior, loader.statistics, codecs, download)
    try:
        page.launch(
            server_port=options.port,
            share=options.share,
            prevent_thread_lock=True,
            quiet=False,
            mcp_server=options.mcp or None,
            **launch_options(),
        )
    except OSError as error:
        if "port" not in str(error):
            raise
        sys.exit(f"Port {options.port} is in use: stop what uses it, or choose another with --port.")
    # Only now: what diffusers imports takes longer than everything else together, and the page is there already.
    wanted = [] if zero_gpu() else list(codecs)  # there the main process never computes
    threading.Thread(target=settle, args=(loader, wanted), daemon=True).start()
    page.block_thread()


def settle(loader: "Loader", names: list[str]) -> None:
    """Make ready what the first visitors will need, then collect garbage as usual, but not among what stays."""
    try:
        if names:
            loader.warm_up(names)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="See how an image tokenizer works.")
    port = os.environ.get("PORT") or os.environ.get("GRADIO_SERVER_PORT") or "7860"
    parser.add_argument("--port", type=int, default=port, help="7860 by default, or the variable PORT")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="the best there is by default")
    parser.add_argument("--share", action="store_true", help="a public address through Gradio's relay")
    parser.add_argument("--mcp", action="store_true", help="serve the endpoints as MCP tools too")
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


def check_mcp(wanted: bool) -> None:
    """End with one clear line if the package isn't there that speaks the protocol."""
    if wanted and importlib.util.find_spec("mcp") is None:
        sys.exit(f"--mcp needs one more package: python -m pip install {MCP}")


def zero_gpu() -> bool:
    """Whether this is a Space that lends a GPU for the length of a call, in a process of its own."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def visitors_allowed() -> bool:
    """Whether visitors may open checkpoints from the Hub: on a public Space only if its owner says so.

    On ZeroGPU never: what is there has to be in place before the first visitor comes.
    """
    return not zero_gpu() and ("SPACE_ID" not in os.environ or os.environ.get("VQ_ALLOW_ANY_REPO") == "1")


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
        """A codec of the page, or a visitor's checkpoint by the name of its row; nothing else. Raises LoadError."""
        from vq import hub, visitors

        if name not in self._folders and visitors.is_name(name):
            return visitors.reopen(name, self.device).codec
        return hub.load(self._place(name), self.device)

    def load_prior(self, name: str, codec: str | None = None) -> Any:
        from vq import hub

        if name not in PRIORS and name not in GAUSSIANS:
            raise LoadError("unknown", name=name[:100], names=", ".join([*PRIORS, *GAUSSIANS]))
        return hub.load_prior(name, None if codec is None else self._place(codec), self.device)

    def statistics(self, name: str) -> Any:
        """None for what isn't ours: nobody vouches for it."""
        from vq import hub, visitors

        known = name in self._folders or not visitors.is_name(name)
        return hub.load_statistics(self._place(name)) if known else None

    def download(self, repo: str, subfolder: str, revision: str, progress: Any, stop: Any) -> Any:
        """A visitor's checkpoint: see vq.visitors."""
        from vq import visitors

        loaded = visitors.download(repo, subfolder, revision, self.device, progress=progress, stop=stop)
        return visitors.entry(loaded), loaded

    def _place(self, name: str) -> str | Path:
        if name in self._folders:
            return self._folders[name]
        if name not in CODECS:  # hub.load would take it for a folder or a repository
            raise LoadError("unknown", name=name[:100], names=", ".join([*self._folders, *CODECS]))
        return name

    def place(self, names: list[str]) -> None:
        """Put models on the device before anybody comes; one that is missing is a line in the log."""
        for name in names:
            try:
                self.load_prior(name) if name in PRIORS else self.load(name)
            except ValueError as error:
                print(f"{name}: {error}", file=sys.stderr)

    def warm_up(self, names: list[str]) -> None:
        """Load everything and use it once, so that the first visitor doesn't pay for it."""
        from PIL import Image

        from vq.tasks import reconstruct as tasks

        picture = Image.new("RGB", (64, 64), "grey")
        for name in names:
            try:
                next(tasks.reconstruct(self.load, picture, [name]))
            except ValueError as error:
                print(f"{name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
