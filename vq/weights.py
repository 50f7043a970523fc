"""Opening a folder of weights, strictly: what isn't exactly what its config.json promises is refused.

Three steps, each cheap next to the one after it: the config is judged by a table of limits and built without memory;
the headers of the safetensors files must name just those tensors; only then are they read. Pickles are never opened.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import ModelMixin
from safetensors import SafetensorError, safe_open
from torch import nn

from vq import pretrained
from vq.messages import LoadError
from vq.models.autoencoder import AE, VAE
from vq.models.pixelcnn import PixelCNN
from vq.models.transformer import Transformer
from vq.models.vqvae import VQVAE

# None: a class of diffusers, imported once it is needed.
Classes = Mapping[str, type[ModelMixin] | None]
CODECS: Classes = {c.__name__: c for c in (AE, VAE, VQVAE)} | dict.fromkeys(pretrained.NAMES)
PRIORS: Classes = {c.__name__: c for c in (PixelCNN, Transformer)}

CONFIG = "config.json"
SINGLE = "diffusion_pytorch_model.safetensors"
INDEX = SINGLE + ".index.json"
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle")
MAX_JSON = 4_000_000  # bytes, of a file or of the header of one
MAX_KEYS = 128  # of a config
MAX_FILES = 64

_DTYPES = ("F64", "F32", "F16", "BF16")

# The largest whole number a config may hold, by key: what is built from it must stay within reason.
_LIMITS = {
    **dict.fromkeys(("codebook_size", "num_vq_embeddings"), 2**18),
    **dict.fromkeys(("layers_per_block", "num_encoder_blocks", "num_decoder_blocks"), 8),
    **dict.fromkeys(("depths", "encoder_depths", "decoder_depths"), 8),
    **dict.fromkeys(("depth", "layers", "blocks", "heads"), 64),
    "upsampling_scaling_factor": 2,
    "sample_size": 8192,
}
_LIMIT = 4096
_LENGTH = 8
_LENGTHS = {"latents_mean": 256, "latents_std": 256}
_BLOCKS = ("DownEncoderBlock2D", "AttnDownEncoderBlock2D", "UpDecoderBlock2D", "AttnUpDecoderBlock2D")

Shapes = dict[str, tuple[int, ...]]


def read(folder: Path, limit: int, name: str | None = None, classes: Classes = CODECS) -> nn.Module:
    """The model in a folder: float32, eval mode, frozen, on the CPU; a diffusers autoencoder comes as an adapter.

    `limit`: bytes of weights it may have. `classes`: those that are welcome. Raises LoadError.
    """
    name = name or folder.name
    skeleton = plan(folder, limit, name, classes)
    size = sum(file.stat().st_size for file in weight_files(folder, name))
    if size > limit:
        raise too_large(name, size, limit)
    check_headers(folder, skeleton, name)
    try:
        model, info = cast(Any, type(skeleton)).from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True, torch_dtype=torch.float32
        )
    except Exception as error:  # diffusers and safetensors raise a dozen kinds for a damaged file
        raise LoadError("broken", name=name, file=SINGLE) from error
    wrong = [key for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in info[kind]]
    if wrong:
        raise LoadError("keys", name=name, detail=str(wrong[0]))
    for key, tensor in model.state_dict().items():
        _check_finite(key, tensor, name)  # as float32, which holds less than a file may
    model = pretrained.adapt(model) if type(model).__name__ in pretrained.NAMES else model
    return model.eval().requires_grad_(False)


def plan(folder: Path, limit: int, name: str, classes: Classes = CODECS) -> ModelMixin:
    """The model that a folder's config.json describes, on the meta device: shapes without memory. Raises LoadError."""
    config = _read_json(folder / CONFIG, name)
    found = config.get("_class_name")
    if not isinstance(found, str) or found not in classes:
        raise LoadError("unsupported", name=name, found=repr(found)[:60], supported=", ".join(classes))
    try:
        _check_config(config)
        cls: Any = classes[found] or pretrained.class_of(found)
        with torch.device("meta"):
            model = cls.from_config(config)
        if found in pretrained.NAMES:
            pretrained.adapt(model)
    except _Unfit as error:
        raise LoadError("config", name=name, detail=str(error)) from error
    except pretrained.Unfit as error:
        raise LoadError("config", name=name, detail=error.args) from error
    except Exception as error:  # whatever a constructor makes of values it wasn't written for
        why = f": {str(error)[:120]}" if isinstance(error, ValueError) else ""  # others don't speak to people
        raise LoadError(
            "config", name=name, detail=(f"no {found} can be built{why}", f"无法构建 {found}{why}")
        ) from error
    # Two bytes a number is the least a supported file can hold.
    least = 2 * sum(t.numel() for t in model.state_dict().values())
    if least > limit:
        raise too_large(name, least, limit)
    return model


def too_large(name: str, size: int, limit: int) -> LoadError:
    return LoadError("large", name=name, size=human(size), limit=human(limit))


def human(size: int) -> str:
    """Bytes as people read them: 335 MB."""
    exponent = 0 if size < 1000 else min(4, int(math.log10(size) / 3 + 1e-9))
    return f"{size / 1000**exponent:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[exponent]}"


