"""The Edit tokens tab: a picture's token grid as something to draw on. What its handlers do stands in edit_desk.py.

The browser owns the selection, the server the tokens and their history. All handlers that touch an Editor share one
queue, so edits apply in the order in which they were sent.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr
from PIL import Image

from vq import tokenfile
from vq.catalogue import Entry
from vq.editing import MOST
from vq.tasks.edit import EDITS, NEARESTS
from vq.ui import edit_endpoints
from vq.ui.common import COMPUTE, PictureInput, Result, Studio, channel, computes, panel
from vq.ui.edit_desk import SEED, Desk, Editor, Shown
from vq.ui.edit_endpoints import grid_rows
from vq.ui.reconstruct import EXAMPLES, thumbnail
from vq.ui.texts import both, t

# In this order in one scope: edit.js comes last and puts them together.
SCRIPTS = ("edit-store", "edit-select", "edit-sheet", "edit-canvas", "edit-tools", "edit-atlas", "edit")


def build(studio: Studio, page: gr.Blocks) -> None:
    """Lay the tab out and wire it; called inside its gr.Tab."""
    editor = gr.State(None)
    thumbnails = [{"name": name, "url": thumbnail(path)} for name, path in EXAMPLES.items()]
    # What the server takes in one message.
    most = {"edits": EDITS, "nearest": NEARESTS // MOST**2}
    with gr.Row(elem_id="vq-edit-tab", equal_height=False):
        with gr.Column(elem_id="vq-edit-side", scale=0, min_width=280):
            upload: dict[str, Any] = {"sources": ["upload", "clipboard", "webcam"], "height": 190}
            picture = PictureInput(label=t("picture"), elem_id="vq-edit-picture", **upload)
            source = panel("edit-source", first_source(studio), items=thumbnails, limit=tokenfile.MAX_BYTES)
            with gr.Accordion(t("edit_second"), open=False, elem_id="vq-edit-second"):
                second = PictureInput(label=t("edit_second_picture"), elem_id="vq-edit-second-picture", **upload)
                donor = panel("edit-donor", {"example": None}, items=thumbnails)
        with gr.Column(elem_id="vq-edit-main", min_width=300):
            canvas = panel(SCRIPTS, None, seeds=SEED, most=most)
    book, given, surprisal, offers, file = map(
        channel, ("edit-book", "edit-given", "edit-surprisal", "edit-offers", "edit-file")
    )

    desk = Desk(studio)

    @computes
    def work(task: str, *arguments: Any) -> Any:
        return getattr(desk, task)(*arguments)

    def own(old: Editor | None, picture: Image.Image | None, source: Any, *rest: Any) -> Shown:
        return Shown() if picture is None else work("begin", old, picture, source | {"example": None}, *rest)

    def choose(old: Editor | None, picture: Image.Image | None, source: Any, *rest: Any) -> Shown:
        given = isinstance(source, dict) and source.get("example") is not None
        return work("begin", old, None if given else picture, source, *rest)

    def first(old: Editor | None, *sent: Any) -> Shown:
        return choose(old, *sent) if old is None else Shown()

    def take(old: Editor | None, result: Result | None, *rest: Any) -> Shown:
        return work("take", old, result, *rest)

    def open_file(old: Editor | None, second: Any, donor: Any, extras: Any, event: gr.EventData) -> Shown:
        return work("load_file", old, event._data, second, donor, extras)

    def handler(task: str) -> Callable[..., Any]:
        def handle(editor: Editor | None, event: gr.EventData) -> Any:
            return work(task, editor, event._data)

        return handle

    def transplant_from(editor: Editor | None, second: Image.Image | None, donor: Any) -> Any:
        return work("set_donor", editor, second, donor)

    def pick_donor(editor: Editor | None, donor: Any) -> Any:
        return *transplant_from(editor, None, donor), None

    def own_donor(editor: Editor | None, second: Image.Image | None) -> Any:
        return *transplant_from(editor, second, None), {"example": None}

    heavy: dict[str, Any] = {
        "concurrency_id": COMPUTE,
        "show_progress": "hidden",
        "api_visibility": "private",
        "trigger_mode": "multiple",
    }
    sent = [editor, picture, source, second, donor, studio.extras]
    shown = [canvas, given, source, editor, picture]  # as in Shown
    source.open(first, sent, shown, **heavy)
    source.choose(choose, sent, shown, **heavy)
    entered = picture.input(own, sent, shown, **heavy)
    source.take(take, [editor, studio.carried, second, donor, studio.extras], shown, **heavy)
    source.bring(open_file, [editor, second, donor, studio.extras], shown, **heavy)
    source.save(handler("save"), editor, file, **heavy)
    second_entered = second.input(own_donor, [editor, second], [given, editor, donor], **heavy)
    donor.pick(pick_donor, [editor, donor], [given, editor, second], **heavy)
    canvas.edit(handler("edit"), editor, [canvas, editor], **heavy)
    canvas.resample(handler("resample"), editor, [offers, editor], **heavy)
    canvas.atlas(handler("atlas"), editor, book, **heavy)
    canvas.surprise(handler("surprise"), editor, surprisal, **heavy)
    # A file that can't be read would be complained about again at every choice that follows.
    for event, box in ((entered, picture), (second_entered, second)):
        event.failure(lambda: None, None, box, queue=False, show_progress="hidden", api_visibility="private")
    studio.extras.change(
        lambda sent, extras: listed(studio, sent, extras), [source, studio.extras], source, **heavy | {"queue": True}
    )
    edit_endpoints.build(studio)


def first_source(studio: Studio) -> dict[str, Any]:
    """What the choices show before anything is loaded."""
    rows = grid_rows(studio, ())
    value = {"codecs": [[e.name, e.title] for e in rows.values()], "codec": next(iter(rows), None), "size": 64}
    return value | {"sizes": [], "factor": None, "example": next(iter(EXAMPLES))}


def listed(studio: Studio, sent: Any, extras: tuple[Entry, ...]) -> dict[str, Any]:
    """The choices once a visitor's checkpoints have changed."""
    rows = grid_rows(studio, extras)
    if not isinstance(sent, dict):
        raise gr.Error(both("bad_request"), print_exception=False)
    return sent | {"codecs": [[e.name, e.title] for e in rows.values()]}
