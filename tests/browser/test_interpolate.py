"""The Interpolate tab in a real browser: every frame shown is the task's, whatever is scrubbed, carried or saved."""

import io

import numpy as np
import pytest
from conftest import NAMES
from pictures import encoded, photo
from PIL import Image
from playwright.sync_api import Page, expect

from browser.chromium import settled, visit
from browser.test_reconstruct import pixels
from vq.image import open_picture
from vq.tasks import interpolate as tasks
from vq.tasks import reconstruct
from vq.tasks.interpolate import end_of
from vq.ui.reconstruct import EXAMPLES
from vq.ui.texts import TEXTS

expect.set_options(timeout=30_000)


def opened(page: Page) -> None:
    settled(page)
    page.get_by_role("tab", name="Interpolate").click()
    done(page)


def revision(page: Page) -> int:
    return int(page.locator(".vq-interpolate-paths").get_attribute("data-revision"))


def done(page: Page, after: int = 0) -> None:
    page.wait_for_function(
        """after => {
            const paths = document.querySelector(".vq-interpolate-paths");
            return paths && Number(paths.dataset.revision) > after && paths.dataset.state === "done";
        }""",
        arg=after,
    )


def change(page: Page, name: str, value: str) -> None:
    before = revision(page)
    page.locator(f'input[name="vq-interpolate-{name}"][value="{value}"]').check(force=True)
    done(page, before)


def option(page: Page, name: str, value: int) -> None:
    before = revision(page)
    page.locator(f'[data-option="{name}"]').fill(str(value))
    done(page, before)


def put(page: Page, slot: str, example: str) -> None:
    page.locator(f'[data-slot="{slot}"]').click()
    before = revision(page)
    page.locator(f'[data-interpolate-example="{example}"]').click()
    done(page, before)


def picture_of(example: str) -> Image.Image:
    return open_picture(EXAMPLES[example])


def scrub(page: Page, to: int) -> None:
    page.get_by_role("slider", name="Position").fill(str(to))
    expect(page.locator(".vq-interpolate-paths")).to_have_attribute("data-frame", str(to))


def big(page: Page, path: str) -> np.ndarray:
    return pixels(page, f'[data-path="{path}"] .vq-row-picture')


def assert_shows(page: Page, load, name: str, a, b, frames: int, size: int = 64, seed: int = 0) -> None:
    """Every path of the codec is a row, and every frame of it the task's."""
    codec = load(name)
    ends = end_of(codec, a, size), end_of(codec, b, size)
    rows = page.locator("[data-path]").evaluate_all("rows => rows.map(row => row.dataset.path)")
    assert rows == tasks.paths_of(codec)
    films = {path: list(tasks.interpolate(codec, *ends, path, frames, seed)) for path in rows}
    for i in range(frames):
        scrub(page, i)
        for path, film in films.items():
            assert np.array_equal(big(page, path), np.asarray(film[i].picture)), (path, i)


@pytest.fixture
def page(browser, page_url):
    with visit(browser, page_url) as page:
        opened(page)
        yield page


def test_two_examples_and_every_frame_between_them(page, load):
    assert_shows(page, load, "vqvae", picture_of("chelsea"), picture_of("coffee"), 9)
    put(page, "A", "rocket")
    put(page, "B", "astronaut")
    option(page, "frames", 3)
    for codec in ("ae", "vqgan"):
        change(page, "codec", codec)
        assert_shows(page, load, codec, picture_of("rocket"), picture_of("astronaut"), 3)


def test_scrubbing_asks_nothing_of_the_server(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if not request.url.startswith("data:") else None)
    for i in (0, 8, 3):
        scrub(page, i)
    page.locator('[data-path="sweep"] .vq-film button').nth(6).click()
    expect(page.locator(".vq-interpolate-paths")).to_have_attribute("data-frame", "6")
    film = page.get_by_role("group", name="Film strip: Pixel cross-fade")
    film.focus()
    for key, frame in (("ArrowRight", 7), ("Home", 0), ("End", 8), ("ArrowRight", 8), ("ArrowLeft", 7)):
        film.press(key)
        expect(page.locator(".vq-interpolate-paths")).to_have_attribute("data-frame", str(frame))
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.vq-interpolate-paths').dataset.frame !== '7'")
    page.get_by_role("button", name="Pause").click()
    assert [url for url in asked if "heartbeat" not in url] == []


def test_options_reach_the_task(page, load):
    option(page, "frames", 4)
    change(page, "size", "128")
    before = revision(page)
    seed = page.get_by_label("Seed", exact=True)
    seed.fill("7")
    seed.press("Tab")
    done(page, before)
    assert_shows(page, load, "vqvae", picture_of("chelsea"), picture_of("coffee"), 4, 128, 7)
    changed = page.locator(".vq-plot").nth(1)
    codec = load("vqvae")
    ends = [end_of(codec, picture_of(name), 128) for name in ("chelsea", "coffee")]
    counts = tasks.tokens_changed(list(tasks.interpolate(codec, *ends, "requantize", 4, 7)))
    titles = changed.locator('[data-line="requantize"] title').all_text_contents()
    assert [title.rsplit(": ")[1].replace(",", "") for title in titles] == [str(count) for count in counts]


