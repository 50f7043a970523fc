"""make space: what it collects, what it refuses, and that the result starts; ZeroGPU by a stand-in for its package."""

import os
import pickle
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from standin_hub import StandinHub

from vq import space
from vq.catalogue import CODECS, PRIORS
from vq.space import SpaceError

ROOT = space.ROOT
HERE = Path(sys.executable)
bundled = pytest.mark.skipif(
    not all((e.folder / "config.json").is_file() for e in CODECS.values()), reason="weights/ is not complete yet"
)


def front(out):
    return space.split((out / "README.md").read_text(encoding="utf-8"))[0]


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("space") / "out"
    space.collect(folder, weights="someone/studio")
    space.check(folder)
    return folder


@pytest.fixture
def out(collected, tmp_path):
    """A folder of one's own, as it was collected."""
    return shutil.copytree(collected, tmp_path / "out")


@bundled
def test_it_runs_from_its_own_folder(tmp_path, monkeypatch, capsys):
    """With this environment's packages, but nothing of this folder and none of its variables."""
    monkeypatch.setenv("VQ_ALLOW_ANY_REPO", "1")
    monkeypatch.delenv("VQ_WEIGHTS", raising=False)
    out = tmp_path / "out"
    assert space.main([str(out), "--python", str(HERE)]) == 0
    said = capsys.readouterr().out
    assert all(f"{name} " in said for name in CODECS) and "dB" in said
    held = {str(p.relative_to(out)) for p in space.files(out)}
    assert {"app.py", "README.md", "requirements.txt", "LICENSE", "vq/ui/static/base.js"} <= held
    assert not [name for name in held if name.startswith(("tests", "docs", "vq/train", "vq/space", "."))]
    assert not list(out.rglob("__pycache__"))
    assert not {"models", "preload_from_hub"} & front(out).keys()


def test_weights_from_the_hub(out, tmp_path, monkeypatch):
    """preload_from_hub names what is left out, and the start takes it from there."""
    assert not (out / "weights").exists()
    expected = [f"someone/studio-{name}" for name in CODECS | PRIORS]
    assert front(out)["preload_from_hub"] == expected and front(out)["models"] == expected
    space.check(out)
    from standin_models import files_of
    from tiny import model

    names = {"ae": "ae", "vae": "vae", "vqvae": "vqvae", "vqgan": "vqvae-plain"}
    with StandinHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for name, kind in names.items():
            hub.add(f"someone/studio-{name}", files_of(model(kind)))
        said = space.start(out, HERE, "someone/studio")
        assert hub.downloads["config.json"] == 4
    assert all(f"{name} " in said for name in CODECS)


def test_zerogpu_leaves_torch_to_the_space(tmp_path, out):
    space.collect(tmp_path / "zero", zero=True, weights="someone/studio")
    pins = space.requirements((tmp_path / "zero" / "requirements.txt").read_text())
    with_torch = space.requirements((out / "requirements.txt").read_text())
    assert "torch" in with_torch and pins == {k: v for k, v in with_torch.items() if k != "torch"}
    assert front(tmp_path / "zero")["suggested_hardware"] == "zero-a10g"
    space.check(tmp_path / "zero")


FAULTS = {
    "title": "title: VQ Studio\n",
    "sdk_version": "sdk_version: 6.31.0\n",
    "python_version": "python_version: '3.12'\n",
    "colorFrom": "colorFrom: gray\n",
    "app_file": "app_file: app.py\n",
}
WRONG = {
    "sdk": ("sdk: gradio\n", "sdk: streamlit\n"),
    "sdk_version": ("sdk_version: 6.31.0\n", "sdk_version: 5.0.0\n"),
    "python_version": ("python_version: '3.12'\n", "python_version: '3.10'\n"),
    "colorTo": ("colorTo: indigo\n", "colorTo: teal\n"),
    "emoji": ("emoji: 🧩\n", "emoji: puzzle\n"),
    "app_file": ("app_file: app.py\n", "app_file: main.py\n"),
    "short_description": ("short_description: ", "short_description: " + "long " * 12),
    "colour": ("colorTo", "colour"),
    "models": ("- someone/studio-ae\n", "- studio\n"),
}


def change(out, old, new):
    path = out / "README.md"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("key", FAULTS)
