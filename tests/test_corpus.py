"""Every file that anybody may bring, through the real server: a picture, or one clear sentence."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from corpus import Upload, corpus, draw, handmade, mangled, special, written
from PIL import Image
from program import sentence
from wire import Wire

FULL = os.environ.get("VQ_TORTURE") == "1"
MB = 2**20


@pytest.fixture(scope="module")
def uploads() -> list[Upload]:
    return corpus() if FULL else draw(8)


def test_there_are_enough():
    assert len(list(mangled())) + len(list(special())) >= 300
    names = [upload.name for upload in (*mangled(), *special())]
    assert len(set(names)) == len(names)
    Image.init()
    # PALM is written only; FITSGZ is a FITS file.
    assert {*written(), *handmade()} == {*Image.OPEN, *Image.SAVE, "FITSGZ"}


def test_every_file_gives_a_picture_or_one_sentence(program, uploads):
    """And afterwards the server answers, no worker is lost, memory is back and the log says nothing."""
    with Wire(program.url, patience=180) as visitor:
        judge(visitor, Upload("warm.png", uploads[0].data, True))
        before, outcomes = program.resident, {}
        for upload in uploads:
            outcomes[upload.name] = judge(visitor, upload)
            # What an upload under an impossible name left is gone a minute later; here the minute is over at once.
            for path in partial(program):
                with suppress(FileNotFoundError):
                    os.utime(path, (time.time() - 61,) * 2)
        wrong = {u.name: outcomes[u.name] for u in uploads if u.picture not in (None, outcomes[u.name])}
        assert not wrong
        assert {True, False} <= set(outcomes.values())
        assert not program.leaks("\n".join(visitor.told)), program.leaks("\n".join(visitor.told))
    assert program.alive()
    grown = (program.resident - before) / MB
    assert grown < 250, f"{grown:.0f} MB more after {len(uploads)} files"
    assert not program.leaks(program.log), program.log[-3000:]
    # With the first upload after the next look at the folder; these come every ten seconds.
    deadline = time.monotonic() + 60
    with Wire(program.url) as visitor:
        visitor.upload(uploads[0].data)
        while partial(program):
            assert time.monotonic() < deadline, partial(program)
            time.sleep(0.2)
            visitor.upload(uploads[0].data)


def partial(program) -> list[Path]:
    """Files that no upload was finished to."""
    return [path for path in program.stored() if path.parent == program.files]


def judge(visitor: Wire, upload: Upload) -> bool:
    """Whether a file gave a picture; if not, that it gave a sentence."""
    sent = visitor.upload(upload.data, upload.name)
    if not isinstance(sent, dict):
        assert sent.status_code < 500 and sent.status_code >= 400, (upload.name, sent.status_code, sent.text)
        return False
    answer = visitor.call("reconstruct", [sent, ["ae"], 64, "crop"])
    if "data" not in answer:
        assert sentence(answer["error"]), (upload.name, answer)
        return False
    (row,) = answer["data"][0]
    assert row["codec"] == "ae"
    assert visitor.http.get(row["picture"]["url"]).content.startswith(b"\x89PNG"), upload.name
    return True
