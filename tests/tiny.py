"""Tiny models, pictures and runs: what law tests need, in seconds on a CPU."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from vq.models.autoencoder import AE, VAE
from vq.models.squeezenet import SqueezeNet
from vq.models.vqvae import VQVAE

SIZE = 32
VECTOR = {"image_size": SIZE, "latent_dim": 6, "widths": [8, 12], "depths": [0, 1]}
GRID = {
    "image_size": SIZE,
    "codebook_size": 16,
    "code_dim": 4,
    "widths": [8, 12],
    "encoder_depths": [0, 1],
    "decoder_depths": [1, 0],
}
MODELS = {
    "ae": lambda: AE(**VECTOR),
    "vae": lambda: VAE(**VECTOR),
    "vqvae": lambda: VQVAE(**GRID, unit_length=True),
    "vqvae-plain": lambda: VQVAE(**GRID),
}
GRIDS = [name for name in MODELS if name.startswith("vq")]


def model(name: str, seed: int = 0) -> nn.Module:
    """A tiny model in eval mode whose every weight is random: fresh networks have zeros that would hide mistakes."""
    torch.manual_seed(seed)
    net = MODELS[name]()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return net.eval()


def pictures(n: int, size: int = SIZE, seed: int = 0) -> Tensor:
    """(n,3,size,size) in [-1,1]: soft blobs of random colour."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4, 4, generator=generator) * 2 - 1
    return nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)


def write_pictures(folder: Path, n: int, size: int | tuple[int, int] = SIZE, seed: int = 0, first: int = 0) -> None:
    """n PNG files named by number, each different."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    shape = (size, size) if isinstance(size, int) else size
    for i in range(first, first + n):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize(shape, Image.Resampling.BICUBIC).save(folder / f"{i:04}.png")


def write_set(root: Path, train: int = 20, val: int = 6, size: int = SIZE) -> Path:
    write_pictures(root / "train", train, size, seed=1)
    write_pictures(root / "val", val, size, seed=2)
    return root


def write_perceptual(path: Path) -> Path:
    """A SqueezeNet with random weights, in the layout of the trained one."""
    torch.manual_seed(7)
    state = SqueezeNet().state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


def settings(config: dict[str, object], **recipe: object) -> list[str]:
    """--set ... for a tiny model."""
    words = {f"config.{k}": v for k, v in config.items()} | recipe
    return ["--set", *(f"{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in words.items())]


RUNS = {
    "ae": settings(VECTOR, batch=4),
    "vae": settings(VECTOR, batch=4),
    # Restarts every second step, so that a stop falls between two of them.
    "vqvae": settings(GRID, batch=2, restart_every=2, restart_below=0.9),
    "vqvae-ema": settings(GRID, batch=2, restart_every=3, restart_below=0.9, ema_codebook=True),
    "vqgan": settings(GRID, batch=2, restart_every=3, adversary_start=0.5, discriminator_widths=[8, 16]),
}


def train(name: str, data: Path, out: Path, *words: str, perceptual: Path | None = None, steps: int = 6) -> int:
    """One run through the command's own door: its exit code."""
    from vq.train.__main__ import main

    argv = [name.split("-")[0], "--data", str(data), "--out", str(out), "--steps", str(steps), "--device", "cpu"]
    argv += ["--precision", "no", *(["--perceptual", str(perceptual)] if perceptual else []), *words]
    return main([*argv, *RUNS[name]])


def interrupt_at(monkeypatch: pytest.MonkeyPatch, recipe: type, step: int) -> None:
    """Ctrl-C arrives while the recipe takes its step number `step` (the first is 1)."""
    taken = 0
    original = recipe.step

    def step_and_stop(self: object, *args: object) -> dict[str, Tensor]:
        nonlocal taken
        taken += 1
        if taken == step:
            signal.raise_signal(signal.SIGINT)
        return original(self, *args)

    monkeypatch.setattr(recipe, "step", step_and_stop)
