"""What the tabs stream. Gradio sends the changes between two values of a generator and the browser applies them in
place: a skip after a value takes away what the page may not have read yet."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from pictures import photo

from vq.catalogue import CODECS
from vq.ui import interpolate, reconstruct, slots


@pytest.fixture
def studio(load, statistics):
    return SimpleNamespace(load=load, statistics=statistics, table=lambda extras: CODECS)


def taken_back(stream) -> list[tuple[Any, Any]]:
    """Pairs of a value and the skip that follows it."""
    steps = list(stream)
    assert len(steps) > 2
    pairs = [pair for step, later in pairwise(steps) for pair in zip(step, later, strict=True)]
    return [(a, b) for a, b in pairs if isinstance(a, dict) and a != gr.skip() and b == gr.skip() and sent(a)]


def sent(value: dict[str, Any]) -> bool:
    """Whether the browser gets it: a state, such as the results by codec, stays on the server."""
    return "revision" in value or "state" in value


def test_cards_and_sliders(studio):
    choice = reconstruct.Choice(64, "crop", ["ae", "vqvae"])
    assert taken_back(reconstruct.show(studio, lambda: True, 1, photo(), choice)) == []


@pytest.mark.parametrize("mode", ["paths", "corners"])
def test_paths_and_corners(studio, mode):
    choice = interpolate.Choice(mode, "vqvae", 9, 3, 64, 0)
    assert taken_back(interpolate.show(studio, lambda: True, 1, slots.defaults(), choice)) == []
