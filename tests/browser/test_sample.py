"""The Sample tab in a real browser: previews, Stop, the same seed and the settings line give the same bytes."""

import base64
import io
import time

import numpy as np
import pytest
from conftest import free_port
from PIL import Image
from playwright.sync_api import Page, expect
from tiny_priors import tiny_pixelcnn, tiny_transformer

from browser.chromium import settled, visit
from vq.codebook import false_colours
from vq.tasks import sample as tasks
from vq.ui import build_app, launch_options

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def slow_url(load, load_prior, statistics):
    """The page over priors that take their time for each token, so that there is something to stop."""
    priors = {
        "transformer": tiny_transformer((8, 8), codes=32, codec="vqgan"),
        "pixelcnn": tiny_pixelcnn((16, 16), codes=32, codec="vqvae"),
    }

    def slowly(stream):
        def slow(*args, **kwargs):
            for grids in stream(*args, **kwargs):
                time.sleep(0.03)
                yield grids

        return slow

    for prior in priors.values():
        prior.stream = slowly(prior.stream)
    page = build_app(load, lambda name, codec: priors.get(name) or load_prior(name, codec), statistics)
    _, url, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    yield url.rstrip("/")
    page.close()


def opened(page: Page) -> None:
    settled(page)
    tab = page.get_by_role("tab", name="Sample")
    if not tab.count():  # on the narrowest screens it is in the menu at the end
        page.get_by_role("button", name="More tabs").click()
        tab = page.locator("#vq-tabs").get_by_text("Sample", exact=True).last
    tab.click()


def state(page: Page, wanted: str, after: int = 0) -> int:
    page.wait_for_function(
        """([wanted, after]) => {
            const root = document.querySelector(".vq-sample-pictures");
            return root && root.dataset.state === wanted && Number(root.dataset.revision) > after;
        }""",
        arg=[wanted, after],
    )
    return int(page.locator(".vq-sample-pictures").get_attribute("data-revision"))


def shown(page: Page) -> list[str]:
    return page.locator(".vq-sample-tile img").evaluate_all("images => images.map(image => image.src)")


def draw(page: Page, seed: int, n: int = 4) -> None:
    page.locator("#vq-sample-options input[type=range]").fill(str(n))
    page.get_by_label("Seed", exact=True).fill(str(seed))
    page.get_by_role("button", name="Draw pictures").click()


def pixels(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def test_it_grows_stops_and_comes_again(browser, slow_url, load, load_prior):
    with visit(browser, slow_url) as page:
        opened(page)
        clicked = time.monotonic()
        draw(page, 7)
        previews: dict[str, None] = {}
        while len(previews) < 3:
            assert time.monotonic() - clicked < 60
            previews |= dict.fromkeys(shown(page)[:1])
            page.wait_for_timeout(50)
        page.get_by_role("button", name="Stop").click()
        revision = state(page, "stopped")
        assert int(page.locator(".vq-sample-pictures").get_attribute("data-drawn")) < 64

        draw(page, 7)
        revision = state(page, "done", revision)
        first = shown(page)
        draw(page, 7)
        revision = state(page, "done", revision)
        assert shown(page) == first and len(first) == 4

        line = page.locator(".vq-sample-line textarea").input_value()
        draw(page, 8)
        revision = state(page, "done", revision)
        assert shown(page) != first
        page.get_by_placeholder("vq-sample model=…").fill(line)
        page.get_by_role("button", name="Replay", exact=True).click()
        state(page, "done", revision)
        assert shown(page) == first
        want = tasks.sample(load, load_prior, tasks.Settings("transformer", 4, 7)).pictures
        for url, picture in zip(first, want, strict=True):
            assert np.array_equal(pixels(url), np.asarray(picture))


def test_a_picture_opens_and_goes_on_to_another_tab(browser, page_url, load_prior):
    with visit(browser, page_url) as page:
        opened(page)
        draw(page, 3, 2)
        state(page, "done")
        page.locator(".vq-sample-tile").nth(1).click()
        close = page.locator(".vq-sample-close")
        expect(close).to_be_visible()
        with page.expect_download() as download:
            close.get_by_role("link").or_(close.get_by_role("button", name="PNG")).first.click()
        saved = np.asarray(Image.open(download.value.path()).convert("RGB"))
        small = pixels(shown(page)[1])
        scale = len(saved) // len(small)
        assert np.array_equal(saved, small.repeat(scale, 0).repeat(scale, 1))
        close.get_by_role("button", name="Edit these tokens").click()
        expect(page.get_by_role("tab", name="Edit tokens")).to_have_attribute("aria-selected", "true")


def test_maps_and_a_cell_to_point_at(browser, page_url, load, load_prior):
    frame = tasks.sample(load, load_prior, tasks.Settings("transformer", 2, 5))
    nats = load_prior("transformer", None).surprisal(frame.tokens)[0]
    colours = false_colours(load("vqgan").codebook)
    with visit(browser, page_url) as page:
        opened(page)
        draw(page, 5, 2)
        state(page, "done")
        close = page.locator(".vq-sample-close")
        token_map = close.locator("figure").nth(0).locator("img")
        assert np.array_equal(pixels(token_map.get_attribute("src")), colours[frame.tokens[0]])
        shades = close.locator(".vq-sample-heat rect").evaluate_all("rs => rs.map(r => r.getAttribute('fill-opacity'))")
        want = np.minimum(1, nats.numpy().ravel() / np.log(32))
        assert np.allclose(np.array(shades, float), want, atol=0.004)
        box = close.locator(".vq-screen").first.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 2.5 / 8, box["y"] + box["height"] * 6.5 / 8)
        expect(close).to_contain_text(f"row 6, column 2: code {frame.tokens[0, 6, 2]}, {nats[6, 2]:.2f} nats")


