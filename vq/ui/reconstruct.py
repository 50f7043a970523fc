"""The Reconstruct tab: a picture through every codec side by side, and the endpoint that does the same.

The page's handlers and the endpoint share nothing but vq.tasks. Pictures travel to the page as data URLs: nothing of a
visitor's results is written to the server's disk.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gradio as gr
import numpy as np
import torch
from gradio.data_classes import FileData
from gradio.processing_utils import save_pil_to_cache
from PIL import Image
from torch import Tensor

from vq import classic
from vq.catalogue import Entry
from vq.codebook import false_colours
from vq.codec import Codec, Encoded, device_of
from vq.image import Fit, contain, fit_square, open_picture
from vq.tasks import reconstruct as tasks
from vq.tasks.common import FITS, SIZES
from vq.tasks.reconstruct import REACH, Handmade, Reconstruction
from vq.ui import checkpoint
from vq.ui.common import (
    COMPUTE,
    PATH,
    PictureInput,
    Result,
    Studio,
    as_sent,
    computes,
    data_url,
    failure,
    panel,
    sentences,
)
from vq.ui.texts import both, t

EXAMPLES = {
    name: Path(__file__).parents[1] / "examples" / f"{name}.jpg"
    for name in ("chelsea", "coffee", "astronaut", "rocket")
}
KNOBS = 8
# In place of a ticket: the visitor has asked for nothing new.
STILL = -1
# Longer side of the whole picture, for the input box where a browser can't show the visitor's file itself (TIFF, say).
WHOLE = 280
# Beside the sizes that match a codec's, these qualities show where JPEG and WebP go with more bytes.
CURVE_QUALITIES = (5, 20, 50)


class Choice(NamedTuple):
    size: int
    fit: Fit
    codecs: list[str]


def read_choice(sent: Any, names: Sequence[str]) -> Choice:
    """What the browser sent is checked, since anybody can send anything."""
    try:
        choice = Choice(sent["size"], sent["fit"], [name for name in names if name in sent["codecs"]])
    except (TypeError, KeyError) as error:
        raise gr.Error(both("bad_request"), print_exception=False) from error
    if type(choice.size) is not int or choice.size not in SIZES or choice.fit not in FITS:
        raise gr.Error(both("bad_request"), print_exception=False)
    return choice


def read_example(sent: Any) -> Image.Image | None:
    """The example chosen in the browser; None if there is none."""
    name = sent.get("chosen") if isinstance(sent, dict) else None
    return open_picture(EXAMPLES[name]) if isinstance(name, str) and name in EXAMPLES else None


def joined(choice: Choice, sent: Mapping[str, Any], extras: tuple[Entry, ...]) -> dict[str, Any]:
    """The options once a visitor's checkpoints have changed: a new one is ticked."""
    known = {name for name, _ in sent.get("extra", [])}
    new = [entry.name for entry in extras if entry.name not in known]
    codecs = [*choice.codecs, *(name for name in new if name not in choice.codecs)]
    extra = [[entry.name, entry.title] for entry in extras]
    return {"size": choice.size, "fit": choice.fit, "codecs": codecs, "extra": extra}


class Source(NamedTuple):
    """Where the picture that was shown last came from: an uploaded file, or an example by its name."""

    path: str | None = None
    example: str | None = None


def source_of(picture: Image.Image | None, example: Any) -> Source:
    if picture is not None:
        return Source(path=picture.info.get(PATH))
    name = example.get("chosen") if isinstance(example, dict) else None
    return Source(example=name if isinstance(name, str) and name in EXAMPLES else None)


@dataclass
class Turn:
    """Number of a visitor's latest request. Work for an earlier one stops at the next codec.

    The one state that is changed in place: a run that is already going has to see it.
    """

    number: int = 0


