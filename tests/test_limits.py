"""What the page takes on: places in the queue, turns, bytes and memory. Everything over real HTTP."""

import os
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from gradio.queueing import Event
from gradio_client import Client
from gradio_client.exceptions import AppError
from pictures import encoded
from PIL import Image
from wire import API, Later, Wire, functions, served

from vq.ui import build_app, common, fetch, launch_options, limits
from vq.ui import room as room_module
from vq.ui.guard import BODY, UPLOAD
from vq.ui.limits import RETRY, Limits
from vq.ui.room import Room

SAMPLE = ["vae-normal", 1, 0, None, None, None]


@pytest.fixture
def busy(load, load_prior, statistics):
    """A page with room for six, three of one visitor, whose work waits for `go` and is noted in `done`."""
    go, done = threading.Event(), []

    def slow(name, codec=None):
        go.wait(60)
        return load_prior(name, codec)

    page = build_app(load, slow, statistics, limits=Limits(waiting=6, each=3, address=100))
    with served(page) as url:
        yield page, url, go, done
        go.set()


def enter(page, url, visitor, times=1):
    """Requests of one visitor, one after another in the queue; the first of all occupies the worker."""
    index = functions(page)["sample"]
    for _ in range(times):
        assert visitor.join(index, SAMPLE).status_code == 200
    time.sleep(0.1)


def refusal(visitor):
    """The refusal among what a visitor has been told by now."""
    for message in visitor.messages():
        if message["msg"] == "process_completed" and not message["success"]:
            return message["output"]["error"]
    return None


def test_a_full_queue_says_for_how_long(busy):
    page, url, go, _ = busy
    with Wire(url) as first, Wire(url) as second, Wire(url) as third:
        enter(page, url, first, 1)  # in the works
        enter(page, url, first, 3)
        enter(page, url, second, 3)
        assert third.join(functions(page)["sample"], SAMPLE).status_code == 200
        sentence = refusal(third)
        english, chinese = sentence.split(" / ")
        assert int(RETRY.search(english)[1]) >= 1 and "full" in english and "队列已满" in chinese
        with pytest.raises(AppError, match=RETRY):
            Client(url, verbose=False).predict(*SAMPLE, api_name="/sample")
        assert RETRY.search(third.call("sample", SAMPLE)["error"])
        go.set()
        ended = [m for m in first.messages() if m["msg"] == "process_completed"]
        assert [m["success"] for m in ended] == [True] * 4  # nobody in the queue lost anything
        assert "data" in third.call("sample", SAMPLE)


def test_one_visitor_has_so_many_places_and_others_still_come_in(busy):
    page, url, go, _ = busy
    with Wire(url) as greedy, Wire(url) as other:
        enter(page, url, greedy, 1)
        enter(page, url, greedy, 4)
        sentence = refusal(greedy)
        assert RETRY.search(sentence) and "your own" in sentence and "你" in sentence
        answer = Later(other.call, "sample", SAMPLE)
        time.sleep(0.2)
        go.set()
        assert "data" in answer.get()


def test_turns_go_round(load, load_prior, statistics):
    """A visitor who comes last with one request waits for one turn of each other, not for all their requests."""
    go, order = threading.Event(), []

    def slow(name, codec=None):
        go.wait(60)
        return load_prior(name, codec)

    page = build_app(load, slow, statistics)
    with served(page) as url, Wire(url) as first, Wire(url) as greedy, Wire(url) as other:
        enter(page, url, first)
        enter(page, url, greedy, 5)
        enter(page, url, other, 2)
        queue = page._queue.event_queue_per_concurrency_id["compute"].queue
        order = [{greedy.session: "greedy", other.session: "other"}[event.session_hash] for event in queue]
        go.set()
        assert len([m for m in greedy.messages() if m["msg"] == "process_completed"]) == 5
    assert order == ["greedy", "other", "greedy", "other", "greedy", "greedy", "greedy"]


def test_newcomers_overtake_and_nobody_starves(load, load_prior, statistics):
    """Two newcomers arrive for each that is served; a greedy visitor's fourth request still gets its turn."""
    page = build_app(load, load_prior, statistics)
    queue, fn = page._queue, page.fns[functions(page)["sample"]]
    queue.create_event_queue_for_fn(fn)
    line = queue.event_queue_per_concurrency_id[fn.concurrency_id]

    def arrive(visitor):
        line.queue.append(Event(visitor, fn, None, None))
        queue._line_up(line.queue[-1], visitor, "")

    for _ in range(4):
        arrive("greedy")
    served_ = []
    while served_.count("greedy") < 4:
        arrive(f"new {len(served_)}")
        arrive(f"more {len(served_)}")
        served_.append(queue.get_events()[0][0].session_hash)
        assert len(served_) < 50, "starved"
    assert served_[1:7] == ["new 0", "more 0", "new 1", "more 1", "new 2", "more 2"]


