"""The Interpolate tab: from one picture to another along every path a codec has, or a grid between four pictures.

All frames are computed first and travel to the page as data URLs; scrubbing then needs no server. Every row travels
once, as text: Gradio copies all other properties of a component whenever one changes. What a visitor brings stands in
four slots, of which paths use the first two.
"""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import takewhile
from typing import Any, NamedTuple

import gradio as gr
from gradio.data_classes import FileData
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

from vq.catalogue import Entry
from vq.codec import Codec
from vq.tasks import interpolate as tasks
from vq.tasks.common import SIZES
from vq.tasks.interpolate import FRAMES, PATHS, SEEDS, SIDES, AnimationFormat, End, Frame
from vq.ui import slots as places
from vq.ui.common import (
    COMPUTE,
    PictureInput,
    Result,
    Studio,
    channel,
    computes,
    data_url,
    failure,
    panel,
    png,
    sentences,
)
from vq.ui.limits import present
from vq.ui.reconstruct import EXAMPLES, Turn, thumbnail
from vq.ui.slots import Slots
from vq.ui.texts import both, t

MODES = ("paths", "corners")
FORMATS: dict[str, AnimationFormat] = {"webp": "WEBP", "gif": "GIF"}
# Seconds between two reports of progress.
BEAT = 0.3


@dataclass(frozen=True, eq=False)
class Films:
    """The frames of every row as PNG files, by path: what an animation is made from."""

    revision: int
    frames: Mapping[str, tuple[bytes, ...]]


class Choice(NamedTuple):
    mode: str
    codec: str
    frames: int
    side: int
    size: int
    seed: int


Extras = tuple[Entry, ...]


class Shown(NamedTuple):
    """What the components of the tab get; those not named stay as they are. row: the text of one more, by its name."""

    paths: Any = gr.skip()
    corners: Any = gr.skip()
    films: Any = gr.skip()
    row: tuple[str, str] | None = None

    def outputs(self) -> tuple[Any, ...]:
        name, text = self.row or (None, None)
        return *self[:3], *(text if path == name else gr.skip() for path in PATHS)


