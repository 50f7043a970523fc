"""What a task returns is what the codec makes, with figures that follow from it."""

import math

import numpy as np
import pytest
import torch
from conftest import NAMES
from pictures import photo

from vq import metrics
from vq.image import fit_square, to_picture, to_tensor
from vq.tasks import reconstruct as tasks


def test_reconstruct_is_the_codec_and_nothing_else(load):
    picture = photo()
    results = list(tasks.reconstruct(load, picture, NAMES, 128, "pad"))
    assert [r.codec for r in results] == list(NAMES)
    for r in results:
        codec = load(r.codec)
        side = 128 if codec.factor else 64
        assert r.original.tobytes() == fit_square(picture, side, "pad").tobytes()
        x = to_tensor(r.original)
        y = codec.decode(codec.encode(x).z)
        assert r.picture.tobytes() == to_picture(y).tobytes()
        assert r.psnr == pytest.approx(float(metrics.psnr(x, y)))
        assert r.ssim == pytest.approx(float(metrics.ssim(x, y)))
        assert r.ms > 0


def test_rate_counts_a_token_as_log2_k_and_a_number_as_16_bits(load):
    ae, vqvae, vqgan = tasks.reconstruct(load, photo(), ["ae", "vqvae", "vqgan"], 64)
    assert (ae.latent_shape, ae.bits, ae.bytes) == ((16,), 256, 32)
    assert (vqvae.latent_shape, vqvae.bits, vqvae.bytes) == ((16, 16), 256 * 5, 160)
    assert (vqgan.latent_shape, vqgan.bits_per_pixel) == ((8, 8), 64 * 5 / 4096)


def test_results_come_one_by_one(load):
    asked = []
    rows = tasks.reconstruct(lambda name: asked.append(name) or load(name), photo(), ["ae", "vqgan"])
    assert asked == []
    next(rows)
    assert asked == ["ae"]


@pytest.mark.parametrize("wrong", [{"size": 100}, {"fit": "squash"}])
def test_wrong_options_are_named_before_any_work(load, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        tasks.reconstruct(load, photo(), ["ae"], **wrong)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_handmade_has_the_figures_of_its_own_picture(format):
    original = photo(64, 64)
    h = tasks.handmade(original, format, 200)
    x, y = to_tensor(original), to_tensor(h.compressed.picture)
    assert h.psnr == pytest.approx(float(metrics.psnr(x, y)))
    assert h.bits_per_pixel == h.compressed.bytes * 8 / 4096


def test_positions_and_move_belong_together(load, statistics):
    codec, known = load("ae"), statistics("ae")
    z = codec.encode(to_tensor(photo(64, 64))).z
    plain = to_picture(codec.decode(z))
    here = tasks.positions(z, known, 4)
    assert tasks.move(codec, z, known, [None] * 4).tobytes() == plain.tobytes()
    target = [None, 1.5, None, -2.0]
    moved = z.clone()
    for i, value in enumerate(target):
        if value is not None:
            moved += (value - here[i]) * known["std"][i] * known["components"][i]
    got = np.asarray(tasks.move(codec, z, known, target), dtype=int)
    want = np.asarray(to_picture(codec.decode(moved)), dtype=int)
    assert abs(got - want).max() <= 1
    assert tasks.positions(moved, known, 4)[[1, 3]].tolist() == pytest.approx([1.5, -2.0], abs=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf, 4.01])
def test_a_position_out_of_reach_is_refused(load, statistics, value):
    with pytest.raises(ValueError, match="positions"):
        tasks.move(load("ae"), torch.zeros(1, 16), statistics("ae"), [value])
