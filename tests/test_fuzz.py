"""Nonsense for every endpoint and every handler, as the app's own description has them, over real HTTP.

What comes back is a result or one sentence; no answer and no log holds a trace, a path of the server or a token.
"""

import os
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from corpus import KINDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program import ROOT, SECRET, sentence
from wire import API, Wire

FULL = os.environ.get("VQ_TORTURE") == "1"
EXAMPLES = 400 if FULL else 10
PROFILE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not FULL,
    database=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)

PATHS = [
    "/etc/passwd",
    "../../etc/passwd",
    "file:///etc/passwd",
    "..\\..\\windows",
    str(ROOT / "app.py"),
    str(ROOT / "vq/ui/guard.py"),
    "app.py",
    "/proc/self/environ",
    "%2e%2e%2fetc%2fpasswd",
    "http://127.0.0.1:9/x.png",
    "http://169.254.169.254/latest/meta-data",
    "C:\\boot.ini",
    "a\0b",
]
WORDS = ["ae", "vqvae", "vqgan", "transformer", "pixelcnn", "pixel", "lerp", "crop", "pad", "set", "shuffle", "undo"]
NUMBERS = [0, -1, 1, 2, 64, 65, 2**31, 2**53, 2**63, -(2**64), 10**30, 1e308, -1e-320, float("inf"), float("nan")]
leaves = (
    st.none()
    | st.booleans()
    | st.sampled_from(NUMBERS)
    | st.sampled_from(WORDS + PATHS)
    | st.text(max_size=20)
    | st.just("x" * 5000)
)


def files(path: Any) -> dict[str, Any]:
    """A claim to have uploaded what lies at a path."""
    return {"path": path, "url": path, "orig_name": path, "meta": {"_type": "gradio.FileData"}}