def test_an_upload_and_an_exchange(page, load):
    page.locator('[data-slot="B"]').click()
    before = revision(page)
    file = {"name": "photo.png", "mimeType": "image/png", "buffer": encoded(photo(), "PNG")}
    page.locator("#vq-interpolate-picture input[type=file]").set_input_files(file)
    done(page, before)
    expect(page.locator('[data-slot="B"]')).to_have_attribute("data-name", "own")
    option(page, "frames", 3)
    assert_shows(page, load, "vqvae", picture_of("chelsea"), photo(), 3)
    before = revision(page)
    page.get_by_role("button", name="Exchange A and B").click()
    done(page, before)
    assert_shows(page, load, "vqvae", photo(), picture_of("chelsea"), 3)


def test_four_corners(page, load):
    change(page, "mode", "corners")
    for name in ("vqgan", "vae"):
        change(page, "codec", name)
        option(page, "side", 3 if name == "vqgan" else 4)
        side = 3 if name == "vqgan" else 4
        ends = [end_of(load(name), picture_of(example), 64) for example in EXAMPLES]
        grid = list(tasks.corners(load(name), ends, side))
        assert page.locator(".vq-corner-grid button").count() == side**2
        assert page.locator("[data-path]").count() == 0
        for across, down in ((0, 0), (side - 1, 0), (1, 1), (0, side - 1), (side - 1, side - 1)):
            page.get_by_role("slider", name="Across").fill(str(across))
            page.get_by_role("slider", name="Down").fill(str(down))
            want = np.asarray(grid[down * side + across].picture)
            assert np.array_equal(pixels(page, ".vq-corners-one .vq-row-picture"), want)
    cells = page.get_by_role("group", name="Between four pictures")
    cells.focus()
    cells.press("ArrowLeft")
    cells.press("ArrowUp")
    expect(page.locator(".vq-interpolate-corners")).to_have_attribute("data-tile", str(2 * 4 + 2))


def test_a_carried_result_arrives_and_is_used_as_it_is(browser, page_url, load):
    with visit(browser, page_url) as page:
        settled(page)
        page.locator('[data-card="vqgan"] [data-carry="interpolate"]').click()
        expect(page.get_by_role("tab", name="Interpolate")).to_have_attribute("aria-selected", "true")
        expect(page.locator('[data-slot="A"]')).to_have_attribute("data-name", "carried")
        page.wait_for_function(
            """() => document.querySelector('.vq-interpolate-paths').dataset.state === "done"
                && document.querySelector('[name="vq-interpolate-codec"]:checked').value === "vqgan"
                && document.querySelectorAll(".vq-plot").length === 2"""
        )
        (r,) = reconstruct.reconstruct(load, picture_of("chelsea"), ["vqgan"])
        scrub(page, 0)
        assert np.array_equal(big(page, "nearest"), np.asarray(r.picture))
        # The next one becomes the other end.
        expect(page.locator('[data-slot="B"]')).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("format", ["webp", "gif"])
def test_an_animation_is_saved(page, load, format, tmp_path):
    with page.expect_download() as download:
        page.locator(f'[data-path="sweep"] [data-save="{format}"]').click()
    assert download.value.suggested_filename == f"sweep-9.{format}"
    download.value.save_as(tmp_path / "saved")
    with Image.open(io.BytesIO((tmp_path / "saved").read_bytes())) as saved:
        assert (saved.format, saved.n_frames) == (format.upper(), 9)
        saved.seek(8)
        if format == "webp":
            scrub(page, 8)
            want = big(page, "sweep").repeat(4, 0).repeat(4, 1)
            assert np.array_equal(np.asarray(saved.convert("RGB")), want)


def test_a_burst_of_wishes_ends_with_the_last(page, load):
    before = revision(page)
    for name in ("coffee", "rocket", "astronaut", "rocket"):
        page.locator(f'[data-interpolate-example="{name}"]').click()
    done(page, before + 3)
    scrub(page, 0)
    want = end_of(load("vqvae"), picture_of("rocket"), 64).picture
    assert np.array_equal(big(page, "random"), np.asarray(want))


def test_every_control_has_a_name_and_the_page_speaks_chinese(browser, page_url):
    with visit(browser, page_url, locale="zh-CN", viewport={"width": 360, "height": 800}) as page:
        settled(page)
        page.get_by_role("tab", name=TEXTS["tab_interpolate"][1]).click()
        done(page)
        for key in ("path_pixel", "about_sweep", "steps_title", "mode_corners", "play"):
            expect(page.get_by_text(TEXTS[key][1], exact=True).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("#vq-interpolate :is(input, button, img)")]
                .filter(e => e.offsetParent && !(e.ariaLabel || e.alt || e.title || e.textContent.trim()
                    || e.closest("label")?.textContent.trim() || e.querySelector("img[alt]:not([alt=''])")
                    || e.closest("button[aria-label], button[title]")))
                .map(e => e.outerHTML.slice(0, 120))"""
        )
        assert nameless == []


def test_the_names_of_the_codecs_are_those_of_the_page(page):
    values = page.locator('input[name="vq-interpolate-codec"]').evaluate_all("all => all.map(input => input.value)")
    assert values == list(NAMES)
