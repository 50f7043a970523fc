"""The models this project ships and those it knows on the Hub, as data: one row each.

Needs neither torch nor diffusers, so a page can show it at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"

Family = Literal["ae", "vae", "vqvae", "vqgan", "pixelcnn", "transformer"]


@dataclass(frozen=True)
class Entry:
    """One model: the name it loads by, its family, the title people read, and where its weights are.

    repo:   None for what lies in weights/ (or where VQ_WEIGHTS says), else a Hub repository, with revision and
            subfolder. A revision that is a commit pins every file.
    size:   bytes of the weights, where it is not ours. sha256: of the files where known; the Hub's own otherwise.
    codec:  for priors, the codec whose tokens it draws.
    """

    name: str
    family: Family
    title: str
    repo: str | None = None
    revision: str = "main"
    subfolder: str = ""
    licence: str = "apache-2.0"
    size: int | None = None
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    codec: str | None = None

    @property
    def folder(self) -> Path:
        """Where a bundled model's weights lie."""
        return WEIGHTS / self.name


def _table(*entries: Entry) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}


CODECS: dict[str, Entry] = _table(
    Entry("ae", "ae", "AE"),
    Entry("vae", "vae", "VAE"),
    Entry("vqvae", "vqvae", "VQ-VAE"),
    Entry("vqgan", "vqgan", "VQ-GAN"),
)

PRIORS: dict[str, Entry] = _table(
    Entry("pixelcnn", "pixelcnn", "PixelCNN", codec="vqvae"),
    Entry("transformer", "transformer", "Transformer", codec="vqgan"),
)

# Priors of the codecs with a vector latent; they have no weights of their own.
GAUSSIANS = ("normal", "fitted")

# Public autoencoders that are worth a look beside ours.
PUBLIC: dict[str, Entry] = _table(
    Entry(
        "taesd",
        "ae",
        "TAESD",
        "madebyollin/taesd",
        revision="614f76814bbe30edbe2e627ace1c2234c81a2c0e",
        licence="mit",
        size=9_793_292,
    ),
    Entry(
        "sd-vae-ft-mse",
        "vae",
        "Stable Diffusion VAE, ft-MSE",
        "stabilityai/sd-vae-ft-mse",
        revision="31f26fdeee1355a5c34592e401dd41e45d25a493",
        licence="mit",
        size=334_643_276,
        sha256={
            "diffusion_pytorch_model.safetensors": "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
            "config.json": "92d3dfb746fca211a2c9e019e285f8597412211728dce3c5bcf4eda0f2d62e7e",
        },
    ),
    Entry(
        "movq",
        "vqgan",
        "Kandinsky 2.2 MoVQ",
        "kandinsky-community/kandinsky-2-2-decoder",
        subfolder="movq",
        size=271_000_000,
    ),
    Entry(
        "amused",
        "vqgan",
        "aMUSEd VQ-GAN",
        "amused/amused-256",
        subfolder="vqvae",
        licence="openrail++",
        size=585_000_000,
    ),
    # Its main branch holds a pickle only; the safetensors are on a pull request.
    Entry(
        "celebahq",
        "vqgan",
        "LDM CelebA-HQ VQ-f4",
        "CompVis/ldm-celebahq-256",
        revision="refs/pr/7",
        subfolder="vqvae",
        size=221_000_000,
    ),
)