KEYS = [
    "codec",
    "size",
    "fit",
    "codecs",
    "example",
    "chosen",
    "request",
    "session",
    "edits",
    "cells",
    "seed",
    "op",
    "to",
]
KEYS += [
    "line",
    "model",
    "n",
    "revision",
    "positions",
    "film",
    "format",
    "text",
    "index",
    "value",
    "path",
    "url",
    "__type__",
]
junk = st.recursive(
    leaves | st.builds(files, st.sampled_from(PATHS)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture(scope="module")
def described(program) -> dict[str, Any]:
    """What the app says of itself: its endpoints, and its handlers with their inputs."""
    info = httpx.get(f"{program.url}{API}/info", timeout=60).json()["named_endpoints"]
    config = httpx.get(f"{program.url}/config", timeout=60).json()
    handlers = [d for d in config["dependencies"] if d.get("backend_fn", True)]
    components = {c["id"]: c["type"] for c in config["components"]}
    return {"endpoints": info, "handlers": handlers, "components": components}


@pytest.fixture(scope="module")
def picture(program) -> Any:
    with Wire(program.url) as visitor:
        return visitor.upload(KINDS["png"]())


def without(text: Any) -> Any:
    """A text without what was sent, which may come back."""
    for path in PATHS:
        text = text.replace(path, "…") if isinstance(text, str) else text
    return text


def judged(program, visitor: Wire, answer: dict[str, Any], sent: Any) -> None:
    if answer.get("error") is not None or "status" in answer:
        assert answer.get("status", 400) < 500, (sent, answer)
        told = answer["error"]
        # FastAPI's own description of a body that isn't one at all is a list, and no visitor of the page sees it.
        assert sentence(without(told)) or (answer.get("status") == 422 and isinstance(told, list)), (sent, answer)
    text = without("\n".join(visitor.told))
    visitor.told.clear()
    assert not program.leaks(text), (sent, program.leaks(text))


@pytest.mark.parametrize("name", ["reconstruct", "interpolate", "edit_tokens", "token_file", "sample", "complete"])
def test_endpoints(program, described, picture, name):
    parameters = described["endpoints"][f"/{name}"]["parameters"]
    good = [picture if p["component"] == "Image" else p.get("parameter_default") for p in parameters]
    if name == "sample":
        good = ["vae-normal", 1, 0, None, None, None]
    wrong = st.tuples(st.integers(0, len(good) - 1), junk)

    @PROFILE
    @given(st.lists(wrong, min_size=1, max_size=3), st.integers(-1, 1))
    def fuzz(changes, length):
        data = list(good)
        for place, value in changes:
            data[place] = value
        data = data[:length] if length < 0 else data + [0] * length
        judged(program, visitor, visitor.call(name, data), data)

    with Wire(program.url) as visitor:
        fuzz()
        judged(program, visitor, visitor.call(name, [nested(400)] * len(good)), "nested")


def test_every_endpoint_is_among_them(described):
    listed = test_endpoints.pytestmark[0].args[1]
    assert {f"/{name}" for name in listed} == set(described["endpoints"])


def test_handlers(program, described):
    """The tabs' own handlers, by number, with nonsense for data, for events and for whose session it is."""
    others = Wire(program.url)  # another visitor, who has a state

    with others, Wire(program.url) as visitor:
        loads = [d for d in described["handlers"] if any(event == "load" for _, event in d["targets"])]
        others.ask(loads[0]["id"], [None] * len(loads[0]["inputs"]))
        handlers = described["handlers"]
        shapes = {d["id"]: len(d["inputs"]) for d in handlers}

        @settings(PROFILE, max_examples=EXAMPLES * (10 if FULL else 15))
        @given(st.sampled_from(sorted(shapes)), st.data(), junk, st.sampled_from(["own", "foreign", "new", "strange"]))
        def fuzz(index, data, event, whose):
            session = {"own": visitor.session, "foreign": others.session, "new": os.urandom(4).hex()}
            sent = data.draw(
                st.lists(junk, min_size=shapes[index], max_size=shapes[index]) | st.lists(junk, max_size=3)
            )
            who = Wire(program.url, session.get(whose, "../../x y\n"))
            with who:
                judged(program, who, who.ask(index, sent, event), (index, sent, event))

        fuzz()
        for index in (-1, 10_000, None, "x", 1.5, [], True):
            judged(program, visitor, visitor.ask(index, [None]), index)


def test_bodies_that_are_none(program):
    for path in (
        "queue/join",
        "call/sample",
        "run/sample",
        "api/sample",
        "run/predict",
        "cancel",
        "reset",
        "component_server",
    ):
        for body in (
            b"",
            b"{",
            b"[]",
            b"null",
            b'"x"',
            b"\xff\xfe",
            b"[" * 20_000,
            b'{"data": 1}',
            b'{"data": [], "fn_index": 1e999}',
        ):
            answer = httpx.post(
                f"{program.url}{API}/{path}", content=body, headers={"Content-Type": "application/json"}, timeout=30
            )
            assert answer.status_code < 500, (path, body[:20], answer.text)
            assert not program.leaks(answer.text), (path, answer.text)
    # The way past the queue is shut.
    body = {"data": ["vae-normal", 1, 0, None, None, None]}
    assert httpx.post(f"{program.url}{API}/run/sample", json=body, timeout=30).status_code == 404


def test_no_file_but_ones_own(program, picture):
    """And of the routes that Gradio brings along, those the page has no use for are shut."""
    with httpx.Client(base_url=program.url, timeout=30) as http:
        assert http.get(f"{API}/file={picture['path']}").status_code == 200
        tricks = [
            *PATHS,
            program.files,
            program.files.parent / "log",
            f"{picture['path']}/../../../log",
            "~/.ssh/id_rsa",
        ]
        tricks += [ROOT / "weights/ae/config.json", ROOT / "tests/conftest.py", "/dev/zero", "/proc/self/fd/0", "."]
        for trick in map(str, tricks):
            for route in (
                f"{API}/file=",
                f"{API}/file/",
                "/static/",
                "/assets/",
                "/svelte/",
                f"{API}/proxy=",
                f"{API}/custom_component/x/y/z/",
            ):
                address = program.url + route + quote(trick, safe="/.%:")
                answer = http.get(address)  # 307: to the same address without its last slash
                assert answer.status_code in (307, 400, 403, 404, 405, 422), (
                    route,
                    trick,
                    answer.status_code,
                    answer.text[:200],
                )
                assert b"root:" not in answer.content and SECRET.encode() not in answer.content
        for route in ("file=", "file/", "FILE/", "proxy="):  # the server is nobody's way to other hosts
            for scheme in ("http", "https"):
                assert http.get(f"{API}/{route}{scheme}://127.0.0.1:9/x").status_code == 404, (route, scheme)
        for shut in ("process_recording", "vibe-edit/", "component_server", "vibe-code/"):
            assert http.post(f"{API}/{shut}").status_code == 404, shut
        for shut in (
            "/monitoring",
            "/monitoring/summary",
            "/gradio_api/deep_link",
            "/gradio_api/runs",
            f"{API}/run-history/buckets",
        ):
            assert http.get(shut).status_code == 404, shut


def test_what_the_server_says_of_itself_names_no_paths(program):
    for path in (
        "/",
        "/config",
        f"{API}/info",
        f"{API}/openapi.json",
        f"{API}/startup-events",
        f"{API}/app_id",
        "/manifest.json",
        "/theme.css",
        f"{API}/queue/status",
        "/nothing",
    ):
        text = httpx.get(program.url + path, timeout=60).text
        assert not program.leaks(text), (path, program.leaks(text))


def test_afterwards_everything_works_and_the_log_is_clean(program, picture):
    assert program.alive()
    with Wire(program.url) as visitor:
        assert "data" in visitor.call("reconstruct", [picture, ["ae", "vqvae"], 64, "crop"])
        assert "data" in visitor.call("sample", ["transformer", 1, 0, None, None, None])
    assert not program.leaks(program.log), program.log[-4000:]