def build(studio: Studio, page: gr.Blocks) -> None:
    """Lay the tab out and wire it; called inside its gr.Tab."""
    turn, slots, films = gr.State(Turn()), gr.State(None), gr.State(None)
    ticket = gr.Number(0, visible=False)
    with gr.Row(elem_id="vq-interpolate", equal_height=False):
        with gr.Column(elem_id="vq-interpolate-source", scale=0, min_width=300):
            examples = [{"name": name, "url": thumbnail(path)} for name, path in EXAMPLES.items()]
            filled = {"chosen": 0, "tiles": [example | {"codec": None} for example in examples]}
            tiles = panel("interpolate-slots", filled, items=examples)
            picture = PictureInput(
                label=t("picture"),
                sources=["upload", "clipboard", "webcam"],
                height=190,
                elem_id="vq-interpolate-picture",
            )
            limits = {"modes": MODES, "frames": FRAMES, "sides": SIDES, "sizes": SIZES, "seeds": SEEDS}
            first = offered(first_choice(studio.codecs), studio.codecs)
            options = panel("interpolate-options", first, **limits)
        with gr.Column(elem_id="vq-interpolate-results", min_width=320):
            paths = panel("interpolate-paths", no_paths("waiting", 0), names=list(PATHS))
            rows = [channel(f"interpolate-row-{name}") for name in PATHS]
            corners = panel("interpolate-corners", no_corners(0))
            file = panel("interpolate-file", None)

    def begin(turn: Turn) -> int:
        turn.number += 1
        return turn.number

    def answer(turn: Turn, slots: Slots, chosen: int) -> tuple[int, Slots, dict[str, Any]]:
        return begin(turn), slots, places.shown(slots, chosen)

    def own(turn: Turn, slots: Slots | None, shown: Any, picture: Image.Image | None) -> tuple[Any, ...]:
        if picture is None:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        at = places.read_chosen(shown)
        return *answer(turn, places.put(slots, at, places.own(picture)), at), None

    def pick(turn: Turn, slots: Slots | None, shown: Any, event: gr.EventData) -> tuple[Any, ...]:
        at = places.read_chosen(shown)
        return answer(turn, places.put(slots, at, places.read_example(event._data)), at)

    def exchange(turn: Turn, slots: Slots | None, shown: Any) -> tuple[Any, ...]:
        a, b, *rest = slots or places.defaults()
        return answer(turn, (b, a, *rest), places.read_chosen(shown))

    def take(
        turn: Turn, slots: Slots | None, shown: Any, sent: Any, extras: Extras, result: Result | None
    ) -> tuple[Any, ...]:
        rows = studio.table(extras)
        if result is None or result.codec not in rows:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        at = places.read_chosen(shown)
        slots = places.put(slots, at, places.carried(result, rows[result.codec].title))
        # The next one that is carried here becomes the other end.
        return *answer(turn, slots, {0: 1, 1: 0}.get(at, at)), suited(read_choice(sent, rows), result, rows)

    def join(sent: Any, extras: Extras) -> dict[str, Any]:
        rows = studio.table(extras)
        if isinstance(sent, dict) and sent.get("codec") not in list(rows):  # a checkpoint that made way for another
            sent = sent | {"codec": first_choice(rows).codec}
        return offered(read_choice(sent, rows), rows)

    @computes
    def run(turn: Turn, ticket: float, slots: Slots | None, sent: Any, extras: Extras) -> Iterator[tuple[Any, ...]]:
        choice = read_choice(sent, studio.table(extras))
        for shown in show(studio, lambda: turn.number == ticket, int(ticket), slots or places.defaults(), choice):
            yield shown.outputs()

    def save(films: Films | None, event: gr.EventData) -> dict[str, Any]:
        return saved(films, event._data)

    # Two steps, as in the Reconstruct tab: the first reaches a run in progress, which then makes way for the second.
    quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    burst: dict[str, Any] = {"trigger_mode": "multiple"} | quick
    # In the queue: Gradio says nothing of what fails outside.
    shown = [ticket, slots, tiles, picture]
    entered = picture.input(own, [turn, slots, tiles, picture], shown, **burst | {"queue": True})
    entered.failure(lambda: None, None, picture, **quick)  # a file that can't be read stays in no box
    starts = [
        tiles.open(begin, turn, ticket, **quick),
        tiles.pick(pick, [turn, slots, tiles], [ticket, slots, tiles], **burst),
        tiles.exchange(exchange, [turn, slots, tiles], [ticket, slots, tiles], **burst),
        tiles.take(
            take,
            [turn, slots, tiles, options, studio.extras, studio.carried],
            [ticket, slots, tiles, options],
            **burst,
        ),
        entered,
        options.choose(begin, turn, ticket, **burst),
    ]
    heavy: dict[str, Any] = {"concurrency_id": COMPUTE, "show_progress": "hidden", "api_visibility": "private"}
    for event in starts:
        event.success(
            run,
            [turn, ticket, slots, options, studio.extras],
            [paths, corners, films, *rows],
            trigger_mode="multiple",
            **heavy,
        )
    studio.extras.change(join, [options, studio.extras], options, show_progress="hidden", api_visibility="private")
    paths.save(save, films, file, **heavy)
    # Only the browser knows which tab came to the front: interpolate-slots.js asks to `take` if it is this one.
    studio.carried.change(
        None, js="() => { VQ.carried = performance.now(); window.dispatchEvent(new Event('vq-carried')); }"
    )
    endpoint(studio)


def first_choice(rows: Mapping[str, Entry]) -> Choice:
    """What the options show first: a codec with tokens has the most paths."""
    codec = next((e.name for e in rows.values() if has_tokens(e)), next(iter(rows)))
    return Choice(MODES[0], codec, 9, 5, SIZES[0], 0)


def has_tokens(entry: Entry) -> bool:
    return entry.family in ("vqvae", "vqgan")


def offered(choice: Choice, rows: Mapping[str, Entry]) -> dict[str, Any]:
    """The options as static/interpolate-options.js shows them: the choice, and for every codec what it depends on."""
    # Ours with a vector latent have one size; from the Hub come grids only.
    codecs = [
        {"name": e.name, "title": e.title, "sized": has_tokens(e) or e.repo is not None, "tokens": has_tokens(e)}
        for e in rows.values()
    ]
    return choice._asdict() | {"codecs": codecs}