def weight_files(folder: Path, name: str) -> list[Path]:
    """The safetensors files of a folder, one or several. Raises LoadError where there is none, naming a pickle."""
    files = [folder / file for file in shards(folder, name)]
    for file in files:
        if not file.is_file():
            raise no_weights(name, [f.name for f in folder.iterdir()], file.name)
    return files


def shards(folder: Path, name: str) -> list[str]:
    """The names of the weight files: the index's where there is one, since diffusers goes by it first, too."""
    if not (folder / INDEX).is_file():
        return [SINGLE]
    table = _read_json(folder / INDEX, name).get("weight_map")
    names = sorted({str(v) for v in table.values()}) if isinstance(table, dict) else []
    if not 0 < len(names) <= MAX_FILES or not all(plain_safetensors(n) for n in names):
        raise LoadError("broken", name=name, file=INDEX)
    return names


def plain_safetensors(name: str) -> bool:
    """Whether it is the name of a safetensors file in the same folder, and no path."""
    return name.endswith(".safetensors") and "/" not in name and "\\" not in name


def no_weights(name: str, files: Iterable[str], wanted: str = SINGLE) -> LoadError:
    """The error for a folder without safetensors."""
    pickles = sorted(f for f in files if f.endswith(PICKLES))
    if pickles:
        return LoadError("pickle", name=name, file=pickles[0])
    return LoadError("broken", name=name, file=wanted)


def check_headers(folder: Path, skeleton: Any, name: str) -> None:
    """Raise LoadError unless a folder's files hold just the skeleton's tensors, by name, shape and kind of number."""
    files = weight_files(folder, name)
    found: Shapes = {}
    for file in files:
        found |= _header(file, name)
    if len(files) == 1:
        # diffusers renamed its attention layers once and still reads the old names: judge what it will see.
        skeleton._fix_state_dict_keys_on_load(cast(Any, found))
    expected = {key: tuple(tensor.shape) for key, tensor in skeleton.state_dict().items()}
    for key in sorted(expected.keys() ^ found.keys()):
        missing = key in expected
        detail = (f"{key} is missing", f"缺少 {key}") if missing else (f"{key} is not expected", f"多出 {key}")
        raise LoadError("keys", name=name, detail=detail)
    for key, shape in expected.items():
        if found[key] != shape:
            shapes = f"{key}: {list(found[key])} / {list(shape)}"
            raise LoadError("keys", name=name, detail=shapes)


def _header(file: Path, name: str) -> Shapes:
    """Names and shapes of a safetensors file, without reading a tensor. The library checks the file's length too."""
    try:
        with file.open("rb") as start:
            if int.from_bytes(start.read(8), "little") > MAX_JSON:
                raise LoadError("broken", name=name, file=file.name)
        with safe_open(file, framework="pt") as f:
            slices = {key: f.get_slice(key) for key in f.keys()}  # noqa: SIM118
            kinds = {key: s.get_dtype() for key, s in slices.items()}
            shapes = {key: tuple(s.get_shape()) for key, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise LoadError("broken", name=name, file=file.name) from error
    for key, kind in kinds.items():
        if kind not in _DTYPES:
            raise LoadError("keys", name=name, detail=f"{key}: {kind}")
    return shapes


def check_numbers(folder: Path, name: str) -> None:
    """Raise LoadError for a weight that isn't a finite number. Reads the files, one tensor at a time."""
    for file in weight_files(folder, name):
        with safe_open(file, framework="pt") as f:
            for key in f.keys():  # noqa: SIM118
                _check_finite(key, f.get_tensor(key), name)


def _check_finite(key: str, tensor: torch.Tensor, name: str) -> None:
    # The extremes of a tensor tell it too, in a fraction of the time that looking at each number takes.
    if tensor.numel() and not all(bool(extreme.isfinite()) for extreme in tensor.aminmax()):
        raise LoadError("numbers", name=name, detail=key)


def _read_json(file: Path, name: str) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_JSON:
            raise ValueError("too long")
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not an object")
    except (OSError, ValueError, RecursionError) as error:
        raise LoadError("broken", name=name, file=file.name) from error
    return content


class _Unfit(Exception):  # noqa: N818
    """What is wrong with a config, in no language: a key and its value."""


def _check_config(config: Mapping[str, Any]) -> None:
    """Raise _Unfit for a value that could make building or running the model cost more than it should."""
    if len(config) > MAX_KEYS:
        raise _Unfit(f"{len(config)} > {MAX_KEYS}")
    if "quantization_config" in config:
        raise _Unfit("quantization_config")
    for key, value in config.items():
        if not key.startswith("_"):
            _check_value(key, value)


def _check_value(key: str, value: Any) -> None:
    if isinstance(value, list):
        if len(value) > _LENGTHS.get(key, _LENGTH):
            raise _Unfit(f"{key}: {len(value)} > {_LENGTHS.get(key, _LENGTH)}")
        for item in value:
            if isinstance(item, list | dict):
                raise _Unfit(f"{key}: {str(value)[:40]}")
            _check_value(key, item)
    elif isinstance(value, dict):
        raise _Unfit(f"{key}: {str(value)[:40]}")
    elif isinstance(value, str):
        if len(value) > 64 or (key.endswith("block_types") and value not in _BLOCKS):
            raise _Unfit(f"{key}: {value[:64]}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _Unfit(f"{key}: {value}")
    elif isinstance(value, int) and not 0 <= value <= _LIMITS.get(key, _LIMIT):
        raise _Unfit(f"{key}: {value}")
