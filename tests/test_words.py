"""Both languages are complete: every sentence in both, with the same blanks and the same terms to explain."""

import re
from string import Formatter

import pytest

from vq import editing, messages, tokenfile
from vq.tasks import sample
from vq.ui.texts import TEXTS

TABLES = {"page": TEXTS, "loading": messages.ERRORS, "sampling": sample.ERRORS}
TABLES |= {"editing": editing.ERRORS, "token files": tokenfile.ERRORS}
TERM = re.compile(r"\[(\w+):([^\]]+)\]")
# What Chinese texts leave in Latin letters: names, units, symbols, and what one types or reads elsewhere.
LATIN = {
    "AE",
    "VAE",
    "VQ",
    "GAN",
    "PixelCNN",
    "Transformer",
    "JPEG",
    "WebP",
    "GIF",
    "API",
    "Gradio",
    "PNG",
    "KL",
    "PSNR",
    "SSIM",
    "codec",
    "lerp",
    "slerp",
    "token",
    "top",
    "log",
    "dB",
    "px",
    "ms",
    "Hub",
    "VQModel",
    "AutoencoderKL",
    "AutoencoderTiny",
    "safetensors",
    "MB",
    "GB",
    "CC",
    "NASA",
    "Stefan",
    "van",
    "der",
    "Walt",
    "Rachel",
    "Michetti",
    "SpaceX",
    "Studio",
    "Shift",
    "Alt",
    "Esc",
    "org",
    "name",
    "model",
    "vq",
    "sample",
}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
WORD = re.compile(r"[A-Za-z]{2,}")


def foreign(text: str) -> list[str]:
    """Words in Latin letters that a Chinese text has no reason for."""
    plain = re.sub(r"\{\w*\}", "", TERM.sub(r"\2", text))
    return [word for word in WORD.findall(plain) if word not in LATIN]


def blanks(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("table", TABLES)
def test_every_sentence_is_there_in_both_languages(table):
    for key, texts in TABLES[table].items():
        english, chinese = texts
        assert english.strip(), key
        assert chinese.strip(), key
        assert blanks(english) == blanks(chinese), key
        assert not CHINESE.search(english), key
        assert CHINESE.search(chinese) or not foreign(chinese), key


def test_chinese_texts_of_the_page_are_chinese():
    left = {key: words for key, (_, chinese) in TEXTS.items() if (words := foreign(chinese))}
    assert left == {}


def test_every_term_is_explained_and_every_explanation_is_used():
    marked = [{term for text in TEXTS.values() for term, _ in TERM.findall(text[column])} for column in (0, 1)]
    explained = {key.removeprefix("term_") for key in TEXTS if key.startswith("term_")}
    assert marked[0] == marked[1] == explained
    for key, (english, chinese) in TEXTS.items():
        assert {term for term, _ in TERM.findall(english)} == {term for term, _ in TERM.findall(chinese)}, key