def read_choice(sent: Any, rows: Mapping[str, Entry]) -> Choice:
    """What the browser sent is checked, since anybody can send anything."""
    try:
        choice = Choice(**{name: sent[name] for name in Choice._fields})
        numbers = [choice.frames, choice.side, choice.size, choice.seed]
        ranges = [FRAMES, SIDES, (SIZES[0], SIZES[-1]), (0, SEEDS - 1)]
        right = all(type(n) is int and low <= n <= high for n, (low, high) in zip(numbers, ranges, strict=True))
        if right and choice.mode in MODES and choice.codec in rows and choice.size in SIZES:
            return choice
    except (TypeError, KeyError):
        pass
    raise gr.Error(both("bad_request"), print_exception=False)


def suited(choice: Choice, result: Result, rows: Mapping[str, Entry]) -> dict[str, Any]:
    """The options with which a carried latent is used as it is."""
    side = len(result.picture)
    fits = result.z.ndim == 4 and side in SIZES
    return offered(choice._replace(codec=result.codec, size=side if fits else choice.size), rows)


def show(studio: Studio, current: Callable[[], bool], revision: int, slots: Slots, choice: Choice) -> Iterator[Shown]:
    """What is ready, as it becomes so; ends early once `current()` is false."""
    yield Shown()
    if not current():
        return
    try:
        yield Shown(no_paths("running", revision) | {"mode": choice.mode})
        codec = studio.load(choice.codec)
        count = 2 if choice.mode == "paths" else 4
        ends = [places.end_of(codec, choice.codec, slot, choice.size) for slot in slots[:count]]
        make = show_paths if choice.mode == "paths" else show_corners
        yield from make(codec, current, no_paths("running", revision) | {"mode": choice.mode}, ends, choice)
    except ValueError as error:
        yield Shown(no_paths("failed", revision) | {"error": sentences(error)}, no_corners(revision), None)


def show_paths(
    codec: Codec, current: Callable[[], bool], value: dict[str, Any], ends: Sequence[End], choice: Choice
) -> Iterator[Shown]:
    names, (a, b), revision = tasks.paths_of(codec), ends, value["revision"]
    films: dict[str, tuple[bytes, ...]] = {}
    beat = Beat(len(names) * choice.frames)
    for name in names:
        frames: list[Frame] = []
        for frame in tasks.interpolate(codec, a, b, name, choice.frames, choice.seed):
            frames.append(frame)
            if not current():
                return
            if beat():
                yield Shown(value | {"progress": beat.progress})
        films = films | {name: tuple(png(frame.picture) for frame in frames)}
        value = value | {"rows": [*value["rows"], name], "progress": beat.progress}
        text = json.dumps({"revision": revision} | row(name, frames, films[name]))
        yield Shown(value, films=Films(revision, films), row=(name, text))
    yield Shown(value | {"state": "done"}, no_corners(revision), Films(revision, films))


def show_corners(
    codec: Codec, current: Callable[[], bool], value: dict[str, Any], ends: Sequence[End], choice: Choice
) -> Iterator[Shown]:
    beat, urls = Beat(choice.side**2), []
    for frame in tasks.corners(codec, ends, choice.side, choice.seed):
        urls.append(data_url(frame.picture))
        if not current():
            return
        if beat():
            yield Shown(value | {"progress": beat.progress})
    grid = {
        "side": choice.side,
        "frames": urls,
        "size": ends[0].picture.width,
        "tokens": codec.codebook_size is not None,
    }
    yield Shown(value | {"state": "done"}, no_corners(value["revision"]) | grid, None)


class Beat:
    """Counts frames, and says at most every BEAT seconds that it is time to report."""

    def __init__(self, total: int):
        self.progress, self._last = [0, total], time.monotonic()

    def __call__(self) -> bool:
        self.progress = [self.progress[0] + 1, self.progress[1]]
        due = time.monotonic() - self._last > BEAT
        self._last = time.monotonic() if due else self._last
        return due


def no_paths(state: str, revision: int) -> dict[str, Any]:
    """What the rows show; see static/interpolate-paths.js."""
    return {"state": state, "revision": revision, "mode": MODES[0], "progress": None, "rows": [], "error": None}


def no_corners(revision: int) -> dict[str, Any]:
    """What the grid shows; see static/interpolate-corners.js."""
    return {"revision": revision, "side": 0, "size": 0, "tokens": False, "frames": []}


