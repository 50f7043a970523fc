"""The models this project ships, as data: one row each.

Needs neither torch nor diffusers, so a page can show it at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"

Family = Literal["ae", "vae", "vqvae", "vqgan"]


@dataclass(frozen=True)
class Entry:
    """One model: the name it loads by, its family, and the title people read."""

    name: str
    family: Family
    title: str

    @property
    def folder(self) -> Path:
        return WEIGHTS / self.name


CODECS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("ae", "ae", "AE"),
        Entry("vae", "vae", "VAE"),
        Entry("vqvae", "vqvae", "VQ-VAE"),
        Entry("vqgan", "vqgan", "VQ-GAN"),
    )
}
