"""The Sample tab's tasks and endpoints, on tiny priors."""

import itertools
import json

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from vq.catalogue import CODECS
from vq.tasks import sample as tasks
from vq.tasks.sample import MODELS, SampleError, Settings
from vq.ui import sample as ui
from vq.ui.common import Studio
from vq.ui.sample import Run

TOKENS = ("transformer", "pixelcnn")


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.tobytes() == b.tobytes()


@pytest.mark.parametrize("model", MODELS)
def test_picture_i_depends_on_seed_and_i_alone(model, load, load_prior):
    three = tasks.sample(load, load_prior, Settings(model, 3, 5)).pictures
    one = tasks.sample(load, load_prior, Settings(model, 1, 5)).pictures
    other = tasks.sample(load, load_prior, Settings(model, 1, 6)).pictures
    assert same(three[0], one[0]) and not same(one[0], other[0]) and not same(three[0], three[1])


@pytest.fixture
def even_clock(monkeypatch):
    """Every look at the clock is a second later than the one before: tiny networks draw faster than they decode."""
    seconds = itertools.count()
    monkeypatch.setattr("vq.tasks.sample.time.perf_counter", lambda: float(next(seconds)))


@pytest.mark.parametrize("model", TOKENS)
def test_previews_grow_to_the_sample(model, load, load_prior, even_clock):
    settings = Settings(model, 2, 3)
    frames = list(tasks.stream(load, load_prior, settings, interval=0))
    drawn = [frame.drawn for frame in frames]
    assert drawn == sorted(set(drawn)) and len(frames) > 3 and drawn[-1] == frames[-1].positions
    for frame in frames:
        assert int((frame.tokens >= 0).sum()) == 2 * frame.drawn
    last, whole = frames[-1], tasks.sample(load, load_prior, settings)
    assert torch.equal(last.tokens, whole.tokens) and all(map(same, last.pictures, whole.pictures))
    prior = load_prior(model, None)
    assert torch.equal(whole.tokens, prior.sample(2, 3))


def test_it_stops_with_what_stands(load, load_prior, even_clock):
    seen = []
    frames = tasks.stream(load, load_prior, Settings("transformer", 1, 0), interval=0, wanted=lambda: len(seen) < 3)
    for frame in frames:
        seen.append(frame)
    assert len(seen) <= 5 and not seen[-1].complete


@pytest.mark.parametrize("model", MODELS)
def test_a_settings_line_comes_back_as_it_was(model, load, load_prior):
    row = MODELS[model]
    settings = Settings(model, 4, 17, 0.5).resolved(load_prior(row.prior, row.codec))
    revision = tasks.revision_of(load(row.codec), load_prior(row.prior, row.codec))
    assert tasks.read_line(tasks.line_of(settings, revision)) == (settings, revision)


LINE = "vq-sample model=transformer revision=0123456789ab n=2 seed=3 temperature=1 top_k=0 top_p=1"


@pytest.mark.parametrize(
    "line",
    ["", "vq-sample", LINE[3:], LINE + " n=3", LINE.replace("n=2", "n=two"), LINE.replace("seed=3", "seed=null"),
     LINE.replace(" top_p=1", ""), LINE.replace("transformer", "gpt"), LINE + " " * 500, None, 7, ["x"],
     LINE.replace("model=transformer", "model=vae-normal")],
)  # fmt: skip
def test_a_broken_line_is_one_sentence(line):
    with pytest.raises(SampleError) as caught:
        tasks.read_line(line)
    assert caught.value.code in ("line", "model") and caught.value.text("zh") != caught.value.text("en")


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "n": [0, 17, 1.5, "2", None, True, float("nan")],
        "seed": [-2, 2**53, 0.5, "1", None, float("inf")],
        "temperature": [-1, 0.001, 11, float("nan"), "1", True],
        "top_k": [-1, 0.5, "3", float("inf")],
        "top_p": [0, -0.1, 1.1, float("nan"), "1"],
        "model": ["gpt", None, 3, [], {}],
    }.items(),
)
def test_wishes_that_cannot_be_granted_say_why(field, values):
    for value in values:
        with pytest.raises(SampleError) as caught:
            tasks.settings_of({"model": "transformer", "n": 1, "seed": 0} | {field: value})
        assert caught.value.code == field


