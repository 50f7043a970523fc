"""Paths and grids over the tiny codecs: exact where they must be, the latents' own ways in between."""

import io
import json
from itertools import pairwise

import gradio as gr
import numpy as np
import pytest
import torch
from conftest import NAMES
from pictures import photo
from PIL import Image

from vq.catalogue import CODECS
from vq.image import fit_square, to_picture, to_tensor
from vq.latents import differing, lerp, slerp
from vq.tasks import interpolate as tasks
from vq.tasks.interpolate import PATHS, Path, end_of
from vq.tasks.reconstruct import reconstruct
from vq.ui import slots
from vq.ui.common import Result, Studio
from vq.ui.interpolate import Choice, Films, saved, show

CASES = [(codec, path) for codec in NAMES for path in PATHS if PATHS[path].fits(codec.startswith("vq"))]
each = pytest.mark.parametrize("name, path", CASES)
one_each = pytest.mark.parametrize("name", NAMES)


def other() -> Image.Image:
    return Image.fromarray(np.asarray(photo())[::-1, ::-1, ::-1])


def bytes_of(frames) -> list[bytes]:
    return [frame.picture.tobytes() for frame in frames]


def walk(load, name: str, path: str, frames: int = 5, seed: int = 0, size: int = 64, a=photo, b=other):
    codec = load(name)
    return list(tasks.interpolate(codec, end_of(codec, a(), size), end_of(codec, b(), size), path, frames, seed))


@one_each
def test_paths_are_those_that_make_sense(load, name):
    vector = ["pixel", "lerp", "slerp"]
    assert tasks.paths_of(load(name)) == (
        ["pixel", "requantize", "random", "sweep", "nearest"] if "vq" in name else vector
    )


@each
def test_both_ends_are_the_plain_reconstructions(load, name, path):
    size = 128 if "vq" in name else 64
    frames = walk(load, name, path, frames=4, size=size)
    assert len(frames) == 4
    for frame, picture in ((frames[0], photo()), (frames[-1], other())):
        (plain,) = reconstruct(load, picture, [name], size)
        assert frame.picture.tobytes() == plain.picture.tobytes()
        if frame.tokens is not None:
            assert torch.equal(frame.tokens, plain.encoded.tokens)
    assert len(set(bytes_of(frames))) > 2


@each
def test_equal_pictures_stand_still(load, name, path):
    frames = walk(load, name, path, b=photo)
    assert len(set(bytes_of(frames))) == 1
    assert tasks.distances(frames) == [0.0] * 4
    assert tasks.tokens_changed(frames) in (None, [0] * 4)


@each
def test_a_seed_reproduces_everything(load, name, path):
    first = bytes_of(walk(load, name, path, seed=3))
    assert first == bytes_of(walk(load, name, path, seed=3))
    if path == "random":
        assert first != bytes_of(walk(load, name, path, seed=4))


@pytest.mark.parametrize("between", [lerp, slerp])
@pytest.mark.parametrize("name", ["ae", "vae"])
def test_inner_frames_of_a_latent_path_are_the_decoded_way(load, name, between):
    codec = load(name)
    a, b = (codec.encode(to_tensor(fit_square(picture, 64))).z for picture in (photo(), other()))
    frames = walk(load, name, between.__name__)
    for frame, t in zip(frames[1:-1], (0.25, 0.5, 0.75), strict=True):
        assert frame.picture.tobytes() == to_picture(codec.decode(between(a, b, t))).tobytes()
        assert frame.tokens is None


@pytest.mark.parametrize("name", ["vqvae", "vqgan"])
def test_inner_frames_of_token_paths_are_their_tokens_decoded(load, name):
    codec = load(name)
    for path in ("requantize", "random", "sweep", "nearest"):
        frames = walk(load, name, path)
        for frame in frames:
            assert frame.picture.tobytes() == to_picture(codec.decode(codec.lookup(frame.tokens))).tobytes()
    a, b = (codec.encode(to_tensor(fit_square(picture, 64))) for picture in (photo(), other()))
    middle = walk(load, name, "requantize", frames=3)[1]
    assert torch.equal(middle.tokens, codec.quantize(lerp(a.pre, b.pre, 0.5)).tokens)


@pytest.mark.parametrize("path", ["random", "sweep", "nearest"])
def test_figures_of_a_swap_follow_from_its_frames(load, path):
    frames = walk(load, "vqvae", path, frames=7)
    changed = tasks.tokens_changed(frames)
    assert sum(changed) == len(differing(frames[0].tokens, frames[-1].tokens))
    assert max(changed) - min(changed) <= 1
    for distance, (a, b) in zip(tasks.distances(frames), pairwise(frames), strict=True):
        apart = np.asarray(b.picture, float) - np.asarray(a.picture, float)
        assert distance == pytest.approx(np.sqrt((apart**2).mean()), rel=1e-5)


