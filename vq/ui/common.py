"""Pieces that every tab uses."""

import base64
import io
import json
from abc import ABCMeta
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import gradio as gr
from gradio.component_meta import ComponentMeta
from gradio.data_classes import ImageData
from PIL import Image
from torch import Tensor

from vq.catalogue import Entry
from vq.image import PictureError, open_picture
from vq.tasks import Load
from vq.ui.texts import LANGUAGES, TEXTS, both, table

STATIC = Path(__file__).parent / "static"

# Everything that computes shares one queue: two cores serve one visitor at a time faster than two at once.
COMPUTE = "compute"


@dataclass
class Studio:
    """What a tab gets: functions and the table of codecs. No tab reaches for anything else.

    load, statistics: a codec, and what is known of its training latents (None if nothing), by name.
    carried: what a visitor takes from one tab to another. accepts: names of the tabs that take it, filled as tabs are
    built.
    """

    load: Load
    statistics: Callable[[str], Mapping[str, Tensor] | None]
    codecs: Mapping[str, Entry]
    carried: gr.State
    tabs: gr.Tabs
    accepts: list[str] = field(default_factory=list)


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
            if payload.url and payload.url.startswith("data:"):
                return open_picture(base64.b64decode(payload.url.partition(",")[2]))
            return open_picture(cast(str, payload.path))
        except PictureError as error:
            raise failure(error) from error
        except ValueError as error:  # a data URL that isn't base64
            raise gr.Error(both("unreadable"), print_exception=False) from error


def panel(name: str, value: Any, **kwargs: Any) -> gr.HTML:
    """A component of our own: its behaviour stands in static/NAME.js, its words in `texts`.

    The script gets `element`, `props`, `trigger` and `watch`, and the helpers of static/base.js as `VQ`. What it
    triggers is an event of the component. kwargs reach the script as props.
    """
    return gr.HTML(
        value,
        html_template=f'<div class="vq-{name}"></div>',
        js_on_load=(STATIC / f"{name}.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        **{"elem_id": f"vq-{name}"} | kwargs,
    )


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
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


def head() -> str:
    """What the page's own scripts share: helpers and texts."""
    texts = json.dumps({name: table(i) for i, name in enumerate(LANGUAGES)}, ensure_ascii=False)
    script = (STATIC / "base.js").read_text(encoding="utf-8").replace("__TEXTS__", texts.replace("</", "<\\/"))
    return f'<meta name="color-scheme" content="light dark"><script>{script}</script>'
