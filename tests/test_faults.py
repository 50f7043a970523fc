"""Each fault that a public page meets, provoked for real: only the work in flight is lost, and the visitor is told.

A download that is killed, or fills the disk, is in test_hub_remote.py.
"""

import hashlib
import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny
import torch
from pictures import KINDS, encoded, photo
from program import ROOT, sentence, until
from test_limits import SAMPLE
from wire import API, Wire, functions, served

import app
from vq.ui import build_app, launch_options
from vq.ui.room import Room


class Slow:
    """A prior that takes a while for each token: 256 of them take ten seconds and more."""

    def __init__(self, prior, seconds=0.05):
        self._prior, self._seconds = prior, seconds

    def __getattr__(self, name):
        return getattr(self._prior, name)

    def stream(self, *arguments):
        for tokens in self._prior.stream(*arguments):
            time.sleep(self._seconds)
            yield tokens


@pytest.fixture(scope="module")
def slow(load, load_prior, statistics):
    def load_slowly(name, codec=None):
        prior = load_prior(name, codec)
        return Slow(prior) if name == "pixelcnn" else prior

    page = build_app(load, load_slowly, statistics)
    with served(page) as url:
        yield page, url


def run_of(page, event):
    """The handler that follows an event, as its success."""
    first = functions(page)[event]
    return next(i for i, fn in page.fns.items() if fn.trigger_after == first)


def begin_sampling(page, visitor):
    """A sample of the tab, under way: its messages from here on."""
    wish = {"model": "pixelcnn", "n": 4, "seed": 1}
    ticket = visitor.ask(functions(page)["vq-sample-options.draw"], [None], wish)["data"][0]
    assert visitor.join(run_of(page, "vq-sample-options.draw"), [None, ticket]).status_code == 200
    messages = visitor.messages()
    seen = 0
    for message in messages:
        seen += message["msg"] == "process_generating"
        if seen > 2:
            return messages
    raise AssertionError("no preview came")


def begin_endpoint(page, visitor):
    visitor.join(functions(page)["sample"], ["pixelcnn", 4, 1, None, None, None])
    messages = visitor.messages()
    for message in messages:
        if message["msg"] == "process_starts":
            time.sleep(0.5)
            return messages
    raise AssertionError("it did not start")


@pytest.mark.parametrize("begin", [begin_sampling, begin_endpoint])
def test_a_visitor_who_leaves_frees_the_worker_within_a_second(slow, begin):
    page, url = slow
    line = page._queue.event_queue_per_concurrency_id
    with Wire(url) as leaving, Wire(url) as next_one:
        messages = begin(page, leaving)
        assert line["compute"].current_concurrency == 1
        messages.close()  # the connection goes down in the middle of the stream
        waited = until(lambda: line["compute"].current_concurrency == 0, 20)
        assert waited < 1, waited
        assert "data" in next_one.call("sample", SAMPLE)


def test_a_worker_that_raises_in_the_middle_of_a_stream(load, load_prior, statistics, caplog):
    class Breaks(Slow):
        def stream(self, *arguments):
            for i, tokens in enumerate(super().stream(*arguments)):
                if i == 40:
                    raise RuntimeError(f"secret of {ROOT}")
                yield tokens

    broken = [True]

    def load_breaking(name, codec=None):
        prior = load_prior(name, codec)
        return Breaks(prior, 0.01) if name == "pixelcnn" and broken[0] else prior

    page = build_app(load, load_breaking, statistics)
    with served(page) as url, Wire(url) as visitor, caplog.at_level(logging.INFO, logger="vq.ui"):
        messages = list(begin_sampling(page, visitor))
        (last,) = [m for m in messages if m["msg"] == "process_completed"]
        assert not last["success"] and sentence(last["output"]["error"])
        assert "secret" not in "".join(visitor.told) and str(ROOT) not in "".join(visitor.told)
        assert next(r.getMessage() for r in caplog.records if r.name == "vq.ui").startswith("RuntimeError at vq/")
        assert "Traceback" not in caplog.text and str(ROOT) not in caplog.text
        broken[0] = False
        assert "data" in visitor.call("sample", ["pixelcnn", 1, 1, None, None, None])