def row(name: str, frames: Sequence[Frame], files: Sequence[bytes]) -> dict[str, Any]:
    urls = [f"data:image/png;base64,{base64.b64encode(file).decode()}" for file in files]
    return {"name": name, "size": frames[0].picture.width, "frames": urls} | figures(frames)


def figures(frames: Sequence[Frame]) -> dict[str, Any]:
    return {
        "distances": [round(d, 3) for d in tasks.distances(frames)],
        "tokens_changed": tasks.tokens_changed(frames),
    }


def saved(films: Films | None, data: Any) -> dict[str, Any]:
    """An animation for the browser to save. `data` comes from it: {film, revision, format, request}."""
    try:
        if films is None or films.revision != data["revision"]:  # never what isn't on the page any more
            raise gr.Error(both("working"), print_exception=False)
        files, format = films.frames[data["film"]], FORMATS[data["format"]]
    except (TypeError, KeyError) as error:
        raise gr.Error(both("bad_request"), print_exception=False) from error
    body = tasks.animation([Image.open(BytesIO(file)) for file in files], format)
    url = f"data:image/{data['format']};base64,{base64.b64encode(body).decode()}"
    return {"url": url, "name": f"{data['film']}-{len(files)}.{data['format']}", "request": data.get("request")}


def endpoint(studio: Studio) -> None:
    """The stateless /interpolate, with components of its own that the page doesn't show."""
    names, paths = list(studio.codecs), list(PATHS)
    a = PictureInput(label="a: any file Pillow reads", visible=False)
    b = PictureInput(label="b: any file Pillow reads", visible=False)
    codec = gr.Radio(names, value=names[0], label="codec: its name", visible=False)
    path = gr.Radio(paths, value=paths[0], label="path: its name", visible=False)
    frames = gr.Number(9, precision=0, label="frames: 3 to 33", visible=False)
    seed = gr.Number(0, precision=0, label="seed: of the random order", visible=False)
    # Not a Radio: Gradio describes its numbers to clients as text.
    size = gr.Number(SIZES[0], precision=0, label="size: side in pixels for grid codecs", visible=False)
    out = gr.JSON(label="frames and figures", visible=False)

    @computes
    def interpolate(
        a: Image.Image, b: Image.Image, codec: str, path: str = "pixel", frames: int = 9, seed: int = 0, size: int = 64
    ) -> dict[str, Any]:
        """Walk from one picture to another inside an image codec.

        Args:
            a: any image; its centre square is taken.
            b: any image; its centre square is taken.
            codec: name of the codec: "ae", "vae", "vqvae" or "vqgan".
            path: "pixel" for every codec; "lerp", "slerp" for ae and vae; others for vqvae and vqgan.
            frames: how many, 3 to 33. The first and the last are the plain reconstructions of a and b.
            seed: decides the order of the path "random"; 0 to 4294967295.
            size: side in pixels for grid codecs (64, 128, 256 or 512); vector codecs use their own.

        Returns:
            frames (PNG files), distances and tokens_changed (null without tokens) between neighbouring frames
        """
        if a is None or b is None:
            raise gr.Error(both("unreadable"), print_exception=False)
        try:
            model = studio.load(codec)
            first, last = tasks.end_of(model, a, size), tasks.end_of(model, b, size)
            frames_of = tasks.interpolate(model, first, last, path, frames, seed)
            done = list(takewhile(lambda _: present(), frames_of))
        except ValueError as error:
            raise failure(error) from error
        return {"frames": [stored(frame.picture, i, out) for i, frame in enumerate(done)]} | figures(done)

    gr.Button(visible=False).click(
        interpolate, [a, b, codec, path, frames, seed, size], out, api_name="interpolate", concurrency_id=COMPUTE
    )


def stored(picture: Image.Image, number: int, out: gr.JSON) -> dict[str, Any]:
    """Gradio's own record of a file, which its clients download."""
    path = save_pil_to_cache(picture, cache_dir=out.GRADIO_CACHE, name=f"frame-{number:02}", format="png")
    # The address is for MCP clients; the server puts its own in front.
    file = FileData(
        path=path, url=f"/gradio_api/file={path}", orig_name=f"frame-{number:02}.png", mime_type="image/png"
    )
    return file.model_dump()
