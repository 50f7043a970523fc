"""Checkpoints that visitors of the page ask for: any supported autoencoder of any public repository, within bounds.

Visitors aren't the owner. A name of theirs is a repository and never a folder of this machine; it is looked up without
the owner's token wherever the page runs, so nothing private or gated can show; downloads and models have a bounded
cache of their own (VQ_MAX_GUESTS), VQ_MAX_BYTES holds, and so does a limit on what running a model may cost.
On a public Space this is off unless its owner sets VQ_ALLOW_ANY_REPO=1 (see app.py).
"""

import re

import torch
from torch.utils.flop_counter import FlopCounterMode

from vq import hub
from vq.cache import Source
from vq.catalogue import PUBLIC, Entry, Family
from vq.codec import Codec, device_of
from vq.hub import Loaded
from vq.messages import LoadError
from vq.sharing import Progress, Stop

# Operations for a pixel, there and back. The largest of the public checkpoints takes about 15 million.
MAX_COST = 40_000_000
MAX_SIDE = 512  # pixels, of codecs that take one size only
MAX_FACTOR = 64
LONGEST_TITLE = 28  # characters: titles stand on buttons

FAMILIES: dict[str, Family] = {
    "AE": "ae",
    "VAE": "vae",
    "VQVAE": "vqvae",
    "AutoencoderTiny": "ae",
    "AutoencoderKL": "vae",
    "VQModel": "vqgan",
}
_NAME = re.compile(r"(?P<repo>[^/@]+/[^/@]+)(?:/(?P<subfolder>[^@]+))?@(?P<commit>[0-9a-f]{40})")


def download(
    repo: str,
    subfolder: str = "",
    revision: str = "",
    device: str | torch.device = "cpu",
    *,
    progress: Progress | None = None,
    stop: Stop = None,
) -> Loaded:
    """A checkpoint from the Hub, downloaded if need be and tried out. `progress`, `stop`: as for `hub.load`.

    Raises LoadError in words for somebody who can't change this machine's settings.
    """
    try:
        source = Source(repo.strip(), subfolder.strip().strip("/"), revision.strip() or "main", visitor=True)
        commit = hub.fetch(_pinned(source), progress, stop).commit
        loaded = hub.open_source(_at(source, str(commit)), device, stop=stop)
        try_out(loaded.codec, source.name)
        return loaded
    except LoadError as error:
        raise error.for_visitor() from None


def reopen(name: str, device: str | torch.device = "cpu") -> Loaded:
    """What `download` gave, by the name of its entry: from memory or disk, never from the network. Raises LoadError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise LoadError("gone", name=name[:100])
    source = Source(match["repo"], match["subfolder"] or "", match["commit"], visitor=True)
    try:
        loaded = hub.in_memory(source, device)
        return loaded or hub.open_source(hub.on_disk(source), device)
    except LoadError as error:
        raise error.for_visitor() from None


def is_name(name: str) -> bool:
    """Whether a codec's name is one that `entry` gave."""
    return "@" in name


def entry(loaded: Loaded) -> Entry:
    """A row like those of the catalogue, whose name pins the commit."""
    origin = loaded.origin
    place = f"{origin.repo}/{origin.subfolder}" if origin.subfolder else str(origin.repo)
    known = (e.title for e in PUBLIC.values() if (e.repo, e.subfolder) == (origin.repo, origin.subfolder))
    title = next(known, str(origin.repo).partition("/")[2])
    return Entry(
        name=f"{place}@{origin.commit}",
        family=FAMILIES[loaded.class_name],
        title=title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…",
        repo=origin.repo,
        revision=str(origin.commit),
        subfolder=origin.subfolder,
        licence=origin.licence or "",
    )


def try_out(codec: Codec, name: str) -> None:
    """Raise LoadError for a codec that costs too much, or doesn't give a picture back at the size it took it."""
    factor, side = codec.factor, codec.image_size if codec.factor is None else max(codec.factor, 16)
    if side is None or side > MAX_SIDE or (factor or 1) > MAX_FACTOR:
        raise LoadError("config", name=name, detail=(f"{side or factor} px", f"{side or factor} 像素"))
    x = torch.zeros(1, 3, side, side, device=device_of(codec))
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            encoded = codec.encode(x)
            y = codec.decode(encoded.z)
    except (ValueError, RuntimeError) as error:
        raise LoadError("config", name=name, detail=("it can't be run", "无法运行")) from error
    if y.shape != x.shape or not bool(y.isfinite().all()):
        raise LoadError("config", name=name, detail=("it gives no picture back", "无法还原图片"))
    # A search through the codebook isn't counted.
    search = 0 if codec.codebook is None or factor is None else 2 * codec.codebook.numel() / factor**2
    cost = counter.get_total_flops() / side**2 + search
    if cost > MAX_COST:
        raise LoadError("costly", name=name, cost=f"{cost / 1e6:.0f}", limit=f"{MAX_COST / 1e6:.0f}")


def _pinned(source: Source) -> Source:
    """With the checksums that the catalogue knows of this very place."""
    for e in PUBLIC.values():
        if (e.repo, e.subfolder, e.revision) == (source.repo, source.subfolder, source.revision):
            return Source(source.repo, source.subfolder, source.revision, tuple(e.sha256.items()), visitor=True)
    return source


def _at(source: Source, commit: str) -> Source:
    return Source(source.repo, source.subfolder, commit, visitor=True)
