"""What a visitor sees when the queue has no room."""

import re

import pytest
from wire import served

from browser.chromium import visit
from vq.ui import build_app
from vq.ui.limits import RETRY, Limits


@pytest.mark.parametrize(("locale", "says"), [("en-US", RETRY), ("zh-CN", re.compile(r"请在 \d+ 秒后重试"))])
def test_a_full_queue_is_told_in_a_toast(browser, load, load_prior, statistics, locale, says):
    page = build_app(load, load_prior, statistics, limits=Limits(waiting=0))
    with served(page) as url, visit(browser, url, locale=locale) as visitor:
        toast = visitor.locator(".toast-body").first
        toast.wait_for()
        assert says.search(toast.inner_text())
        page._queue.limits = Limits()  # room again: the next wish is granted
        visitor.locator("#vq-examples button").nth(1).click()
        visitor.wait_for_function("document.querySelector('.vq-cards')?.dataset.state === 'done'")
