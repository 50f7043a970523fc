"""A real Chromium that works the page the way a visitor does. Playwright is a test requirement."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

# The machine may be slow and busy: wait long, but never longer than needed.
PATIENCE = 120_000  # ms
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
EDITOR = ".vq-edit"
CANVAS = ".vq-edit-canvas"


def launch(playwright: "Playwright", more: Sequence[str] = ()) -> "Browser":
    """The Chromium on PATH, else Playwright's own."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return playwright.chromium.launch(executable_path=path, args=[*FLAGS, *more])


def open_editor(page: "Page", name: str = "Edit tokens") -> None:
    """Bring the tab to the front and wait for its first picture and atlas."""
    page.get_by_role("tab", name=name, exact=True).click()
    page.locator(f"{EDITOR}[data-book]").wait_for(state="attached")
    idle(page)


def idle(page: "Page") -> None:
    """Wait until every edit has been answered and painted."""
    page.wait_for_function(
        """() => {
            const {busy, session, resampling} = document.querySelector(".vq-edit").dataset;
            return session && busy === "false" && resampling !== "true";
        }"""
    )
    frames(page)


def frames(page: "Page") -> None:
    """Two frames: what has changed is drawn in the next one."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def session(page: "Page") -> int:
    """Counts the pictures this visitor has begun to edit."""
    return int(page.locator(EDITOR).get_attribute("data-session") or 0)


def begun(page: "Page", after: int) -> None:
    """Wait for a picture later than number `after`."""
    page.wait_for_function("after => Number(document.querySelector('.vq-edit').dataset.session) > after", arg=after)
    idle(page)


def choose(page: "Page", name: str, value: object) -> None:
    """One of the choices that begin anew: vq-edit-codec or vq-edit-size."""
    before = session(page)
    # Not `check`: a fast answer replaces the very choices that it would look at.
    page.locator(f'input[name="{name}"][value="{value}"]').click(force=True)
    begun(page, before)


def at(page: "Page", row: float, column: float, grid: int) -> tuple[float, float]:
    """The middle of a cell, in pixels of the window."""
    page.locator(CANVAS).scroll_into_view_if_needed()
    box = page.locator(CANVAS).bounding_box()
    assert box is not None
    return box["x"] + (column + 0.5) * box["width"] / grid, box["y"] + (row + 0.5) * box["height"] / grid


def drag(page: "Page", start: tuple[int, int], end: tuple[int, int], grid: int) -> None:
    """Press in one cell, release in another."""
    page.mouse.move(*at(page, *start, grid))
    page.mouse.down()
    page.mouse.move(*at(page, *end, grid), steps=3)
    page.mouse.up()


def tool(page: "Page", name: str) -> None:
    page.locator(f'input[name="vq-edit-tool"][value="{name}"]').check(force=True)


def palette(page: "Page", code: int) -> None:
    """Type a code; nothing is set yet."""
    page.get_by_role("spinbutton", name="Code", exact=True).fill(str(code))


def latencies(page: "Page", grid: int, count: int) -> list[float]:
    """Milliseconds from lifting the pointer to the painted picture, of `count` brush strokes one after another.

    The page measures itself (edit-store.js): from the pointerup event's time stamp to the task after the frame that
    drew the answer.
    """
    tool(page, "brush")
    page.evaluate("performance.clearMeasures('vq-edit')")
    for i in range(count):
        palette(page, i % 30)
        drag(page, (i % grid, 0), (i % grid, 3), grid)
        page.wait_for_function("n => performance.getEntriesByName('vq-edit').length > n", arg=i)
    durations = page.evaluate("performance.getEntriesByName('vq-edit').map(entry => entry.duration)")
    return [float(ms) for ms in durations]