def build(studio: Studio, page: gr.Blocks) -> None:
    """Lay the tab out and wire it; called inside its gr.Tab."""
    turn, results, source = gr.State(Turn()), gr.State({}), gr.State(Source())
    ticket = gr.Number(0, visible=False)
    with gr.Row(elem_id="vq-reconstruct", equal_height=False):
        with gr.Column(elem_id="vq-source", scale=0, min_width=300):
            picture = PictureInput(
                label=t("picture"), sources=["upload", "clipboard", "webcam"], height=280, elem_id="vq-picture"
            )
            thumbnails = [{"name": name, "url": thumbnail(path)} for name, path in EXAMPLES.items()]
            # A visitor sees results at once; the input stays free for their own picture.
            examples = panel("examples", {"chosen": next(iter(EXAMPLES))}, items=thumbnails)
            start = {"size": SIZES[0], "fit": FITS[0], "codecs": list(studio.codecs), "extra": []}
            titles = [[entry.name, entry.title] for entry in studio.codecs.values()]
            options = panel("options", start, all=titles, sizes=SIZES)
            checkpoint.build(studio)
        with gr.Column(elem_id="vq-results", min_width=320):
            entries = [{"name": e.name, "title": e.title} for e in studio.codecs.values()]
            waiting = idle("running", 0) | {"pending": list(studio.codecs)}
            cards = panel("cards", waiting, all=entries, accepts=studio.accepts)
            knobs = panel("knobs", no_knobs(0), reach=REACH)

    def begin(turn: Turn) -> int:
        turn.number += 1
        return turn.number

    def own(turn: Turn, ticket: float, nothing: None) -> tuple[Any, Any]:
        return (STILL, gr.skip()) if ticket == STILL else (begin(turn), {"chosen": None})

    def clear(turn: Turn, ticket: float) -> int:
        return STILL if ticket == STILL else begin(turn)

    def pick(turn: Turn) -> tuple[int, None]:
        return begin(turn), None

    @computes
    def run(
        turn: Turn, ticket: float, picture: Image.Image | None, example: Any, sent: Any, extras: tuple[Entry, ...]
    ) -> Iterator[tuple[Any, Any, Any, Any]]:
        choice, source = read_choice(sent, list(studio.table(extras))), source_of(picture, example)
        if picture is None:
            picture = read_example(example)
        for shown in show(studio, lambda: turn.number == ticket, int(ticket), picture, choice, extras):
            yield *shown, source if turn.number == ticket else gr.skip()

    def join(sent: Any, extras: tuple[Entry, ...]) -> dict[str, Any]:
        return joined(read_choice(sent, list(studio.table(extras))), sent, extras)

    @computes
    def turn_knob(results: dict[str, Result], data: Any) -> dict[str, Any]:
        return moved(studio, results, data)

    def slide(value: dict[str, Any], results: dict[str, Result], turn: Turn, event: gr.EventData) -> Any:
        # Sliders of an earlier picture must not come back over those of a later one.
        if value.get("revision") != turn.number:
            return gr.skip()
        return value | {"moved": turn_knob(results, event._data)}

    def give_up(
        turn: Turn, ticket: float, shown: dict[str, Any], turned: dict[str, Any], source: Source
    ) -> tuple[Any, Any, Any, Any]:
        if turn.number != ticket:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        # What stands stays, and what it came from is chosen again; what was still to come won't.
        left: dict[str, Any] = {
            "state": "done" if shown.get("cards") else "empty_broken",
            "pending": [],
            "revision": int(ticket),
        }
        path = source.path if source.path and Path(source.path).is_file() else None
        return shown | left, turned | {"revision": int(ticket)}, path, {"chosen": source.example}

    def carry(results: dict[str, Result], event: gr.EventData) -> tuple[Any, Any]:
        data = event._data if isinstance(event._data, dict) else {}
        if data.get("codec") not in results or data.get("to") not in studio.accepts:
            raise gr.Error(both("bad_request"), print_exception=False)
        return results[data["codec"]], gr.Tabs(selected=data["to"])

    # Two steps: the first needs no queue, so it reaches a run in progress, which then makes way for the second.
    quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    starts = [
        page.load(begin, turn, ticket, **quick),
        options.choose(begin, turn, ticket, trigger_mode="multiple", **quick),
        # Opening the camera empties the box, too; only the browser can tell.
        picture.clear(
            clear,
            [turn, ticket],
            ticket,
            trigger_mode="multiple",
            js=f"(turn, ticket) => [turn, VQ.cleared() ? Math.max(ticket, 0) : {STILL}]",
            **quick,
        ),
        picture.input(
            own,
            [turn, ticket, picture],
            [ticket, examples],
            trigger_mode="multiple",
            js=f"(turn, ticket, picture) => [turn, picture ? (VQ.begin(), Math.max(ticket, 0)) : {STILL}, null]",
            **quick,
        ),
        examples.pick(pick, turn, [ticket, picture], trigger_mode="multiple", **quick),
    ]
    # In the queue, or a State's change event would not be seen by the next step.
    arrival = studio.extras.change(
        join, [options, studio.extras], options, show_progress="hidden", api_visibility="private"
    )
    starts.append(arrival.success(begin, turn, ticket, **quick))
    heavy: dict[str, Any] = {"concurrency_id": COMPUTE, "show_progress": "hidden", "api_visibility": "private"}
    for start in starts:
        work = start.success(
            run,
            [turn, ticket, picture, examples, options, studio.extras],
            [cards, knobs, results, source],
            trigger_mode="multiple",
            # The cards read their place in the queue from Gradio's own progress line, which reconstruct.css hides.
            **heavy | {"show_progress": "minimal", "show_progress_on": cards},
        )
        # A file that can't be read fails before `run` begins, when the run before it has already made way.
        work.failure(
            give_up,
            [turn, ticket, cards, knobs, source],
            [cards, knobs, picture, examples],
            trigger_mode="multiple",
            **quick,
        )
    knobs.slide(slide, [knobs, results, turn], knobs, trigger_mode="always_last", **heavy)
    # In the queue, or a State's change event would not reach the tab that waits for it.
    cards.carry(carry, results, [studio.carried, studio.tabs], show_progress="hidden", api_visibility="private")
    endpoint(studio)