def test_a_cross_fade_mixes_pixels(load):
    first, middle, last = (np.asarray(frame.picture, float) for frame in walk(load, "vae", "pixel", frames=3))
    assert abs(middle - (first + last) / 2).max() <= 0.5001


@one_each
def test_four_corners_are_the_plain_reconstructions(load, name):
    codec = load(name)
    pictures = [photo(), other(), photo(64, 96), Image.new("RGB", (8, 8), "teal")]
    ends = [end_of(codec, picture, 64) for picture in pictures]
    grid = list(tasks.corners(codec, ends, 4, seed=5))
    assert len(grid) == 16
    for i, picture in zip((0, 3, 12, 15), pictures, strict=True):
        (plain,) = reconstruct(load, picture, [name], 64)
        assert grid[i].picture.tobytes() == plain.picture.tobytes()
    assert bytes_of(grid) == bytes_of(tasks.corners(codec, ends, 4, seed=5))
    if codec.codebook_size:
        assert bytes_of(grid) != bytes_of(tasks.corners(codec, ends, 4, seed=6))
        stacked = torch.stack([end.encoded.tokens for end in ends])
        assert all(bool((frame.tokens == stacked).any(0).all()) for frame in grid)
    else:
        middle = sum(end.encoded.z for end in ends) / 4
        centre = list(tasks.corners(codec, ends, 3))[4]
        want = np.asarray(to_picture(codec.decode(middle)), int)
        assert abs(np.asarray(centre.picture, int) - want).max() <= 1


@one_each
def test_four_equal_corners_stand_still(load, name):
    codec = load(name)
    assert len(set(bytes_of(tasks.corners(codec, [end_of(codec, photo(), 64)] * 4, 3)))) == 1


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"path": "lerp"}, "path"),
        ({"path": "teleport"}, "path"),
        ({"frames": 2}, "frames"),
        ({"frames": 34}, "frames"),
        ({"frames": 9.0}, "frames"),
        ({"frames": True}, "frames"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
    ],
)
def test_wrong_options_are_named_before_any_work(load, wrong, named):
    codec = load("vqgan")
    end = end_of(codec, photo(), 64)
    with pytest.raises(ValueError, match=named):
        tasks.interpolate(codec, end, end, **{"path": "sweep", "frames": 5} | wrong)


def test_wrong_ends_and_sides_are_named(load):
    codec = load("vqgan")
    small, large = end_of(codec, photo(), 64), end_of(codec, photo(), 128)
    with pytest.raises(ValueError, match="one size"):
        tasks.interpolate(codec, small, large, "sweep", 5)
    with pytest.raises(ValueError, match="4"):
        tasks.corners(codec, [small] * 3, 3)
    with pytest.raises(ValueError, match="side"):
        tasks.corners(codec, [small] * 4, 10)
    with pytest.raises(ValueError, match="size"):
        end_of(codec, photo(), 100)


def test_an_animation_shows_every_frame(load):
    frames = [frame.picture for frame in walk(load, "vqvae", "sweep")]
    with Image.open(io.BytesIO(tasks.animation(frames, "WEBP"))) as webp:
        assert (webp.n_frames, webp.size) == (5, (256, 256))
        for i, frame in enumerate(frames):
            webp.seek(i)
            got = np.asarray(webp.convert("RGB"))
            assert np.array_equal(got, np.asarray(frame).repeat(4, 0).repeat(4, 1))
    with Image.open(io.BytesIO(tasks.animation(frames, "GIF"))) as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (5, (256, 256), 0)


# What a visitor carried here.


def carried(codec, tokens: torch.Tensor) -> Result:
    """A picture with nothing but tokens behind it, as sampling and editing make them."""
    z = codec.lookup(tokens)
    picture = np.asarray(to_picture(codec.decode(z)))
    return Result("vqvae", picture, picture, z.numpy(), tokens[0].numpy())


def test_a_carried_latent_is_used_as_it_is(load):
    codec = load("vqvae")
    tokens = torch.randint(32, (1, 16, 16), generator=torch.Generator().manual_seed(9))
    result = carried(codec, tokens)
    end = slots.end_of(codec, "vqvae", slots.carried(result, "VQ-VAE"), 64)
    assert not torch.equal(end_of(codec, Image.fromarray(result.picture), 64).encoded.tokens, tokens)
    for path in tasks.paths_of(codec):
        frames = list(tasks.interpolate(codec, end, end_of(codec, photo(), 64), path, 3))
        assert frames[0].picture.tobytes() == result.picture.tobytes()
        assert frames[0].tokens is None or torch.equal(frames[0].tokens, tokens)


