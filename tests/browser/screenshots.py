"""Pictures of the page for docs/, with the bundled weights: python -m tests.browser.screenshots"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from conftest import free_port  # noqa: E402

import app  # noqa: E402
from browser.chromium import launch, settled, visit  # noqa: E402

SHOTS = [(width, scheme, "en-US") for width in (1440, 400) for scheme in ("light", "dark")] + [(1440, "light", "zh-CN")]
TALL = {1440: 1000, 400: 1500}


def main() -> None:
    from vq.ui import build_app, launch_options

    loader = app.Loader(None, {})
    page = build_app(loader.load, loader.load_prior, loader.statistics)
    _, url, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for width, scheme, locale in SHOTS:
            name = f"reconstruct-{width}-{scheme}" if locale == "en-US" else f"reconstruct-{width}-zh"
            settings = {"viewport": {"width": width, "height": TALL[width]}, "color_scheme": scheme, "locale": locale}
            with visit(browser, url.rstrip("/"), **settings) as tab:
                settled(tab)
                tab.evaluate("Promise.all([...document.images].map(image => image.decode().catch(() => null)))")
                path = ROOT / "docs" / f"{name}.png"
                tab.screenshot(path=path, animations="disabled", full_page=width > 400)
                print(path.relative_to(ROOT))
        browser.close()
    page.close()


if __name__ == "__main__":
    main()