def test_a_missing_key_is_named(key, out):
    change(out, FAULTS[key], "")
    with pytest.raises(SpaceError, match=key):
        space.check(out)


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_is_named(key, out):
    change(out, *WRONG[key])
    with pytest.raises(SpaceError, match=key):
        space.check(out)


def test_large_files_and_loose_requirements_are_refused(out):
    (out / "vq" / "large.bin").write_bytes(b"\0" * (space.MAX_FILE + 1))
    with pytest.raises(SpaceError, match=r"vq/large\.bin"):
        space.check(out)
    (out / "vq" / "large.bin").unlink()
    with (out / "requirements.txt").open("a") as file:
        file.write("pillow>=12\n")
    with pytest.raises(SpaceError, match="exact version"):
        space.check(out)


def test_a_folder_in_use_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("")
    assert space.main([str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_what_does_not_start_is_refused(out):
    (out / "vq" / "catalogue.py").write_text("raise RuntimeError('broken on purpose')\n")
    with pytest.raises(SpaceError, match="broken on purpose"):
        space.start(out, HERE)


def test_make_space_asks_for_a_folder():
    if shutil.which("make") is None:
        pytest.skip("no make")
    done = subprocess.run(["make", "-n", "space", "OUT=x"], cwd=ROOT, capture_output=True, text=True)
    assert 'python -m vq.space "x"' in done.stdout


def test_every_imported_module_is_collected(out):
    """Nothing that the page may import later on is missing, found by importing all of it there."""
    names = [".".join(p.relative_to(out).with_suffix("").parts) for p in (out / "vq").rglob("*.py")]
    code = "\n".join(f"import {name.removesuffix('.__init__')}" for name in sorted(names))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([HERE, "-c", code], cwd=out, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def lent(monkeypatch):
    """The package of ZeroGPU: what is lent a GPU gets and gives everything by pickle, as to another process."""
    seen: list[str] = []

    def gpu(task):
        import functools
        import inspect

        @functools.wraps(task)
        def regular(*args, **kwargs):
            seen.append(task.__name__)
            args, kwargs = pickle.loads(pickle.dumps((args, kwargs)))
            return pickle.loads(pickle.dumps(task(*args, **kwargs)))

        @functools.wraps(task)
        def generator(*args, **kwargs):
            seen.append(task.__name__)
            args, kwargs = pickle.loads(pickle.dumps((args, kwargs)))
            yield from (pickle.loads(pickle.dumps(value)) for value in task(*args, **kwargs))

        return generator if inspect.isgeneratorfunction(task) else regular

    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=gpu))
    return seen


def test_what_computes_gets_a_gpu(lent, load, load_prior, statistics, tmp_path):
    from conftest import free_port
    from gradio_client import Client, handle_file
    from pictures import photo

    from vq.ui import build_app, launch_options

    photo().save(tmp_path / "photo.png")
    page = build_app(load, load_prior, statistics)
    _, url, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options())
    try:
        client = Client(url, verbose=False)
        rows = client.predict(handle_file(tmp_path / "photo.png"), ["ae", "vqvae"], api_name="/reconstruct")
        assert [row["codec"] for row in rows] == ["ae", "vqvae"] and lent == ["reconstruct"]
    finally:
        page.close()


def test_without_the_package_nothing_changes():
    from vq.ui.common import computes

    def task():
        return 1

    assert "spaces" not in sys.modules
    assert computes(task) is task


def test_zerogpu_has_the_models_in_place_before_the_first_visitor(monkeypatch):
    """app.py, started with the package there: models come first, and nothing computes outside of a lent GPU."""
    import app
    from vq import ui

    order = []

    class Page:
        def launch(self, **_):
            order.append("launch")

        def block_thread(self):
            order.append("serving")

    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr(app.Loader, "load", lambda self, name: order.append(name))
    monkeypatch.setattr(app.Loader, "load_prior", lambda self, name, codec=None: order.append(name))
    monkeypatch.setattr(app.Loader, "warm_up", lambda self, names: order.append("computed"))
    monkeypatch.setattr(ui, "build_app", lambda *args: Page())
    app.main([])
    assert order == [*CODECS, *PRIORS, "launch", "serving"]
