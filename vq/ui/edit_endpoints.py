"""The stateless endpoints of the Edit tokens tab, with components of their own that the page doesn't show."""

import json
from typing import Any

import gradio as gr
import torch
from PIL import Image

from vq import tokenfile
from vq.catalogue import Entry
from vq.image import to_picture
from vq.tasks import edit as tasks
from vq.ui.common import COMPUTE, PictureInput, Studio, failure
from vq.ui.texts import both


def grid_rows(studio: Studio, extras: tuple[Entry, ...]) -> dict[str, Entry]:
    """The codecs that turn pictures into a grid of tokens."""
    return {name: entry for name, entry in studio.table(extras).items() if entry.family in ("vqvae", "vqgan")}


def build(studio: Studio) -> None:
    rows = grid_rows(studio, ())
    if not rows:
        return
    names = list(rows)
    codec = gr.Dropdown(names, value=names[0], label="codec: name of a grid codec", visible=False)
    tokens = gr.JSON(label="tokens: rows of codes", visible=False)
    edits = gr.JSON(label="edits: a list of edits", visible=False)
    picture = PictureInput(label="picture: any file Pillow reads", visible=False)
    size = gr.Number(64, precision=0, label="size: side in pixels", visible=False)
    grid_out, picture_out = gr.JSON(visible=False), gr.Image(format="png", type="pil", visible=False)
    file_out = gr.JSON(visible=False)

    def edit_tokens(codec: str, tokens: list[list[int]], edits: list[dict[str, Any]]) -> tuple[Any, Image.Image]:
        """Edit the tokens of a picture and decode them.

        Args:
            codec: name of a grid codec, for example "vqvae".
            tokens: the grid, 8 to 64 rows of as many codes, as in a token file.
            edits: applied in order. Each is {"op": name, "cells": [[row, column], ...]} and more; without cells it
                means the whole grid. set: code. replace: code, by. nearest: distance. shuffle: seed. mirror: axis,
                "horizontal" or "vertical". paste: tokens (rows, null for holes), row, column. transplant: tokens of
                the same size. resample: seed; where a prior fits the codec and the grid. At most 1,000, of which 8
                may be resample; nearest may cover 131,072 cells together.

        Returns:
            The tokens after all edits, and the picture they decode to.
        """
        try:
            if codec not in rows:
                raise gr.Error(both("bad_request"), print_exception=False)
            model = studio.load(codec)
            grid = tasks.edit(model, codec, tokens, edits, studio.load_prior)
            with torch.inference_mode():
                return grid.tolist(), to_picture(tasks.decode(model, grid))
        except ValueError as error:
            raise failure(error) from error

    def token_file(picture: Image.Image, codec: str = names[0], size: int = 64) -> dict[str, Any]:
        """The tokens of a picture, as the content of a token file that the page can open.

        Args:
            picture: any image; its centre square is used.
            codec: name of a grid codec, for example "vqvae".
            size: side in pixels; the grid has size / factor cells a side, of which there may be 8 to 64.

        Returns:
            format, version, codec, revision, codebook_sha256, h, w and tokens.
        """
        if picture is None or codec not in rows:
            raise gr.Error(both("unreadable" if picture is None else "bad_request"), print_exception=False)
        try:
            model = studio.load(codec)
            _, tokens = tasks.encode(model, picture, size)
            content = tokenfile.write(tokens, tasks.source(model, codec, rows[codec].revision))
        except ValueError as error:
            raise failure(error) from error
        return dict(json.loads(content))

    options: dict[str, Any] = {"concurrency_id": COMPUTE}
    gr.Button(visible=False).click(
        edit_tokens, [codec, tokens, edits], [grid_out, picture_out], api_name="edit_tokens", **options
    )
    gr.Button(visible=False).click(token_file, [picture, codec, size], file_out, api_name="token_file", **options)