def show(
    studio: Studio,
    current: Callable[[], bool],
    revision: int,
    picture: Image.Image | None,
    choice: Choice,
    extras: tuple[Entry, ...] = (),
) -> Iterator[tuple[Any, Any, Any]]:
    """Values of (cards, knobs, results) as they become ready; ends early once `current()` is false.

    The knobs come last: Gradio sends what changes between two values and applies it in place, so that a skip after a
    value takes away what the page may not have read yet.
    extras: rows that the visitor has besides the page's.
    """
    rows = studio.table(extras)
    if not current():
        yield gr.skip(), gr.skip(), gr.skip()
        return
    if picture is None or not choice.codecs:
        yield idle("empty" if picture is None else "empty_codecs", revision), no_knobs(revision), {}
        return
    value: dict[str, Any] = idle("running", revision) | {"pending": list(choice.codecs)}
    value["extra"] = [{"name": e.name, "title": e.title} for e in extras]
    results: dict[str, Result] = {}
    done: list[Reconstruction] = []
    originals: dict[str, str] = {}
    yield value, gr.skip(), gr.skip()
    for name in choice.codecs:
        if not current():
            return
        entry = rows[name]
        try:
            codec = studio.load(name)
            r = tasks.reconstruct_one(codec, name, picture, choice.size, choice.fit)
        except ValueError as error:
            card = {"name": name, "family": entry.family, "title": entry.title, "error": sentences(error)}
        else:
            card = describe(r, codec, entry, studio.statistics(name))
            done.append(r)
            results = results | {name: carry_of(r)}
            if str(r.original.width) not in originals:
                originals = originals | {str(r.original.width): data_url(r.original)}
        value = value | {
            "cards": [*value["cards"], card],
            "pending": value["pending"][1:],
            "originals": originals,
        }
        yield value, gr.skip(), results
    handmade, curve = compare(done, current)
    if current():
        knobs = knob_values(studio, done, revision, rows)
        last = {"handmade": handmade, "curve": curve, "state": "done", "whole": data_url(contain(picture, WHOLE))}
        yield value | last, knobs, gr.skip()


def idle(state: str, revision: int) -> dict[str, Any]:
    """What the cards show; see static/cards.js."""
    empty: dict[str, Any] = {"pending": [], "extra": [], "cards": [], "originals": {}, "handmade": [], "curve": []}
    return {"state": state, "revision": revision, "whole": None} | empty


def describe(r: Reconstruction, codec: Codec, entry: Entry, statistics: Mapping[str, Tensor] | None) -> dict[str, Any]:
    """A reconstruction as one card."""
    family = entry.family if entry.repo is None else "public"
    card = {"name": r.codec, "family": family, "title": entry.title, "size": r.picture.width}
    card |= {"picture": data_url(r.picture), "latent_shape": r.latent_shape, "bytes": r.bytes, "ms": r.ms}
    card |= {"bits_per_pixel": r.bits_per_pixel, "psnr": finite(r.psnr), "ssim": finite(r.ssim)}
    if r.encoded.tokens is not None and codec.codebook is not None:
        return card | describe_tokens(r.encoded.tokens[0].cpu(), codec.codebook)
    return card | describe_vector(r.encoded, statistics)


