"""Loading from a Hub, against a stand-in on loopback: what works, and everything that can go wrong, for real."""

import json
import logging
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load, save
from standin_hub import StandinHub
from standin_models import LAYOUTS, files_of, model, pickled, public_files, under, with_config

from vq import cache, hub, weights
from vq.catalogue import CODECS, PUBLIC
from vq.messages import ERRORS, LoadError
from vq.models.autoencoder import AE
from vq.models.vqvae import VQVAE
from vq.tasks import reconstruct as tasks

REPO = "someone/codec"
WEIGHTS = weights.SINGLE
TOKENS = {"image_size": 16, "codebook_size": 32, "widths": [8, 8], "encoder_depths": [0, 0], "decoder_depths": [0, 0]}


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    """A cache of its own, an empty memory and the defaults for every test."""
    for name in ("VQ_WEIGHTS", "VQ_MAX_BYTES", "VQ_DEADLINE", "VQ_MAX_MODELS", "HF_TOKEN", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("VQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(hub, "_shelf", hub.Shelf(lambda: hub._setting("VQ_MAX_MODELS", 8)))


@pytest.fixture
def standin(monkeypatch):
    with StandinHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture(scope="module")
def ours():
    """A codec of our own and its files."""
    torch.manual_seed(0)
    codec = VQVAE(**TOKENS).eval()
    return codec, files_of(codec)


@pytest.fixture(scope="module")
def public():
    return {name: public_files(name) for name in LAYOUTS}


def forget():
    hub._shelf.clear()


class Clock:
    """Seconds of a machine that has nothing else to do: on a busy one, everything may take longer by its slowness."""

    def __enter__(self):
        self.slowness = max(1.0, slowness())
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        took = time.perf_counter() - self.start
        self.seconds = took / max(self.slowness, slowness())


def slowness():
    """How many times longer than its computing time a piece of computing takes here and now."""
    start, used = time.perf_counter(), time.process_time()
    while time.process_time() - used < 0.05:
        pass
    return (time.perf_counter() - start) / 0.05


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def cached_files():
    return sorted(path.name for path in cache.root().rglob("*") if path.is_file())


def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def refused(name=REPO, **kwargs):
    """The LoadError of a load that must fail."""
    with pytest.raises(LoadError) as caught:
        hub.load(name, **kwargs)
    return caught.value


def serve_public(standin, public, monkeypatch):
    """The five public checkpoints at their addresses. Commits and checksums can't be theirs: the weights aren't."""
    for name, files in public.items():
        entry = PUBLIC[name]
        revision = entry.revision if not cache.COMMIT.fullmatch(entry.revision) else "main"
        sha = standin.add(entry.repo, under(entry.subfolder, files), revision)
        if revision != entry.revision:
            standin.repos[entry.repo].commits[entry.revision] = standin.repos[entry.repo].commits[sha]
        if entry.sha256:
            monkeypatch.setitem(PUBLIC, name, type(entry)(**{**vars(entry), "sha256": {}}))


# What works.


def test_public_checkpoints_load_and_reconstruct(standin, public, monkeypatch):
    serve_public(standin, public, monkeypatch)
    for name in PUBLIC:
        assert hub.load_with_origin(name).origin.commit in standin.repos[PUBLIC[name].repo].commits
    results = {r.codec: r for r in tasks.reconstruct(hub.load, picture(), list(PUBLIC), 64)}
    for name in PUBLIC:
        codec = hub.load(name)
        assert results[name].picture.size == (64, 64) and np.isfinite(results[name].psnr)
        if codec.codebook_size:
            assert results[name].latent_shape == (64 // codec.factor,) * 2
        x = torch.rand(1, 3, 32, 32) * 2 - 1
        with torch.inference_mode():
            expected = model(name)(x).sample.clamp(-1, 1)
            assert torch.allclose(codec.decode(codec.encode(x).z), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", LAYOUTS)
def test_cached_loading_needs_no_network_and_no_time(name, standin, public, monkeypatch):
    serve_public(standin, {name: public[name]}, monkeypatch)
    loaded = hub.load_with_origin(name)
    asked = len(standin.requests)
    with Clock() as clock:
        assert hub.load(name) is loaded.codec
    assert clock.seconds < 0.1
    forget()
    standin.stop()
    with Clock() as clock:
        again = hub.load_with_origin(name)
    assert clock.seconds < 1
    assert again.codec is not loaded.codec and same(again.codec, loaded.codec)
    assert again.origin == loaded.origin and len(standin.requests) == asked


def test_a_hanging_hub_does_not_delay_what_is_cached(standin, ours):
    standin.add(REPO, ours[1])
    hub.load(REPO)
    forget()
    standin.fault = "hang"
    with Clock() as clock:
        hub.load(REPO)
    assert clock.seconds < 1


def test_ours_loads_exactly_with_its_origin(standin, ours):
    sha = standin.add(REPO, ours[1], licence="apache-2.0")
    loaded = hub.load_with_origin(REPO)
    assert same(loaded.codec, ours[0]) and not loaded.codec.training
    assert not any(p.requires_grad for p in loaded.codec.parameters())
    origin = loaded.origin
    assert (origin.repo, origin.revision, origin.commit, origin.licence) == (REPO, "main", sha, "apache-2.0")
    assert json.loads((origin.folder / cache.RECORD).read_text())["commit"] == sha
    assert loaded.class_name == "VQVAE"
    assert loaded.parameters == sum(p.numel() for p in ours[0].parameters())
    # What is loaded inside somebody's inference mode must work outside of it as well.
    forget()
    with torch.inference_mode():
        codec = hub.load(REPO)
    assert not any(p.is_inference() for p in codec.parameters())


def test_class_name_of_an_adapter(standin, public):
    standin.add(REPO, under("movq", public["movq"]))
    assert hub.load_with_origin(REPO, subfolder="movq").class_name == "VQModel"


def test_revisions_are_kept_apart(standin, ours):
    torch.manual_seed(1)
    other = VQVAE(**TOKENS)
    first = standin.add(REPO, ours[1])
    second = standin.add(REPO, files_of(other))
    standin.add(REPO, ours[1], "refs/pr/7")
    assert same(hub.load(REPO), other)
    assert same(hub.load(REPO, revision=first), ours[0])
    assert same(hub.load(REPO, revision="refs/pr/7"), ours[0])
    assert hub.load_with_origin(REPO, revision=second[:40]).origin.commit == second
    standin.stop()
    forget()
    assert same(hub.load(REPO, revision=first), ours[0]) and same(hub.load(REPO), other)


def test_shards_and_what_lies_beside(standin):
    torch.manual_seed(0)
    codec = AE(image_size=16, latent_dim=8, widths=[8, 16], depths=[0, 0])
    beside = {"statistics.safetensors": save({"mean": torch.zeros(8)}), "notes.txt": b"x"}
    files = files_of(codec, shard=10_000) | beside
    assert WEIGHTS not in files and sum(name.endswith(".safetensors") for name in files) > 2
    standin.add(REPO, files)
    loaded = hub.load_with_origin(REPO)
    assert same(loaded.codec, codec)
    assert (loaded.origin.folder / "statistics.safetensors").is_file()
    assert "notes.txt" not in standin.downloads


def test_weights_from_a_prefix(standin, ours, monkeypatch):
    monkeypatch.setenv("VQ_WEIGHTS", "someone/studio")
    standin.add("someone/studio-vqvae", ours[1])
    assert same(hub.load("vqvae"), ours[0])
    assert hub.locate("vqvae").is_relative_to(cache.root())


def test_missing_bundled_weights_name_both_remedies(tmp_path, monkeypatch):
    monkeypatch.setattr("vq.catalogue.WEIGHTS", tmp_path)
    error = refused("vqvae")
    assert error.code == "missing" and "python -m vq.train vqvae" in str(error) and "VQ_WEIGHTS" in str(error)


def test_a_folder_goes_before_a_repository(standin, ours, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours[0].save_pretrained("someone/codec")
    assert same(hub.load(REPO), ours[0]) and not standin.requests


def test_what_a_build_left_in_the_hub_clients_cache_is_used(standin, ours, tmp_path):
    from huggingface_hub import snapshot_download

    files = under("sub", ours[1])
    sha = standin.add(REPO, files)
    folder = snapshot_download(REPO, cache_dir=tmp_path / "hf/hub", endpoint=standin.url)
    standin.stop()
    loaded = hub.load_with_origin(REPO, subfolder="sub")
    assert same(loaded.codec, ours[0]) and loaded.origin.commit == sha
    # The same file, damaged: asked for anew instead of used.
    blob = Path(folder, "sub", WEIGHTS).resolve()
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\1")
    forget()
    assert refused(subfolder="sub").code == "down"
    standin.start()
    assert same(hub.load(REPO, subfolder="sub"), ours[0])


def test_a_damaged_cache_entry_is_replaced(standin, ours):
    standin.add(REPO, ours[1])
    path = hub.load_with_origin(REPO).origin.folder / WEIGHTS
    data = path.read_bytes()
    for damage in (data[:100], data[:-1] + bytes([data[-1] ^ 1])):
        path.write_bytes(damage)
        forget()
        assert same(hub.load(REPO), ours[0])
        assert path.read_bytes() == data


def test_progress_counts_bytes(standin, ours):
    standin.add(REPO, ours[1])
    standin.fault = "slow"
    seen, threads = [], set()
    hub.load(REPO, progress=lambda *count: (seen.append(count), threads.add(threading.current_thread())))
    total = len(ours[1]["config.json"]) + len(ours[1][WEIGHTS])
    assert len(seen) > 5 and seen == sorted(seen) and seen[-1] == (total, total)
    assert threads == {threading.current_thread()}


def test_a_broken_connection_is_taken_up_again(standin, ours):
    standin.add(REPO, ours[1])
    standin.fault = "cut-once"
    assert same(hub.load(REPO), ours[0])
    assert standin.downloads[WEIGHTS] == 2


def test_stop(standin, ours):
    standin.add(REPO, ours[1])
    standin.fault = "slow"
    stop = threading.Event()
    with Clock() as clock:
        error = refused(progress=lambda done, total: done > 3000 and stop.set(), stop=stop)
    assert error.code == "stopped" and clock.seconds < 2
    wait_until(lambda: cached_files() == [])
    standin.fault = None
    assert same(hub.load(REPO), ours[0])


def test_stop_ends_one_visitors_waiting_only(standin, ours):
    standin.add(REPO, ours[1])
    standin.fault = "slow"
    with ThreadPoolExecutor(2) as pool:
        stays = pool.submit(hub.load, REPO)
        wait_until(lambda: standin.downloads[WEIGHTS])
        assert refused(stop=lambda: True).code == "stopped"
        assert same(stays.result(), ours[0])
    assert standin.downloads[WEIGHTS] == 1


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_twenty_clients_one_download(standin, ours):
    standin.add(REPO, ours[1])
    standin.fault = "slow"
    barrier = threading.Barrier(20)

    def client(_):
        barrier.wait()
        return hub.load(REPO)

    with ThreadPoolExecutor(20) as pool:
        codecs = list(pool.map(client, range(20)))
    assert all(codec is codecs[0] for codec in codecs)
    assert standin.downloads == {"config.json": 1, WEIGHTS: 1}
    assert sum(path.startswith("/api/") for _, path in standin.requests) == 1


def test_twenty_clients_share_a_failure(standin, monkeypatch):
    monkeypatch.setenv("VQ_DEADLINE", "1")
    standin.add(REPO, {})
    standin.fault = "hang"
    with Clock() as clock, ThreadPoolExecutor(20) as pool:
        assert {error.code for error in pool.map(lambda _: refused(), range(20))} == {"hanging"}
    assert clock.seconds < 3


def test_memory_holds_a_bounded_number(standin, monkeypatch, tmp_path):
    monkeypatch.setenv("VQ_MAX_MODELS", "2")
    for name in "abc":
        VQVAE(**TOKENS).save_pretrained(tmp_path / name)
    a = hub.load(tmp_path / "a")
    b = hub.load(tmp_path / "b")
    assert hub.load(tmp_path / "a") is a
    hub.load(tmp_path / "c")
    assert len(hub._shelf) == 2
    assert hub.load(tmp_path / "a") is a and hub.load(tmp_path / "b") is not b


def test_nothing_but_the_endpoint_is_asked(standin, ours, monkeypatch):
    standin.add(REPO, ours[1])
    addresses = []
    connect = hub.get_session()._transport._pool._network_backend.connect_tcp

    def watch(host, port, *args, **kwargs):
        addresses.append(f"http://{host}:{port}")
        return connect(host, port, *args, **kwargs)

    monkeypatch.setattr(hub.get_session()._transport._pool._network_backend, "connect_tcp", watch)
    hub.load(REPO)
    assert set(addresses) == {standin.url}


def test_large_files_may_lie_on_another_server(standin, ours, monkeypatch):
    """As those of the real Hub do. The owner's token stays behind."""
    monkeypatch.setenv("HF_TOKEN", standin.token)
    with StandinHub() as storage:
        sha = standin.add(REPO, ours[1])
        assert storage.add(REPO, ours[1]) == sha
        standin.away = (r".*\.safetensors", storage.url)
        assert same(hub.load(REPO), ours[0])
        assert storage.downloads == {WEIGHTS: 1} and standin.downloads == {"config.json": 1}
        assert standin.tokens == {f"Bearer {standin.token}"} and storage.tokens == {None}


@pytest.mark.parametrize(
    ("endpoint", "address", "expected"),
    [
        ("https://huggingface.co", "https://huggingface.co/a/b", True),
        ("https://huggingface.co", "https://cdn-lfs-us-1.hf.co/x", True),
        ("https://huggingface.co", "https://cas-bridge.xethub.hf.co/x", True),
        ("https://huggingface.co", "https://cdn-lfs.huggingface.co/x", True),
        ("https://mirror.example", "https://files.mirror.example/x", True),
        ("https://mirror.example", "https://us.aws.cdn.hf.co/x", True),
        ("https://huggingface.co", "http://cdn-lfs.hf.co/x", False),
        ("https://huggingface.co", "https://cdn-lfs.hf.co:8443/x", False),
        ("https://huggingface.co", "https://huggingface.co.evil.example/x", False),
        ("https://huggingface.co", "https://evilhf.co/x", False),
        ("https://huggingface.co", "https://hf.co@evil.example/x", False),
        ("https://huggingface.co", "https://127.0.0.1/x", False),
        ("https://huggingface.co", "http://169.254.169.254/latest/meta-data", False),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/x", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/x", False),
        ("http://127.0.0.1:8000", "http://localhost:8000/x", False),
        ("http://127.0.0.1:8000", "https://cdn-lfs.hf.co/x", False),
    ],
)
def test_which_addresses_are_the_hubs(endpoint, address, expected, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert hub.is_the_hubs(hub.httpx2.URL(address)) is expected


def test_folders_of_one_commit_are_kept_apart(standin, ours):
    torch.manual_seed(1)
    others = [VQVAE(**TOKENS) for _ in range(3)]
    files = dict(ours[1])
    for place, codec in zip(("a/b", "a--b", "-"), others, strict=True):
        files |= under(place, files_of(codec))
    standin.add(REPO, files)
    for _ in range(2):
        for place, codec in zip(("", "a/b", "a--b", "-"), (ours[0], *others), strict=True):
            loaded = hub.load_with_origin(REPO, subfolder=place)
            assert same(loaded.codec, codec) and loaded.origin.subfolder == place
        forget()


# What goes wrong. Each row: what is done to the Hub, the code, and how it is put right again.


def gate(standin):
    standin.repos[REPO].gated = True


def hide(standin):
    standin.repos[REPO].private = True


def reveal(standin):
    standin.repos[REPO].gated = standin.repos[REPO].private = False


def fault(name):
    def set_fault(standin):
        standin.fault = name

    return set_fault


def replace(**files):
    """Other files in place of the weights; None takes one away."""

    def change(standin):
        table = standin.repos[REPO].commits[standin.repos[REPO].refs["main"]]
        for name, data in files.items():
            table.pop(name, None) if data is None else table.update({name: data})

    return change


def restore(standin):
    commit = standin.repos[REPO].commits[standin.repos[REPO].refs["main"]]
    commit.clear()
    commit.update(standin.originals)


def config(**changes):
    def change(standin):
        replace(**{"config.json": with_config(standin.originals, **changes)["config.json"]})(standin)

    return change


def state(change):
    def apply(standin):
        tensors = load(standin.originals[WEIGHTS])
        change(tensors)
        replace(**{WEIGHTS: save(tensors)})(standin)

    return apply


def only_pickles(standin):
    data = pickled(load(standin.originals[WEIGHTS]))
    replace(**{WEIGHTS: None, "diffusion_pytorch_model.bin": data})(standin)


def moved(standin):
    files = dict.fromkeys(standin.originals)
    replace(**files, **under("vqvae", standin.originals))(standin)


def not_finite(value):
    return state(lambda tensors: tensors[FIRST].view(-1)[-1:].fill_(value))


def endless_header(standin):
    replace(**{WEIGHTS: (5_000_000).to_bytes(8, "little") + b"{" + b" " * 4_999_998 + b"}"})(standin)


def many_shards(standin):
    shards = {f"diffusion_pytorch_model-{i:05}-of-00065.safetensors": b"x" for i in range(1, 66)}
    replace(**{WEIGHTS: None, weights.INDEX: b"{}", **shards})(standin)


def lost_shard(standin):
    shard = "diffusion_pytorch_model-00001-of-00002.safetensors"
    index = json.dumps({"metadata": {}, "weight_map": {"a": "../x.safetensors"}}).encode()
    replace(**{WEIGHTS: None, weights.INDEX: index, shard: b"x"})(standin)


def no_size(standin):
    standin.repos[REPO].sizes[WEIGHTS] = -1


def true_size(standin):
    standin.repos[REPO].sizes.clear()


FIRST = "encoder.1.weight"
LONG = "a\n\u202e" * 50_000
FAILURES = {
    "no repository": (lambda s: s.repos.pop(REPO), "repo", lambda s: s.add(REPO, s.originals), {}),
    "no revision": (lambda s: None, "revision", lambda s: s.add(REPO, s.originals, "v9"), {"revision": "v9"}),
    "gated": (gate, "gated", reveal, {}),
    "private": (hide, "gated", reveal, {}),
    "down": (lambda s: s.stop(), "down", lambda s: s.start(), {}),
    "hanging": (fault("hang"), "hanging", fault(None), {}),
    "hanging on the weights": (fault("hang-file"), "hanging", fault(None), {}),
    "error of the server": (fault("error"), "server", fault(None), {}),
    "cut off": (fault("cut"), "cut", fault(None), {}),
    "truncated": (fault("truncate"), "truncated", fault(None), {}),
    "corrupted": (fault("corrupt"), "hash", fault(None), {}),
    "only pickles": (only_pickles, "pickle", restore, {}),
    "no weights": (replace(**{WEIGHTS: None}), "broken", restore, {}),
    "no config": (moved, "files", restore, {}),
    "damaged weights": (replace(**{WEIGHTS: b"\xff" * 5000}), "broken", restore, {}),
    "damaged config": (replace(**{"config.json": b"{"}), "broken", restore, {}),
    "endless config": (replace(**{"config.json": b'{"a": "' + b"a" * 5_000_000 + b'"}'}), "broken", restore, {}),
    "another class": (config(_class_name="UNet2DModel"), "unsupported", restore, {}),
    "no class": (config(_class_name=["VQVAE"]), "unsupported", restore, {}),
    "absurd size": (config(widths=[10**9, 10**9]), "config", restore, {}),
    "absurd depth": (config(encoder_depths=[4000, 4000]), "config", restore, {}),
    "absurd length": (config(widths=[8] * 1000), "config", restore, {}),
    "absurd sum": (config(widths=[4096] * 8, encoder_depths=[8] * 8, decoder_depths=[8] * 8), "large", restore, {}),
    "wrong type": (config(codebook_size="many"), "config", restore, {}),
    "quantised": (config(quantization_config={"quant_method": "gguf"}), "config", restore, {}),
    "missing key": (state(lambda t: t.pop(FIRST)), "keys", restore, {}),
    "unexpected key": (state(lambda t: t.update(more=torch.zeros(1))), "keys", restore, {}),
    "other shape": (state(lambda t: t.update({FIRST: t[FIRST][:1].clone()})), "keys", restore, {}),
    "not a number": (not_finite(float("nan")), "numbers", restore, {}),
    "infinite": (not_finite(float("-inf")), "numbers", restore, {}),
    "endless header": (endless_header, "broken", restore, {}),
    "many shards": (many_shards, "broken", restore, {}),
    "index to another folder": (lost_shard, "broken", restore, {}),
    "no size": (no_size, "server", true_size, {}),
    "many settings": (config(**{f"a{i}": 1 for i in range(10_000)}), "config", restore, {}),
    "endless setting": (config(**{LONG: -1}), "config", restore, {}),
    "endless class": (config(_class_name=LONG), "unsupported", restore, {}),
    "endless key": (state(lambda t: t.update({LONG: torch.zeros(1)})), "keys", restore, {}),
    "other numbers": (state(lambda t: t.update({FIRST: t[FIRST].int()})), "keys", restore, {}),
}


@pytest.mark.parametrize("what", FAILURES)
def test_failure(what, standin, ours, monkeypatch, caplog, capsys):
    breaks, code, heals, kwargs = FAILURES[what]
    if code == "hanging":
        monkeypatch.setenv("VQ_DEADLINE", "1")
    standin.originals = ours[1]
    standin.add(REPO, dict(ours[1]))
    breaks(standin)
    with Clock() as clock:
        error = refused(**kwargs)
    assert error.code == code, str(error)
    assert clock.seconds < (1 if code in ("unsupported", "config") else 2 if code == "hanging" else 5)
    for language in ("en", "zh"):
        said = error.text(language)
        assert said.isprintable() and "{" not in said and "Traceback" not in said and said[-1] in ".。"
        assert len(said) < 600 and "invalid combination" not in said
        if code not in ("config", "keys"):
            assert str(cache.root()) not in said
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    assert not [r for r in caplog.records if r.exc_info]
    wait_until(lambda: cached_files() == [])
    if code in ("unsupported", "config", "large", "pickle"):
        assert standin.downloads[WEIGHTS] == 0
    heals(standin)
    assert same(hub.load(REPO, **kwargs), ours[0])
    assert not [name for name in cached_files() if name not in ("config.json", WEIGHTS, cache.RECORD, "main", "v9")]


def test_a_token_opens_a_private_repository(standin, ours, monkeypatch):
    standin.add(REPO, ours[1])
    hide(standin)
    assert "HF_TOKEN" in str(refused())
    monkeypatch.setenv("HF_TOKEN", "wrong")
    assert refused().code == "gated"
    monkeypatch.setenv("HF_TOKEN", standin.token)
    assert same(hub.load(REPO), ours[0])


def test_a_pinned_checksum_outweighs_what_the_hub_says(standin, public, monkeypatch):
    entry = PUBLIC["sd-vae-ft-mse"]
    serve_public(standin, {"sd-vae-ft-mse": public["sd-vae-ft-mse"]}, monkeypatch)
    monkeypatch.setitem(PUBLIC, "sd-vae-ft-mse", entry)
    assert refused("sd-vae-ft-mse").code == "hash"
    assert standin.downloads[WEIGHTS] == 0 and cached_files() == []
    # Not even if it was cached under its repository's name, where nothing is pinned.
    hub.load(entry.repo, revision=entry.revision)
    assert refused("sd-vae-ft-mse").code == "hash"


def test_limit_on_size_is_checked_before_the_download(standin, ours, monkeypatch):
    standin.add(REPO, ours[1])
    standin.repos[REPO].sizes[WEIGHTS] = 1_000_000_001
    error = refused()
    assert error.code == "large" and "1 GB" in str(error) and "VQ_MAX_BYTES" in str(error)
    assert not standin.downloads
    standin.repos[REPO].sizes.clear()
    monkeypatch.setenv("VQ_MAX_BYTES", "1000")
    assert refused().code == "large" and not standin.downloads
    monkeypatch.setenv("VQ_MAX_BYTES", "1e6")
    assert same(hub.load(REPO), ours[0])


def test_a_file_larger_than_announced_is_not_taken(standin, ours):
    standin.add(REPO, ours[1])
    standin.repos[REPO].sizes[WEIGHTS] = 1000
    assert refused().code == "truncated" and cached_files() == []


def test_no_room_on_the_disk(standin, ours, monkeypatch):
    standin.add(REPO, ours[1])
    standin.repos[REPO].sizes[WEIGHTS] = 10**15
    monkeypatch.setenv("VQ_MAX_BYTES", "1e18")
    error = refused()
    assert error.code == "disk" and "1e+03 TB" in str(error) and not standin.downloads
    standin.repos[REPO].sizes.clear()
    assert same(hub.load(REPO), ours[0])


def apart(work, *args):
    """Start `work` in a process of its own: a fork, since importing everything again takes longer than the test."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args, daemon=True)
    process.start()
    return process


def load_with_small_files(report):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    error = refused()
    report.put((error.code, str(error)))


def test_the_disk_fills_up_during_the_download(standin, ours):
    assert len(ours[1][WEIGHTS]) > 8000
    standin.add(REPO, ours[1])
    report = multiprocessing.get_context("fork").Queue()
    process = apart(load_with_small_files, report)
    code, said = report.get(timeout=20)
    process.join(20)
    assert code == "disk" and "VQ_CACHE" in said
    assert cached_files() == []
    assert same(hub.load(REPO), ours[0])


def test_an_unwritable_cache(standin, ours, tmp_path, monkeypatch):
    standin.add(REPO, ours[1])
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VQ_CACHE", str(tmp_path / "file"))
    assert refused().code == "unwritable"
    monkeypatch.setenv("VQ_CACHE", str(tmp_path / "folder"))
    assert same(hub.load(REPO), ours[0])


def test_a_killed_download_leaves_nothing_usable(standin, ours):
    standin.add(REPO, ours[1])
    standin.fault = "hang-file"
    process = apart(hub.load, REPO)
    wait_until(lambda: standin.downloads[WEIGHTS])
    process.kill()
    process.join()
    assert cache.find(hub.Source(REPO)) is None
    standin.fault = None
    assert same(hub.load(REPO), ours[0])
    for left in (cache.root() / "partial").iterdir():
        os.utime(left, (0, 0))
    forget()
    hub.load(REPO, revision=standin.add(REPO, {"more": b""}))
    assert list((cache.root() / "partial").iterdir()) == []


class Trap:
    """What unpickling this runs."""

    def __reduce__(self):
        return os.mkdir, (Trap.folder,)


def test_a_pickle_is_never_opened(standin, ours, tmp_path, monkeypatch):
    Trap.folder = str(tmp_path / "trap")

    calls = []

    def opened(*arguments, **__):
        calls.append(arguments)
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr(torch, "load", opened)
    monkeypatch.setattr("pickle.load", opened)
    monkeypatch.setattr("pickle.loads", opened)
    import pickle

    trap = pickle.dumps(Trap())
    names = ("diffusion_pytorch_model.bin", "pytorch_model.bin", "model.ckpt", "model.pt", "model.pkl")
    config_only = {"config.json": ours[1]["config.json"]}
    for i, name in enumerate(names):
        standin.add(f"{REPO}{i}", config_only | {name: trap})
        error = refused(f"{REPO}{i}")
        assert error.code == "pickle" and name in str(error)
        folder = tmp_path / f"local{i}"
        folder.mkdir()
        for file, data in (config_only | {name: trap}).items():
            (folder / file).write_bytes(data)
        assert refused(folder).code == "pickle"
    # A pickle under the name of safetensors, and one beside good weights.
    standin.add(f"{REPO}-named", config_only | {WEIGHTS: trap})
    assert refused(f"{REPO}-named").code == "broken"
    standin.add(f"{REPO}-beside", ours[1] | {"diffusion_pytorch_model.bin": trap})
    assert same(hub.load(f"{REPO}-beside"), ours[0])
    index = {"metadata": {}, "weight_map": {"a": "../../trap.bin"}}
    standin.add(f"{REPO}-index", config_only | {weights.INDEX: json.dumps(index).encode(), "trap.bin": trap})
    assert refused(f"{REPO}-index").code == "pickle"
    assert not any(name.endswith((".bin", ".ckpt", ".pt", ".pkl")) for name in standin.downloads)
    # An index that leads to one, beside good weights: the library would follow it.
    folder = tmp_path / "index"
    ours[0].save_pretrained(folder)
    (folder / "trap.bin").write_bytes(trap)
    table = dict.fromkeys(load(ours[1][WEIGHTS]), "trap.bin")
    (folder / weights.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": table}))
    assert refused(folder).code == "broken"
    assert calls == [] and not os.path.exists(Trap.folder)


def test_an_index_can_not_lead_out_of_its_folder(tmp_path, ours):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(ours[1]["config.json"])
    (tmp_path / "outside.safetensors").write_bytes(ours[1][WEIGHTS])
    (folder / weights.INDEX).write_text(json.dumps({"weight_map": {"a": "../outside.safetensors"}}))
    assert refused(folder).code == "broken"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"name": "a/../b"},
        {"name": "org/.."},
        {"name": "org/na--me"},
        {"name": REPO, "subfolder": "../.."},
        {"name": REPO, "subfolder": "/etc"},
        {"name": REPO, "subfolder": "a\\b"},
        {"name": REPO, "revision": "../main"},
        {"name": REPO, "revision": "a b"},
        {"name": REPO, "revision": "-x\n"},
        {"name": "http://127.0.0.1/x"},
        {"name": "no-such-model"},
    ],
)
def test_addresses_that_can_not_be(kwargs, standin):
    assert refused(**kwargs).code in ("source", "unknown")
    assert not standin.requests


def test_another_class_is_refused_without_importing_it(standin, ours):
    standin.add(REPO, with_config(ours[1], _class_name="FluxTransformer2DModel"))
    before = {name for name in sys.modules if name.startswith("diffusers.models")}
    error = refused()
    assert "FluxTransformer2DModel" in str(error) and "AutoencoderTiny" in str(error)
    assert {name for name in sys.modules if name.startswith("diffusers.models")} == before


def test_the_resolved_commit_is_logged(standin, ours, caplog):
    sha = standin.add(REPO, ours[1])
    with caplog.at_level(logging.INFO, "vq.hub"):
        hub.load(REPO)
    assert sha in caplog.text


def test_every_sentence_stands_in_both_languages():
    names = {name for pair in ERRORS.values() for text in pair for name in _fields(text)}
    for code, (english, chinese) in ERRORS.items():
        assert set(_fields(english)) == set(_fields(chinese)), code
        error = LoadError(code, **dict.fromkeys(names, "x"))
        assert str(error).endswith(".") and error.text("zh").endswith("。")


def _fields(text):
    from string import Formatter

    return [name for _, name, _, _ in Formatter().parse(text) if name]


def test_every_row_of_the_catalogue_is_a_place():
    for name, entry in (CODECS | PUBLIC).items():
        assert entry.name == name
        if entry.repo is not None:
            pins = tuple(entry.sha256.items())
            assert hub.resolve(name) == hub.Source(entry.repo, entry.subfolder, entry.revision, pins)
            assert all(len(digest) == 64 for digest in entry.sha256.values())
