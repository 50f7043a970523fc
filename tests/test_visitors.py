"""Checkpoints of visitors, against the stand-in Hub: what they may have, what not, and what is kept of it."""

import json
import shutil
import threading

import pytest
import torch
from pictures import photo
from standin_hub import StandinHub
from standin_models import LAYOUTS, blocks, files_of, model, public_files, under

import app
from vq import cache, hub, visitors, weights
from vq.catalogue import PUBLIC
from vq.image import to_picture
from vq.messages import LoadError
from vq.models.vqvae import VQVAE
from vq.pretrained import adapt, class_of
from vq.tasks import edit, interpolate, reconstruct
from vq.tasks.checkpoint import summarize, watched

REPO = "someone/codec"
TINY = {"image_size": 16, "codebook_size": 32, "widths": [8, 8], "encoder_depths": [0, 0], "decoder_depths": [0, 0]}


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    for name in ("VQ_WEIGHTS", "VQ_MAX_BYTES", "VQ_DEADLINE", "VQ_MAX_GUESTS", "HF_TOKEN", "HF_HUB_CACHE", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("VQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(hub, "_shelf", hub.Shelf(lambda: 8))
    monkeypatch.setattr(hub, "_guests", hub.Shelf(lambda: hub._max_guests()))


@pytest.fixture
def standin(monkeypatch):
    with StandinHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture(scope="module")
def files():
    torch.manual_seed(0)
    return files_of(VQVAE(**TINY))


def refused(*args, **kwargs) -> LoadError:
    with pytest.raises(LoadError) as caught:
        visitors.download(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize("name", LAYOUTS)
def test_public_checkpoints(name, standin):
    entry = PUBLIC[name]
    sha = standin.add(entry.repo, under(entry.subfolder, public_files(name)), "branch")
    loaded = visitors.download(entry.repo, entry.subfolder, "branch")
    row = visitors.entry(loaded)
    assert (row.repo, row.subfolder, row.revision, row.title) == (entry.repo, entry.subfolder, sha, entry.title)
    summary = summarize(row, loaded)
    assert summary.class_name == LAYOUTS[name][0]
    assert summary.parameters == sum(p.numel() for p in model(name).parameters())
    assert (summary.factor, summary.codebook_size) == (loaded.codec.factor, loaded.codec.codebook_size)
    assert summary.latent == loaded.codec.encode(torch.zeros(1, 3, 64, 64)).z.shape[1]
    standin.stop()
    assert visitors.reopen(row.name) is loaded


@torch.inference_mode()
@pytest.mark.parametrize("name", LAYOUTS)
def test_public_checkpoints_in_the_tabs_that_take_them(name, standin):
    """Reconstruct and Interpolate all, Edit tokens those that have any; by the name of a row, as the page does."""
    entry = PUBLIC[name]
    standin.add(entry.repo, under(entry.subfolder, public_files(name)))
    loader = app.Loader("cpu", {})
    row, _ = loader.download(entry.repo, entry.subfolder, "", None, None)
    standin.stop()
    codec = loader.load(row.name)
    size = next(iter(edit.sizes(codec)), 64)
    (result,) = reconstruct.reconstruct(loader.load, photo(), [row.name], size)
    a, b = (interpolate.end_of(codec, picture, size) for picture in (photo(), photo().rotate(90)))
    assert a.picture.tobytes() == result.picture.tobytes()
    for path in interpolate.paths_of(codec):
        frames = list(interpolate.interpolate(codec, a, b, path, 3))
        assert [frame.picture.size for frame in frames] == [(size, size)] * 3
    assert bool(edit.sizes(codec)) is (codec.codebook is not None)
    if codec.codebook is not None:
        _, tokens = edit.encode(codec, photo(), size)
        assert to_picture(edit.decode(codec, tokens)).tobytes() == result.picture.tobytes()
        tokens[:] = tokens[0, 0]
        assert to_picture(edit.decode(codec, tokens)).tobytes() != result.picture.tobytes()


def test_the_loader_knows_rows_and_nothing_else(standin, files, tmp_path, monkeypatch):
    standin.add(REPO, files)
    loader = app.Loader("cpu", {})
    row, loaded = loader.download(REPO, "", "", None, None)
    assert loader.load(row.name) is loaded.codec and loader.statistics(row.name) is None
    asked = len(standin.requests)
    monkeypatch.chdir(tmp_path)
    VQVAE(**TINY).save_pretrained("folder")
    for name in (REPO, "folder", str(tmp_path / "folder"), "taesd", f"{REPO}@main", f"../x@{'0' * 40}"):
        with pytest.raises(LoadError):
            loader.load(name)
        with pytest.raises(LoadError):
            loader.load_prior("pixelcnn" if "@" in name else name, name)
    assert len(standin.requests) == asked


@pytest.mark.parametrize("repo", ["folder", "./folder", "/etc", "a/b/c", "../a/b", "http://127.0.0.1/x", "", "x" * 300])
def test_a_name_never_leads_to_a_folder(repo, standin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    VQVAE(**TINY).save_pretrained("folder")
    VQVAE(**TINY).save_pretrained("someone/codec")
    assert refused(repo).code == "source"
    assert not standin.requests
    assert refused(REPO).code == "visitor_repo"


def test_the_owners_token_is_not_used(standin, files, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", standin.token)
    standin.add(REPO, files)
    standin.repos[REPO].private = True
    assert hub.load(REPO) is not None
    for _ in range(2):  # nor what the owner's token has brought into the owner's cache
        error = refused(REPO)
        assert error.code == "visitor_gated" and "HF_TOKEN" not in str(error)
    standin.repos[REPO].private, standin.repos[REPO].gated = False, True
    assert refused(REPO).code == "visitor_gated"


@pytest.mark.parametrize("paths", [r"/api/.*", r".*\.json", r".*\.safetensors"])
def test_a_visitors_request_never_leaves_the_hub(paths, standin, files):
    """Not even if the Hub itself sends it on: no other server of the owner's network hears of it."""
    with StandinHub() as other:
        standin.add(REPO, files)
        other.add(REPO, files)
        standin.away = (paths, other.url)
        error = refused(REPO)
        assert error.code == "elsewhere" and other.url not in str(error) and other.requests == []
        assert not list(cache.root().rglob("*.safetensors"))
        # Within the Hub it may be.
        standin.away = (rf"(?!/files/){paths}", f"{standin.url}/files")
        assert refused(REPO).code != "elsewhere" and other.requests == []
        standin.away = None
        assert visitors.download(REPO)


def test_what_the_hub_client_keeps_is_the_owners(standin, files, tmp_path):
    from huggingface_hub import snapshot_download

    standin.add(REPO, files)
    snapshot_download(REPO, cache_dir=tmp_path / "hf/hub", endpoint=standin.url)
    standin.stop()
    assert refused(REPO).code == "visitor_down"
    assert hub.load(REPO)


def test_what_visitors_ask_for_is_bounded_in_number(standin, files, monkeypatch):
    monkeypatch.setenv("VQ_MAX_GUESTS", "2")
    standin.add("someone/own", files)
    own = hub.load("someone/own")
    rows = []
    for i in range(4):
        standin.add(f"{REPO}{i}", files)
        rows.append(visitors.entry(visitors.download(f"{REPO}{i}")))
        visitors.reopen(rows[0].name)  # what is in use stays
    standin.stop()
    kept = sorted(p.parent.parent.parent.name for p in (cache.root() / "visitors").rglob(cache.RECORD))
    assert kept == ["someone--codec0", "someone--codec3"]
    assert len(hub._guests) == 2 and hub.load("someone/own") is own
    hub._guests.clear()
    assert visitors.reopen(rows[0].name) and visitors.reopen(rows[3].name)
    for row in rows[1:3]:
        with pytest.raises(LoadError) as caught:
            visitors.reopen(row.name)
        assert caught.value.code == "gone"


def test_nothing_is_left_of_what_has_gone(standin, files, monkeypatch):
    monkeypatch.setenv("VQ_MAX_GUESTS", "1")
    for i in range(3):
        for revision in ("main", f"branch-{i}"):
            standin.add(REPO, files | {"notes": b"%d" % i}, revision)
            visitors.download(REPO, revision=revision)
    standin.add("b/b", files)
    visitors.download("b/b")
    kept = sorted(str(p.relative_to(cache.root() / "visitors")) for p in (cache.root() / "visitors").glob("*/*"))
    assert kept == [f"b--b/{standin.repos['b/b'].refs['main']}", "b--b/refs"]


def test_what_goes_from_the_disk_while_it_is_read_comes_again(standin, files, monkeypatch):
    standin.add(REPO, files)
    read, times = weights.read, []

    def late(folder, *rest):
        times.append(folder)
        if len(times) == 1:
            shutil.rmtree(folder)
        return read(folder, *rest)

    monkeypatch.setattr(weights, "read", late)
    assert visitors.download(REPO)
    assert len(times) == 2 and standin.downloads[weights.SINGLE] == 2


def test_the_least_recently_used_goes_from_the_disk(standin, files, monkeypatch):
    monkeypatch.setenv("VQ_MAX_GUESTS", "2")
    for name in ("a/a", "b/b"):
        standin.add(name, files)
        visitors.download(name)
    hub._guests.clear()
    visitors.download("a/a")  # from the disk
    standin.add("c/c", files)
    visitors.download("c/c")
    assert sorted(p.name for p in (cache.root() / "visitors").iterdir() if any(p.rglob(cache.RECORD))) == [
        "a--a",
        "c--c",
    ]


def test_bounded_in_size(standin, files, monkeypatch):
    standin.add(REPO, files)
    standin.repos[REPO].sizes[weights.SINGLE] = 1_000_000_001
    error = refused(REPO)
    assert error.code == "visitor_large" and "VQ_MAX_BYTES" not in str(error) and not standin.downloads
    entry = PUBLIC["taesd"]
    sha = standin.add(entry.repo, public_files("taesd"))
    monkeypatch.setenv("VQ_MAX_BYTES", "1000")
    assert refused(entry.repo, "", sha).code == "visitor_large"


def test_bounded_in_cost(standin, files, monkeypatch):
    standin.add(REPO, files)
    monkeypatch.setattr(visitors, "MAX_COST", 100)
    error = refused(REPO)
    assert error.code == "costly" and "million" in str(error)
    monkeypatch.undo()


def test_bounded_in_cost_of_the_largest_picture(standin):
    """Attention between all pixels is nothing for a small picture."""
    config = {"block_out_channels": [64], "norm_num_groups": 4, **blocks(1)}
    standin.add(REPO, files_of(class_of("AutoencoderKL")(**config)))
    assert refused(REPO).code == "costly"


def test_bounded_in_memory(standin):
    codec = VQVAE(**TINY | {"widths": [4096, 8]})
    standin.add(REPO, files_of(codec))
    assert "numbers a pixel" in str(refused(REPO))


@pytest.mark.parametrize("name", LAYOUTS)
def test_attention_is_counted(name):
    codec = adapt(model(name)).eval()
    counted = visitors._measure(codec, 64, name)[0]
    attention = [m for m in codec.modules() if type(m).__name__ == "Attention"]
    with torch.utils.flop_counter.FlopCounterMode(display=False) as plain, torch.inference_mode():
        codec.decode(codec.encode(torch.zeros(1, 3, 64, 64)).z)
    cells = (64 // codec.factor) ** 2
    expected = sum(4 * cells**2 * m.to_q.out_features for m in attention)
    assert counted - plain.get_total_flops() == expected


def test_a_model_that_gives_no_picture_back(standin):
    codec = VQVAE(**TINY)
    codec.decoder[-2].weight.data.fill_(3e38)
    standin.add(REPO, files_of(codec))
    assert "no picture" in str(refused(REPO))


def test_a_pinned_checksum_holds_for_visitors_too(standin):
    entry = PUBLIC["sd-vae-ft-mse"]
    sha = standin.add(entry.repo, public_files("sd-vae-ft-mse"))
    standin.repos[entry.repo].commits[entry.revision] = standin.repos[entry.repo].commits[sha]
    assert refused(entry.repo, "", entry.revision).code == "hash"


def test_sentences_for_visitors_name_no_settings_and_no_paths(tmp_path):
    for code in ("repo", "gated", "down", "hanging", "large", "disk", "unwritable"):
        parameters = dict.fromkeys(("repo", "host", "name", "size", "limit", "seconds", "needed", "detail"), "x")
        error = LoadError(code, folder=str(tmp_path), **parameters).for_visitor()
        for language in ("en", "zh"):
            said = error.text(language)
            assert not any(word in said for word in ("HF_", "VQ_", str(tmp_path))), said


def test_watching_counts_bytes_and_stops(standin, files):
    standin.add(REPO, files)
    standin.fault = "slow"
    stop = threading.Event()
    seen = []
    with pytest.raises(LoadError) as caught:
        for done, total in watched(lambda p, s: visitors.download(REPO, progress=p, stop=s), stop.is_set):
            seen.append((done, total))
            if done > 3000:
                stop.set()
    assert caught.value.code == "stopped"
    total = len(files["config.json"]) + len(files[weights.SINGLE])
    assert seen == sorted(seen) and all(pair[1] == total for pair in seen if pair[0])


def test_leaving_stops_the_download(standin, files):
    standin.add(REPO, files)
    standin.fault = "slow"
    ended = threading.Event()

    def work(progress, stop):
        try:
            visitors.download(REPO, progress=progress, stop=stop)
        finally:
            ended.set()

    watching = watched(work, lambda: False)
    next(watching)
    watching.close()
    assert ended.wait(5)
    assert not list(cache.root().rglob(cache.RECORD))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, True),
        ({"SPACE_ID": "a/b"}, False),
        ({"SPACE_ID": "a/b", "VQ_ALLOW_ANY_REPO": "1"}, True),
        ({"SPACE_ID": "a/b", "VQ_ALLOW_ANY_REPO": "0"}, False),
        ({"VQ_ALLOW_ANY_REPO": "1", "SPACES_ZERO_GPU": "true"}, False),
    ],
)
def test_where_visitors_may_have_checkpoints(variables, expected, monkeypatch):
    for name in ("SPACE_ID", "VQ_ALLOW_ANY_REPO", "SPACES_ZERO_GPU"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert app.visitors_allowed() is expected


def test_statistics_come_along_with_published_weights(standin, files, monkeypatch):
    from safetensors.torch import save

    monkeypatch.setenv("VQ_WEIGHTS", "someone/studio")
    counts = torch.arange(32)
    standin.add("someone/studio-vqvae", files | {"statistics.safetensors": save({"counts": counts})})
    standin.add("someone/studio-vqgan", files)
    loader = app.Loader("cpu", {})
    first = loader.statistics("vqvae")
    assert torch.equal(first["counts"], counts)
    assert loader.statistics("vqvae") is first, "read once"
    assert loader.statistics("vqgan") is None
    standin.stop()
    monkeypatch.setattr(hub, "_statistics", hub.Shelf(lambda: 8))
    assert torch.equal(loader.statistics("vqvae")["counts"], counts)
    assert json.loads((hub.locate("vqvae") / cache.RECORD).read_text())["files"].keys() >= {"statistics.safetensors"}
