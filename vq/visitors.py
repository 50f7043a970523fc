"""Checkpoints that visitors of the page ask for: any supported autoencoder of any public repository, within bounds.

Visitors aren't the owner. A name of theirs is a repository and never a folder of this machine; it is looked up without
the owner's token wherever the page runs, so nothing private or gated can show; downloads and models have a bounded
cache of their own (VQ_MAX_GUESTS), VQ_MAX_BYTES holds, and so does a limit on what running a model may cost.
On a public Space this is off unless its owner sets VQ_ALLOW_ANY_REPO=1 (see app.py).
"""

import re
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from vq import hub
from vq.cache import Source
from vq.catalogue import PUBLIC, Entry, Family
from vq.codec import Codec, device_of
from vq.hub import Loaded
from vq.messages import LoadError
from vq.sharing import Progress, Stop

# Operations for a pixel of a picture of MAX_SIDE, there and back. The largest of the public checkpoints takes about 15
# million; and numbers for a pixel in the largest tensor on the way, of which those have up to 512.
MAX_COST = 40_000_000
MAX_ROOM = 768
MAX_SIDE = 512  # pixels
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
    factor = codec.factor
    side = codec.image_size if factor is None else max(factor, 16)
    if side is None or side > MAX_SIDE or (factor or 1) > MAX_FACTOR:
        raise LoadError("config", name=name, detail=(f"{side or factor} px", f"{side or factor} 像素"))
    operations, numbers = _measure(codec, side, name)
    if factor is not None:
        # Attention costs by the square of the pixels: what two small pictures take tells what the largest will.
        more, larger = _measure(codec, 2 * side, name)
        operations += max(0.0, more - 4 * operations) / 12 * ((MAX_SIDE / side) ** 2 - 1)
        numbers = (larger - numbers) / 3  # without what is as large for any picture
    cost, room = operations / side**2, numbers / side**2
    if factor is not None and codec.codebook is not None:  # the search through it isn't counted
        cost += 2 * codec.codebook.numel() / factor**2
    if cost > MAX_COST:
        raise LoadError("costly", name=name, cost=f"{cost / 1e6:.0f}", limit=f"{MAX_COST / 1e6:.0f}")
    if room > MAX_ROOM:
        detail = (f"{room:.0f} numbers a pixel, more than {MAX_ROOM}", f"每像素 {room:.0f} 个数值，超过 {MAX_ROOM}")
        raise LoadError("config", name=name, detail=detail)


def _measure(codec: Codec, side: int, name: str) -> tuple[float, float]:
    """Operations, and numbers in the largest tensor, for a square picture. Raises LoadError."""
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x = noise.to(device_of(codec))
    try:
        with torch.inference_mode(), _Largest() as largest, _operations() as counter:
            y = codec.decode(codec.encode(x).z)
    except (ValueError, RuntimeError) as error:
        raise LoadError("config", name=name, detail=("it can't be run", "无法运行")) from error
    if y.shape != x.shape or not bool(y.isfinite().all()):
        raise LoadError("config", name=name, detail=("it gives no picture back", "无法还原图片"))
    return counter.get_total_flops(), largest.numbers


def _operations() -> FlopCounterMode:
    """PyTorch's counter, which leaves out attention on a CPU unless told."""

    def attention(query: Any, key: Any, value: Any, *_: object, **__: object) -> int:
        return int(sdpa_flop_count(query, key, value))

    aten = torch.ops.aten
    kinds = (aten.scaled_dot_product_attention, aten._scaled_dot_product_flash_attention_for_cpu)
    return FlopCounterMode(display=False, custom_mapping=dict.fromkeys(kinds, attention))


class _Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor has that a computation makes."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in _tensors(args)}
        # Views of weights are not made, and a codebook is searched in parts.
        if func is not torch.ops.aten._cdist_forward.default:
            made = [t.numel() for t in _tensors(result) if t.untyped_storage().data_ptr() not in given]
            self.numbers = max(self.numbers, *made, 0)
        return result


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _pinned(source: Source) -> Source:
    """With the checksums that the catalogue knows of this very place."""
    for e in PUBLIC.values():
        if (e.repo, e.subfolder, e.revision) == (source.repo, source.subfolder, source.revision):
            return Source(source.repo, source.subfolder, source.revision, tuple(e.sha256.items()), visitor=True)
    return source


def _at(source: Source, commit: str) -> Source:
    return Source(source.repo, source.subfolder, commit, visitor=True)
