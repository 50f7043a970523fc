"""Training pictures: the same ones for the same seed, wherever they lie and however many processes share them."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vq.image import PictureError
from vq.pictures import DataError, PictureSet, centre, read_leave_out
from vq.train.data import Batches, parse_source, random_crop


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.write_set(tmp_path / "pictures", train=12, val=4)


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def batches(*sources: Path, batch: int = 6, seed: int = 3) -> Batches:
    return Batches([(PictureSet(s, "train"), 1.0) for s in sources], 16, batch, seed)


def test_zip_and_folder_give_the_same(folder: Path) -> None:
    path = zipped(folder)
    for split, count in (("train", 12), ("val", 4), ("all", 16)):
        a, b = PictureSet(folder, split), PictureSet(path, split)
        assert a.names == b.names and len(a) == count
        assert torch.equal(a.tensors(32), b.tensors(32))
    assert torch.equal(batches(folder).at(5), batches(path).at(5))


def test_a_zip_made_in_a_folder_of_its_own(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "top" / "pictures")
    assert len(PictureSet(zipped(tmp_path / "top"), "val")) == 4


def test_hash_split_is_stable(tmp_path: Path) -> None:
    """Which split a picture falls into depends on its name alone: not on the machine, nor on what lies beside it."""
    tiny.write_pictures(tmp_path, 60, 8)
    val, train = PictureSet(tmp_path, "val").names, PictureSet(tmp_path, "train").names
    assert val == ["0019.png", "0048.png", "0051.png"]
    assert not set(val) & set(train) and len(val) + len(train) == 60
    tiny.write_pictures(tmp_path, 40, 8, first=60)
    assert set(val) <= set(PictureSet(tmp_path, "val").names)
    assert set(train) <= set(PictureSet(tmp_path, "train").names)


def test_listed_pictures_are_left_out(folder: Path, tmp_path: Path) -> None:
    """By name, from a folder as from a zip; batches are then drawn from the others alone."""
    file = tmp_path / "leave_out.txt"
    file.write_text("# padded\ntrain/0003.png\n\ntrain/0007.png\nval/none.png\n")
    names = read_leave_out(file)
    assert names == {"train/0003.png", "train/0007.png", "val/none.png"}
    for path in (folder, zipped(folder)):
        whole, chosen = PictureSet(path, "train"), PictureSet(path, "train", names)
        assert chosen.names == [n for n in whole.names if n not in names] and len(chosen) == 10
        assert PictureSet(path, "val", names).names == PictureSet(path, "val").names
    for name in names - {"val/none.png"}:
        (folder / name).unlink()
    assert torch.equal(Batches([(chosen, 1.0)], 16, 6, 3).at(5), batches(folder).at(5))
    with pytest.raises(DataError, match="no pictures for the split"):
        PictureSet(folder, "train", whole.names)


@pytest.mark.parametrize("content", [None, b"", b"# nothing\n", b"\xff\xfe\x00"])
def test_a_list_that_is_none_is_one_clear_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "list.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match="leave out") as caught:
        read_leave_out(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("world", [2, 3])
def test_data_order_does_not_depend_on_the_number_of_processes(folder: Path, world: int) -> None:
    stream = batches(folder)
    whole = stream.at(4)
    shares = [stream.at(4, rank, world) for rank in range(world)]
    assert torch.equal(torch.stack(shares, 1).flatten(0, 1), whole)


def test_a_batch_is_a_function_of_seed_and_step(folder: Path) -> None:
    a = batches(folder)
    a.at(0), a.at(1)
    assert torch.equal(a.at(7), batches(folder).at(7))
    assert not torch.equal(a.at(7), a.at(8)) and not torch.equal(a.at(7), batches(folder, seed=4).at(7))
    ahead = batches(folder).iterate(7)
    assert torch.equal(next(ahead), a.at(7)) and torch.equal(next(ahead), a.at(8))
    ahead.close()
    assert a.at(0).shape == (6, 3, 16, 16) and a.at(0).abs().max() <= 1


def test_sources_get_their_shares(tmp_path: Path) -> None:
    for name, level in (("dark", 0), ("light", 255)):
        (tmp_path / name / "train").mkdir(parents=True)
        (tmp_path / name / "val").mkdir()
        for i in range(3):
            Image.new("RGB", (16, 16), (level,) * 3).save(tmp_path / name / "train" / f"{i}.png")
    sets = [(PictureSet(tmp_path / "dark", "train"), 3.0), (PictureSet(tmp_path / "light", "train"), 1.0)]
    drawn = Batches(sets, 16, 400, 0).at(0)
    assert 0.68 < float((drawn < 0).flatten(1).all(1).float().mean()) < 0.82


def test_a_broken_picture_is_skipped_and_counted(folder: Path) -> None:
    for name in ("0003.png", "0007.png"):
        file = folder / "train" / name
        file.write_bytes(file.read_bytes()[:60])
    stream = batches(folder)
    for step in range(8):
        assert stream.at(step).shape[0] == 6
    assert stream.skipped > 0
    pictures = PictureSet(folder, "train")
    assert len(pictures) == 12 and len(pictures.tensors(16)) == 10
    with pytest.raises(PictureError):
        pictures.read(3)


def test_nothing_but_broken_pictures_is_an_error(folder: Path) -> None:
    for file in (folder / "train").iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(DataError, match="broken pictures"):
        batches(folder).at(0)


@pytest.mark.parametrize("case", ["missing", "empty", "no zip", "nothing held out"])
def test_what_cannot_be_used_is_one_clear_line(tmp_path: Path, case: str) -> None:
    path = tmp_path / "set"
    if case == "empty":
        path.mkdir()
        (path / "notes.txt").write_text("no picture")
    elif case == "no zip":
        path.write_bytes(b"something else")
    elif case == "nothing held out":
        tiny.write_pictures(path, 1, 8)
    with pytest.raises(DataError) as caught:
        PictureSet(path, "val")
    assert "\n" not in str(caught.value) and "set" in str(caught.value)


def test_centre_squares(tmp_path: Path) -> None:
    wide = Image.new("RGB", (40, 20))
    wide.putpixel((20, 10), (255, 0, 0))
    assert centre(wide, 16).size == (16, 16) and centre(wide, 16).getpixel((8, 8)) == (255, 0, 0)
    assert centre(wide, 32).size == (32, 32), "too small: enlarged"


@given(st.integers(0, 2**32), st.sampled_from([(16, 16), (40, 24), (17, 90), (10, 30)]))
def test_random_crops_fit(seed: int, shape: tuple[int, int]) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape[::-1], 3), dtype=np.uint8))
    crop = random_crop(picture, 16, np.random.default_rng(seed))
    assert crop.size == (16, 16)
    assert crop.tobytes() == random_crop(picture, 16, np.random.default_rng(seed)).tobytes()


def test_crops_of_small_pictures_are_mirrored_half_of_the_time() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    crops = {random_crop(picture, 16, np.random.default_rng(s)).tobytes() for s in range(30)}
    assert crops == {picture.tobytes(), picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cats.zip", ("cats.zip", 1.0)),
        ("cats.zip:3", ("cats.zip", 3.0)),
        ("a/b:c", ("a/b:c", 1.0)),
        ("C:\\cats:0.5", ("C:\\cats", 0.5)),
    ],
)
def test_sources_are_parsed(text: str, expected: tuple[str, float]) -> None:
    assert parse_source(text) == expected


@pytest.mark.parametrize("text", ["cats:0", "cats:-1", "cats:inf", "cats:nan", ":2"])
def test_useless_weights_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="positive weight"):
        parse_source(text)
