"""The Edit tokens tab as a visitor handles it: what the benchmark needs too, and what only tests ask."""

from playwright.sync_api import Page

from vq.benchmark.browser import (
    CANVAS,
    EDITOR,
    at,
    begun,
    choose,
    drag,
    frames,
    idle,
    latencies,
    open_editor,
    palette,
    session,
    tool,
)

ROOT = EDITOR

__all__ = [
    "CANVAS",
    "ROOT",
    "act",
    "at",
    "begun",
    "choose",
    "drag",
    "figure",
    "frames",
    "idle",
    "latencies",
    "open_editor",
    "palette",
    "session",
    "tool",
]


def figure(page: Page, name: str) -> float:
    frames(page)
    return float(page.locator(f'{EDITOR} [data-figure="{name}"]').get_attribute("data-value"))


def act(page: Page, name: str) -> None:
    page.locator(f'{EDITOR} [data-act="{name}"]').first.click()
