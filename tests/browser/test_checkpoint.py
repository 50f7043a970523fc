"""The panel "Your checkpoint" in a real browser, with the stand-in Hub: progress, stop, failures, and whose it is."""

import numpy as np
import pytest
from conftest import free_port
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import expect
from standin_hub import StandinHub
from standin_models import model, public_files, under

import app
from browser.chromium import revision, settled, visit
from browser.test_reconstruct import shown
from vq import hub, visitors
from vq.catalogue import PUBLIC
from vq.image import open_picture
from vq.tasks import reconstruct as tasks
from vq.ui import build_app, launch_options
from vq.ui.checkpoint import read_request, read_wish
from vq.ui.reconstruct import EXAMPLES

expect.set_options(timeout=30_000)
MOVQ = PUBLIC["movq"]


@pytest.fixture(scope="module")
def checkpoints():
    return under(MOVQ.subfolder, public_files("movq"))


@pytest.fixture
def standin(monkeypatch, tmp_path, checkpoints):
    monkeypatch.setenv("VQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("VQ_DEADLINE", "4")
    monkeypatch.setattr(hub, "_guests", hub.Shelf(lambda: 4))
    with StandinHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.add(MOVQ.repo, checkpoints)
        yield server


@pytest.fixture(scope="module")
def url(load, load_prior, statistics):
    """The page over the tiny codecs, with visitors' checkpoints as app.py has them."""
    loader = app.Loader("cpu", {})
    page = build_app(
        lambda name: loader.load(name) if visitors.is_name(name) else load(name),
        load_prior,
        lambda name: None if visitors.is_name(name) else statistics(name),
        download=loader.download,
    )
    _, url, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    yield url.rstrip("/")
    page.close()


def ask(page, repo=None):
    """Ask for the public MoVQ, or for another repository."""
    if page.locator(".vq-checkpoint details").get_attribute("open") is None:
        page.locator(".vq-checkpoint summary").click()
    page.locator('[data-row="movq"]').click()
    if repo is not None:
        page.locator(".vq-checkpoint [name=repo]").fill(repo)
    page.locator(".vq-checkpoint [type=submit]").click()


def test_it_joins_the_codecs_of_its_visitor_alone(browser, url, standin):
    with visit(browser, url) as page, visit(browser, url) as other:
        settled(page)
        settled(other)
        before = revision(page)
        ask(page)
        expect(page.locator("[data-checkpoint]")).to_have_count(1)
        settled(page, before)
        name = page.locator("[data-checkpoint]").get_attribute("data-checkpoint")
        commit = standin.repos[MOVQ.repo].refs["main"]
        assert name == f"{MOVQ.repo}/movq@{commit}"
        facts = {e.get_attribute("data-fact"): e.inner_text() for e in page.locator("[data-fact]").all()}
        count = sum(p.numel() for p in model("movq").parameters())
        assert facts["class"] == "VQModel" and facts["parameters"] == f"{count:,}" and facts["licence"] == "mit"
        assert facts["codebook"] == "64 codes" and "4 numbers a cell, 8 px" in facts["latent"]
        assert commit.startswith(facts["commit"])
        (r,) = tasks.reconstruct(lambda name: visitors.reopen(name).codec, open_picture(EXAMPLES["chelsea"]), [name])
        assert np.array_equal(shown(page, name), np.asarray(r.picture))
        before = revision(page)
        page.locator(f'.vq-ticks input[value="{name}"]').uncheck(force=True)
        settled(page, before)
        assert page.locator(f'[data-card="{name}"]').count() == 0
        before = revision(other)
        other.locator('[data-example="rocket"]').click()
        settled(other, before)
        assert other.locator(f'[data-card="{name}"], .vq-ticks input[value="{name}"]').count() == 0
        assert commit not in other.content()
        with pytest.raises((AppError, ValueError)):
            Client(url, verbose=False).predict(handle_file(EXAMPLES["coffee"]), [name], api_name="/reconstruct")


def test_bytes_and_stop(browser, url, standin):
    with visit(browser, url) as page:
        settled(page)
        standin.fault = "slow"
        ask(page)
        expect(page.locator(".vq-checkpoint [role=status]")).to_contain_text(" of 1.6 MB")
        page.locator(".vq-wait button").click()
        expect(page.locator(".vq-wait")).to_be_hidden()
        page.wait_for_timeout(1000)
        expect(page.locator(".vq-checkpoint")).to_have_attribute("data-state", "idle")
        standin.fault = None
        ask(page)
        expect(page.locator("[data-checkpoint]")).to_have_count(1)


def test_a_hanging_hub_keeps_nobody_else_waiting(browser, url, standin):
    """While one visitor's download hangs, another's picture is answered; then one sentence, and a second try works."""
    with visit(browser, url) as page, visit(browser, url) as other:
        settled(page)
        settled(other)
        standin.fault = "hang-file"
        ask(page)
        expect(page.locator(".vq-checkpoint")).to_have_attribute("data-state", "loading")
        before = revision(other)
        other.locator('[data-example="coffee"]').click()
        settled(other, before)
        assert page.locator(".vq-checkpoint").get_attribute("data-state") == "loading", "still hanging"
        wrong = page.locator(".vq-wrong")
        expect(wrong).to_contain_text("has sent nothing for 4 seconds")
        assert "VQ_" not in wrong.inner_text()
        standin.fault = None
        ask(page)
        expect(page.locator("[data-checkpoint]")).to_have_count(1)


@pytest.mark.parametrize(("locale", "says"), [("en-US", "has no public repository"), ("zh-CN", "没有公开仓库")])
def test_a_failure_is_one_sentence(browser, url, standin, locale, says):
    with visit(browser, url, locale=locale, viewport={"width": 360, "height": 800}) as page:
        settled(page)
        ask(page, "<img src=x>/y")
        expect(page.locator(".vq-wrong")).to_contain_text("<img src=x>/y")
        ask(page, "someone/none")
        expect(page.locator(".vq-wrong")).to_contain_text(says)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        ask(page)
        expect(page.locator("[data-checkpoint]")).to_have_count(1)
        settled(page, revision(page) - 1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_where_it_is_off_there_is_nothing(browser, page_url):
    with visit(browser, page_url) as page:
        settled(page)
        assert page.locator(".vq-checkpoint").count() == 0


def test_what_a_browser_sends_is_checked():
    import gradio as gr

    good = {"repo": "a/b", "subfolder": "", "revision": "", "request": 3}
    assert read_wish(good) == ("a/b", "", "", 3)
    for bad in (
        None,
        [],
        good | {"repo": None},
        good | {"revision": "x" * 301},
        good | {"request": "3"},
        {"request": 1},
    ):
        with pytest.raises(gr.Error):
            read_wish(bad)
    for bad in (None, {}, {"request": True}, {"request": -1}, {"request": 0.5}):
        with pytest.raises(gr.Error):
            read_request(bad)
