"""The Reconstruct tab in a real browser: what is shown is what the tasks compute, whatever comes in."""

import base64
import re
import threading
from contextlib import closing

import gradio as gr
import numpy as np
import pytest
from conftest import NAMES, free_port
from pictures import KINDS, encoded, hundred_megapixels, photo
from PIL import Image
from playwright.sync_api import Page, expect

from browser.chromium import revision, settled, visit
from vq.catalogue import CODECS
from vq.image import contain, fit_square, open_picture, to_tensor
from vq.tasks import reconstruct as tasks
from vq.ui import build_app, launch_options, reconstruct
from vq.ui.common import Studio
from vq.ui.reconstruct import EXAMPLES, KNOBS, WHOLE, Choice, show
from vq.ui.texts import TEXTS

# A machine busy with other things is no failure.
expect.set_options(timeout=30_000)

PIXELS = """image => image.decode().then(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const data = context.getImageData(0, 0, canvas.width, canvas.height);
    return {size: [data.width, data.height], bytes: btoa(Array.from(data.data, b => String.fromCharCode(b)).join(""))};
})"""


def pixels(page: Page, selector: str) -> np.ndarray:
    """The pixels of a picture as the browser decoded it: (H,W,3) uint8."""
    got = page.locator(selector).evaluate(PIXELS)
    width, height = got["size"]
    return np.frombuffer(base64.b64decode(got["bytes"]), np.uint8).reshape(height, width, 4)[..., :3]


def shown(page: Page, codec: str) -> np.ndarray:
    return pixels(page, f'[data-card="{codec}"] .vq-picture')


def upload(page: Page, data: bytes, name: str = "photo.png", mime: str = "image/png") -> None:
    file = {"name": name, "mimeType": mime, "buffer": data}
    page.locator("#vq-picture input[type=file]").set_input_files(file)


def uploaded(page: Page, data: bytes, *rest: str) -> None:
    before = revision(page)
    upload(page, data, *rest)
    settled(page, before)


def assert_shows(page: Page, load, picture: Image.Image, size: int = 64, fit: str = "crop", codecs=NAMES) -> None:
    for r in tasks.reconstruct(load, picture, codecs, size, fit):
        assert np.array_equal(shown(page, r.codec), np.asarray(r.picture)), r.codec


def choose(page: Page, name: str, value: str) -> None:
    before = revision(page)
    page.locator(f'input[name="{name}"][value="{value}"]').check(force=True)
    settled(page, before)


@pytest.fixture
def page(browser, page_url):
    with visit(browser, page_url) as page:
        settled(page)
        yield page


def test_an_example_is_there_at_once_and_another_a_click_away(page, load):
    assert_shows(page, load, open_picture(EXAMPLES["chelsea"]))
    before = revision(page)
    page.locator('[data-example="rocket"]').click()
    settled(page, before)
    assert_shows(page, load, open_picture(EXAMPLES["rocket"]))


def test_every_kind_of_picture(page, load):
    for kind, make in KINDS.items():
        data = make()
        mime = {"tiff": "image/tiff", "animated": "image/gif", "bmp": "image/bmp"}.get(kind, "image/png")
        uploaded(page, data, f"{kind}.{mime.split('/')[1]}", mime)
        assert_shows(page, load, open_picture(data))


def test_a_hundred_megapixels(page, load):
    data = hundred_megapixels()
    uploaded(page, data)
    assert_shows(page, load, open_picture(data), codecs=["vqvae"])


def test_size_fit_and_choice_of_codecs(page, load):
    uploaded(page, encoded(photo(), "PNG"))
    choose(page, "vq-size", "256")
    assert shown(page, "vqvae").shape == (256, 256, 3)
    assert shown(page, "ae").shape == (64, 64, 3)
    choose(page, "vq-fit", "pad")
    assert_shows(page, load, photo(), 256, "pad")
    before = revision(page)
    page.locator('.vq-ticks input[value="ae"]').uncheck(force=True)
    settled(page, before)
    assert page.locator('[data-card="ae"]').count() == 0
    assert page.locator('.vq-grid [data-card="vqgan"]').count() == 1