def test_memory_beyond_the_limit_is_refused(page_url, monkeypatch):
    with Wire(page_url) as visitor:
        assert "data" in visitor.call("sample", SAMPLE)
        monkeypatch.setattr(limits, "used_memory", lambda: 0.95)
        sentence = visitor.call("sample", SAMPLE)["error"]
        assert RETRY.search(sentence) and "memory" in sentence and "内存" in sentence
        monkeypatch.undo()
        assert "data" in visitor.call("sample", SAMPLE)
    assert 0 < limits.used_memory() < 1


def test_too_many_bytes_are_refused_before_they_are_read(page_url):
    with Wire(page_url) as visitor:
        for path, size in (("upload", UPLOAD + 2_000_000), ("queue/join", BODY + 1)):
            answer = announce(page_url, f"{API}/{path}", size)
            assert answer.startswith(b"HTTP/1.1 413") and "上限".encode() in answer, path

        def endless():  # no length announced
            for _ in range(BODY // 2**20 + 5):
                yield b" " * 2**20

        answer = visitor.http.post(f"{API}/call/sample", content=endless())
        assert answer.status_code == 413 and "MB" in answer.json()["detail"]
        assert "data" in visitor.call("sample", SAMPLE)


def announce(url, path, size):
    """The answer to a request of which nothing but the head is sent."""
    host, port = re.search(r"//([^:]+):(\d+)", url).groups()
    with socket.create_connection((host, int(port)), timeout=20) as s:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        s.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
        answer = b""
        while b"}" not in answer and (more := s.recv(4096)):
            answer += more
        return answer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Gradio's folder, empty and our own."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def picture(seed):
    """A PNG file of some 50 kB, another for each seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise), "PNG")


def test_a_day_of_use_does_not_fill_the_disk(folder, load, load_prior, statistics):
    """Two hundred uploads and as many results of the endpoint, into a folder that may hold twenty."""
    room = Room(limit=1_000_000, every=0, partial=0.5)
    with served(build_app(load, load_prior, statistics), **launch_options(room)) as url, Wire(url) as visitor:
        sizes, results = [], 0
        for i in range(200):
            sent = visitor.upload(picture(i))
            if i % 10 == 0:
                answer = visitor.call("reconstruct", [sent, ["ae"], 64, "crop"])
                results += visitor.http.get(answer["data"][0][0]["picture"]["url"]).status_code == 200
            sizes.append(size_of(folder))
        assert max(sizes) <= 1_050_000 and sizes[20] > 500_000, max(sizes)
        assert results == 20
        assert "data" in visitor.call("reconstruct", [sent, ["ae"], 64, "crop"])  # the newest are there
        gone = sent | {"path": re.sub("[0-9a-f]{64}", "0" * 64, sent["path"])}
        assert "no longer on the server" in visitor.call("reconstruct", [gone, ["ae"], 64, "crop"])["error"]
        # By age: what nobody has used for a day, and folders with nothing in them.
        (folder / ("f" * 64)).mkdir()
        for path in folder.rglob("*"):
            os.utime(path, (time.time() - 90_000,) * 2)
        (folder / ("e" * 64)).mkdir()  # somebody is about to write into it
        (folder / "not-ours").mkdir()
        (folder / "not-ours" / "keep.txt").write_text("x")
        visitor.upload(picture(1000))
        assert len([path for path in folder.rglob("*") if path.is_file()]) == 2
        assert not (folder / ("f" * 64)).exists() and (folder / ("e" * 64)).exists()


def test_uploads_cut_short_leave_nothing(folder, load, load_prior, statistics):
    room = Room(partial=0.2, every=0)
    with served(build_app(load, load_prior, statistics), **launch_options(room)) as url, Wire(url) as visitor:
        for _ in range(5):
            cut_short(url, picture(0))
        time.sleep(0.5)
        visitor.upload(picture(1))
        assert [path.name for path in folder.rglob("*") if path.is_file()] == ["picture.png"]


def test_a_folder_of_many_files_is_not_read_for_every_upload(folder, monkeypatch):
    """Between two looks what is announced is added up; what would not fit then is looked for at once."""
    looks: list[int] = []
    clear = Room._clear
    monkeypatch.setattr(Room, "_clear", lambda self, *words: looks.append(1) or clear(self, *words))
    room = Room(limit=1_000, every=60)
    assert all(room.make(100) for _ in range(10)) and len(looks) == 1 and not room.due
    assert room.make(100) and len(looks) == 2  # none of them came
    assert not room.make(2_000) and room.make(900)


def test_a_disk_that_fills_makes_room_of_what_is_longest_unused(folder, monkeypatch):
    """Other things on the disk leave less than `free`: as many files go as are missing, or none."""
    paths = [folder / (digit * 64) / "picture.png" for digit in "abc"]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(1_000))
        os.utime(path, (time.time() - 3600 + i,) * 2)
    disk = 5_000
    monkeypatch.setattr(room_module, "disk_free", lambda folder: disk - size_of(folder))
    room = Room(free=2_900, every=0)
    assert not room.make(3_000) and all(path.exists() for path in paths)
    assert room.make(1_000) and [path.exists() for path in paths] == [False, False, True]


def test_a_folder_that_vanishes_hides_no_other(folder, monkeypatch):
    """Two servers of one user tidy the same folder."""
    for i in range(20):
        path = folder / f"{i:064x}" / "picture.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    scan = os.scandir

    def scandir(path):
        if Path(path).name == f"{3:064x}":
            raise FileNotFoundError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert len(list(room_module.files(folder))) == 19


def test_an_upload_that_does_not_tell_its_size_counts_as_the_largest(folder, load, load_prior, statistics):
    room = Room(limit=1_000_000, every=60)
    with served(build_app(load, load_prior, statistics), **launch_options(room)) as url, Wire(url) as visitor:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
            + picture(0)
            + b"\r\n--b--\r\n"
        )
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert visitor.http.post(f"{url}{API}/upload", content=iter([body]), headers=headers).status_code == 507
        assert visitor.http.post(f"{url}{API}/upload", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("ip", "open_to_all"),
    [("8.8.8.8", True), ("2606:4700::1111", True), ("100.100.100.200", False), ("100.64.0.1", False)]
    + [(ip, False) for ip in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "224.0.0.1", "no address")],
)
def test_only_the_public_internet_is_fetched_from(ip, open_to_all):
    assert fetch.allowed(ip) is open_to_all


def cut_short(url, data):
    host, port = re.search(r"//([^:]+):(\d+)", url).groups()
    with socket.create_connection((host, int(port)), timeout=20) as s:
        head = f"POST {API}/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        part = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        s.sendall(f"{head}Content-Length: {2 * len(data)}\r\n\r\n{part}".encode() + data)
        time.sleep(0.1)


def test_a_full_disk_refuses_uploads_in_one_sentence(folder, load, load_prior, statistics):
    with (
        served(build_app(load, load_prior, statistics), **launch_options(Room(free=10**18))) as url,
        Wire(url) as visitor,
    ):
        answer = visitor.upload(picture(0))
        assert answer.status_code == 507 and "full" in answer.json()["detail"] and "已满" in answer.json()["detail"]
        assert not [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def elsewhere():
    """Another server: a picture, something endless, and an address that leads on to either."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/on":
                self.send_response(302)
                self.send_header("Location", "/picture.png")
                self.end_headers()
                return
            self.send_response(404 if self.path == "/none" else 200)
            self.end_headers()
            try:
                self.wfile.write(picture(5))
                while self.path == "/endless":
                    self.wfile.write(bytes(2**16))
            except OSError:
                pass

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_an_address_for_a_picture_is_bounded_and_public(page_url, elsewhere, monkeypatch):
    def named(path, **more):
        return {"path": f"{elsewhere}{path}", "meta": {"_type": "gradio.FileData"}} | more

    with Wire(page_url) as visitor:

        def ask(file):
            return visitor.call("reconstruct", [file, ["ae"], 64, "crop"])

        refused = ask(named("/picture.png"))["error"]  # of this machine's own network
        assert "address" in refused and "地址" in refused
        assert "address" in ask({"path": "http://nowhere.invalid/x.png", "meta": {"_type": "gradio.FileData"}})["error"]
        monkeypatch.setattr(fetch, "allowed", lambda ip: True)
        assert "data" in ask(named("/picture.png")) and "data" in ask(named("/on"))
        monkeypatch.setattr(fetch, "LARGEST", 1_000_000)
        for path in ("/endless", "/none"):
            assert "address" in ask(named(path))["error"]
        # Nothing but a picture may come from an address.
        assert "unexpected" in visitor.call("edit_tokens", ["vqvae", named("/picture.png"), []])["error"]


def test_pictures_are_decoded_a_few_at_a_time(page_url, monkeypatch):
    monkeypatch.setattr(common, "PATIENCE", 0.2)
    with Wire(page_url) as visitor:
        sent = visitor.upload(picture(0))
        with common.DECODERS, common.DECODERS:
            assert "try again in" in visitor.call("reconstruct", [sent, ["ae"], 64, "crop"])["error"]
        assert "data" in visitor.call("reconstruct", [sent, ["ae"], 64, "crop"])


def test_states_of_visitors_are_bounded(load, load_prior, statistics):
    page = build_app(load, load_prior, statistics)
    with served(page, state_session_capacity=5) as url:
        for _ in range(12):
            with Wire(url) as visitor:
                assert visitor.ask(functions(page)["vq-sample-options.draw"], [None], {})["data"] == [
                    {"number": 1, "sent": {}}
                ]
        assert len(page.app.state_holder.session_data) <= 5
    assert launch_options()["state_session_capacity"] <= 256