def test_minus_one_draws_a_seed_and_tells_it():
    seeds = {tasks.settings_of({"seed": -1}).seed for _ in range(8)}
    assert len(seeds) > 1 and all(0 <= seed < 1_000_000 for seed in seeds)


@pytest.mark.parametrize("model", TOKENS)
def test_completing_keeps_every_other_token(model, load, load_prior):
    prior = load_prior(model, None)
    grid = prior.sample(1, 9)[0]
    done, picture = tasks.complete(load, load_prior, model, grid.tolist(), [[0, 1], [3, 2]], 4)
    changed = (done != grid).nonzero().tolist()
    assert all(cell in ([0, 1], [3, 2]) for cell in changed) and picture.size == (64, 64)
    again, _ = tasks.complete(load, load_prior, model, grid.tolist(), [[0, 1], [3, 2]], 4)
    assert torch.equal(done, again)


@pytest.fixture
def studio(load, load_prior, statistics):
    with gr.Blocks():
        return Studio(load, statistics, load_prior, CODECS, gr.State(), gr.Tabs(), accepts=["interpolate", "edit"])


def shows(studio, sent, turn=None):
    return list(ui.show(studio, turn or Run(1), 1, sent))


def last_value(studio, sent):
    return shows(studio, sent)[-1][0]


def test_what_the_page_shows_is_what_the_task_draws(studio, load, load_prior):
    *_, (value, results) = shows(studio, {"model": "transformer", "n": 2, "seed": 4})
    frame = tasks.sample(load, load_prior, Settings("transformer", 2, 4))
    assert (value["state"], value["drawn"], value["positions"]) == ("done", 64, 64)
    assert value["details"]["tokens"] == frame.tokens.tolist()
    nats = load_prior("transformer", None).surprisal(frame.tokens)
    assert np.allclose(value["details"]["nats"], nats, atol=0.006)
    for result, picture, tokens in zip(results, frame.pictures, frame.tokens, strict=True):
        assert result.codec == "vqgan"
        assert np.array_equal(result.original, picture)
        assert np.array_equal(result.tokens, tokens)
        assert same(tasks.decoded(load("vqgan"), torch.from_numpy(result.z))[0], picture)


def test_a_line_replays_and_says_when_the_weights_are_others(studio):
    first = last_value(studio, {"model": "pixelcnn", "n": 1, "seed": 4, "top_k": 3})
    again = last_value(studio, {"line": first["line"]})
    assert (again["pictures"], again["line"], again["other"]) == (first["pictures"], first["line"], None)
    assert again["adopt"]["top_k"] == 3
    _, revision = tasks.read_line(first["line"])
    foreign = last_value(studio, {"line": first["line"].replace(revision, "0123456789ab")})
    assert foreign["other"] == ["0123456789ab", revision]


def test_revisions_tell_weights_apart(load, load_prior):
    vqgan, transformer = load("vqgan"), load_prior("transformer", None)
    fitted = [load_prior("fitted", "vae") for _ in range(2)]
    revisions = [tasks.revision_of(load("vae"), prior) for prior in [*fitted, load_prior("normal", "vae")]]
    assert revisions[0] == revisions[1] != revisions[2]
    before = tasks.revision_of(vqgan, transformer)
    assert before == tasks.revision_of(vqgan, transformer) != tasks.revision_of(vqgan, load_prior("pixelcnn", None))


