"""The Sample tab: pictures that come into being token by token, and the endpoints /sample and /complete.

Pictures travel to the page as data URLs: nothing of a visitor's results is written to the server's disk.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import gradio as gr
import numpy as np
from gradio.data_classes import FileData
from gradio.processing_utils import save_pil_to_cache
from PIL import Image
from torch import Tensor

from vq.codebook import false_colours
from vq.tasks import sample as tasks
from vq.tasks.sample import MAX_PICTURES, MODELS, SEEDS, TOKEN_MODELS, Frame, Settings
from vq.ui.common import COMPUTE, Result, Studio, channel, computes, data_url, failure, panel, sentences
from vq.ui.limits import present
from vq.ui.reconstruct import Turn
from vq.ui.texts import both

if TYPE_CHECKING:  # what it imports takes seconds
    from vq.prior import Prior

# Values of (pictures, results).
Shown = tuple[Any, Any]


@dataclass
class Run(Turn):
    """As a Turn; runs up to number `stopped` end where they are, and what stands stays."""

    stopped: int = 0

    def wants(self, number: int) -> bool:
        return self.number == number > self.stopped


def build(studio: Studio, page: gr.Blocks) -> None:
    """Lay the tab out and wire it; called inside its gr.Tab."""
    turn, results = gr.State(Run()), gr.State(())
    ticket = gr.JSON(visible=False)  # the number of a run, and what to draw
    with gr.Row(elem_id="vq-sample", equal_height=False):
        with gr.Column(elem_id="vq-sample-source", scale=0, min_width=300):
            models = [{"name": name, "tokens": not model.gaussian} for name, model in MODELS.items()]
            options = panel(
                "sample-options", {}, models=models, most=MAX_PICTURES, seeds=SEEDS, start=asdict(Settings())
            )
            known = channel("sample-known")
        with gr.Column(elem_id="vq-sample-results", min_width=320):
            pictures = panel("sample-pictures", blank("idle", 0), accepts=studio.accepts)

    def begin(turn: Run, event: gr.EventData) -> dict[str, Any]:
        turn.number += 1
        return {"number": turn.number, "sent": event._data}

    def stop(turn: Run) -> None:
        turn.stopped = turn.number

    @computes
    def run(turn: Run, ticket: Any) -> Iterator[Shown]:
        if not isinstance(ticket, dict) or not isinstance(ticket.get("number"), int):
            raise gr.Error(both("bad_request"), print_exception=False)
        yield from show(studio, turn, ticket["number"], ticket.get("sent"))

    def look(event: gr.EventData) -> dict[str, Any]:
        return about(studio, event._data)

    def carry(results: Sequence[Result], event: gr.EventData) -> tuple[Any, Any]:
        return carried(studio, results, event._data)

    # Two steps: the first needs no queue, so it reaches a run in progress, which then makes way for the second.
    quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    heavy: dict[str, Any] = {"concurrency_id": COMPUTE, "show_progress": "hidden", "api_visibility": "private"}
    start = options.draw(begin, turn, ticket, trigger_mode="multiple", **quick)
    start.success(run, [turn, ticket], [pictures, results], trigger_mode="multiple", **heavy)
    pictures.stop(stop, turn, None, trigger_mode="multiple", **quick)
    options.look(look, None, known, trigger_mode="always_last", **heavy)
    # In the queue, or a State's change event would not reach the tab that waits for it.
    pictures.carry(carry, results, [studio.carried, studio.tabs], show_progress="hidden", api_visibility="private")
    endpoints(studio)


def about(studio: Studio, sent: Any) -> dict[str, Any]:
    """What the options show of a model: its defaults, or why it can't be used."""
    name = sent.get("model") if isinstance(sent, dict) else None
    try:
        model = tasks.model_of(name)
        defaults = Settings(cast(str, name)).resolved(studio.load_prior(model.prior, model.codec))
    except ValueError as error:
        return {"model": name, "error": sentences(error)}
    return {"model": name, "defaults": {k: v for k, v in asdict(defaults).items() if v is not None}}