def describe_tokens(tokens_hw: Tensor, codebook_KD: Tensor) -> dict[str, Any]:
    """The token map as a picture of one pixel a cell, and the codes in use, most used first, in the same colours."""
    from vq.metrics import code_counts, perplexity

    colours = false_colours(codebook_KD)
    counts = code_counts(tokens_hw, len(colours))
    order = counts.argsort(descending=True, stable=True)[: int((counts > 0).sum())]
    return {
        "map": data_url(Image.fromarray(colours[tokens_hw].numpy())),
        "tokens": tokens_hw.tolist(),
        "codebook_size": len(colours),
        "what": [f"{len(colours):,}"],
        "usage": {
            "counts": counts[order].tolist(),
            "colours": [bytes(c.tolist()).hex() for c in colours[order]],
            "perplexity": perplexity(counts),
        },
    }


def describe_vector(encoded: Encoded, statistics: Mapping[str, Tensor] | None) -> dict[str, Any]:
    """The latent's numbers; in standard deviations along the principal directions where these are known."""
    z = encoded.z.flatten(1).cpu()
    scaled = statistics is not None and z.shape[1] == len(statistics["std"])
    values = tasks.positions(z, statistics, z.shape[1]) if scaled and statistics is not None else z[0]
    return {"what": [z.shape[1]], "latent": {"values": [round(v, 3) for v in values.tolist()], "scaled": scaled}}


