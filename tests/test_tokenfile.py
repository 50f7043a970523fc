"""A token file reads back as it was written, and nothing else passes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vq import tokenfile
from vq.tokenfile import ERRORS, MAX_BYTES, Source, TokenFileError, read, write

SOURCE = Source("vqvae", "main", "ab" * 32, 32)
KNOWN = {"vqvae": SOURCE}
TOKENS = np.arange(8 * 9).reshape(8, 9) % 32

grids = hnp.arrays(np.int64, st.tuples(st.integers(8, 64), st.integers(8, 64)), elements=st.integers(0, 31))


@given(grids)
def test_reading_what_was_written_gives_the_tokens_back(tokens):
    source, got = read(write(tokens, SOURCE), KNOWN)
    assert source == SOURCE
    assert got.dtype == np.int64 and np.array_equal(got, tokens)


def entries() -> dict:
    return json.loads(write(TOKENS, SOURCE))


CASES = {
    "empty": ("", "json"),
    "not JSON": ("tokens", "json"),
    "cut short": (write(TOKENS, SOURCE)[:-9], "json"),
    "deep": ("[" * 100_000, "json"),
    "long number": ('{"h": ' + "9" * 10_000 + "}", "json"),
    "a list": ("[1, 2]", "foreign"),
    "another JSON": ('{"name": "x"}', "foreign"),
    "huge": (" " * (MAX_BYTES + 1), "huge"),
}
CHANGES = {
    "format": ("foreign", ["png", None, 1]),
    "version": ("version", [2, 0, "1", 1.0, True, None, [1]]),
    "codec": ("codec", ["nonsense", None, 3, ["vqvae"], {}, "x" * 10_000]),
    "revision": ("revision", ["v2", None, 1]),
    "codebook_sha256": ("codebook", ["cd" * 32, "", None, 7]),
    "h": ("size", [7, 65, 0, -8, "8", 8.0, None, 10**30]),
    "w": ("size", [7, 65, True, [9]]),
    "tokens": (
        "rows",
        [None, [], {}, "1", TOKENS.tolist()[:-1], [*TOKENS.tolist(), [0] * 9], TOKENS.T.tolist(), [0] * 8],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_token_file(name):
    text, code = CASES[name]
    refused(text, code)


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (_, values) in CHANGES.items() for value in values])
def test_a_wrong_entry(key, value):
    refused(json.dumps(entries() | {key: value}), CHANGES[key][0])


@pytest.mark.parametrize("key", list(entries()))
def test_a_missing_entry(key):
    file = entries()
    del file[key]
    refused(json.dumps(file), "foreign")


@pytest.mark.parametrize("token", [-1, 32, 10**40, 0.0, 1.5, "1", None, True, [1], float("nan"), float("inf")])
def test_a_wrong_token(token):
    file = entries()
    file["tokens"][3][4] = token
    refused(json.dumps(file), "tokens")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.data())
def test_two_hundred_malformed_files_are_one_sentence_each(data):
    """A piece of a right file cut out, or an entry replaced by anything."""
    text = write(TOKENS, SOURCE)
    if data.draw(st.booleans()):
        start = data.draw(st.integers(0, len(text) - 1))
        text = text[:start] + text[start + data.draw(st.integers(1, 40)) :]
    else:
        text = json.dumps(entries() | {data.draw(st.sampled_from(list(entries()))): data.draw(json_values)})
    try:
        _, tokens = read(text, KNOWN)
    except TokenFileError as error:
        sentence(error)
    else:  # what was cut out may have been a space, or what replaced an entry its equal
        assert tokens.shape == TOKENS.shape and tokens.min() >= 0 and tokens.max() < 32


def refused(text: str, code: str) -> None:
    with pytest.raises(TokenFileError) as caught:
        read(text, KNOWN)
    assert caught.value.code == code
    sentence(caught.value)


def sentence(error: TokenFileError) -> None:
    assert error.code in ERRORS
    assert str(error).endswith(".") and error.text("zh").endswith("。")
    assert len(str(error)) < 200 and "\n" not in str(error) and "Traceback" not in str(error)


def test_a_grid_that_could_not_be_read_back_is_not_written():
    for wrong in (TOKENS[:7], TOKENS + 32, np.zeros((8, 65), np.int64)):
        with pytest.raises(tokenfile.EditError):
            write(wrong, SOURCE)
