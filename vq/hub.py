"""Finding and loading weights: a catalogue name, or a folder with config.json and safetensors.

The only module that will speak to the Hugging Face Hub.
"""

import json
import threading
from pathlib import Path
from typing import Literal, cast

import torch
from diffusers import ModelMixin

from vq.catalogue import CODECS
from vq.codec import Codec
from vq.models.autoencoder import AE, VAE
from vq.models.vqvae import VQVAE

CLASSES: dict[str, type[ModelMixin]] = {c.__name__: c for c in (AE, VAE, VQVAE)}

_cache: dict[tuple[str, str], Codec] = {}
_lock = threading.Lock()

Code = Literal["unknown", "missing", "broken", "unsupported"]


class LoadError(ValueError):
    """A model that can't be loaded. `code` names the reason; the message names cause and remedy."""

    def __init__(self, code: Code, message: str):
        super().__init__(message)
        self.code = code


def load(name_or_folder: str | Path, device: str | torch.device = "cpu") -> Codec:
    """A codec by catalogue name ("ae", "vae", "vqvae", "vqgan") or folder: float32, eval mode, frozen, cached.

    The same object comes back for the same name and device; it holds no state, so threads may share it.
    Raises LoadError.
    """
    folder = locate(name_or_folder)
    key = (str(folder.resolve()), str(torch.device(device)))
    with _lock:
        if key not in _cache:
            _cache[key] = _read(folder, device)
        return _cache[key]


def locate(name_or_folder: str | Path) -> Path:
    """The folder of a catalogue name or an existing folder. Raises LoadError."""
    entry = CODECS.get(str(name_or_folder))
    folder = entry.folder if entry else Path(name_or_folder)
    if (folder / "config.json").is_file():
        return folder
    if entry:
        raise LoadError("missing", f"the weights of '{entry.name}' are missing; train them with python -m vq.train")
    raise LoadError(
        "unknown",
        f"'{Path(name_or_folder).name}' is neither a folder with a config.json nor one of {', '.join(CODECS)}",
    )


def _read(folder: Path, device: str | torch.device) -> Codec:
    """Strict: the class must be ours, every key must match, and nothing but safetensors is opened."""
    try:
        name = json.loads((folder / "config.json").read_text()).get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise LoadError("broken", f"the config.json of '{folder.name}' can't be read") from error
    if name not in CLASSES:
        raise LoadError("unsupported", f"'{folder.name}' is a {name!r}; supported: {', '.join(CLASSES)}")
    try:
        model, info = CLASSES[name].from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True, torch_dtype=torch.float32
        )
    except Exception as error:  # diffusers and safetensors raise a dozen kinds for a damaged file
        raise LoadError("broken", f"the weights of '{folder.name}' can't be read: truncated or damaged?") from error
    if any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        raise LoadError("broken", f"the weights of '{folder.name}' don't fit its config.json")
    model = model.to(device=device, memory_format=torch.channels_last).eval().requires_grad_(False)
    return cast(Codec, model)