def compare(
    done: Sequence[Reconstruction], current: Callable[[], bool]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """JPEG and WebP: cards at the size of each reconstruction, and points of their rate curves."""
    cards: list[dict[str, Any]] = []
    known: dict[tuple[str, int, int], Handmade] = {}  # AE's and VAE's latents have one size
    for r in done:
        for format in classic.FORMATS:
            if not current():
                return [], []
            key = (format, r.original.width, r.bytes)
            if key not in known:
                known[key] = tasks.handmade(r.original, format, r.bytes)
            cards.append(handmade_card(known[key], r))
    largest = max((r.original for r in done), key=lambda p: p.width, default=None)
    points = [
        tasks.judged(largest, classic.compress(largest, format, quality))
        for format in classic.FORMATS
        for quality in CURVE_QUALITIES
        if largest is not None and current()
    ]
    return cards, [
        {"family": p.compressed.format.lower(), "size": p.compressed.picture.width, "psnr": finite(p.psnr)}
        | {"bits_per_pixel": p.bits_per_pixel}
        for p in points
    ]


def handmade_card(h: Handmade, r: Reconstruction) -> dict[str, Any]:
    format, quality, size, picture = h.compressed
    title = {"JPEG": "JPEG", "WEBP": "WebP"}[format]
    card = {"name": format.lower(), "family": format.lower(), "title": title, "target": r.codec, "size": picture.width}
    card |= {"picture": data_url(picture), "bytes": size, "quality": quality, "bits_per_pixel": h.bits_per_pixel}
    return card | {"psnr": finite(h.psnr), "ssim": finite(h.ssim)}


def no_knobs(revision: int) -> dict[str, Any]:
    """What the sliders show; see static/knobs.js."""
    return {"revision": revision, "codecs": [], "moved": None}


def knob_values(
    studio: Studio, done: Sequence[Reconstruction], revision: int, rows: Mapping[str, Entry]
) -> dict[str, Any]:
    """One set of sliders for every vector codec, each slider at the picture's own position."""
    codecs: list[dict[str, Any]] = []
    for r in done:
        if len(r.latent_shape) != 1:
            continue
        statistics, entry = studio.statistics(r.codec), rows[r.codec]
        here = None if statistics is None else tasks.positions(r.encoded.z.cpu(), statistics, KNOBS).tolist()
        codecs.append({"name": r.codec, "title": entry.title, "picture": data_url(r.picture), "positions": here})
        codecs[-1] |= {"size": r.picture.width}
    return no_knobs(revision) | {"codecs": codecs}


def moved(studio: Studio, results: Mapping[str, Result], data: Any) -> dict[str, Any]:
    """The picture after a slider moved. `data` comes from the browser: {codec, positions, request}."""
    try:
        name, target = data["codec"], [None if v is None else float(v) for v in data["positions"]]
        result, statistics = results[name], studio.statistics(name)
        if statistics is None or len(target) != KNOBS:
            raise ValueError("positions")
        codec = studio.load(name)
        z = torch.from_numpy(result.z).to(device_of(codec))
        picture = tasks.move(codec, z, statistics, target)
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise gr.Error(both("bad_request"), print_exception=False) from error
    return {"name": name, "picture": data_url(picture), "request": data.get("request")}


def endpoint(studio: Studio) -> None:
    """The stateless /reconstruct, with components of its own that the page doesn't show."""
    names = list(studio.codecs)
    picture = PictureInput(label="picture: any file Pillow reads", visible=False)
    codecs = as_sent(gr.CheckboxGroup(names, value=names, label="codecs: names of the codecs", visible=False))
    # Not a Radio: Gradio describes its numbers to clients as text.
    size = as_sent(gr.Number(SIZES[0], precision=0, label="size: side in pixels for grid codecs", visible=False))
    fit = as_sent(gr.Radio(list(FITS), value=FITS[0], label="fit: crop to the centre square, or pad", visible=False))
    out = gr.JSON(label="one result a codec", visible=False)

    @computes
    def reconstruct(
        picture: Image.Image, codecs: list[str], size: int = 64, fit: Literal["crop", "pad"] = "crop"
    ) -> list[dict[str, Any]]:
        """Send a picture through image codecs and get back what each of them kept.

        Args:
            picture: any image; it is cropped or padded to a square.
            codecs: names of the codecs, for example ["ae", "vae", "vqvae", "vqgan"].
            size: side in pixels for grid codecs (64, 128, 256 or 512); vector codecs use their own.
            fit: "crop" takes the centre square, "pad" fits the whole picture on grey.

        Returns:
            for each codec: codec, picture, psnr (dB; null: lossless), ssim, latent_shape, bits_per_pixel, bytes, ms
        """
        if picture is None:
            raise gr.Error(both("unreadable"), print_exception=False)
        try:
            chosen = asked(codecs, names)
            return [row(r, out) for r in tasks.reconstruct(studio.load, picture, chosen, size, fit)]
        except ValueError as error:
            raise failure(error) from error

    gr.Button(visible=False).click(
        reconstruct, [picture, codecs, size, fit], out, api_name="reconstruct", concurrency_id=COMPUTE
    )


def asked(codecs: Any, names: Sequence[str]) -> list[str]:
    """The codecs that a client asked for, each once. Raises ValueError for anything but a list of known names."""
    if not isinstance(codecs, list) or not all(isinstance(name, str) and name in names for name in codecs):
        raise ValueError(f"codecs: expected a list with any of {', '.join(names)}, got {str(codecs)[:100]}")
    return list(dict.fromkeys(codecs))


def row(r: Reconstruction, out: gr.JSON) -> dict[str, Any]:
    """A result of /reconstruct. The picture is Gradio's own record of a file, which its clients download."""
    path = save_pil_to_cache(r.picture, cache_dir=out.GRADIO_CACHE, name=r.codec, format="png")
    figures: dict[str, Any] = {"psnr": finite(r.psnr), "ssim": finite(r.ssim), "latent_shape": list(r.latent_shape)}
    figures |= {"bits_per_pixel": r.bits_per_pixel, "bytes": r.bytes, "ms": round(r.ms, 2)}
    # The address is for MCP clients; the server puts its own in front.
    file = FileData(path=path, url=f"/gradio_api/file={path}", orig_name=f"{r.codec}.png", mime_type="image/png")
    return {"codec": r.codec, "picture": file.model_dump()} | figures


def thumbnail(path: Path) -> str:
    return data_url(fit_square(open_picture(path), 120, "crop"))


def finite(value: float) -> float | None:
    """JSON has no infinity: None stands for it."""
    return value if math.isfinite(value) else None


def carry_of(r: Reconstruction) -> Result:
    """What a visitor can take to another tab."""
    tokens = None if r.encoded.tokens is None else r.encoded.tokens[0].cpu().numpy()
    return Result(r.codec, np.asarray(r.original), np.asarray(r.picture), r.encoded.z.cpu().numpy(), tokens)