def test_a_broken_file_is_one_sentence_and_the_next_works(page, load):
    before = revision(page)
    upload(page, KINDS["png"]()[:70])
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text(TEXTS["unreadable"][0])
    assert "Traceback" not in toast.inner_text()
    assert "/" not in toast.inner_text().replace(" / ", "")
    settled(page, before)  # what stood before stands again, and nothing waits
    assert page.locator(".vq-cards .vq-card").count() >= len(NAMES)
    expect(page.locator('[data-example="chelsea"]')).to_have_attribute("aria-pressed", "true")
    choose(page, "vq-size", "128")  # nothing of the file is left to complain about
    assert_shows(page, load, open_picture(EXAMPLES["chelsea"]), 128)
    assert toast.count() <= 1  # it goes by itself
    uploaded(page, encoded(photo(), "PNG"))
    assert_shows(page, load, photo(), 128)
    before = revision(page)
    upload(page, KINDS["png"]()[:70], "again.png")
    settled(page, before)
    assert np.array_equal(pixels(page, "#vq-picture img"), np.asarray(photo()))
    choose(page, "vq-size", "64")
    assert_shows(page, load, photo())


def test_a_file_of_no_type_is_tried_all_the_same(page, load):
    """The browser has a type for few of the files that Pillow reads."""
    before = revision(page)
    upload(page, b"hello", "notes.txt", "text/plain")
    expect(page.get_by_test_id("toast-body")).to_contain_text(TEXTS["unreadable"][0])
    settled(page, before)
    assert page.locator(".vq-cards[data-busy]").count() == 0
    expect(page.locator("#vq-picture img")).to_have_count(0)
    uploaded(page, encoded(photo(), "TGA"), "photo.tga", "")
    assert_shows(page, load, photo())


def test_what_the_browser_cannot_show_is_shown_by_the_server(page):
    uploaded(page, encoded(photo(), "TIFF"), "photo.tiff", "image/tiff")
    box = "#vq-picture img"
    page.wait_for_function(f"document.querySelector('{box}').naturalWidth > 0")
    assert np.array_equal(pixels(page, box), np.asarray(contain(photo(), WHOLE)))
    uploaded(page, encoded(photo(), "PNG"))
    assert np.array_equal(pixels(page, box), np.asarray(photo()))


def test_an_upload_that_fails_gives_the_results_back(browser, page_url):
    with closing(browser.new_context(locale="en-US")) as visitor:  # not `visit`: the browser logs the failure
        page = visitor.new_page()
        page.goto(page_url)
        settled(page)
        page.route("**/upload?*", lambda route: route.fulfill(status=413, body="too large"))
        upload(page, encoded(photo(), "PNG"))
        expect(page.get_by_test_id("toast-body")).to_be_visible()
        expect(page.locator(".vq-cards[data-busy]")).to_have_count(0, timeout=5_000)
        assert page.locator(".vq-status").first.inner_text() == ""


def test_a_visitor_who_waits_sees_the_place_in_the_queue(browser, load, load_prior, statistics):
    gate = threading.Event()

    def slow(name: str):
        gate.wait(60)
        return load(name)

    app = build_app(slow, load_prior, statistics)
    _, url, _ = app.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    try:
        with visit(browser, url.rstrip("/")) as first:
            # What the page asks for by itself is under way.
            expect(first.locator(".vq-cards .vq-status")).to_have_text(TEXTS["waking"][0])
            with visit(browser, url.rstrip("/"), locale="zh-CN") as second:
                for page, language in ((first, 0), (second, 1)):
                    page.locator('[data-example="rocket"]').click()
                    words = re.escape(TEXTS["queued"][language]).replace(r"\{\}", r"\d+")
                    expect(page.locator(".vq-cards .vq-status")).to_have_text(re.compile(words))
                gate.set()
                for page in (first, second):
                    settled(page, 1)
                    expect(page.locator(".vq-cards .vq-status")).to_have_text("")
    finally:
        gate.set()
        app.close()


