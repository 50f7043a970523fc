"""Pictures of the page for docs/, with the bundled weights: python -m tests.browser.screenshots [TAB ...]"""

import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from conftest import free_port  # noqa: E402

import app  # noqa: E402
from browser import editor, test_interpolate, test_sample  # noqa: E402
from browser.chromium import launch, settled, visit  # noqa: E402
from vq.ui.texts import TEXTS  # noqa: E402

SHOTS = [(width, scheme, "en-US") for width in (1440, 400) for scheme in ("light", "dark")] + [(1440, "light", "zh-CN")]
TALL = {1440: 1000, 400: 1500}


def main(names: list[str]) -> None:
    from vq.ui import build_app, launch_options

    loader = app.Loader(None, {})
    page = build_app(loader.load, loader.load_prior, loader.statistics)
    _, url, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for name in names or PREPARE:
            for width, scheme, locale in SHOTS:
                look = scheme if locale == "en-US" else "zh"
                size = {"width": width, "height": TALL[width]}
                with visit(browser, url.rstrip("/"), viewport=size, color_scheme=scheme, locale=locale) as tab:
                    PREPARE[name](tab, "zh" in locale)
                    tab.evaluate("Promise.all([...document.images].map(image => image.decode().catch(() => null)))")
                    tab.mouse.move(0, 0)
                    path = ROOT / "docs" / f"{name}-{width}-{look}.png"
                    tab.screenshot(path=path, animations="disabled", full_page=width > 400)
                    print(path.relative_to(ROOT))
        browser.close()
    page.close()


def front(tab: Page, key: str, chinese: bool) -> None:
    """Bring a tab to the front; on a narrow screen it may be in the menu at the end."""
    settled(tab)
    name = TEXTS[key][chinese]
    button = tab.get_by_role("tab", name=name, exact=True)
    if not button.count():
        tab.get_by_role("button", name="More tabs").click()
        button = tab.locator("#vq-tabs").get_by_text(name, exact=True).last
    button.click()


def reconstruct(tab: Page, chinese: bool) -> None:
    settled(tab)


def interpolate(tab: Page, chinese: bool) -> None:
    front(tab, "tab_interpolate", chinese)
    test_interpolate.done(tab)


def edit(tab: Page, chinese: bool) -> None:
    front(tab, "tab_edit", chinese)
    tab.locator(f"{editor.ROOT}[data-book]").wait_for(state="attached")
    editor.idle(tab)
    editor.drag(tab, (3, 3), (6, 7), 16)
    tab.locator('[data-sheet="palette"] canvas').click(position={"x": 60, "y": 60})
    editor.idle(tab)
    tab.evaluate("window.scrollTo(0, 0)")


def sample(tab: Page, chinese: bool) -> None:
    front(tab, "tab_sample", chinese)
    tab.locator('#vq-sample-options [data-option="seed"]').evaluate("input => (input.value = 0)")
    tab.get_by_role("button", name=TEXTS["sample_draw"][chinese]).click()
    test_sample.state(tab, "done")


PREPARE: dict[str, Callable[[Page, bool], None]] = {
    "reconstruct": reconstruct,
    "interpolate": interpolate,
    "edit": edit,
    "sample": sample,
}

if __name__ == "__main__":
    main(sys.argv[1:])