def test_a_stream_that_fails_ends_all_the_same(page_url, capfd):
    """A result that was fetched already, or never asked for: one event, and no broken connection."""
    with Wire(page_url) as visitor:
        for path in ("call/sample/0123", "call/nothing/0123", "queue/data?session_hash=nobody"):
            answer = visitor.http.get(f"{API}/{path}")  # raises if the body has no end
            assert "404" in answer.text and str(ROOT) not in answer.text
    assert "ASGI" not in capfd.readouterr().err


@contextmanager
def own_model(folder, monkeypatch):
    """The page over a copy of the AE's weights and the bundled codecs, of which one at a time stays in memory."""
    from vq import hub

    monkeypatch.setenv("VQ_MAX_MODELS", "1")
    hub._shelf.clear()
    codecs, folders = app.choose_codecs([str(folder)])
    loader = app.Loader("cpu", folders)
    with served(build_app(loader.load, loader.load_prior, loader.statistics, codecs)) as url, Wire(url) as visitor:
        sent = visitor.upload(KINDS["png"]())

        def reconstruct(name):
            answer = visitor.call("reconstruct", [sent, [name], 64, "crop"])
            if "error" in answer:
                assert sentence(answer["error"]), answer
                return answer["error"]
            return answer["data"][0][0]["psnr"]

        yield reconstruct, visitor
        assert str(folder) not in "\n".join(visitor.told) and str(ROOT) not in "\n".join(visitor.told)
    hub._shelf.clear()


def test_a_model_file_replaced_or_deleted_under_the_running_app(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / "weights/ae", folder)
    file = sorted(folder.glob("diffusion_pytorch_model*.safetensors"))[-1]
    data = file.read_bytes()
    with own_model(folder, monkeypatch) as (reconstruct, _):
        good = reconstruct("mine")
        file.write_bytes(data[: len(data) // 2])
        assert reconstruct("mine") == good  # what is in memory stays as it is
        assert reconstruct("vae") > 0  # and makes room
        assert "can't be read" in reconstruct("mine")
        assert reconstruct("vae") > 0
        file.unlink()
        assert isinstance(reconstruct("mine"), str)
        shutil.rmtree(folder)
        assert isinstance(reconstruct("mine"), str)
        assert reconstruct("vae") > 0
        shutil.copytree(ROOT / "weights/ae", folder)
        assert reconstruct("mine") == good


@pytest.fixture
def tiny_disk(tmp_path, monkeypatch):
    """Gradio's folder on a file system of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("mounting a small disk takes rights that this user hasn't")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_the_disk_is_full_while_an_upload_or_a_result_is_saved(tiny_disk, load, load_prior, statistics, monkeypatch):
    big = encoded(photo(1500, 1000).resize((3000, 2000)), "BMP")
    page = build_app(load, load_prior, statistics)
    for block in page.blocks.values():
        if hasattr(block, "GRADIO_CACHE"):
            block.GRADIO_CACHE = str(tiny_disk)
    with served(page, **launch_options(Room(free=0))) as url, Wire(url) as visitor:
        sent = visitor.upload(KINDS["png"]())
        assert "data" in visitor.call("reconstruct", [sent, ["ae"], 64, "crop"])
        answer = visitor.upload(big, "big.bmp")  # ENOSPC in the middle of writing
        assert answer.status_code == 507 and sentence(answer.json()["detail"]), answer.text
        filler = tiny_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        error = visitor.call("reconstruct", [sent, ["vqvae"], 512, "crop"])["error"]
        assert sentence(error) and "disk is full" in error and "磁盘已满" in error
        filler.unlink()
        assert "data" in visitor.call("reconstruct", [sent, ["vqvae"], 512, "crop"])
        for told in visitor.told:
            assert "Traceback" not in told and str(ROOT) not in told


# Training.

WORDS = ["--steps", "100000", "--device", "cpu", "--precision", "no", "--save-minutes", "0.0002"]


def training(data, run, *more, **options):
    command = [sys.executable, "-m", "vq.train", "ae", "--data", str(data), "--out", str(run), *WORDS, *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, *tiny.RUNS["ae"]], cwd=ROOT, env=environment, text=True, **options)


@pytest.fixture
def data(tmp_path):
    for split, count, first in (("train", 12, 0), ("val", 4, 100)):
        tiny.write_pictures(tmp_path / "blobs" / split, count, first=first)
    return tmp_path / "blobs"


def taken(run):
    """Steps that the newest checkpoint holds, or None."""
    from vq.train.loop import Clock, Plan

    for file in (run / "checkpoint").glob("custom_checkpoint_*.pkl"):
        state = torch.load(file, weights_only=False)
        if isinstance(state, dict) and "step" in state:
            clock = Clock(Plan(run, steps=1))
            clock.load_state_dict(state)
            return clock.step
    return None


@pytest.fixture
def killed(data, tmp_path):
    """A run killed by the system, some steps after its first checkpoint."""
    run = tmp_path / "run"
    process = training(data, run, stdout=subprocess.DEVNULL)
    until(lambda: (run / "checkpoint").is_dir() and (taken(run) or 0) > 0, 240)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return run


def test_training_killed_and_started_again(data, killed, tmp_path):
    """At any moment, even between the two renames of a checkpoint; and a disk that fills up takes nothing away."""
    step = taken(killed) or 0
    if not step:  # between the renames indeed
        assert (killed / "checkpoint.old").is_dir() and (killed / "checkpoint.new").is_dir()
    else:
        shutil.copytree(killed / "checkpoint", killed / "checkpoint.old", dirs_exist_ok=True)
        shutil.rmtree(killed / "checkpoint.new", ignore_errors=True)
        (killed / "checkpoint").rename(killed / "checkpoint.new")
    full = training(data, killed, "--resume", stderr=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=small_files)
    said, error = full.communicate(timeout=240)
    again = int(re.search(r"resumed at step (\d+)", said)[1])
    assert again == step > 0 or (step == 0 and again > 0)
    assert full.returncode not in (0, 130)
    assert error.startswith("error: ") and len(error.splitlines()) == 1, error[-2000:]
    assert taken(killed) == again  # the checkpoint before the disk was full is still there


def small_files():
    """What a full disk is to a process: no file grows beyond 4 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))


