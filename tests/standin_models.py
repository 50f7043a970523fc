"""Small random autoencoders laid out as the five public checkpoints are: classes, configs, key names, folders."""

import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from vq.pretrained import class_of

GROUPS = {"norm_num_groups": 4, "act_fn": "silu"}


def blocks(count: int, attention: bool = False) -> dict[str, Any]:
    down, up = ["DownEncoderBlock2D"] * count, ["UpDecoderBlock2D"] * count
    if attention:
        down[-1], up[0] = "AttnDownEncoderBlock2D", "AttnUpDecoderBlock2D"
    return {"down_block_types": down, "up_block_types": up}


# catalogue name: class, config, whether its attention layers still have their first names
LAYOUTS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "taesd": (
        "AutoencoderTiny",
        {
            "encoder_block_out_channels": [8, 8, 8, 8],
            "decoder_block_out_channels": [8, 8, 8, 8],
            "num_encoder_blocks": [1, 1, 1, 1],
            "num_decoder_blocks": [1, 1, 1, 1],
        },
        False,
    ),
    "sd-vae-ft-mse": (
        "AutoencoderKL",
        {"block_out_channels": [8, 8, 16, 16], "layers_per_block": 2, "sample_size": 256, **blocks(4), **GROUPS},
        True,
    ),
    "movq": (
        "VQModel",
        {
            # Spatial norm counts 32 groups, whatever the config says.
            "block_out_channels": [32, 32, 32, 32],
            "layers_per_block": 1,
            "latent_channels": 4,
            "num_vq_embeddings": 64,
            "vq_embed_dim": 4,
            "norm_type": "spatial",
            **blocks(4, attention=True),
        },
        False,
    ),
    "amused": (
        "VQModel",
        {
            "block_out_channels": [8, 8, 8, 8, 16],
            "layers_per_block": 2,
            "latent_channels": 8,
            "num_vq_embeddings": 64,
            "mid_block_add_attention": False,
            "lookup_from_codebook": True,
            "force_upcast": True,
            **blocks(5),
            **GROUPS,
        },
        False,
    ),
    "celebahq": (
        "VQModel",
        {
            "block_out_channels": [8, 8, 16],
            "layers_per_block": 2,
            "num_vq_embeddings": 64,
            "vq_embed_dim": 3,
            "sample_size": 256,
            **blocks(3),
            **GROUPS,
        },
        True,
    ),
}

_FIRST_NAMES = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn"))


def model(name: str) -> Any:
    """A random model in the layout of a public checkpoint, with codes as spread out as its latents."""
    cls, config, _ = LAYOUTS[name]
    torch.manual_seed(len(name))
    built: Any = class_of(cls)(**config)
    if cls == "VQModel":
        with torch.no_grad():
            latents = built.encode(torch.rand(4, 3, 64, 64) * 2 - 1).latents.permute(0, 2, 3, 1).flatten(0, 2)
            codes = built.quantize.embedding.weight
            codes.copy_(latents.mean(0) + latents.std(0) * torch.randn_like(codes))
    return built.eval()


def files_of(built: Any, first_names: bool = False, shard: int | None = None) -> dict[str, bytes]:
    """What save_pretrained writes, as a repository would hold it."""
    with tempfile.TemporaryDirectory() as folder:
        built.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        if first_names:
            single = Path(folder, "diffusion_pytorch_model.safetensors")
            files[single.name] = save(renamed(load_file(single)))
    return files


def renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Attention weights under the names that early diffusers gave them."""
    result = {}
    for key, tensor in state.items():
        for new, first in _FIRST_NAMES:
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{first}.")
        result[key] = tensor
    return result


def public_files(name: str) -> dict[str, bytes]:
    return files_of(model(name), first_names=LAYOUTS[name][2])


def under(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}" if folder else name: data for name, data in files.items()}


def with_config(files: Mapping[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The same files with another config.json."""
    config = json.loads(files["config.json"]) | changes
    return {**files, "config.json": json.dumps(config).encode()}


def pickled(state: Mapping[str, torch.Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()
