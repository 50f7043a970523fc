"""Slots of the Interpolate tab: pictures to start from, in a visitor's state and as the page shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import gradio as gr
import torch
from PIL import Image

from vq.codec import Codec, Encoded, device_of
from vq.image import fit_square, open_picture
from vq.tasks import interpolate as tasks
from vq.tasks.common import SIZES, working_size
from vq.tasks.interpolate import End
from vq.ui.common import Result, data_url
from vq.ui.reconstruct import EXAMPLES
from vq.ui.texts import both


@dataclass(frozen=True, eq=False)
class Slot:
    """A picture to start from: an example by its name, "own", or "carried" with the result that was carried.

    pictures: its centre square by side, for every side in SIZES. title: of the result's codec.
    """

    name: str
    pictures: Mapping[int, Image.Image]
    result: Result | None = None
    title: str | None = None


Slots = tuple[Slot, ...]


def own(picture: Image.Image) -> Slot:
    return Slot("own", _squares(picture))


def carried(result: Result, title: str) -> Slot:
    return Slot("carried", _squares(Image.fromarray(result.picture)), result, title)


@cache
def example(name: str) -> Slot:
    return Slot(name, _squares(open_picture(EXAMPLES[name])))


def defaults() -> Slots:
    return tuple(example(name) for name in EXAMPLES)


def _squares(picture: Image.Image) -> dict[int, Image.Image]:
    # Not the picture itself, which may have a hundred million pixels.
    return {size: fit_square(picture, size) for size in SIZES}


def read_chosen(sent: Any) -> int:
    """The slot that the next picture goes to, checked."""
    slot = sent.get("chosen") if isinstance(sent, dict) else None
    if type(slot) is not int or not 0 <= slot < len(EXAMPLES):
        raise gr.Error(both("bad_request"), print_exception=False)
    return slot


def read_example(sent: Any) -> Slot:
    """The example that was asked for, checked."""
    name = sent.get("example") if isinstance(sent, dict) else None
    if not isinstance(name, str) or name not in EXAMPLES:
        raise gr.Error(both("bad_request"), print_exception=False)
    return example(name)


def put(slots: Slots | None, at: int, slot: Slot) -> Slots:
    """The slots with one of them replaced."""
    return tuple(slot if i == at else old for i, old in enumerate(slots or defaults()))


def shown(slots: Slots, chosen: int) -> dict[str, Any]:
    """The slots as static/interpolate-slots.js shows them."""
    tiles = [{"name": s.name, "url": data_url(fit_square(s.pictures[SIZES[1]], 120)), "codec": s.title} for s in slots]
    return {"chosen": chosen, "tiles": tiles}


def end_of(codec: Codec, name: str, slot: Slot, size: int) -> End:
    """A slot in a codec: a carried latent as it is, where it belongs to this codec and size; else encoded."""
    r = slot.result
    if r is None or r.codec != name or (codec.factor is not None and len(r.picture) != size):
        return tasks.end_of(codec, slot.pictures.get(working_size(codec, size), slot.pictures[SIZES[-1]]), size)
    tokens = None if r.tokens is None else torch.from_numpy(r.tokens)[None].to(device_of(codec))
    return End(Image.fromarray(r.picture), Encoded(torch.from_numpy(r.z).to(device_of(codec)), tokens))
