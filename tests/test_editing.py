"""Laws of editing: no edit leaves its selection, the history is a plain list, and bad data changes nothing."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vq import editing
from vq.editing import OPERATIONS, STEPS, Context, EditError, History
from vq.ui.edit_desk import step

CODES = 13
CODEBOOK = np.random.default_rng(0).normal(size=(CODES, 3)).astype(np.float32)

sides = st.integers(8, 12)
codes = st.integers(0, CODES - 1)


@st.composite
def grids(draw, shape=None):
    return draw(hnp.arrays(np.int64, shape or draw(st.tuples(sides, sides)), elements=codes))


@st.composite
def selections(draw):
    tokens = draw(grids())
    return tokens, draw(hnp.arrays(bool, tokens.shape))


def edits(shape):
    """Edits as data, of every kind."""
    h, w = shape
    cell = st.tuples(st.integers(0, h - 1), st.integers(0, w - 1)).map(list)
    row = st.lists(st.none() | codes, min_size=2, max_size=2)
    kinds = {
        "set": {"code": codes},
        "replace": {"code": codes, "by": codes},
        "nearest": {"distance": codes},
        "shuffle": {"seed": st.integers(0, 2**32 - 1)},
        "mirror": {"axis": st.sampled_from(["horizontal", "vertical"])},
        "paste": {
            "tokens": st.lists(row, min_size=1, max_size=3),
            "row": st.integers(-4, 14),
            "column": st.integers(-4, 14),
        },
        "transplant": {"tokens": st.just(np.zeros(shape, int).tolist())},
    }
    assert kinds.keys() == OPERATIONS.keys() - {"choose"}
    cells = st.lists(cell, max_size=20)
    return st.one_of(*(st.fixed_dictionaries({"op": st.just(op), "cells": cells} | rest) for op, rest in kinds.items()))


@given(st.data())
def test_no_edit_leaves_its_cells_or_changes_its_input(data):
    tokens = data.draw(grids())
    kept, edit = tokens.copy(), data.draw(edits(tokens.shape))
    out = editing.apply(tokens, edit, Context(CODEBOOK))
    mask = editing.read_cells(edit["cells"], tokens)
    assert np.array_equal(tokens, kept)
    assert np.array_equal(out[~mask], tokens[~mask])
    assert out.dtype == np.int64 and out.min() >= 0 and out.max() < CODES


@settings(max_examples=60)
@given(st.data())
def test_history_is_a_list_of_grids(data):
    """Random edits, undos and redos against a plain reference."""
    tokens = data.draw(grids((8, 9)))
    history, reference, at = History.of(tokens), [tokens], 0
    for change in data.draw(st.lists(edits((8, 9)) | st.sampled_from([{"op": "undo"}, {"op": "redo"}]), max_size=40)):
        history = step(history, change, Context(CODEBOOK))
        if change["op"] == "undo":
            at = max(0, at - 1)
        elif change["op"] == "redo":
            at = min(len(reference) - 1, at + 1)
        else:
            new = editing.apply(reference[at], change, Context(CODEBOOK))
            if not np.array_equal(new, reference[at]):
                reference, at = [*reference[: at + 1], new], at + 1
        assert np.array_equal(history.tokens, reference[at])
        assert (history.undos, history.redos) == (at, len(reference) - 1 - at)
        assert history.first is tokens


def test_undo_reaches_back_at_least_a_hundred_steps():
    grid = np.zeros((8, 8), np.int64)
    history = History.of(grid)
    for i in range(3 * STEPS):
        history = history.push(np.full((8, 8), i + 1))
    assert history.undos == STEPS >= 100
    for i in range(STEPS):
        history = history.undo()
        assert history.tokens[0, 0] == 3 * STEPS - i - 1
    assert history.undo() is history
    for _ in range(STEPS):
        history = history.redo()
    assert history.tokens[0, 0] == 3 * STEPS
    assert history.redo() is history


@given(selections(), st.integers(0, 2**32 - 1))
def test_shuffle_moves_what_is_selected(selection, seed):
    tokens, mask = selection
    out = editing.shuffle(tokens, mask, seed)
    assert sorted(out[mask]) == sorted(tokens[mask])
    assert np.array_equal(out, editing.shuffle(tokens, mask, seed))


@given(selections(), st.sampled_from(["horizontal", "vertical"]))
def test_mirroring_twice_is_nothing(selection, axis):
    tokens, mask = selection
    once = editing.mirror(tokens, mask, axis)
    assert np.array_equal(editing.mirror(once, mask, axis), tokens)
    if mask.all():
        assert np.array_equal(once, tokens[:, ::-1] if axis == "horizontal" else tokens[::-1])


@given(st.data())
def test_transplant_touches_only_its_region(data):
    (tokens, mask) = data.draw(selections())
    donor = data.draw(grids(tokens.shape))
    out = editing.transplant(tokens, mask, donor)
    assert np.array_equal(out[mask], donor[mask])
    assert np.array_equal(out[~mask], tokens[~mask])
    with pytest.raises(EditError, match="same size"):
        editing.transplant(tokens, mask, donor[:-1])


@given(grids(), st.integers(-12, 14), st.integers(-12, 14))
def test_paste_lays_down_what_fits(tokens, row, column):
    patch = np.array([[1, -1, 2], [3, 4, -1]])
    out = editing.paste(tokens, patch, row, column)
    for r in range(tokens.shape[0]):
        for c in range(tokens.shape[1]):
            inside = 0 <= r - row < 2 and 0 <= c - column < 3
            given = patch[r - row, c - column] if inside else -1
            assert out[r, c] == (given if given >= 0 else tokens[r, c])


def test_nearest_is_ordered_by_distance_and_starts_with_itself():
    doubled = np.concatenate([CODEBOOK, CODEBOOK[:1]])  # a code that stands twice
    order = editing.nearest(doubled, np.arange(CODES + 1), CODES)
    for code, row in enumerate(order):
        distances = np.linalg.norm(doubled[row].astype(float) - doubled[code], axis=1)
        assert row[0] == code and sorted(row) == list(range(CODES + 1))
        assert (np.diff(distances) >= -1e-5).all()
    tokens = np.arange(64).reshape(8, 8) % CODES
    everywhere = np.ones((8, 8), bool)
    assert np.array_equal(editing.drift(tokens, everywhere, CODEBOOK, 0), tokens)
    second = editing.nearest(CODEBOOK, np.arange(CODES), 2)[:, 2]
    assert np.array_equal(editing.drift(tokens, everywhere, CODEBOOK, 2), second[tokens])


@pytest.mark.parametrize("count", [0, 1, 4, 29, 30])
def test_nearest_is_the_start_of_the_stable_order_however_many_codes_lie_equally_far(count):
    codes = np.random.default_rng(0).integers(0, 3, (30, 2)).astype(np.float32)
    whole = [row.argsort(kind="stable") for part in editing._distances(codes, np.arange(30)) for row in part]
    assert np.array_equal(editing.nearest(codes, np.arange(30), count), np.array(whole)[:, : count + 1])
    if count < 30:
        tokens = np.arange(64).reshape(8, 8) % 30
        drifted = editing.drift(tokens, np.ones((8, 8), bool), codes, count)
        assert np.array_equal(drifted, np.array(whole)[tokens, count])


def test_replace_and_set():
    tokens = np.arange(64).reshape(8, 8) % 3
    everywhere = np.ones((8, 8), bool)
    out = editing.replace(tokens, everywhere, 1, 7)
    assert (out[tokens == 1] == 7).all() and np.array_equal(out[tokens != 1], tokens[tokens != 1])
    assert (editing.set_code(tokens, tokens == 2, 5)[tokens == 2] == 5).all()


def test_choose_takes_only_the_cells_that_were_redrawn():
    tokens, grid = np.zeros((8, 8), np.int64), np.full((8, 8), 4)
    mask = np.zeros((8, 8), bool)
    mask[2:4, 5] = True
    out = editing.apply(tokens, {"op": "choose", "index": 0}, Context(CODEBOOK, offers=((grid, mask),)))
    assert np.array_equal(out == 4, mask)


BAD = [
    None,
    [],
    {},
    {"op": "nonsense"},
    {"op": ["set"]},
    {"op": "set"},
    {"op": "set", "code": CODES},
    {"op": "set", "code": -1},
    {"op": "set", "code": 1.0},
    {"op": "set", "code": True},
    {"op": "set", "code": 1, "cells": [[0, 9]]},
    {"op": "set", "code": 1, "cells": [[-1, 0]]},
    {"op": "set", "code": 1, "cells": [[0]]},
    {"op": "set", "code": 1, "cells": "all"},
    {"op": "set", "code": 1, "cells": [[0.0, 1]]},
    {"op": "replace", "code": 1},
    {"op": "nearest", "distance": CODES},
    {"op": "shuffle", "seed": -1},
    {"op": "shuffle", "seed": 2**32},
    {"op": "mirror", "axis": "diagonal"},
    {"op": "paste", "tokens": [], "row": 0, "column": 0},
    {"op": "paste", "tokens": [[1], [1, 2]], "row": 0, "column": 0},
    {"op": "paste", "tokens": [[1]], "row": 10**9, "column": 0},
    {"op": "transplant"},
    {"op": "transplant", "tokens": [[1] * 8] * 8},
    {"op": "choose", "index": 0},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_edit_is_one_sentence_in_two_languages(bad):
    with pytest.raises(EditError) as caught:
        editing.apply(np.zeros((9, 9), np.int64), bad, Context(CODEBOOK))
    english, chinese = str(caught.value), caught.value.text("zh")
    assert english.endswith(".") and chinese.endswith("。")
    names = {"op", "axis", "horizontal", "vertical", *OPERATIONS, *(bad if isinstance(bad, dict) else ())}
    assert set(re.findall("[a-z]{2,}", chinese)) <= names


def test_starting_over_is_a_step():
    first = np.zeros((8, 8), np.int64)
    history = History.of(first).push(first + 1).push(first + 2)
    back = step(history, {"op": "reset"}, Context(CODEBOOK))
    assert np.array_equal(back.tokens, first) and back.undos == 3
    assert np.array_equal(back.undo().tokens, first + 2)
