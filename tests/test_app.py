"""The program as it is started, the endpoint as a client sees it, and the words of the page."""

import socket
import subprocess
import sys
from pathlib import Path

import gradio as gr
import httpx
import pytest
from conftest import NAMES
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from pictures import KINDS, photo
from PIL import Image

import app
from vq.catalogue import CODECS
from vq.tasks import reconstruct as tasks
from vq.ui.common import PictureInput, sentences
from vq.ui.reconstruct import EXAMPLES, read_choice
from vq.ui.texts import LANGUAGES, TEXTS, both, translations

ROOT = Path(app.__file__).parent
KEYS = {"codec", "picture", "psnr", "ssim", "latent_shape", "bits_per_pixel", "bytes", "ms"}


@pytest.fixture(scope="module")
def client(page_url) -> Client:
    return Client(page_url, verbose=False)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    photo().save(path)
    return path


def test_reconstruct_answers_a_client(client, file, load):
    rows = client.predict(picture=handle_file(file), codecs=list(NAMES), size=64, fit="pad", api_name="/reconstruct")
    assert [set(row) for row in rows] == [KEYS] * 4
    for row, r in zip(rows, tasks.reconstruct(load, photo(), NAMES, 64, "pad"), strict=True):
        with Image.open(row["picture"]) as got:
            assert got.format == "PNG"
            assert got.tobytes() == r.picture.tobytes()
        assert row["codec"] == r.codec
        assert row["psnr"] == pytest.approx(r.psnr)
        assert (row["latent_shape"], row["bytes"]) == (list(r.latent_shape), r.bytes)


def test_reconstruct_has_defaults(client, file):
    rows = client.predict(picture=handle_file(file), api_name="/reconstruct")
    assert [row["codec"] for row in rows] == list(NAMES)
    assert rows[2]["latent_shape"] == [16, 16]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"codecs": codecs} for codecs in (["gpt"], "ae", None, [["ae"]], {"ae": 1})),
        *({"size": size} for size in (65, 64.5, "64", None, True, [64])),
        *({"fit": fit} for fit in ("squash", None, ["crop"])),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_with_the_reason(client, file, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(AppError, match=f"^{name}: expected .*, got ") as caught:
        client.predict(picture=handle_file(file), api_name="/reconstruct", **wrong)
    assert str(value) in str(caught.value)


def test_only_uploaded_files_are_read(page_url, client, file):
    """A path alone, without the mark of an upload, passes through Gradio unchecked."""
    address = f"{page_url}/gradio_api/call/reconstruct"

    def answer(path: str) -> str:
        call = httpx.post(address, json={"data": [{"path": path}, ["ae"], 64, "crop"]}).json()
        return httpx.get(f"{address}/{call['event_id']}", timeout=60).text

    (result,) = client.predict(picture=handle_file(file), codecs=["ae"], api_name="/reconstruct")
    cache = Path(PictureInput().GRADIO_CACHE)
    for path in (file, cache / ".." / file.relative_to("/").parent / file.name, "/dev/zero", cache, ""):
        assert "event: error" in answer(str(path)), path
    assert Path(result["picture"]).is_file()
    (cache / "sent.png").write_bytes(file.read_bytes())
    assert "event: complete" in answer(str(cache / "sent.png"))


def test_a_broken_file_is_one_sentence_and_the_next_works(client, tmp_path, file):
    broken = tmp_path / "broken.png"
    broken.write_bytes(KINDS["png"]()[:70])
    with pytest.raises(AppError, match="not a picture") as caught:
        client.predict(picture=handle_file(broken), api_name="/reconstruct")
    assert str(tmp_path) not in str(caught.value)
    assert client.predict(picture=handle_file(file), codecs=["ae"], api_name="/reconstruct")


def test_only_named_endpoints_are_public(client):
    named = {"/reconstruct", "/interpolate", "/edit_tokens", "/token_file", "/sample", "/complete"}
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == named


def test_every_text_is_there_in_both_languages():
    for key, texts in TEXTS.items():
        assert len(texts) == len(LANGUAGES)
        assert all(text.strip() for text in texts), key
        assert texts[0].count("{}") == texts[1].count("{}"), key
    assert set(translations.translations) >= {"en", "zh", "zh-CN"}
    assert both("unreadable").count(" / ") == 1


def test_what_a_browser_sends_is_checked():
    good = {"size": 64, "fit": "pad", "codecs": ["vqgan", "ae", "other"]}
    assert read_choice(good, NAMES).codecs == ["ae", "vqgan"]
    for bad in (None, [], {}, good | {"size": 65}, good | {"size": "64"}, good | {"fit": 1}, good | {"codecs": 3}):
        with pytest.raises(gr.Error):
            read_choice(bad, NAMES)


def test_any_error_has_a_sentence_in_both_languages():
    assert sentences(ValueError("z: expected")) == {"en": "z: expected", "zh": "z: expected"}


def test_examples_are_small_credited_pictures():
    credits = (ROOT / "vq" / "examples" / "README.md").read_text(encoding="utf-8")
    for name, path in EXAMPLES.items():
        assert path.stat().st_size < 200_000
        assert path.name in credits
        assert f"example_{name}" in TEXTS
        with Image.open(path) as picture:
            assert max(picture.size) >= 450


def test_building_the_page_imports_nothing_of_diffusers():
    code = (
        "import sys, app; from vq.ui import build_app, launch_options\n"
        "build_app(lambda name: None, lambda name, codec: None); launch_options()\n"
        "print([m for m in ('diffusers', 'transformers', 'torchmetrics', 'vq.hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_busy_port_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "app.py", "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.strip() == f"Port {port} is in use: stop what uses it, or choose another with --port."


def test_an_old_python_is_one_line():
    code = "import sys; sys.version_info = (3, 9, 2); exec(open('app.py').read())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "Python 3.11 or newer is needed; this is 3.9."


def test_port_from_flag_or_environment(monkeypatch):
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)
    assert app.parse([]).port == 7860
    monkeypatch.setenv("PORT", "8123")
    assert app.parse([]).port == 8123
    assert app.parse(["--port", "9000"]).port == 9000


def test_models_asked_for_come_first(tmp_path):
    for folder, kind in (("mine", "VAE"), ("vqvae", "VQVAE")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(f'{{"_class_name": "{kind}"}}')
    mine, clash = tmp_path / "mine", tmp_path / "vqvae"
    codecs, folders = app.choose_codecs([str(mine), "vqgan", str(clash)])
    longer = f"{tmp_path.name}/vqvae"
    assert list(codecs)[:3] == ["mine", "vqgan", longer]
    assert set(codecs) == {*CODECS, "mine", longer}
    assert codecs["mine"].family == "vae"
    assert folders == {"mine": mine, longer: clash}
    with pytest.raises(SystemExit, match=r"config\.json"):
        app.choose_codecs([str(tmp_path)])