def test_a_run_that_is_overtaken_ends_at_once_and_a_stopped_one_keeps_what_stands(studio):
    sent, turn = {"model": "transformer", "n": 1, "seed": 0}, Run(1)
    steps = ui.show(studio, turn, 1, sent)
    states = [next(steps)[0], next(steps)[0]["state"], next(steps)[0]["drawn"]]
    turn.stopped = 1
    stopped, results = list(steps)[-1]
    assert states[1:] == ["running", 1]
    assert (stopped["state"], results) == ("stopped", ())
    assert 0 < stopped["drawn"] < 64

    steps = ui.show(studio, turn := Run(1), 1, sent)
    for _ in range(3):
        next(steps)
    turn.number = 2
    assert [value["state"] for value, _ in steps] == ["running"]
    assert len(shows(studio, sent, turn)) == 1


@pytest.mark.parametrize("sent", [None, [], "x", {"line": 3}, {"model": "gpt"}, {"model": "ae-normal", "top_p": 0.5}])
def test_what_a_browser_sends_is_checked(studio, sent):
    value = last_value(studio, sent)
    assert value["state"] == "failed"
    assert value["error"]["en"] != value["error"]["zh"]


def test_a_model_tells_its_defaults(studio):
    assert ui.about(studio, {"model": "pixelcnn"})["defaults"]["top_p"] == 1
    assert "top_p" not in ui.about(studio, {"model": "vae-fitted"})["defaults"]
    for bad in (None, "ae", {}, {"model": []}):
        assert "transformer" in ui.about(studio, bad)["error"]["zh"]


def test_only_what_was_drawn_can_be_carried(studio):
    *_, (_, results) = shows(studio, {"model": "ae-fitted", "n": 2, "seed": 4})
    result, _ = ui.carried(studio, results, {"index": 1, "to": "interpolate"})
    assert result is results[1]
    for bad in (None, [], {"index": 2, "to": "interpolate"}, {"index": -1, "to": "interpolate"}, {"index": "0"},
                {"index": True, "to": "sample"}, {"index": 0, "to": []}, {"index": 0, "to": "edit"}):  # fmt: skip
        with pytest.raises(gr.Error):
            ui.carried(studio, results, bad)


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)


def test_the_endpoint_gives_the_tasks_pictures(client, page_url, load, load_prior):
    out = client.predict("pixelcnn", 2, 11, api_name="/sample")
    want = tasks.sample(load, load_prior, Settings("pixelcnn", 2, 11))
    assert out["tokens"] == want.tokens.tolist()
    settings, _ = tasks.read_line(out["settings"])
    assert (settings.model, settings.n, settings.seed) == ("pixelcnn", 2, 11)
    for file, picture in zip(out["pictures"], want.pictures, strict=True):
        path = file["path"] if isinstance(file, dict) else file
        assert np.array_equal(np.asarray(Image.open(path).convert("RGB")), np.asarray(picture))


def test_the_endpoint_completes(client, load, load_prior):
    tokens = client.predict("transformer", 1, 2, api_name="/sample")["tokens"][0]
    out = client.predict(tokens, [[7, 7]], 3, api_name="/complete")
    want, _ = tasks.complete(load, load_prior, "transformer", tokens, [[7, 7]], 3)
    assert out["tokens"] == want.tolist() and out["seed"] == 3


BAD = [
    ("/sample", ["gpt", 1, 0]),
    ("/sample", ["transformer", 99, 0]),
    ("/sample", ["transformer", 1, -7]),
    ("/sample", ["vae-normal", 1, 0, 1.0, 5]),
    ("/complete", [[[1, 2], [3, 4]], None, 0]),
    ("/complete", [json.loads("[[1e9]]"), None, 0]),
    ("/complete", [{"a": 1}, None, 0]),
    ("/complete", [[[0] * 8] * 8, [[8, 0]], 0]),
    ("/complete", [[[0] * 8] * 8, "all", 0]),
    ("/complete", [[[0] * 8] * 8, None, 0, "vae-normal"]),
]


@pytest.mark.parametrize("name,values", BAD)
def test_bad_calls_get_a_sentence_in_both_languages(client, name, values):
    with pytest.raises(AppError) as caught:
        client.predict(*values, api_name=name)
    text = str(caught.value)
    assert " / " in text and "Traceback" not in text and "/work" not in text and ".py" not in text