def show(studio: Studio, turn: Run, number: int, sent: Any) -> Iterator[Shown]:
    """Values of (pictures, results) as they become ready. `sent`: fields of Settings, or {"line": settings line}."""

    def wanted() -> bool:
        return turn.wants(number) and present()

    yield gr.skip(), gr.skip()
    if not wanted():
        return
    try:
        settings, revision = read_request(sent)
        value = blank("running", number) | {"model": settings.model, "n": settings.n, "seed": settings.seed}
        if revision is not None:
            value |= {"adopt": asdict(settings)}
        yield value, ()
        frame = None
        for frame in tasks.stream(studio.load, studio.load_prior, settings, wanted=wanted):
            value = value | progress(frame)
            yield value, gr.skip()
        if turn.number != number:
            return
        if frame is None or not frame.complete:
            yield value | {"state": "stopped"}, ()
            return
        yield value | finished(studio, settings, frame, revision), results_of(settings, frame)
    except ValueError as error:
        yield blank("failed", number) | {"error": sentences(error)}, ()


def read_request(sent: Any) -> tuple[Settings, str | None]:
    """What to draw; and for a settings line, the revision in it. Raises ValueError."""
    if isinstance(sent, dict) and "line" in sent:
        return tasks.read_line(sent["line"])
    return tasks.settings_of(sent), None


def blank(state: str, revision: int) -> dict[str, Any]:
    """What the pictures show; see static/sample-pictures.js."""
    empty: dict[str, Any] = {"pictures": [], "grid": None, "drawn": 0, "positions": 0, "rate": None, "line": None}
    return {"state": state, "revision": revision, "details": None, "error": None} | empty


def progress(frame: Frame) -> dict[str, Any]:
    grid = None if frame.tokens is None else list(frame.tokens.shape[1:])
    figures = {"drawn": frame.drawn, "positions": frame.positions, "rate": frame.rate}
    return {"pictures": [data_url(picture) for picture in frame.pictures], "grid": grid} | figures


def finished(studio: Studio, settings: Settings, frame: Frame, revision: str | None) -> dict[str, Any]:
    """What is known once the pictures stand: the settings line, and the maps of each."""
    model = MODELS[settings.model]
    prior, codec = studio.load_prior(model.prior, model.codec), studio.load(model.codec)
    line, here = described(studio, settings)
    value = {"state": "done", "line": line, "other": [revision, here] if revision not in (None, here) else None}
    if frame.tokens is None:
        return value | {"details": {"numbers": frame.z.shape[1]}}
    return value | {
        "details": maps(frame.tokens, cast("Prior", prior).surprisal(frame.tokens), cast(Tensor, codec.codebook))
    }


def described(studio: Studio, settings: Settings) -> tuple[str, str]:
    """The settings line, and the revision in it."""
    model = MODELS[settings.model]
    prior = studio.load_prior(model.prior, model.codec)
    revision = tasks.revision_of(studio.load(model.codec), prior)
    return tasks.line_of(settings.resolved(prior), revision), revision


def maps(tokens_nhw: Tensor, nats_nhw: Tensor, codebook_KD: Tensor) -> dict[str, Any]:
    """Each picture's token map, one pixel a cell, its tokens, and their surprisal, of which log K is a blind guess."""
    colours = false_colours(codebook_KD)
    return {
        "maps": [data_url(Image.fromarray(colours[tokens_hw].numpy())) for tokens_hw in tokens_nhw],
        "tokens": tokens_nhw.tolist(),
        "nats": [[[round(v, 2) for v in row] for row in rows] for rows in nats_nhw.tolist()],
        "guess": math.log(len(colours)),
    }


def results_of(settings: Settings, frame: Frame) -> tuple[Result, ...]:
    """What a visitor can take to another tab: a new picture is its own original."""
    codec = MODELS[settings.model].codec
    rows = frame.tokens if frame.tokens is not None else [None] * len(frame.pictures)
    return tuple(
        Result(codec, np.asarray(picture), np.asarray(picture), z.numpy(), None if tokens is None else tokens.numpy())
        for picture, z, tokens in zip(frame.pictures, frame.z.split(1), rows, strict=True)
    )


def carried(studio: Studio, results: Sequence[Result], data: Any) -> tuple[Any, Any]:
    """Values of (carried, tabs). `data` comes from the browser: {index, to}."""
    index, to = (data.get("index"), data.get("to")) if isinstance(data, dict) else (None, None)
    known = isinstance(index, int) and 0 <= index < len(results) and to in studio.accepts
    if not known or (to == "edit" and results[cast(int, index)].tokens is None):
        raise gr.Error(both("bad_request"), print_exception=False)
    return results[cast(int, index)], gr.Tabs(selected=to)