# Isolation.


def test_two_visitors_never_mix(page_url, load, load_prior, statistics):
    """States belong to sessions, and a file is found by nobody who doesn't know its unguessable name."""
    page = build_app(load, load_prior, statistics)
    with served(page) as url, Wire(url) as one, Wire(url) as two:
        start, index = functions(page), run_of(page, "vq-sample-options.draw")
        for visitor, seed in ((one, 1), (two, 2)):
            wish = {"model": "vae-normal", "n": 2, "seed": seed}
            ticket = visitor.ask(start["vq-sample-options.draw"], [None], wish)["data"][0]
            visitor.ask(index, [None, ticket])
        carry, wish = start["vq-sample-pictures.carry"], {"index": 0, "to": "interpolate"}
        for visitor in (one, two):
            assert "error" not in visitor.ask(carry, [None], wish)
        ids = [block._id for block in page.fns[carry].inputs]
        first, second = (page.app.state_holder[v.session][ids[0]] for v in (one, two))
        assert len(first) == len(second) == 2
        assert not any((a.picture == b.picture).all() for a in first for b in second)
        with Wire(url) as stranger:  # with no state of its own, and none of theirs
            assert sentence(stranger.ask(carry, [None], wish)["error"])


def test_nobody_reads_anothers_upload(page_url):
    data = encoded(photo(77, 55), "PNG")
    with Wire(page_url) as owner, Wire(page_url) as other:
        path = Path(owner.upload(data, "mine.png")["path"])
        folder = path.parent.parent
        assert re.fullmatch("[0-9a-f]{64}", path.parent.name)
        from gradio.processing_utils import hash_bytes
        from gradio.utils import HASH_SEED_PATH

        # The picture alone doesn't tell the name, neither to whoever works it out nor to whoever brings it, too.
        same = [Path(other.upload(data, "mine.png")["path"]) for _ in range(3)]
        guesses = [hash_bytes(data), hashlib.sha256(data).hexdigest(), "0" * 64]
        assert len({path.parent.name, *(p.parent.name for p in same), *guesses}) == 7
        wrong = [folder / name / "mine.png" for name in guesses] + [p.parent / "other.png" for p in same]
        for guess in (*wrong, path.parent, folder, f"{path.parent}/..", HASH_SEED_PATH):
            assert other.http.get(f"{API}/file={guess}").status_code == 403, guess
        everything = "\n".join(other.http.get(p).text for p in ("/config", f"{API}/info", f"{API}/queue/status", "/"))
        assert path.parent.name not in everything
        assert owner.http.get(f"{API}/file={path}").content == data  # whoever is told the name can