@pytest.mark.parametrize("name, size", [("vqgan", 64), ("vqvae", 128), ("ae", 64)])
def test_elsewhere_a_carried_picture_is_encoded(load, name, size):
    result = carried(load("vqvae"), torch.arange(256).reshape(1, 16, 16) % 32)
    got = slots.end_of(load(name), name, slots.carried(result, "VQ-VAE"), size)
    want = end_of(load(name), Image.fromarray(result.picture), size)
    assert got.picture.tobytes() == want.picture.tobytes()


def test_every_working_size_of_a_slot_is_the_plain_one(load):
    big = photo(700, 500)
    for name, size in (("vqgan", 512), ("vqvae", 128), ("ae", 64)):
        got = slots.end_of(load(name), name, slots.own(big), size)
        assert got.picture.tobytes() == end_of(load(name), big, size).picture.tobytes()


# What the page gets.


def studio(load) -> Studio:
    rows = {name: CODECS[name] for name in NAMES}
    return Studio(load, lambda name: None, lambda name, codec: None, rows, gr.State(), gr.Tabs(render=False))


def test_a_new_request_ends_the_old_one(load):
    decoded = []

    def counting(name):
        decoded.append(name)
        return load(name)

    choice = Choice("paths", "vqvae", 33, 3, 64, 0)
    turns = iter([True, *[True] * 7, False])
    steps = list(show(studio(counting), lambda: next(turns), 4, slots.defaults(), choice))
    assert decoded == ["vqvae"]
    assert all(step.paths["state"] == "running" for step in steps if "state" in step.paths)
    assert list(show(studio(counting), lambda: False, 5, slots.defaults(), choice))[1:] == []
    assert decoded == ["vqvae"]


def test_a_row_can_be_saved_as_soon_as_it_is_shown(load):
    choice = Choice("paths", "vqvae", 3, 3, 64, 0)
    films, sent = None, []
    for step in show(studio(load), lambda: True, 7, slots.defaults(), choice):
        films = step.films if isinstance(step.films, Films) else films
        if step.row:
            row = json.loads(step.row[1])
            assert (row["revision"], row["name"], len(row["frames"])) == (7, step.row[0], 3)
            sent.append(row["name"])
        for name in step.paths.get("rows", []):
            assert name in sent and films.revision == 7 and len(films.frames[name]) == 3
    assert sent == tasks.paths_of(load("vqvae")) == step.paths["rows"]
    wish = {"film": "pixel", "revision": 7, "format": "gif", "request": 1}
    assert saved(films, wish)["url"].startswith("data:image/gif;base64,")
    for wrong in (None, {}, wish | {"revision": 6}, wish | {"film": "lerp"}, wish | {"format": []}):
        with pytest.raises(gr.Error):
            saved(films, wrong)
    with pytest.raises(gr.Error):
        saved(None, wish)


def test_a_codec_that_fails_is_one_sentence(load):
    *_, (paths, corners, films, _) = show(
        studio(load), lambda: True, 2, slots.defaults(), Choice("paths", "nobody", 9, 5, 64, 0)
    )
    assert (paths["state"], paths["error"]["en"]) == ("failed", "no codec nobody")
    assert (corners["frames"], films) == ([], None)


def test_the_table_of_paths_is_all_there_is():
    """A row more is a row more on the page, with words for it."""
    from vq.ui.texts import TEXTS

    assert all(isinstance(path, Path) for path in PATHS.values())
    for name in PATHS:
        assert {f"path_{name}", f"short_{name}", f"about_{name}"} <= TEXTS.keys()


def test_the_endpoint_gives_the_tasks_frames_and_figures(load, page_url, tmp_path):
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    for name, picture in (("a", photo()), ("b", other())):
        picture.save(tmp_path / f"{name}.png")
    files = [handle_file(tmp_path / "a.png"), handle_file(tmp_path / "b.png")]
    client = Client(page_url, verbose=False, download_files=str(tmp_path))
    got = client.predict(*files, "vqvae", "random", 4, 3, 128, api_name="/interpolate")
    frames = walk(load, "vqvae", "random", frames=4, seed=3, size=128)
    for record, frame in zip(got["frames"], frames, strict=True):
        with Image.open(record if isinstance(record, str) else record["path"]) as picture:
            assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(frame.picture))
    assert got["distances"] == pytest.approx(tasks.distances(frames), abs=1e-3)
    assert got["tokens_changed"] == tasks.tokens_changed(frames)
    with pytest.raises(AppError, match="path"):
        client.predict(*files, "vae", "sweep", api_name="/interpolate")
