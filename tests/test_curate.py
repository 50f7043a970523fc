"""The list of pictures to leave out: both rules on pictures that are known to fall under them."""

from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

from vq import curate
from vq.pictures import PictureSet, read_leave_out


def corner(tone: int, off: int = 0) -> torch.Tensor:
    """The corners of one picture: three of noise and one of `tone`, one value of it `off` by so much."""
    x = torch.rand(1, 4, 3, curate.CORNER, curate.CORNER, generator=torch.Generator().manual_seed(tone)) * 0.8 - 1
    x[0, 2] = tone / 127.5 - 1
    x[0, 2, 1, 0, 0] += off / 127.5
    return x


@pytest.mark.parametrize(
    ("tone", "off", "padded"),
    [(128, 0, True), (124, 0, True), (132, 0, True), (123, 0, False), (128, 6, False), (0, 0, False), (255, 0, False)],
)
def test_padded_is_one_corner_of_plain_mid_grey(tone: int, off: int, padded: bool) -> None:
    """Black and white backgrounds are photographs' own."""
    assert curate.is_padded(corner(tone, off)).tolist() == [padded]


def test_faceless_is_what_lies_among_padded_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two directions of features: along the first 12 padded pictures and 3 others, along the second 30 that stay."""
    monkeypatch.setattr(curate, "NEIGHBOURS", 10)
    generator = torch.Generator().manual_seed(0)
    features = 0.05 * torch.randn(45, 16, generator=generator)
    features[:15, 0] += 1
    features[15:, 1] += 1
    features *= torch.rand(45, 1, generator=generator) + 0.5  # brightness and contrast: lengths don't count
    padded = torch.arange(45) < 12
    found = curate.among_padded(features, padded)
    assert found.tolist() == [True] * 15 + [False] * 30


def test_the_command_lists_names_that_the_loader_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curate, "LIKE", 99)
    data = tiny.write_set(tmp_path / "set", train=8, val=2, size=curate.SIZE)
    for name in ("0002.png", "0005.png"):
        picture = Image.open(data / "train" / name)
        picture.paste((128, 128, 128), (50, 50, 64, 64))
        picture.save(data / "train" / name)
    (data / "train" / "0004.png").write_bytes(b"no picture")
    net, out = tiny.write_perceptual(tmp_path / "net.safetensors"), tmp_path / "leave_out.txt"
    words = ["--data", str(data), "--perceptual", str(net), "--out", str(out), "--sheet", str(tmp_path / "sheets")]
    assert curate.main(words) == 0
    assert "2 padded and 0 faceless of 7 pictures" in capsys.readouterr().out
    assert read_leave_out(out) == {"train/0002.png", "train/0005.png"}
    assert str(tmp_path) not in out.read_text() and "# padded: 2 of 7" in out.read_text()
    kept = PictureSet(data, "train", read_leave_out(out)).names
    assert [name[-8:] for name in kept] == [f"{i:04}.png" for i in (0, 1, 3, 4, 6, 7)]
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["padded.png"]
    assert curate.main([*words[:-2], "--data", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
