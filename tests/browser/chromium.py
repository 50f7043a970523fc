"""A real Chromium, and what every visit to the page has in common."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from vq.benchmark import browser
from vq.benchmark.browser import PATIENCE

MEDIA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


def launch(playwright: Playwright) -> Browser:
    return browser.launch(playwright, MEDIA)


@contextmanager
def visit(chromium: Browser, url: str, path: str = "/", **context: Any) -> Iterator[Page]:
    """Open the page as a new visitor; afterwards, fail on any error in it and any request to another host."""
    faults: list[str] = []
    settings = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}} | context
    with newcomer(chromium, url, settings) as page:
        page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
        page.on("console", lambda line: faults.append(f"console: {line.text}") if line.type == "error" else None)
        own = (f"{url}/", "data:", "blob:")
        page.on(
            "request", lambda request: None if request.url.startswith(own) else faults.append(f"asks {request.url}")
        )
        page.goto(url + path)
        yield page
    assert not faults, faults


# Contexts that nobody uses now, by browser and settings.
_free: dict[tuple[Browser, str], list[BrowserContext]] = defaultdict(list)


@contextmanager
def newcomer(chromium: Browser, url: str, settings: dict[str, Any]) -> Iterator[Page]:
    """An empty page of somebody who was never here, though their browser has seen the scripts.

    Reading those takes half of a visit's time. A context in which something failed isn't used again.
    """
    screen = settings.pop("viewport")
    free = _free[chromium, json.dumps(settings, sort_keys=True)]
    visitor = free.pop() if free else chromium.new_context(**settings)
    kept = False
    try:
        visitor.set_default_timeout(PATIENCE)
        visitor.clear_cookies()
        page = visitor.new_page()
        page.set_viewport_size(screen)
        visitor.new_cdp_session(page).send("Storage.clearDataForOrigin", {"origin": url, "storageTypes": "all"})
        yield page
        kept = True
    finally:
        if kept:
            for page in visitor.pages:
                page.close()
            free.append(visitor)
        else:
            visitor.close()


def revision(page: Page) -> int:
    """Number of the request that the cards show."""
    cards = page.locator(".vq-cards")
    cards.wait_for(state="attached")
    return int(cards.get_attribute("data-revision") or 0)


def settled(page: Page, after: int = 0) -> None:
    """Wait until the results of a request later than `after` are complete."""
    page.wait_for_function(
        """after => {
            const cards = document.querySelector(".vq-cards");
            return cards && Number(cards.dataset.revision) > after && cards.dataset.state === "done";
        }""",
        arg=after,
    )
