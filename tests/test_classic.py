"""JPEG and WebP are counted as their bytes minus everything a decoder could know beforehand."""

import numpy as np
import pytest
from pictures import encoded, photo
from PIL import Image

from vq.classic import FORMATS, compress, nearest, payload


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def test_jpeg_payload_is_what_stands_between_scan_header_and_end():
    data = encoded(noise(48), "JPEG", quality=90)
    # A baseline file of Pillow has one scan: its header is 12 bytes after the marker, and the file ends with EOI.
    start = data.index(b"\xff\xda") + 2 + 12
    assert payload(data) == len(data) - 2 - start


def test_jpeg_payload_with_restart_markers_and_several_scans():
    with_restarts = encoded(noise(64), "JPEG", quality=90, restart_marker_blocks=2)
    start = with_restarts.index(b"\xff\xda") + 14
    assert payload(with_restarts) == len(with_restarts) - 2 - start
    progressive = encoded(noise(64), "JPEG", quality=90, progressive=True)
    assert progressive.count(b"\xff\xda") > 1
    assert 0.8 * payload(with_restarts) < payload(progressive) < len(progressive)


def test_webp_payload_leaves_out_container_and_frame_header():
    data = encoded(noise(48), "WEBP", quality=50)
    assert data[12:16] == b"VP8 "
    assert payload(data) == int.from_bytes(data[16:20], "little") - 10


@pytest.mark.parametrize("data", [b"", b"GIF89a", encoded(photo(), "WEBP", lossless=True)])
def test_other_files_are_refused(data):
    with pytest.raises(ValueError, match="expected"):
        payload(data)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("target", [1, 120, 400, 10**6])
def test_nearest_is_as_near_as_any_quality(format, target):
    picture = photo(64, 64)
    best = min(abs(compress(picture, format, q).bytes - target) for q in range(1, 101))
    found = nearest(picture, format, target)
    assert abs(found.bytes - target) <= best * 1.15 + 8  # sizes jump back and forth a little between qualities
    assert found.picture.size == picture.size
