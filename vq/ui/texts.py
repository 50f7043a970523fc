"""Every word of the page, in English and Chinese, under one key each; the tables stand in vq/ui/words, one file a tab.

Gradio translates `t("key")` in the browser; our own components get the whole table as `window.VQ.texts` and choose by
the same rule. Messages from the server can't know the visitor's language, so `both("key")` gives both.
"""

import gradio as gr
from gradio.i18n import I18nData

from vq.ui.words import checkpoint, edit, frame, guide, interpolate, reconstruct, sample

TEXTS: dict[str, tuple[str, str]] = (
    frame.WORDS | guide.WORDS | reconstruct.WORDS | checkpoint.WORDS | interpolate.WORDS | sample.WORDS | edit.WORDS
)

LANGUAGES = ("en", "zh")
I18N_LOCALES = {"en": 0, "zh": 1, "zh-CN": 1}


def table(language: int) -> dict[str, str]:
    return {key: texts[language] for key, texts in TEXTS.items()}


translations = gr.I18n(**{locale: table(column) for locale, column in I18N_LOCALES.items()})


def t(key: str) -> I18nData:
    """A text that the visitor's browser translates."""
    if key not in TEXTS:
        raise KeyError(key)
    return translations(key)


def both(key: str) -> str:
    """A text in both languages, for messages from the server."""
    return " / ".join(TEXTS[key])
