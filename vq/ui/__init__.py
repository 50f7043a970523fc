"""The page. Only this package and app.py know Gradio."""

from vq.ui.page import build_app, launch_options

__all__ = ["build_app", "launch_options"]
