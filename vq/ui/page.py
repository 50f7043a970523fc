"""The page: a header, a guide for a first visit, and four tabs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from torch import Tensor

from vq.catalogue import CODECS, Entry
from vq.tasks.checkpoint import Download
from vq.tasks.common import Load, LoadPrior
from vq.ui import edit, interpolate, reconstruct, sample
from vq.ui.common import STATIC, Studio, head, panel
from vq.ui.guard import UPLOAD, Gate, Page
from vq.ui.limits import Limits
from vq.ui.room import Room
from vq.ui.texts import t, translations
from vq.ui.theme import THEME

# A visitor's uploads and the endpoint's results: looked for every hour, gone after a day.
CACHE = (3600, 86400)
# Visitors whose state is kept at once; the longest unused goes.
SESSIONS = 256
# In the order of the tabs.
TABS: dict[str, Callable[[Studio, gr.Blocks], None]] = {
    "reconstruct": reconstruct.build,
    "interpolate": interpolate.build,
    "edit": edit.build,
    "sample": sample.build,
}
LOGO = (STATIC / "logo.svg").read_text(encoding="utf-8")


def build_app(
    load: Load,
    load_prior: LoadPrior,
    statistics: Callable[[str], Mapping[str, Tensor] | None] = lambda name: None,
    codecs: Mapping[str, Entry] = CODECS,
    download: Download | None = None,
    limits: Limits | None = None,
) -> gr.Blocks:
    """The page over `load`, which gives a codec by name, and `load_prior`. Launch it with **launch_options().

    statistics: what is known of a codec's training latents, by name. codecs: the rows to show, in order.
    download: what opens a visitor's own checkpoint; without it the page offers none. limits: of the queue.
    """
    with Page(limits, title="VQ Studio", delete_cache=CACHE, analytics_enabled=False, fill_width=True) as page:
        with gr.Row(elem_id="vq-header"):
            gr.HTML(f'<div class="vq-brand">{LOGO}<h1>VQ Studio</h1></div>', elem_id="vq-brand")
            gr.Markdown(t("tagline"), elem_id="vq-tagline")
            panel("tools", None)
        panel("guide", None, tabs=list(TABS))
        # Outside of the tabs: Gradio takes whatever it finds in there for a tab.
        carried, extras = gr.State(None), gr.State(())
        with gr.Tabs(selected="reconstruct", elem_id="vq-tabs") as tabs:
            studio = Studio(load, statistics, load_prior, codecs, carried, tabs, download=download, extras=extras)
            # Which tabs take what a visitor carries: every tab's buttons need to know, whichever is built first.
            studio.accepts.extend(("interpolate", "edit"))
            for name, build in TABS.items():
                with gr.Tab(t(f"tab_{name}"), id=name):
                    build(studio, page)
    return page


def launch_options(room: Room | None = None) -> dict[str, Any]:
    """What Gradio takes at launch rather than at building: the look, the words, limits. room: for uploads."""
    return {
        "theme": THEME,
        "css": "\n".join(path.read_text(encoding="utf-8") for path in [STATIC / "style.css", *tab_styles()]),
        "head": head(UPLOAD),
        "i18n": translations,
        "favicon_path": STATIC / "logo.svg",
        "max_file_size": UPLOAD,
        "state_session_capacity": SESSIONS,
        "app_kwargs": {"middleware": [Middleware(Gate, room=room or Room())]},
        "run_history": False,
        "footer_links": ["api", "settings"],
    }


def tab_styles() -> list[Path]:
    """static/NAME.css of every tab that has one, the guide's and the panel's; what all share stands in style.css."""
    return [path for name in ("guide", *TABS, "checkpoint") if (path := STATIC / f"{name}.css").is_file()]
