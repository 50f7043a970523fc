"""Pieces that every tab uses."""

import base64
import io
import json
import os
import threading
from abc import ABCMeta
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import gradio as gr
import numpy as np
from gradio.component_meta import ComponentMeta
from gradio.data_classes import ImageData
from PIL import Image
from torch import Tensor

from vq.catalogue import Entry
from vq.image import PictureError, open_picture
from vq.tasks.checkpoint import Download
from vq.tasks.common import Load, LoadPrior
from vq.ui.limits import release_memory
from vq.ui.texts import LANGUAGES, TEXTS, both, table

STATIC = Path(__file__).parent / "static"
# What stands on the page before any component does, in this order.
HEAD = ("base", "link", "help")
PATH = "uploaded as"  # key of a picture's info
# On phones Gradio leaves the dot between two links of which it hides one. Styles given at launch reach no footer.
FOOTER = "@media (max-width: 640px) { footer .divider { display: none; } }"

# Everything that computes shares one queue: two cores serve one visitor at a time faster than two at once.
COMPUTE = "compute"
# Pictures decoded at once: one of a hundred million pixels takes a gigabyte while it is.
DECODERS = threading.BoundedSemaphore(2)
PATIENCE = 20  # seconds to wait for one of them

Task = TypeVar("Task", bound=Callable[..., Any])
Part = TypeVar("Part", bound=gr.components.FormComponent)


@dataclass(frozen=True, eq=False)
class Result:
    """What a visitor can carry to another tab; never changed in place. Gradio hashes states: by identity, then.

    original, picture: (H,W,3) uint8. z as codec.decode takes it, tokens (h,w) int64 or None.
    """

    codec: str
    original: np.ndarray
    picture: np.ndarray
    z: np.ndarray
    tokens: np.ndarray | None


@dataclass
class Studio:
    """What a tab gets: functions and the table of codecs. No tab reaches for anything else.

    load, statistics: a codec, and what is known of its training latents (None if nothing), by name.
    load_prior: a prior by name, and for "normal" and "fitted" the codec whose latents it draws.
    carried: what a visitor takes from one tab to another. accepts: names of the tabs that take it, filled as tabs are
    built.
    download: a checkpoint from the Hub; None where visitors may not have one. extras: a tuple with one more row for
    each checkpoint of the visitor's own; `load` knows their names, and `statistics` has None for them.
    """

    load: Load
    statistics: Callable[[str], Mapping[str, Tensor] | None]
    load_prior: LoadPrior
    codecs: Mapping[str, Entry]
    carried: gr.State
    tabs: gr.Tabs
    accepts: list[str] = field(default_factory=list)
    download: Download | None = None
    extras: gr.State = field(default_factory=lambda: gr.State(()))

    def table(self, extras: tuple[Entry, ...]) -> dict[str, Entry]:
        """The rows that one visitor has: the page's, and those of `extras`, the value of the state of that name."""
        return {**self.codecs, **{entry.name: entry for entry in extras}}


