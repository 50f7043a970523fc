"""The page: a header and four tabs."""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from torch import Tensor

from vq.catalogue import CODECS, Entry
from vq.tasks import Load
from vq.ui import reconstruct
from vq.ui.common import STATIC, Studio, head
from vq.ui.texts import t, translations
from vq.ui.theme import THEME

# A visitor's uploads and the endpoint's results: looked for every hour, gone after a day.
CACHE = (3600, 86400)
COMING = ("interpolate", "edit", "sample")
LOGO = (STATIC / "logo.svg").read_text(encoding="utf-8")


def build_app(
    load: Load,
    statistics: Callable[[str], Mapping[str, Tensor] | None] = lambda name: None,
    codecs: Mapping[str, Entry] = CODECS,
) -> gr.Blocks:
    """The page over `load`, which gives a codec by name. Launch it with **launch_options().

    statistics: what is known of a codec's training latents, by name. codecs: the rows to show, in order.
    """
    with gr.Blocks(title="VQ Studio", delete_cache=CACHE, analytics_enabled=False, fill_width=True) as page:
        with gr.Row(elem_id="vq-header"):
            gr.HTML(f'<div class="vq-brand">{LOGO}<h1>VQ Studio</h1></div>', elem_id="vq-brand")
            gr.Markdown(t("tagline"), elem_id="vq-tagline")
        carried = gr.State(None)
        with gr.Tabs(selected="reconstruct", elem_id="vq-tabs") as tabs:
            studio = Studio(load, statistics, codecs, carried, tabs)
            with gr.Tab(t("tab_reconstruct"), id="reconstruct"):
                reconstruct.build(studio, page)
            for name in COMING:
                with gr.Tab(t(f"tab_{name}"), id=name):
                    gr.Markdown(t(f"soon_{name}"), elem_classes="vq-soon")
    return page


def launch_options() -> dict[str, Any]:
    """What Gradio takes at launch rather than at building: the look, the words, limits."""
    return {
        "theme": THEME,
        "css": (STATIC / "style.css").read_text(encoding="utf-8"),
        "head": head(),
        "i18n": translations,
        "favicon_path": STATIC / "logo.svg",
        "max_file_size": "100mb",
        "run_history": False,
        "footer_links": ["api", "settings"],
    }
