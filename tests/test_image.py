"""Whatever Pillow reads becomes upright 8-bit RGB; what it can't read is one error."""

import io

import numpy as np
import pytest
import torch
from pictures import KINDS, encoded
from PIL import Image

from vq.image import (
    MAX_PIXELS,
    PictureError,
    contain,
    fit_square,
    open_picture,
    signed_to_unit,
    to_picture,
    to_tensor,
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_becomes_rgb(kind):
    picture = open_picture(KINDS[kind]())
    assert picture.mode == "RGB"
    assert fit_square(picture, 64).size == (64, 64)


def test_exif_rotation_is_applied():
    upright = Image.new("RGB", (40, 20), "red")
    upright.paste("blue", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[274] = 6  # to be turned a quarter clockwise
    picture = open_picture(encoded(upright, "PNG", exif=exif))
    assert picture.size == (20, 40)
    assert picture.getpixel((10, 5)) == (0, 0, 255)
    assert picture.getpixel((10, 35)) == (255, 0, 0)


def test_alpha_is_composited_on_white():
    picture = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    picture.putpixel((0, 0), (0, 0, 0, 0))
    opened = open_picture(encoded(picture, "PNG"))
    assert opened.getpixel((0, 0)) == (255, 255, 255)
    assert opened.getpixel((1, 1)) == (255, 127, 127)


def test_sixteen_bits_keep_their_range():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    levels = np.asarray(open_picture(encoded(Image.fromarray(ramp), "PNG")))[..., 0]
    assert levels.min() == 0
    assert levels.max() == 255
    assert abs(float(levels.mean()) - 127.5) < 1


def test_an_animation_gives_its_first_frame():
    picture = open_picture(KINDS["animated"]())
    red, _, blue = picture.getpixel((10, 10))
    assert red > 200
    assert blue < 60


def test_palette_with_transparency_is_composited():
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 1), 1)
    opened = open_picture(encoded(picture, "PNG", transparency=0))
    assert opened.getpixel((0, 0)) == (255, 255, 255)
    assert opened.getpixel((1, 1)) == (200, 100, 50)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_no_picture_is_unreadable(data):
    with pytest.raises(PictureError) as caught:
        open_picture(data)
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_a_truncated_file_is_unreadable(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(PictureError) as caught:
        open_picture(data[: len(data) // 3])
    assert caught.value.code == "unreadable"


def test_more_than_the_limit_is_refused_before_decoding():
    # A PNG header that claims 20,000 x 20,000 pixels, with no pixels behind it.
    data = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    assert MAX_PIXELS < 20_000**2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    with pytest.raises(PictureError) as caught:
        open_picture(bytes(data))
    assert caught.value.code == "too_large"


def test_crop_keeps_the_centre_and_pad_keeps_everything():
    wide = Image.new("RGB", (30, 10), "white")
    wide.paste("red", (10, 0, 20, 10))
    assert set(fit_square(wide, 10).get_flattened_data()) == {(255, 0, 0)}
    padded = fit_square(wide, 30, "pad")
    assert padded.getpixel((15, 1)) == (128, 128, 128)
    assert padded.getpixel((15, 15)) == (255, 0, 0)
    assert padded.getpixel((1, 15)) == (255, 255, 255)


@pytest.mark.parametrize(("size", "want"), [((600, 300), (100, 50)), ((1, 1), (100, 100)), ((1, 5000), (1, 100))])
def test_contain_keeps_everything(size, want):
    picture = Image.new("RGB", size, "red")
    assert contain(picture, 100).size == want
    halves = Image.new("RGB", (400, 200), "white")
    halves.paste("blue", (200, 0, 400, 200))
    small = contain(halves, 100)
    assert (small.getpixel((5, 25)), small.getpixel((95, 25))) == ((255, 255, 255), (0, 0, 255))


def test_tensor_and_picture_are_inverses():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    x = to_tensor(Image.fromarray(levels))
    assert x.shape == (1, 3, 16, 16)
    assert x.dtype == torch.float32
    assert (float(x.min()), float(x.max())) == (-1, 1)
    assert np.array_equal(np.asarray(to_picture(x)), levels)
    assert torch.equal(signed_to_unit(torch.tensor([-1.0, 1.0])), torch.tensor([0.0, 1.0]))


def test_a_file_object_and_a_path_work_too(tmp_path):
    data = encoded(Image.new("RGB", (8, 8), "green"), "PNG")
    (tmp_path / "p.png").write_bytes(data)
    assert open_picture(io.BytesIO(data)).size == open_picture(tmp_path / "p.png").size == (8, 8)