def test_paste_anywhere(page, load):
    data = base64.b64encode(encoded(photo(), "PNG")).decode()
    before = revision(page)
    page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "pasted.png", {type: "image/png"}));
            const options = {clipboardData: transfer, bubbles: true, cancelable: true};
            document.dispatchEvent(new ClipboardEvent("paste", options));
        }""",
        data,
    )
    settled(page, before)
    assert_shows(page, load, photo())


def test_webcam(page):
    before = revision(page)
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#vq-picture video')?.videoWidth > 0")
    # Until there is a photo, what stands stays.
    assert page.locator(".vq-cards").get_attribute("data-state") == "done"
    assert revision(page) == before
    assert page.locator('.vq-cards [data-state="ready"]').count() >= len(NAMES)
    page.get_by_title("capture photo").click()
    settled(page, before)
    assert shown(page, "vqvae").std() > 0


def test_the_lens_shows_difference_code_and_before_after(page, load):
    uploaded(page, encoded(photo(), "PNG"))
    (r,) = tasks.reconstruct(load, photo(), ["vqvae"])
    a, b = np.asarray(r.original, float), np.asarray(r.picture, float)
    lens = page.locator('input[name="vq-lens"]')
    canvas = page.locator('[data-card="vqvae"] canvas')

    lens.nth(2).check(force=True)
    expect(canvas).to_have_attribute("data-gain", "4")
    page.get_by_label("Gain").fill("8")
    expect(canvas).to_have_attribute("data-gain", "8")
    got = canvas.evaluate("c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)")
    want = np.clip(128 + 8 * (b - a), 0, 255)
    assert np.array_equal(np.reshape(got, (64, 64, 4))[..., :3], want)

    lens.nth(3).check(force=True)
    assert page.locator('[data-card="vqvae"] .vq-map').is_visible()
    colours = pixels(page, '[data-card="vqvae"] .vq-map').reshape(-1, 3)
    tokens = r.encoded.tokens.flatten().tolist()
    by_code = {token: tuple(colour) for token, colour in zip(tokens, colours.tolist(), strict=True)}
    assert [by_code[token] for token in tokens] == [tuple(colour) for colour in colours.tolist()]
    assert page.locator('[data-card="ae"] .vq-code svg').is_visible()

    lens.nth(1).check(force=True)
    divider = page.get_by_role("slider", name="Before / after")
    divider.fill("20")
    style = page.locator(".vq-cards").get_attribute("style")
    assert "--divide: 20%" in style
    box = page.locator('[data-card="vae"] .vq-screen').bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 20)
    expect(divider).to_have_value("75")


def test_saved_pictures_are_enlarged_by_whole_pixels(page, load, tmp_path):
    uploaded(page, encoded(photo(), "PNG"))
    with page.expect_download() as download:
        page.locator('[data-card="vae"]').get_by_role("button", name="Save PNG").click()
    download.value.save_as(tmp_path / "saved.png")
    (r,) = tasks.reconstruct(load, photo(), ["vae"])
    with Image.open(tmp_path / "saved.png") as saved:
        want = np.asarray(r.picture).repeat(8, 0).repeat(8, 1)
        assert np.array_equal(np.asarray(saved.convert("RGB")), want)


def test_jpeg_and_webp_come_at_the_nearest_size(page, load):
    uploaded(page, encoded(photo(), "PNG"))
    page.locator('input[name="vq-target"][value="vqgan"]').check(force=True)
    (r,) = tasks.reconstruct(load, photo(), ["vqgan"])
    for format in ("JPEG", "WEBP"):
        h = tasks.handmade(r.original, format, r.bytes)
        assert np.array_equal(shown(page, format.lower()), np.asarray(h.compressed.picture))
        figure = page.locator(f'[data-card="{format.lower()}"] [data-figure="bytes"]')
        assert figure.get_attribute("data-value") == str(h.compressed.bytes)


def test_latent_sliders(page, load, statistics):
    uploaded(page, encoded(photo(), "PNG"))
    image = '[data-knobs="vae"] img'
    plain = pixels(page, image)
    codec, known = load("vae"), statistics("vae")
    z = codec.encode(to_tensor(fit_square(photo(), 64))).z
    page.locator('[data-knobs="vae"] input').nth(1).fill("3")
    expect(page.locator(".vq-knobs")).to_have_attribute("data-shown", "1")
    target = [None, 3.0] + [None] * (KNOBS - 2)
    moved = np.asarray(tasks.move(codec, z, known, target))
    assert np.array_equal(pixels(page, image), moved)
    assert not np.array_equal(moved, plain)
    page.locator('[data-knobs="vae"] button').click()
    expect(page.locator(".vq-knobs")).to_have_attribute("data-shown", "2")
    assert np.array_equal(pixels(page, image), plain)


def test_a_burst_of_inputs_ends_with_the_last(page, load):
    before = revision(page)
    for name in ("coffee", "rocket", "astronaut", "coffee", "rocket"):
        page.locator(f'[data-example="{name}"]').click()
    settled(page, before + 4)
    assert_shows(page, load, open_picture(EXAMPLES["rocket"]))


def test_the_page_speaks_chinese(browser, page_url, load):
    with visit(browser, page_url, locale="zh-CN") as page:
        settled(page)
        uploaded(page, encoded(photo(), "PNG"))
        assert_shows(page, load, photo())
        for key in ("tagline", "tab_reconstruct", "tab_sample", "examples", "lens_difference", "handmade", "knobs"):
            expect(page.get_by_text(TEXTS[key][1], exact=True).first).to_be_visible()
        upload(page, KINDS["png"]()[:70])
        toast = page.get_by_test_id("toast-body")
        expect(toast).to_contain_text(TEXTS["unreadable"][1])
        expect(toast).to_contain_text(TEXTS["error"][1])
        page.get_by_role("tab", name=TEXTS["tab_edit"][1]).click()
        for key, (english, _) in TEXTS.items():
            if len(english) > 12 and "{" not in english and key != "unreadable":
                assert page.get_by_text(english, exact=True).count() == 0, key


@pytest.mark.parametrize("width", [360, 400, 768, 1440, 1920])
def test_nothing_overflows(browser, page_url, width):
    with visit(browser, page_url, viewport={"width": width, "height": 800}) as page:
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name(page):
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("#vq-reconstruct input, #vq-reconstruct button, #vq-reconstruct img")]
            .filter(e => e.offsetParent && !(e.getAttribute("aria-label") || e.closest("label")?.textContent.trim()
                || e.textContent.trim() || e.getAttribute("alt") || e.title || e.querySelector("img[alt]")))
            .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert [html for html in nameless if "gradio_api/file" not in html] == []


def test_a_result_can_be_carried_to_another_tab(browser, load, codecs):
    """The frame that other tabs join: a tab that accepts results gets one, and comes to the front."""
    with gr.Blocks() as app:
        carried = gr.State(None)
        with gr.Tabs(selected="reconstruct") as tabs:
            rows = {name: CODECS[name] for name in ("ae", "vqvae")}
            studio = Studio(load, lambda name: None, lambda name, codec: None, rows, carried, tabs, accepts=["edit"])
            with gr.Tab("Reconstruct", id="reconstruct"):
                reconstruct.build(studio, app)
            with gr.Tab("Edit", id="edit"):
                got = gr.JSON(elem_id="got")
        carried.change(lambda r: {"codec": r.codec, "tokens": r.tokens.tolist()}, carried, got)
    _, url, _ = app.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    try:
        with visit(browser, url.rstrip("/")) as page:
            settled(page)
            assert page.locator('[data-card="ae"] [data-carry]').count() == 0  # it has no tokens to edit
            page.locator('[data-card="vqvae"] [data-carry="edit"]').click()
            expect(page.get_by_role("tab", name="Edit")).to_have_attribute("aria-selected", "true")
            expect(page.locator("#got")).to_contain_text("vqvae")
            (r,) = tasks.reconstruct(load, open_picture(EXAMPLES["chelsea"]), ["vqvae"])
            shown = "".join(page.locator("#got").inner_text().split())
            assert ",".join(map(str, r.encoded.tokens[0, 0, :4].tolist())) in re.sub(r"[^0-9,]", "", shown)
    finally:
        app.close()


def test_new_input_stops_the_old_work(load):
    """Between two codecs, a run sees that it has been overtaken and ends."""
    asked: list[str] = []
    rows = {name: CODECS[name] for name in NAMES}

    def counting(name: str):
        asked.append(name)
        return load(name)

    studio = Studio(counting, lambda name: None, lambda name, codec: None, rows, gr.State(), gr.Tabs(render=False))
    choice = Choice(64, "crop", list(NAMES))
    values = [v for v, _, _ in show(studio, lambda: len(asked) < 2, 7, photo(), choice)]
    assert asked == ["ae", "vae"]
    assert [len(v["cards"]) for v in values] == [0, 1, 2]
    assert all(v["revision"] == 7 and v["state"] == "running" for v in values)


def test_a_codec_that_fails_leaves_the_others(load):
    rows = {name: CODECS[name] for name in ("ae", "vqgan")}

    def failing(name: str):
        if name == "ae":
            raise ValueError("no weights")
        return load(name)

    studio = Studio(failing, lambda name: None, lambda name, codec: None, rows, gr.State(), gr.Tabs(render=False))
    *_, (value, _, _) = show(studio, lambda: True, 1, photo(), Choice(64, "crop", list(rows)))
    failed, good = value["cards"]
    assert failed["error"]["en"] == "no weights"
    assert good["name"] == "vqgan"
    assert value["state"] == "done"
