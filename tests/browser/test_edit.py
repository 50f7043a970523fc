"""The Edit tokens tab in a real browser: what is drawn is what the tasks compute, and nothing gets lost."""

import json

import numpy as np
import pytest
import torch
from conftest import free_port
from pictures import encoded, photo
from PIL import Image, ImageOps
from playwright.sync_api import expect

from browser.chromium import settled, visit
from browser.editor import (
    CANVAS,
    ROOT,
    act,
    at,
    begun,
    choose,
    drag,
    figure,
    frames,
    idle,
    latencies,
    open_editor,
    palette,
    session,
    tool,
)
from vq.image import open_picture, to_picture, to_tensor
from vq.models.vqvae import VQVAE
from vq.tasks import edit as tasks
from vq.tokenfile import ERRORS
from vq.ui import build_app, launch_options
from vq.ui.reconstruct import EXAMPLES
from vq.ui.texts import TEXTS

expect.set_options(timeout=30_000)
GRID = 16

# The picture as the canvas shows it, without grid, selection or pointer: one sample in the middle of every pixel.
SHOWN = """async size => {
    const canvas = document.querySelector(".vq-edit-canvas");
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), out = [];
    for (let y = 0; y < size; y += 1) for (let x = 0; x < size; x += 1) {
        const row = Math.floor((y + .5) * canvas.height / size), column = Math.floor((x + .5) * canvas.width / size);
        const i = 4 * (row * canvas.width + column);
        out.push(data.data[i], data.data[i + 1], data.data[i + 2]);
    }
    return out;
}"""


def shown(page, size=64):
    """(size,size,3) uint8: what stands on the canvas once nothing lies over it."""
    page.mouse.move(0, 0)
    act(page, "none")
    lines = page.locator(".vq-edit-bar .vq-ticks input")
    lines.set_checked(False, force=True)
    idle(page)
    out = np.array(page.evaluate(SHOWN, size), np.uint8).reshape(size, size, 3)
    lines.set_checked(True, force=True)
    return out


def decoded(load, codec, tokens):
    return np.asarray(to_picture(tasks.decode(load(codec), tokens)))


def example(load, codec="vqvae", size=64, name="chelsea"):
    return tasks.encode(load(codec), open_picture(EXAMPLES[name]), size)[1]


def saved(page):
    with page.expect_download() as download:
        act_side(page, "save")
    return json.loads(download.value.path().read_text(encoding="utf-8"))


def act_side(page, name):
    page.locator(f'.vq-edit-source [data-act="{name}"]').click()


def bring(page, text, name="tokens.json"):
    file = {"name": name, "mimeType": "application/json", "buffer": text if isinstance(text, bytes) else text.encode()}
    page.locator(".vq-edit-source input[type=file]").set_input_files(file)


@pytest.fixture
def page(browser, page_url):
    with visit(browser, page_url) as page:
        open_editor(page)
        yield page


