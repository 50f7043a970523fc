"""What the handlers of the Edit tokens tab do: pure in the visitor's Editor, which they take and give back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from vq import editing, tokenfile
from vq.catalogue import Entry
from vq.codec import Codec
from vq.editing import LEAST, MOST, Context, EditError, Grid, History, Mask
from vq.image import open_picture, to_picture
from vq.sharing import Flights
from vq.tasks import edit as tasks
from vq.ui import edit_shelf as shelf
from vq.ui.common import Result, Studio, data_url, failure
from vq.ui.edit_endpoints import grid_rows
from vq.ui.edit_shelf import Key, Shelf
from vq.ui.reconstruct import EXAMPLES, finite
from vq.ui.texts import both

SEED = 2**32
BOOKS = 16  # atlases kept


@dataclass(frozen=True, eq=False)
class Editor:
    """What one visitor edits; never changed in place.

    session: counts the pictures begun. revision: counts changes. original: (H,W,3) uint8, None for a token file.
    key: what the history belongs to; shelf: histories of other pictures and grids. donor: the second picture's grid.
    offers: what the prior proposed, with the cells it redrew.
    """

    session: int
    entry: Entry
    history: History
    original: np.ndarray | None
    key: Key
    shelf: Shelf = ()
    revision: int = 0
    donor: Grid | None = None
    offers: tuple[tuple[Grid, Mask], ...] = field(default=())

    @property
    def tokens(self) -> Grid:
        return self.history.tokens


class Begun(NamedTuple):
    """What there is to edit. origin: see Key. opened: with these very tokens, whatever was made of them before."""

    entry: Entry
    tokens: Grid
    original: np.ndarray | None
    origin: str
    opened: bool = False
    example: str | None = None


class Shown(NamedTuple):
    """What the components of the tab get; those not named stay as they are."""

    canvas: Any = gr.skip()
    donor: Any = gr.skip()
    source: Any = gr.skip()
    editor: Any = gr.skip()
    picture: Any = gr.skip()


class Desk:
    """What the tab's handlers do. Holds nothing of a visitor's: only the page's functions, and atlases by codec."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self._books = lru_cache(BOOKS)(self._book)
        self._flights = Flights()

    # Something to edit.

    def begin(
        self, old: Editor | None, picture: Image.Image | None, sent: Any, second: Any, donor: Any, extras: Any
    ) -> Shown:
        """Edit a picture, an example, or, where neither is given, what is there already in another codec or size."""
        try:
            entry, size, example = self._choice(sent, extras)
            codec = self.studio.load(entry.name)
            choices = tasks.sizes(codec)
            size = min(choices, key=lambda choice: abs(choice - size))
            given = picture or (open_picture(EXAMPLES[example]) if example else None)
            source = given or self._present(old)
            original, tokens = tasks.encode(codec, source, size)
        except ValueError as error:
            raise failure(error) from error
        origin = old.key.origin if old and given is None else shelf.origin_of(source)
        begun = Begun(entry, tokens, np.asarray(original), origin, example=example)
        return self._show(old, begun, second, donor, extras, gr.skip() if example is None else None)

    def take(self, old: Editor | None, result: Result | None, second: Any, donor: Any, extras: Any) -> Shown:
        """Edit what was carried here, with exactly its tokens."""
        rows = grid_rows(self.studio, extras)
        if result is None or result.tokens is None or result.codec not in rows:
            raise gr.Error(both("bad_request"), print_exception=False)
        if not all(LEAST <= side <= MOST for side in result.tokens.shape):
            key = "edit_too_fine" if max(result.tokens.shape) > MOST else "edit_too_coarse"
            raise gr.Error(both(key), print_exception=False)
        tokens = result.tokens.astype(np.int64)
        begun = Begun(rows[result.codec], tokens, result.original, shelf.origin_of_tokens(tokens), opened=True)
        return self._show(old, begun, second, donor, extras, None)

    def load_file(self, old: Editor | None, data: Any, second: Any, donor: Any, extras: Any) -> Shown:
        """Edit a token file; one that can't be used changes nothing."""
        text = data.get("text") if isinstance(data, dict) else None
        if not isinstance(text, str):
            raise gr.Error(both("bad_request"), print_exception=False)
        rows = grid_rows(self.studio, extras)
        try:
            name = tokenfile.parse(text)["codec"]
            known = {name: self._source(rows[name])} if isinstance(name, str) and name in rows else {}
            source, tokens = tokenfile.read(text, known)
        except ValueError as error:
            raise failure(error) from error
        begun = Begun(rows[source.codec], tokens, None, shelf.origin_of_tokens(tokens), opened=True)
        return self._show(old, begun, second, donor, extras, None)

    def _show(
        self, old: Editor | None, begun: Begun, second: Any, donor: Any, extras: tuple[Entry, ...], picture: Any
    ) -> Shown:
        """The page with a new editor; the browser asks for the atlas, since that may take some seconds."""
        codec = self.studio.load(begun.entry.name)
        editor = self._editor(old, begun)
        editor = replace(editor, donor=self._donor(codec, editor, second, donor))
        live = self._live(codec, editor, 0)
        same = np.array_equal(editor.tokens, editor.history.first)
        before = live["picture"] if same else data_url(to_picture(tasks.decode(codec, editor.history.first)))
        live["start"] = self._start(codec, editor, before)
        options = self._options(codec, editor, begun.example, extras)
        return Shown(pack(live), self._donor_shown(codec, editor), options, editor, picture)

    def _editor(self, old: Editor | None, begun: Begun) -> Editor:
        """What was edited till now is put away; what was made of the same picture in the same grid comes back."""
        kept = shelf.put(old.shelf, old.key, old.history) if old else ()
        key = Key(self._source(begun.entry), begun.origin, begun.tokens.shape)
        history = shelf.find(kept, key) or History.of(begun.tokens)
        if begun.opened:
            history = history.push(begun.tokens)
        return Editor(old.session + 1 if old else 1, begun.entry, history, begun.original, key, kept)

    def _choice(self, sent: Any, extras: tuple[Entry, ...]) -> tuple[Entry, int, str | None]:
        """What the browser sent is checked, since anybody can send anything."""
        rows = grid_rows(self.studio, extras)
        if not rows:
            raise gr.Error(both("edit_no_codec"), print_exception=False)
        try:
            name, size, example = sent["codec"], sent["size"], sent["example"]
            if type(size) is int and name in rows and (example is None or example in EXAMPLES):
                return rows[name], size, example
        except (TypeError, KeyError):
            pass
        raise gr.Error(both("bad_request"), print_exception=False)

    def _present(self, old: Editor | None) -> Image.Image:
        if old is None:
            raise gr.Error(both("empty"), print_exception=False)
        if old.original is not None:
            return Image.fromarray(old.original)
        return to_picture(tasks.decode(self.studio.load(old.entry.name), old.tokens))

    def _options(self, codec: Codec, editor: Editor, example: str | None, extras: tuple[Entry, ...]) -> dict[str, Any]:
        """What the choices show; see static/edit-source.js."""
        factor, rows = codec.factor or 1, grid_rows(self.studio, extras)
        value = {"codecs": [[e.name, e.title] for e in rows.values()], "codec": editor.entry.name, "example": example}
        h, w = editor.tokens.shape
        return value | {"size": w * factor, "square": h == w, "sizes": tasks.sizes(codec), "factor": factor}

    # What the page shows; see static/edit.js.

    def _live(self, codec: Codec, editor: Editor, request: int) -> dict[str, Any]:
        y = tasks.decode(codec, editor.tokens)
        original = None if editor.original is None else Image.fromarray(editor.original)
        history = editor.history
        value: dict[str, Any] = {"session": editor.session, "revision": editor.revision, "request": request}
        value |= {"picture": data_url(to_picture(y)), "tokens": editor.tokens.tolist()}
        value |= {"undos": history.undos, "redos": history.redos}
        value["psnr"] = None if original is None else finite(tasks.psnr(original, y))
        return value | {"changed": tasks.changed(editor.tokens, history.first)}

    def _start(self, codec: Codec, editor: Editor, before: str) -> dict[str, Any]:
        h, w = editor.tokens.shape
        original = None if editor.original is None else data_url(Image.fromarray(editor.original))
        match = tasks.fit_prior(self.studio.load_prior, codec, editor.entry.name, (h, w))
        prior = {"reason": match.reason, "title": match.title, "grid": match.grid, "tries": tasks.CANDIDATES}
        value = {"session": editor.session, "codec": editor.entry.name, "title": editor.entry.title, "h": h, "w": w}
        value |= {"factor": codec.factor, "codes": codec.codebook_size, "original": original}
        value |= {"restored": editor.history.undos + editor.history.redos > 0, "before": before}
        return value | {"prior": prior}

    def book(self, name: str) -> str:
        """A codec's atlas for the page, packed; visitors of one process who ask at once share one computation."""
        return self._flights.run(name, lambda job: self._books(name))

    def _book(self, name: str) -> str:
        b = tasks.book(self.studio.load(name), (self.studio.statistics(name) or {}).get("counts"))
        value = {"codec": name, "sheet": data_url(b.sheet), "codes": b.codes.tolist(), "columns": b.columns}
        value |= {"colours": b.colours.tobytes().hex(), "nearest": b.nearest.tolist()}
        counts = None if b.counts is None else b.counts.tolist()
        return pack(value | {"counts": counts, "perplexity": b.perplexity, "dead": b.dead})

    # Acting.

    def edit(self, editor: Editor | None, data: Any) -> tuple[Any, Any]:
        """Several edits at once, each a step of its own: {session, request, edits}. All of them, or none."""
        editor, request = self._checked(editor, data)
        edits = data.get("edits")
        if editor is None:
            return gr.skip(), gr.skip()
        if not isinstance(edits, list) or len(edits) > tasks.EDITS:
            raise gr.Error(both("bad_request"), print_exception=False)
        codec = self.studio.load(editor.entry.name)
        context = Context(tasks.codebook(codec), editor.donor, editor.offers)
        history = editor.history
        try:
            tasks.check_nearests(edits, editor.tokens)
            for change in edits:
                history = step(history, change, context)
        except EditError as error:
            raise failure(error) from error
        editor = replace(editor, history=history, revision=editor.revision + 1)
        return pack(self._live(codec, editor, request)), editor

    def resample(self, editor: Editor | None, data: Any) -> tuple[Any, Any]:
        """The prior's completions of the selected cells: {session, request, cells, seed}."""
        editor, request = self._checked(editor, data)
        if editor is None:
            return gr.skip(), gr.skip()
        codec = self.studio.load(editor.entry.name)
        match = tasks.fit_prior(self.studio.load_prior, codec, editor.entry.name, editor.tokens.shape)
        seed = data.get("seed")
        if match.prior is None or type(seed) is not int or not 0 <= seed < SEED:
            raise gr.Error(both("bad_request"), print_exception=False)
        try:
            mask = editing.read_cells(data.get("cells"), editor.tokens)
        except EditError as error:
            raise failure(error) from error
        variants = tasks.variants(match.prior, editor.tokens, mask, seed)
        pictures = tasks.pictures(codec, [variant.tokens for variant in variants])
        items = [{"picture": data_url(p), "bits": v.bits} for p, v in zip(pictures, variants, strict=True)]
        offers = {"session": editor.session, "request": request, "items": items}
        editor = replace(editor, offers=tuple((variant.tokens, mask) for variant in variants))
        return pack(offers), editor

    def surprise(self, editor: Editor | None, data: Any) -> Any:
        """How unexpected each token is to the prior."""
        editor, _ = self._checked(editor, data)
        if editor is None:
            return gr.skip()
        codec = self.studio.load(editor.entry.name)
        match = tasks.fit_prior(self.studio.load_prior, codec, editor.entry.name, editor.tokens.shape)
        if match.prior is None:
            raise gr.Error(both("bad_request"), print_exception=False)
        bits = np.round(tasks.surprisal(match.prior, editor.tokens), 3).tolist()
        return pack({"session": editor.session, "revision": editor.revision, "bits": bits})

    def atlas(self, editor: Editor | None, data: Any) -> Any:
        """The codebook of the codec in use."""
        editor, _ = self._checked(editor, data)
        return gr.skip() if editor is None else self.book(editor.entry.name)

    def save(self, editor: Editor | None, data: Any) -> Any:
        """The tokens as a file for the browser to save."""
        if editor is None:
            return gr.skip()
        request = data.get("request") if isinstance(data, dict) else None
        text = tokenfile.write(editor.tokens, self._source(editor.entry))
        name = f"{editor.entry.name.replace('/', '-')}-{'x'.join(map(str, editor.tokens.shape))}.json"
        return {"text": text, "name": name, "request": request}

    def set_donor(self, editor: Editor | None, second: Image.Image | None, donor: Any) -> tuple[Any, Any]:
        if editor is None:
            return gr.skip(), gr.skip()
        codec = self.studio.load(editor.entry.name)
        editor = replace(editor, donor=self._donor(codec, editor, second, donor))
        return self._donor_shown(codec, editor), editor

    def _donor(self, codec: Codec, editor: Editor, second: Image.Image | None, donor: Any) -> Grid | None:
        """The second picture's tokens in the first one's codec and grid."""
        example = donor.get("example") if isinstance(donor, dict) else None
        if second is None and isinstance(example, str) and example in EXAMPLES:
            second = open_picture(EXAMPLES[example])
        return None if second is None else tasks.donor(codec, second, editor.tokens.shape)

    def _donor_shown(self, codec: Codec, editor: Editor) -> str | None:
        if editor.donor is None:
            return None
        return pack({"picture": data_url(to_picture(tasks.decode(codec, editor.donor)))})

    def _source(self, entry: Entry) -> tokenfile.Source:
        return tasks.source(self.studio.load(entry.name), entry.name, entry.revision)

    def _checked(self, editor: Editor | None, data: Any) -> tuple[Editor | None, int]:
        """The editor that a message speaks of, None if that is gone, and the message's number."""
        if editor is None or not isinstance(data, Mapping) or type(data.get("request")) is not int:
            raise gr.Error(both("bad_request"), print_exception=False)
        return (editor if data.get("session") == editor.session else None), data["request"]


def pack(value: Any) -> str:
    """What goes to the canvas, as text: Gradio copies all of a component's properties at every change."""
    return json.dumps(value, separators=(",", ":"))


def step(history: History, change: Any, context: Context) -> History:
    """One edit, or {"op": "undo"}, {"op": "redo"}, {"op": "reset"}: as it all began. Raises EditError."""
    op = change.get("op") if isinstance(change, dict) else None
    if op == "undo":
        return history.undo()
    if op == "redo":
        return history.redo()
    if op == "reset":
        return history.push(history.first)
    return history.push(editing.apply(history.tokens, change, context))