def endpoints(studio: Studio) -> None:
    """The stateless /sample and /complete, with components of their own that the page doesn't show."""
    # Neither numbers nor names are checked by Gradio here: what is wrong is said in both languages.
    model = gr.Textbox("transformer", label=f"model: one of {', '.join(MODELS)}", visible=False)
    n = gr.Number(1, label=f"n: 1 to {MAX_PICTURES}", visible=False)
    seed = gr.Number(0, label="seed: -1 draws one", visible=False)
    temperature = gr.Number(None, label="temperature: empty for the model's default", visible=False)
    top_k = gr.Number(None, label="top_k: empty for the model's default", visible=False)
    top_p = gr.Number(None, label="top_p: empty for the model's default", visible=False)
    made = gr.JSON(label="pictures, tokens and settings line", visible=False)

    @computes
    def sample(
        model: str = "transformer",
        n: int = 1,
        seed: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> dict[str, Any]:
        """Draw new pictures.

        Args:
            model: "transformer" (over the VQ-GAN's tokens), "pixelcnn" (over the VQ-VAE's), "vae-normal" and
                "ae-normal" (noise), "vae-fitted" and "ae-fitted" (a Gaussian fitted to the training latents).
            n: how many, 1 to 16. Picture i depends on the seed and i alone.
            seed: a whole number, or -1 to draw one.
            temperature: 0 takes the likeliest token always; the noise's scale where there are no tokens.
            top_k: only the k likeliest codes; 0 for all. Models with tokens only.
            top_p: only the likeliest codes that hold this share of the probability. Models with tokens only.

        Returns:
            pictures (PNG files), tokens (n x h x w codes; null for models without) and settings (the line from which
            the page draws the same pictures again).
        """
        sent = {"model": model, "n": n, "seed": seed, "temperature": temperature, "top_k": top_k, "top_p": top_p}
        try:
            settings = tasks.settings_of(sent)
            frame = drawn(studio, settings)
            line, _ = described(studio, settings)
        except ValueError as error:
            raise failure(error) from error
        tokens = None if frame.tokens is None else frame.tokens.tolist()
        files = [stored(picture, f"sample-{i}", made) for i, picture in enumerate(frame.pictures)]
        return {"pictures": files, "tokens": tokens, "settings": line}

    tokens = gr.JSON(label="tokens: rows of codes", visible=False)
    cells = gr.JSON(label="cells: [[row, column], ...] to draw anew; empty for all", visible=False)
    whose = gr.Textbox("transformer", label=f"model: one of {', '.join(TOKEN_MODELS)}", visible=False)
    completed = gr.JSON(label="tokens and picture", visible=False)

    @computes
    def complete(
        tokens: list[list[int]],
        cells: list[list[int]] | None = None,
        seed: int = 0,
        model: str = "transformer",
    ) -> dict[str, Any]:
        """Draw some tokens of a picture anew, so that they suit the others.

        Args:
            tokens: h rows of w codes, 8 x 8 for "transformer" and 16 x 16 for "pixelcnn".
            cells: [[row, column], ...] to draw anew, counted from 0; all if left out.
            seed: a whole number, or -1 to draw one.
            model: the prior that draws, "transformer" (VQ-GAN tokens) or "pixelcnn" (VQ-VAE tokens).

        Returns:
            tokens (h x w codes), picture (a PNG file) and the seed.
        """
        try:
            seed = tasks.seed_of(seed)
            grid, picture = tasks.complete(studio.load, studio.load_prior, model, tokens, cells, seed)
        except ValueError as error:
            raise failure(error) from error
        return {"tokens": grid.tolist(), "picture": stored(picture, "completed", completed), "seed": seed}

    public: dict[str, Any] = {"concurrency_id": COMPUTE}
    gr.Button(visible=False).click(
        sample, [model, n, seed, temperature, top_k, top_p], made, api_name="sample", **public
    )
    gr.Button(visible=False).click(complete, [tokens, cells, seed, whose], completed, api_name="complete", **public)


def drawn(studio: Studio, settings: Settings) -> Frame:
    """The finished pictures; what stands of them if whoever asked has left."""
    *_, last = tasks.stream(studio.load, studio.load_prior, settings, math.inf, present)
    return last


def stored(picture: Image.Image, name: str, out: gr.JSON) -> dict[str, Any]:
    """Gradio's own record of a file, which its clients download; with an address, or MCP clients get a path."""
    path = save_pil_to_cache(picture, cache_dir=out.GRADIO_CACHE, name=name, format="png")
    url = f"/gradio_api/file={path}"
    return FileData(path=path, url=url, orig_name=f"{name}.png", mime_type="image/png").model_dump()
