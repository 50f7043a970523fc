"""The page as a whole in a real browser: the guide, links, explained terms, accessibility, languages, widths."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from test_words import TERM, foreign

from browser.chromium import settled, visit
from browser.editor import open_editor
from vq.ui.page import TABS
from vq.ui.texts import TEXTS

expect.set_options(timeout=30_000)

LANGUAGES = {"en-US": 0, "zh-CN": 1}
WIDTHS = (360, 480, 560, 640, 768, 900, 1024, 1200, 1440, 1920)
# Of Gradio's own markup, by axe's rule: the selector, and why it stays.
GRADIO = {
    # Gradio draws the footer; the picture in "Settings" is named like the button around it: read twice, at worst.
    "image-redundant-alt": "footer img",
}
# Every text that a visitor can see or hear, with where it stands.
SAID = """() => {
    const found = new Map();
    const add = (text, where) => text?.trim() && found.set(text.trim(), where);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const parent = node.parentElement;
        if (parent.closest("script, style, .tab-container.visually-hidden")) continue;
        if (parent.getClientRects().length) add(node.data, parent.tagName);
    }
    for (const name of ["aria-label", "aria-description", "aria-valuetext", "title", "placeholder", "alt"]) {
        for (const node of document.querySelectorAll(`[${name}]`)) {
            if (node.getClientRects().length) add(node.getAttribute(name), `${node.tagName}[${name}]`);
        }
    }
    return [...found];
}"""
# What can be reached with the Tab key, in the order of the document: of radio buttons of one name one.
REACHABLE = """() => [...document.querySelectorAll("button, input, select, textarea, summary, a[href], [tabindex]")]
    .filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({ visibilityProperty: true }))
    .filter((e) => e.type !== "radio" || e.checked)
    .map((e, i) => e.dataset.order = String(i)).length"""

MATCHES = "([target, selector]) => document.querySelector(target)?.matches(selector)"
# What stands out of the window at either side, and isn't meant to.
SPILLING = """width => [...document.querySelectorAll("#vq-header *, #vq-guide *, [role=tabpanel] *")].filter((e) => {
    const box = e.getBoundingClientRect();
    const meant = e.closest("svg, .vq-film, .vq-spoken, legend, .vq-before, [aria-hidden=true]");
    return box.width && !meant && (box.right > width + 1 || box.left < -1);
}).map((e) => e.outerHTML.slice(0, 120))"""
# Place in that order, whether the focus can be seen, and what has it. Hidden boxes show it on what follows them.
FOCUSED = """() => {
    const node = document.activeElement, hidden = node.matches("[type=radio], [type=checkbox]");
    const seen = hidden && node.nextElementSibling;
    const ring = [node, seen].some((e) => e && getComputedStyle(e).outlineStyle !== "none");
    return [Number(node.dataset.order ?? -1), ring, node.outerHTML.slice(0, 100)];
}"""


def words(key: str, language: int) -> str:
    return TERM.sub(r"\2", TEXTS[key][language])


def open_tab(page: Page, tab: str, language: int) -> None:
    """Bring a tab to the front and wait until it shows whatever it has to show."""
    page.get_by_role("tab", name=words(f"tab_{tab}", language), exact=True).click()
    if tab == "reconstruct":
        settled(page)
    elif tab == "interpolate":
        page.locator('.vq-interpolate-paths[data-state="done"]').wait_for()
    elif tab == "edit":
        open_editor(page, words("tab_edit", language))
        page.locator("#vq-edit-second button").first.click()
        page.locator("[data-donor]").first.click()
    elif tab == "sample":
        page.locator(".vq-sample-draw").click()
        page.locator('.vq-sample-pictures[data-state="done"]').wait_for()


@pytest.fixture(scope="module", params=LANGUAGES)
def everywhere(request, browser, page_url) -> Iterator[tuple[Page, int]]:
    """A visitor of each language who has been to every tab."""
    with visit(browser, page_url, locale=request.param) as page:
        for tab in TABS:
            open_tab(page, tab, LANGUAGES[request.param])
        yield page, LANGUAGES[request.param]


def look_at(page: Page, tab: str) -> None:
    """A tab that was opened before."""
    page.locator(f'#vq-tabs [role=tablist] [data-tab-id="{tab}"]').click()
    page.wait_for_function("tab => VQ.link.current() === tab", arg=tab)


@contextmanager
def dark(page: Page) -> Iterator[None]:
    recolour(page, "document.body.classList.add('dark')")
    yield
    recolour(page, "document.body.classList.remove('dark')")


def recolour(page: Page, script: str) -> None:
    """Change the colours, and wait until none is between the old one and the new one."""
    page.evaluate(script)
    page.wait_for_function("document.getAnimations().every(a => !(a instanceof CSSTransition))")


def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds, of whatever weight, less what is Gradio's and listed."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": tags}
    found = Axe().run(page, options={"runOnly": only, "resultTypes": ["violations"]}).response["violations"]
    return [
        f"{v['impact']} {v['id']}: {node['target']} {node['html'][:150]}"
        for v in found
        for node in v["nodes"]
        if not (v["id"] in GRADIO and page.evaluate(MATCHES, [node["target"][0], GRADIO[v["id"]]]))
    ]


@pytest.mark.parametrize("tab", TABS)
def test_axe_finds_nothing_of_ours(everywhere, tab):
    page, _ = everywhere
    look_at(page, tab)
    assert violations(page) == []
    with dark(page):
        assert violations(page, "color-contrast", "link-in-text-block", "target-size") == []


@pytest.mark.parametrize("tab", TABS)
def test_no_width_breaks_the_layout(everywhere, tab):
    page, _ = everywhere
    look_at(page, tab)
    try:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            spilling = page.evaluate(SPILLING, width)
            assert spilling == [], width
            # On phones Gradio hides one of the footer's two links; the dot between them goes with it.
            footer = page.locator("footer:has(.settings)")
            links, dots = (footer.locator(f"{what}:visible").count() for what in ("button", ".divider"))
            assert links == (1 if width <= 640 else 2) and dots == links - 1, width
    finally:
        page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("tab", TABS)
def test_nothing_is_left_untranslated(everywhere, tab):
    page, language = everywhere
    look_at(page, tab)
    said = page.evaluate(SAID)
    assert len(said) > 30
    if tab == "reconstruct":  # behind the camera's button stands more
        sources = page.locator('#vq-picture [data-testid="source-select"] button')
        sources.nth(1).click()
        page.locator("#vq-picture video").wait_for(state="attached")
        said += page.evaluate(SAID)
        sources.nth(0).click()
    if language:
        left = [(text, where) for text, where in said if foreign(text)]
        assert not left, left
    else:
        assert [text for text, _ in said if any("\u4e00" <= c <= "\u9fff" for c in text)] == []


@pytest.mark.parametrize("tab", TABS)
def test_terms_are_explained_where_they_come_first(everywhere, tab):
    page, language = everywhere
    look_at(page, tab)
    terms = page.locator('[role=tabpanel] [data-term][role="button"]:visible')
    expect(terms.first).to_be_visible()
    named = terms.evaluate_all("nodes => nodes.map((node) => node.dataset.term)")
    assert len(named) == len(set(named)) > 0
    box = page.locator("#vq-help")
    for i, term in enumerate(named):
        terms.nth(i).focus()
        page.keyboard.press("Enter")
        expect(box).to_have_text(words(f"term_{term}", language))
        expect(terms.nth(i)).to_have_attribute("aria-expanded", "true")
        edges = box.bounding_box()
        assert edges["x"] >= 0 and edges["x"] + edges["width"] <= page.evaluate("innerWidth")
        page.keyboard.press("Escape")
        expect(box).to_be_hidden()


@pytest.mark.parametrize("tab", TABS)
def test_the_keyboard_gets_everywhere_in_order(everywhere, tab):
    page, language = everywhere
    if language:
        pytest.skip("the same markup")
    look_at(page, tab)
    total = page.evaluate(REACHABLE)
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    page.mouse.click(2, 2)
    reached: list[int] = []
    for _ in range(total + 5):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        if at[0] < 0:
            break
        assert at[1], f"no mark on {at[2]}"
        reached.append(at[0])
    assert all(a < b for a, b in pairwise(reached))
    missed = sorted(set(range(total)) - set(reached))
    assert [page.locator(f'[data-order="{i}"]').evaluate("node => node.outerHTML.slice(0, 120)") for i in missed] == []


def test_the_guide_leads_through_the_tabs_and_stays_closed(browser, page_url):
    with visit(browser, page_url) as page:
        settled(page)
        guide, done = page.locator(".vq-guide"), page.locator(".vq-guide [data-done]")
        expect(guide).to_contain_text(words("lens_difference", 0))
        page.locator('input[name="vq-lens"][value="difference"]').check(force=True)
        expect(done).to_have_count(1)
        page.locator(".vq-guide-next").press("Enter")
        expect(page.get_by_role("tab", name="Interpolate")).to_have_attribute("aria-selected", "true")
        expect(guide).to_contain_text(words("play", 0))
        page.locator('[data-step="reconstruct"]').press("Enter")
        expect(page.get_by_role("tab", name="Reconstruct")).to_have_attribute("aria-selected", "true")
        page.locator(".vq-guide-close").press("Enter")
        expect(guide).to_be_hidden()
        assert page.evaluate("document.activeElement.closest('.vq-tools') !== null")

        later = page.context.new_page()
        later.goto(page_url)
        settled(later)
        expect(later.locator(".vq-guide")).to_be_hidden()
        later.locator(".vq-tools button").first.press("Enter")
        expect(later.locator(".vq-guide")).to_be_visible()
        expect(later.locator(".vq-guide [data-done]")).to_have_count(1)


def query(page: Page) -> dict[str, str]:
    return page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")


def test_a_link_restores_the_reconstruct_tab(browser, page_url):
    asked = "/?codecs=vqgan,nobody,vqvae&size=128&fit=pad&example=rocket&lens=code&__theme=light"
    with visit(browser, page_url, asked) as page:
        page.locator('.vq-cards[data-state="done"] [data-card="vqgan"] .vq-tag', has_text="128 px").wait_for()
        assert page.locator(".vq-cards > .vq-grid").first.locator(".vq-card").count() == 2
        assert page.locator('[data-example="rocket"]').get_attribute("aria-pressed") == "true"
        assert page.locator(".vq-cards").get_attribute("data-lens") == "code"
        ticked = page.locator(".vq-ticks input:checked").evaluate_all("all => all.map((e) => e.value)")
        assert ticked[:2] == ["vqvae", "vqgan"]
        same = {"codecs": "vqvae,vqgan", "size": "128", "fit": "pad", "example": "rocket", "lens": "code"}
        expect(page.locator('[data-card="vqgan"] .vq-map')).to_be_visible()
        page.wait_for_function("location.search.includes('tab=')")
        assert query(page) == same | {"tab": "reconstruct", "__theme": "light"}


def test_a_link_restores_the_other_tabs_also_in_a_frame(browser, page_url):
    asked = "/#tab=interpolate&codec=ae&frames=5&path=slerp&seed=9&size=77&mode=%3Cb%3E"
    with visit(browser, page_url, asked) as page:
        page.wait_for_function("document.querySelectorAll('.vq-row:first-child .vq-film button').length === 5")
        page.locator('.vq-interpolate-paths[data-state="done"]').wait_for()
        assert page.locator(".vq-row").count() == 3
        expect(page.locator('[data-path="slerp"]')).to_be_in_viewport()
        assert query(page) == {"tab": "interpolate", "codec": "ae", "frames": "5", "seed": "9", "path": "slerp"}

        framed = page.context.new_page()
        inner = framed.frame_locator("iframe")
        show = '<iframe src="{}/?{}" style="width: 1200px; height: 800px"></iframe>'
        framed.set_content(show.format(page_url, "tab=edit&amp;codec=vqgan&amp;size=128&amp;example=coffee"))
        inner.locator('.vq-edit-source [value="vqgan"]:checked').wait_for(state="attached")
        inner.locator('.vq-edit-source [value="128"]:checked').wait_for(state="attached")
        expect(inner.locator('[data-edit-example="coffee"]')).to_have_attribute("aria-pressed", "true")

        asked = "tab=sample&amp;model=vae-normal&amp;n=2&amp;seed=3&amp;temperature=0.5&amp;top_k=-4"
        framed.set_content(show.format(page_url, asked))
        inner.locator('.vq-sample-pictures[data-state="done"]').wait_for()
        line = inner.locator(".vq-sample-line textarea").input_value()
        assert line.startswith("vq-sample model=vae-normal ")
        assert line.endswith("n=2 seed=3 temperature=0.5")


def test_a_link_with_nonsense_opens_the_page_as_it_is_and_can_be_copied(browser, page_url):
    asked = "/?tab=%22%3E%3Cscript%3E&size=9e99&codecs=&n=NaN&seed=../../etc#lens="
    with visit(browser, page_url, asked, permissions=["clipboard-read", "clipboard-write"]) as page:
        settled(page)
        assert page.get_by_role("tab", name="Reconstruct").get_attribute("aria-selected") == "true"
        assert page.locator(".vq-cards > .vq-grid").first.locator(".vq-card").count() == 4
        page.wait_for_function("location.search === ''")
        page.locator('input[name="vq-lens"][value="compare"]').check(force=True)
        page.get_by_role("button", name=words("copy_link", 0)).click()
        expect(page.get_by_role("button", name=words("copied", 0))).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == f"{page_url}/?tab=reconstruct&lens=compare"


def test_a_file_too_large_is_refused_in_the_visitors_language(everywhere):
    page, language = everywhere
    look_at(page, "reconstruct")
    page.evaluate(
        """() => {
            const file = new File(["x"], "large.png", {type: "image/png"});
            Object.defineProperty(file, "size", {value: 100_000_001});
            const input = document.querySelector("#vq-picture input[type=file]");
            Object.defineProperty(input, "files", {value: [file], configurable: true});
            input.dispatchEvent(new Event("change", {bubbles: true}));
            delete input.files;
        }"""
    )
    expect(page.locator(".vq-toast")).to_contain_text(words("upload_large", language))
    assert page.locator(".vq-cards[data-busy]").count() == 0
    page.locator(".vq-toast button").click()
    expect(page.locator(".vq-toast")).to_have_count(0)


@pytest.mark.parametrize("tab", ["interpolate", "edit"])
def test_a_broken_file_is_complained_about_once(everywhere, tab):
    """Nothing of it is left in the box, where the next choice would send it again."""
    page, language = everywhere
    look_at(page, tab)
    file = {"name": "photo.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.locator(f"#vq-{tab}-picture input[type=file]").first.set_input_files(file)
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text(words("unreadable", language))
    expect(page.locator(f"#vq-{tab}-picture img")).to_have_count(0)
    page.get_by_test_id("toast-close").click()
    expect(toast).to_have_count(0)