def test_the_seed_drawn_is_told_and_kept_and_the_line_copied(browser, page_url):
    with visit(browser, page_url, permissions=["clipboard-read", "clipboard-write"]) as page:
        opened(page)
        page.locator('#vq-sample-options input[value="vae-normal"]').check(force=True)
        draw(page, -1, 1)
        revision = state(page, "done")
        first = shown(page)
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        line = page.evaluate("navigator.clipboard.readText()")
        assert line == page.locator(".vq-sample-line textarea").input_value()
        page.get_by_role("button", name="Keep this seed").click()
        seed = page.get_by_label("Seed", exact=True).input_value()
        assert f"seed={seed} " in line
        page.get_by_role("button", name="Draw pictures").click()
        state(page, "done", revision)
        assert shown(page) == first


def test_what_is_chosen_after_a_click_changes_nothing_of_it(browser, page_url):
    with visit(browser, page_url) as page:
        opened(page)
        page.locator('#vq-sample-options input[value="vae-normal"]').check(force=True)
        page.locator("#vq-sample-options input[type=range]").fill("2")
        page.get_by_label("Seed", exact=True).fill("7")
        page.evaluate(
            """() => {
                document.querySelector(".vq-sample-draw").click();
                document.querySelector('#vq-sample-options input[value="vae-fitted"]').click();
            }"""
        )
        state(page, "done")
        line = page.locator(".vq-sample-line textarea").input_value()
        assert "model=vae-normal " in line and " n=2 seed=7" in line and len(shown(page)) == 2


@pytest.mark.parametrize("width", [360, 400, 768, 1440, 1920])
def test_nothing_overflows(browser, page_url, width):
    with visit(browser, page_url, viewport={"width": width, "height": 800}) as page:
        opened(page)
        page.locator("#vq-sample-options input[type=range]").fill("16")
        page.get_by_role("button", name="Draw pictures").click()
        state(page, "done")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_model_that_is_missing_says_so_and_the_others_work(browser, load, statistics, load_prior):
    def missing(name, codec):
        if name == "transformer":
            raise ValueError("no weights here")
        return load_prior(name, codec)

    app = build_app(load, missing, statistics)
    _, url, _ = app.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    with visit(browser, url.rstrip("/")) as page:
        opened(page)
        expect(page.locator("#vq-sample-options")).to_contain_text("no weights here")
        page.locator('#vq-sample-options input[value="vae-fitted"]').check(force=True)
        draw(page, 1, 2)
        state(page, "done")
        assert len(set(shown(page))) == 2
    app.close()