def test_drag_a_rectangle_choose_a_code_and_the_picture_follows(page, load):
    tokens = example(load)
    assert np.array_equal(shown(page), decoded(load, "vqvae", tokens))
    drag(page, (2, 3), (5, 9), GRID)
    assert figure(page, "selected") == 28
    code = next(code for code in range(32) if code not in tokens[2:6, 3:10])
    book = tasks.book(load("vqvae"), None)
    place = book.codes.tolist().index(code)
    sheet = page.locator('[data-sheet="palette"] canvas')
    box = sheet.bounding_box()
    cell = box["width"] / book.columns
    sheet.click(position={"x": (place % book.columns + 0.5) * cell, "y": (place // book.columns + 0.5) * cell})
    expect(page.locator(f'{ROOT} [data-figure="changed"]')).to_have_attribute("data-value", "28")
    idle(page)
    tokens[2:6, 3:10] = code
    assert np.array_equal(shown(page), decoded(load, "vqvae", tokens))
    assert saved(page)["tokens"] == tokens.tolist()


def test_a_burst_of_large_edits_goes_in_several_messages(page):
    """The server takes no more of them in one."""
    choose(page, "vq-edit-size", 256)
    act(page, "all")
    idle(page)
    page.evaluate(
        """() => {
            const button = document.querySelector('[data-act="nearest"]');
            for (let i = 0; i < 70; i += 1) button.click();
        }"""
    )
    idle(page)
    assert page.locator(ROOT).get_attribute("data-undos") == "70"


def test_thirty_edits_in_a_burst_arrive_and_undo_restores_the_bytes(page, load):
    tokens = example(load)
    before = shown(page).tobytes()
    page.locator(CANVAS).focus()
    page.evaluate(
        """() => {
            const canvas = document.querySelector(".vq-edit-canvas");
            const input = document.querySelector('.vq-edit-code input[type="number"]');
            const press = key => canvas.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
            for (let i = 0; i < 30; i += 1) {
                input.value = i;
                input.dispatchEvent(new Event("input"));
                press("Escape"); press(" "); press("Enter"); press(i % 15 === 14 ? "ArrowDown" : "ArrowRight");
            }
        }"""
    )
    idle(page)
    want = tokens.copy()
    cell, steps = [0, 0], 0
    for i in range(30):
        steps += want[tuple(cell)] != i
        want[tuple(cell)] = i
        cell = [cell[0] + 1, cell[1]] if i % 15 == 14 else [cell[0], min(15, cell[1] + 1)]
    assert page.locator(ROOT).get_attribute("data-undos") == str(steps)
    assert saved(page)["tokens"] == want.tolist()
    after = shown(page).tobytes()
    assert after == decoded(load, "vqvae", want).tobytes()
    for key in ["Control+z"] * 30 + ["Control+Shift+z"] * 30 + ["Control+z"] * 30:
        page.locator(CANVAS).press(key)
    idle(page)
    assert shown(page).tobytes() == before
    assert (figure(page, "changed"), page.locator(ROOT).get_attribute("data-redos")) == (0, str(steps))


BURST = """([count, then]) => {
    const canvas = document.querySelector(".vq-edit-canvas");
    const input = document.querySelector('.vq-edit-code input[type="number"]');
    const press = key => canvas.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    for (let i = 0; i < count; i += 1) {
        input.value = i % 32;
        input.dispatchEvent(new Event("input"));
        press("Escape"); press(" "); press("Enter"); press(i % 15 === 14 ? "ArrowDown" : "ArrowRight");
    }
    document.querySelector(then)?.click();
}"""


def test_a_file_saved_in_a_burst_has_every_edit(page):
    with page.expect_download() as download:
        page.evaluate(BURST, [40, '.vq-edit-source [data-act="save"]'])
    file = json.loads(download.value.path().read_text(encoding="utf-8"))
    idle(page)
    assert file == saved(page)
    assert int(page.locator(ROOT).get_attribute("data-undos")) >= 30


def test_undo_and_redo_a_hundred_steps_from_wherever_the_focus_is(page, load):
    for _ in range(3):
        page.evaluate(BURST, [50, "nothing"])
    idle(page)
    steps, file = int(page.locator(ROOT).get_attribute("data-undos")), saved(page)  # the focus is on its button now
    assert steps >= 100
    for key in ["Control+z"] * steps:
        page.keyboard.press(key)
    idle(page)
    assert saved(page)["tokens"] == example(load).tolist()
    act(page, "redo")
    idle(page)
    act(page, "undo")  # and is used up, which leaves the focus nowhere
    idle(page)
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    for key in ["Control+y"] * steps:
        page.keyboard.press(key)
    idle(page)
    assert saved(page) == file
    code = page.get_by_role("spinbutton", name="Code", exact=True)
    code.press("Control+z")  # a field has an undo of its own
    idle(page)
    assert saved(page) == file


def test_what_is_on_its_way_is_painted_already(page):
    """Several strokes before the first answer: none of them vanishes in between."""
    tool(page, "brush")
    page.get_by_role("spinbutton", name="Code", exact=True).scroll_into_view_if_needed()
    seen = page.evaluate(
        """async () => {
            const canvas = document.querySelector(".vq-edit-canvas"), context = canvas.getContext("2d");
            const input = document.querySelector('.vq-edit-code input[type="number"]');
            canvas.setPointerCapture = () => {};
            const side = () => canvas.width / 16;
            const cell = i => [...context.getImageData((i + .5) * side(), .5 * side(), 1, 1).data];
            const frames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
            const first = [0, 1, 2].map(cell), seen = [];
            for (let i = 0; i < 3; i += 1) {
                const box = canvas.getBoundingClientRect();
                const at = { clientX: box.left + (i + .5) * box.width / 16, clientY: box.top + .5 * box.height / 16 };
                input.value = 7 + i;
                input.dispatchEvent(new Event("input"));
                for (const name of ["pointerdown", "pointerup"]) {
                    canvas.dispatchEvent(new PointerEvent(name, { button: 0, bubbles: true, ...at }));
                }
                canvas.dispatchEvent(new PointerEvent("pointerleave"));
                await frames();
                seen.push([0, 1, 2].map(k => String(cell(k)) !== String(first[k])));
            }
            return seen;
        }"""
    )
    idle(page)
    assert [row[: i + 1] for i, row in enumerate(seen)] == [[True] * (i + 1) for i in range(3)]


def test_export_reload_import_is_the_same_picture(page, load):
    choose(page, "vq-edit-codec", "vqgan")
    drag(page, (1, 1), (4, 4), 8)
    act(page, "shuffle")
    idle(page)
    file, picture = saved(page), shown(page)
    page.reload()
    open_editor(page)
    before = session(page)
    bring(page, json.dumps(file))
    begun(page, before)
    assert np.array_equal(shown(page), picture)
    assert saved(page) == file
    assert page.locator('input[name="vq-edit-codec"]:checked').get_attribute("value") == "vqgan"


@pytest.mark.parametrize("bad", ["not json", "{}", b"\xff\xfe\x00", '{"format": "vq-tokens", "version": 1}'])
def test_a_bad_token_file_is_one_sentence_and_changes_nothing(page, bad):
    before, picture = session(page), shown(page)
    bring(page, bad)
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_be_visible()
    said = toast.inner_text()
    assert any(english.split("{")[0] in said for english, _ in ERRORS.values())
    assert "Traceback" not in said and "/root" not in said
    assert session(page) == before and np.array_equal(shown(page), picture)


def test_a_huge_token_file_never_leaves_the_browser(page):
    bring(page, " " * 1_100_000)
    expect(page.get_by_text(TEXTS["edit_huge"][0])).to_be_visible()


def test_the_keyboard_alone_selects_sets_and_undoes(page, load):
    tokens = example(load)
    page.keyboard.press("Tab")
    for _ in range(80):
        if page.evaluate("document.activeElement.className") == "vq-edit-canvas":
            break
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "vq-edit-canvas"
    keys = ["ArrowDown", "ArrowDown", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown"]
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator(".vq-edit-stage .vq-spoken")).to_contain_text("Row 5, column 3")
    assert figure(page, "selected") == 6
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.getAttribute('aria-label')") != "Code":
        page.keyboard.press("Tab")
    code = int((tokens[2, 1] + 1) % 32)
    page.keyboard.press("Control+a")
    page.keyboard.type(str(code))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    idle(page)
    want = tokens.copy()
    want[2:5, 1:3] = code
    assert np.array_equal(shown(page), decoded(load, "vqvae", want))
    page.locator(CANVAS).focus()
    page.keyboard.press("Escape")
    assert figure(page, "selected") == 0
    page.keyboard.press("Control+z")
    idle(page)
    assert np.array_equal(shown(page), decoded(load, "vqvae", tokens))


def test_selecting(page, load):
    tokens = example(load)
    drag(page, (0, 0), (3, 3), GRID)
    page.keyboard.down("Shift")
    drag(page, (10, 10), (11, 12), GRID)
    page.keyboard.up("Shift")
    assert figure(page, "selected") == 16 + 6
    page.keyboard.down("Alt")
    drag(page, (2, 0), (3, 3), GRID)
    page.keyboard.up("Alt")
    assert figure(page, "selected") == 8 + 6
    act(page, "invert")
    assert figure(page, "selected") == 256 - 14
    page.mouse.click(*at(page, 7, 8, GRID))
    assert figure(page, "selected") == 1
    act(page, "same")
    assert figure(page, "selected") == (tokens == tokens[7, 8]).sum()
    page.locator('input[name="vq-edit-mode"][value="add"]').check(force=True)
    act(page, "none")
    drag(page, (0, 0), (0, 3), GRID)
    drag(page, (2, 0), (2, 3), GRID)
    assert figure(page, "selected") == 8
    page.mouse.move(*at(page, 4, 6, GRID))
    expect(page.locator(".vq-edit-here")).to_contain_text(f"Row 5, column 7: code {tokens[4, 6]}")


def test_touch(browser, page_url):
    with visit(browser, page_url, has_touch=True, viewport={"width": 400, "height": 900}) as page:
        open_editor(page)
        page.touchscreen.tap(*at(page, 3, 3, GRID))
        page.wait_for_function("document.querySelector('[data-figure=selected]').dataset.value === '1'")
        page.locator('input[name="vq-edit-mode"][value="add"]').check(force=True)
        page.touchscreen.tap(*at(page, 5, 3, GRID))
        page.wait_for_function("document.querySelector('[data-figure=selected]').dataset.value === '2'")


def test_acting_on_a_selection(page, load):
    """Brush, pick, nearest, mirror, copy and paste, replace, transplant: the tokens that come out are right."""
    codec, tokens = load("vqvae"), example(load)
    tool(page, "pick")
    page.mouse.click(*at(page, 6, 6, GRID))
    expect(page.get_by_role("spinbutton", name="Code", exact=True)).to_have_value(str(tokens[6, 6]))
    tool(page, "brush")
    drag(page, (0, 2), (0, 6), GRID)
    idle(page)
    tokens[0, 2:7] = tokens[6, 6]
    tool(page, "select")
    drag(page, (4, 4), (6, 7), GRID)
    page.get_by_label("How far").fill("3")
    act(page, "nearest")
    table = tasks.codebook(codec)
    tokens[4:7, 4:8] = tasks.editing.nearest(table, tokens[4:7, 4:8].ravel(), 3)[:, 3].reshape(3, 4)
    act(page, "mirror_h")
    tokens[4:7, 4:8] = tokens[4:7, 4:8][:, ::-1]
    idle(page)
    act(page, "copy")
    page.mouse.click(*at(page, 10, 11, GRID))
    act(page, "paste")
    tokens[10:13, 11:15] = tokens[4:7, 4:8]
    idle(page)
    assert saved(page)["tokens"] == tokens.tolist()
    a = int(tokens[12, 12])
    page.get_by_label("code", exact=True).fill(str(a))
    page.get_by_label("by", exact=True).fill("9")
    act(page, "replace")
    tokens[tokens == a] = 9
    idle(page)
    assert saved(page)["tokens"] == tokens.tolist()
    page.get_by_text(TEXTS["edit_second"][0]).click()
    expect(page.locator('[data-act="transplant"]')).to_be_disabled()
    page.locator('[data-donor="rocket"]').click()
    expect(page.locator(".vq-edit-donated")).to_be_visible()
    drag(page, (8, 0), (9, 15), GRID)
    act(page, "transplant")
    idle(page)
    tokens[8:10] = example(load, name="rocket")[8:10]
    assert saved(page)["tokens"] == tokens.tolist()


def test_resampling_changes_nothing_outside_the_selection(page, load):
    tokens = example(load)
    drag(page, (6, 5), (8, 9), GRID)
    act(page, "resample")
    variants = page.locator("[data-variant]")
    expect(variants).to_have_count(4)
    bits = [float(text.replace(",", "")) for text in variants.all_inner_texts()]
    assert bits == sorted(bits)
    variants.nth(2).click()
    idle(page)
    got = np.array(saved(page)["tokens"])
    outside = np.ones_like(tokens, bool)
    outside[6:9, 5:10] = False
    assert np.array_equal(got[outside], tokens[outside]) and not np.array_equal(got, tokens)
    choose(page, "vq-edit-size", 128)
    expect(page.locator('[data-act="resample"]')).to_be_disabled()
    expect(page.get_by_text(TEXTS["edit_prior_grid"][0].format("PixelCNN", 16, 16))).to_be_visible()


def test_a_resampling_nobody_answers_locks_nothing(page):
    """It was asked of a picture that has made way for another."""
    before = session(page)
    act(page, "all")
    page.evaluate(
        """async () => {
            document.querySelector('[data-edit-example="coffee"]').click();
            await new Promise(done => setTimeout(done, 10));
            document.querySelector('.vq-edit [data-act="resample"]').click();
        }"""
    )
    page.wait_for_function("after => document.querySelector('.vq-edit').dataset.session > after", arg=before)
    idle(page)
    act(page, "all")
    expect(page.locator('.vq-edit [data-act="resample"]')).to_be_enabled()
    act(page, "resample")
    expect(page.locator("[data-variant]")).to_have_count(4)


def test_edits_wait_in_their_grid_and_starting_over_can_be_undone(page, load):
    tokens = example(load)
    drag(page, (2, 2), (4, 5), GRID)
    palette(page, 7)
    act(page, "set")
    idle(page)
    edited, count = shown(page), figure(page, "changed")
    choose(page, "vq-edit-codec", "vqgan")
    expect(page.get_by_text(TEXTS["edit_restored"][0])).to_be_hidden()
    choose(page, "vq-edit-codec", "vqvae")
    expect(page.get_by_text(TEXTS["edit_restored"][0])).to_be_visible()
    assert np.array_equal(shown(page), edited) and figure(page, "changed") == count > 0
    act(page, "reset")
    idle(page)
    assert np.array_equal(shown(page), decoded(load, "vqvae", tokens)) and figure(page, "changed") == 0
    for picture in (edited, decoded(load, "vqvae", tokens)):
        act(page, "undo")
        idle(page)
        assert np.array_equal(shown(page), picture)


def test_an_oblong_token_file(page, load):
    file = saved(page)
    before = session(page)
    bring(page, json.dumps(file | {"w": 8, "tokens": [row[:8] for row in file["tokens"]]}))
    begun(page, before)
    box = page.locator(CANVAS).bounding_box()
    assert box["height"] / box["width"] == pytest.approx(2, abs=0.02)
    assert box["height"] <= page.locator(".vq-edit-stage").bounding_box()["width"] + 1
    assert page.locator('input[name="vq-edit-size"]:checked').count() == 0
    page.get_by_text(TEXTS["edit_second"][0]).click()
    page.locator('[data-donor="rocket"]').click()
    expect(page.locator(".vq-edit-donated")).to_be_visible()
    act(page, "all")
    act(page, "transplant")
    idle(page)
    middle = ImageOps.fit(open_picture(EXAMPLES["rocket"]), (32, 64), Image.Resampling.LANCZOS)
    assert saved(page)["tokens"] == load("vqvae").encode(to_tensor(middle)).tokens[0].tolist()
    choose(page, "vq-edit-size", 64)
    assert (saved(page)["h"], saved(page)["w"]) == (16, 16)


def test_views(page, load, load_prior):
    tokens = example(load)
    drag(page, (2, 2), (6, 6), GRID)
    palette(page, 3)
    act(page, "set")
    idle(page)
    before = decoded(load, "vqvae", tokens).astype(float)
    tokens[2:7, 2:7] = 3
    after = decoded(load, "vqvae", tokens).astype(float)

    def lens(name):
        page.locator(f'input[name="vq-edit-lens"][value="{name}"]').check(force=True)
        return shown(page)

    assert np.array_equal(lens("before"), before)
    page.locator('input[name="vq-edit-lens"][value="difference"]').check(force=True)
    page.get_by_label("Gain", exact=True).last.fill("6")
    assert np.array_equal(lens("difference"), np.clip(128 + 6 * (after - before), 0, 255))
    colours = tasks.book(load("vqvae"), None).colours
    assert np.array_equal(lens("tokens"), colours[tokens].repeat(4, 0).repeat(4, 1))
    page.locator('input[name="vq-edit-lens"][value="surprisal"]').check(force=True)
    bits = tasks.surprisal(load_prior("pixelcnn", "vqvae"), tokens)
    page.mouse.move(*at(page, 4, 6, GRID))
    expect(page.locator(".vq-edit-here")).to_contain_text(f"{bits[4, 6]:.1f} bits")
    original, _ = tasks.encode(load("vqvae"), open_picture(EXAMPLES["chelsea"]), 64)
    psnr = tasks.psnr(original, tasks.decode(load("vqvae"), tokens))
    assert page.locator(f'{ROOT} [data-figure="psnr"]').inner_text() == f"{psnr:.1f}"
    assert np.array_equal(lens("original"), np.asarray(original))


def test_the_atlas_shows_where_a_code_stands(page, load):
    tokens = example(load)
    code = int(np.bincount(tokens.ravel()).argmax())
    book = tasks.book(load("vqvae"), None)
    place = book.codes.tolist().index(code)
    sheet = page.locator('[data-sheet="atlas"] canvas')
    sheet.scroll_into_view_if_needed()
    cell = sheet.bounding_box()["width"] / book.columns
    sheet.click(position={"x": (place % book.columns + 0.5) * cell, "y": (place // book.columns + 0.5) * cell})
    expect(page.locator("[data-stands]")).to_have_attribute("data-stands", str((tokens == code).sum()))
    near = page.locator("[data-near]")
    assert [int(n.get_attribute("data-near")) for n in near.all()] == book.nearest[code].tolist()
    act(page, "stands")
    assert figure(page, "selected") == (tokens == code).sum()
    expect(page.get_by_text(TEXTS["edit_atlas_plain"][0])).to_be_visible()


@pytest.mark.parametrize(("width", "touch", "least"), [(1440, False, 7), (400, True, 10)])
def test_thousands_of_codes_are_large_enough_to_hit(browser, load, load_prior, statistics, width, touch, least):
    """The palette is a window on them: it shows the code in hand, whatever its place, and takes another by a click."""
    torch.manual_seed(0)
    many = VQVAE(codebook_size=2500, code_dim=4, widths=(8, 8), decoder_depths=(0, 0)).eval().requires_grad_(False)
    app = build_app(lambda name: many if name == "vqvae" else load(name), load_prior, statistics)
    _, url, _ = app.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    try:
        with visit(browser, url.rstrip("/"), viewport={"width": width, "height": 900}, has_touch=touch) as page:
            open_editor(page)
            book = tasks.book(many, None)
            window, sheet = page.locator('[data-sheet="palette"] .vq-sheet-holder'), '[data-sheet="palette"] canvas'
            side = page.locator(sheet).bounding_box()["width"] / book.columns
            assert side >= least
            for place in (2499, 0, 1234):
                palette(page, int(book.codes[place]))
                frames(page)
                left, top, wide, high = window.evaluate(
                    "w => [w.scrollLeft, w.scrollTop, w.clientWidth, w.clientHeight]"
                )
                x, y = place % book.columns * side - left, place // book.columns * side - top
                assert 0 <= x <= wide - side + 1 and 0 <= y <= high - side + 1
            act(page, "all")
            page.locator(sheet).click(position={"x": left + x + 1.5 * side, "y": top + y + side / 2})
            expect(page.locator(f"{ROOT} [data-figure='changed']")).not_to_have_attribute("data-value", "0")
            idle(page)
            assert set(np.ravel(saved(page)["tokens"])) == {book.codes[1235]}
            # Far from the code in hand, what is pressed is what is taken: coming into focus scrolls nothing.
            palette(page, int(book.codes[2499]))
            frames(page)
            window.evaluate("w => w.scrollTo(0, 0)")
            window.scroll_into_view_if_needed()
            box = window.bounding_box()
            page.mouse.click(box["x"] + 2.5 * side, box["y"] + 2.5 * side)
            idle(page)
            assert set(np.ravel(saved(page)["tokens"])) == {book.codes[2 * book.columns + 2]}
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        app.close()


def test_two_visitors_never_see_each_others_tokens(browser, page_url, load):
    tokens = example(load)
    with visit(browser, page_url) as a, visit(browser, page_url) as b:
        for page in (a, b):
            open_editor(page)
        for i in range(4):
            for page, code in ((a, 3 + i), (b, 20 + i)):
                tool(page, "brush")
                palette(page, code)
                drag(page, (i, 0), (i, 5), GRID)
        for page, first in ((a, 3), (b, 20)):
            idle(page)
            want = tokens.copy()
            want[:4, :6] = np.arange(first, first + 4)[:, None]
            assert saved(page)["tokens"] == want.tolist()


def test_an_upload_and_a_carried_result(page, load):
    before = session(page)
    file = {"name": "photo.png", "mimeType": "image/png", "buffer": encoded(photo(), "PNG")}
    page.locator("#vq-edit-picture input[type=file]").set_input_files(file)
    begun(page, before)
    assert saved(page)["tokens"] == tasks.encode(load("vqvae"), photo(), 64)[1].tolist()
    page.get_by_role("tab", name="Reconstruct", exact=True).click()
    settled(page)
    before = session(page)
    page.locator('[data-card="vqgan"] [data-carry="edit"]').click()
    begun(page, before)
    file = saved(page)
    assert (file["codec"], file["tokens"]) == ("vqgan", example(load, "vqgan").tolist())


def test_every_control_has_a_name(page):
    nameless = page.evaluate(
        """() => [".vq-edit", ".vq-edit-source", ".vq-edit-donor"].flatMap(name => [...document.querySelectorAll(
            `${name} :is(input, button, img, canvas:not([aria-hidden]), svg:not([aria-hidden]))`)])
            .filter(e => !(e.getAttribute("aria-label") || e.closest("label")?.textContent.trim()
                || e.textContent.trim() || e.getAttribute("alt") || e.title || e.querySelector("img[alt]")))
            .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_overflows(browser, page_url, width):
    with visit(browser, page_url) as page:
        open_editor(page)  # before it is narrowed: Gradio puts tabs that don't fit into a menu
        page.set_viewport_size({"width": width, "height": 800})
        idle(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_speaks_chinese(browser, page_url):
    with visit(browser, page_url, locale="zh-CN") as page:
        open_editor(page, TEXTS["tab_edit"][1])
        for key in ("edit_palette", "edit_lens_surprisal", "edit_resample_do", "edit_atlas", "edit_hint"):
            expect(page.get_by_text(TEXTS[key][1], exact=True).first).to_be_visible()


def test_an_edit_is_timed_from_the_hand_to_the_paint(page):
    times = latencies(page, GRID, 3)
    assert len(times) == 3 and all(0 < time < 60_000 for time in times)