class NoStubs(ComponentMeta):
    """Gradio writes a .pyi file beside every subclass of a component, which type checkers then believe. Not here."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> type:
        return ABCMeta.__new__(mcs, name, bases, attrs)


class PictureInput(gr.Image, metaclass=NoStubs):
    """A picture from a visitor as 8-bit RGB PIL, whatever kind of file it was; a bad file is one sentence."""

    def __init__(self, **kwargs: Any):
        super().__init__(**{"type": "pil", "format": "png", "buttons": []} | kwargs)

    def get_block_name(self) -> str:
        return "image"  # the browser knows no other name for it

    def get_config(self) -> dict[str, Any]:  # type: ignore[override]
        return super().get_config(gr.Image)  # Gradio reads the properties off a constructor; ours only passes them on

    def preprocess(self, payload: ImageData | None) -> Image.Image | None:  # type: ignore[override]
        if payload is None:
            return None
        try:
            with decoding():
                if payload.url and payload.url.startswith("data:"):
                    return open_picture(base64.b64decode(payload.url.partition(",")[2]))
                file = used(self.uploaded(payload.path))
                picture = open_picture(file)
                picture.info[PATH] = str(file)
                return picture
        except gr.Error:  # which is a ValueError
            raise
        except FileNotFoundError as error:
            raise gr.Error(both("picture_gone"), print_exception=False) from error
        except PictureError as error:
            raise failure(error) from error
        except ValueError as error:  # a data URL that isn't base64
            raise gr.Error(both("unreadable"), print_exception=False) from error

    def uploaded(self, path: str | None) -> Path:
        """The path, if the file is in the folder of uploads: a client may send the path of any file there is."""
        file = Path(path or "").resolve()
        if not file.is_relative_to(Path(self.GRADIO_CACHE).resolve()):
            raise PictureError("unreadable", "not an uploaded file")
        return file


def as_sent(component: Part) -> Part:
    """An endpoint's parameter that Gradio describes but doesn't convert: of a wrong type it would say nothing clear.

    What a client sent reaches the function as it is, which has to check it.
    """
    component.preprocess = lambda payload: payload  # type: ignore[method-assign]
    return component


@contextmanager
def decoding() -> Iterator[None]:
    """One of the few places for pictures that are being decoded. Raises gr.Error if none becomes free.

    Some handlers don't go through the queue, and each that waited for ever would keep a thread.
    """
    if not DECODERS.acquire(timeout=PATIENCE):
        raise gr.Error(" / ".join(text.format(PATIENCE) for text in TEXTS["queue_full"]), print_exception=False)
    try:
        yield
    finally:
        DECODERS.release()
        release_memory()


def used(file: Path) -> Path:
    """A visitor's file, marked as used: the folder's longest unused go first. Raises FileNotFoundError."""
    os.utime(file)
    return file


def panel(name: str | Sequence[str], value: Any, **kwargs: Any) -> gr.HTML:
    """A component of our own: its behaviour stands in static/NAME.js, its words in `texts`.

    Of several names the last is the component's; the files before it hold what its script uses. The script gets
    `element`, `props`, `trigger` and `watch`, and the helpers of static/base.js as `VQ`. What it triggers is an event
    of the component. kwargs reach the script as props.
    """
    *parts, name = [name] if isinstance(name, str) else name
    return gr.HTML(
        value,
        html_template=f'<div class="vq-{name}"></div>',
        js_on_load="\n".join((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in (*parts, name)),
        apply_default_css=False,
        **{"elem_id": f"vq-{name}"} | kwargs,
    )


def channel(topic: str) -> gr.HTML:
    """What another component's script hears as `VQ.follow(topic, reader)` and reads as `VQ.news[topic]`: its value.

    For news that come beside a panel's value. Extra props are no way to send them: Gradio replaces all of a
    component's props by those of the newest update, so that of two updates in one moment the first is lost.
    """
    return panel("channel", None, topic=topic, elem_id=f"vq-{topic}", elem_classes="vq-channel")


def computes(task: Task) -> Task:
    """A function that runs models. On a ZeroGPU Space it gets a GPU, in a process of its own.

    So what it is given and what it gives back must be picklable (an EventData isn't), and what it changes is lost.
    """
    try:
        import spaces
    except ImportError:
        return task
    return cast(Task, spaces.GPU(task))


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def data_url(picture: Image.Image) -> str:
    """The picture, lossless, as a URL that needs no file on the server."""
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"


def sentences(error: Exception) -> dict[str, str]:
    """What went wrong, for the visitor, by language.

    Errors of loading bring their own sentences; a PictureError has a key; anything else says what it says.
    """
    text = getattr(error, "text", None)
    if callable(text):
        return {language: str(text(language)) for language in LANGUAGES}
    if isinstance(error, PictureError):
        return dict(zip(LANGUAGES, TEXTS[error.code], strict=True))
    return dict.fromkeys(LANGUAGES, str(error))


def failure(error: Exception) -> gr.Error:
    """The same as a message to raise, in both languages, since the server can't know the visitor's."""
    return gr.Error(" / ".join(dict.fromkeys(sentences(error).values())), print_exception=False)


def head(upload: int) -> str:
    """What the page's own scripts share: helpers and texts. upload: bytes that a file may have."""
    texts = json.dumps({name: table(i) for i, name in enumerate(LANGUAGES)}, ensure_ascii=False)
    script = "\n".join((STATIC / f"{name}.js").read_text(encoding="utf-8") for name in HEAD)
    script = script.replace("__TEXTS__", texts.replace("</", "<\\/")).replace("__UPLOAD__", str(upload))
    return f'<meta name="color-scheme" content="light dark"><style>{FOOTER}</style><script>{script}</script>'
