"""Whether samples are copies: the figures tell memory from invention, on sets for which the answer is known."""

import pytest
import tiny
import torch
from torch import Tensor

from vq.evaluate.prior import copying, quantiles
from vq.evaluate.reference import Reference, most_equal, nearest
from vq.models.squeezenet import SqueezeNet
from vq.pictures import PictureSet


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> SqueezeNet:
    return SqueezeNet.from_file(tiny.write_perceptual(tmp_path_factory.mktemp("net") / "squeezenet.safetensors"))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, net: SqueezeNet) -> Reference:
    data = tiny.write_set(tmp_path_factory.mktemp("data") / "blobs", train=40, val=10)
    (data / "train" / "0003.png").write_bytes(b"no picture")
    return Reference(data, tiny.SIZE, net)


def fresh(count: int, seed: int) -> Tensor:
    """Features of `count` pictures of a world of its own, and of their "mirror images"."""
    return torch.randn(2 * count, 6, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def world(reference: Reference) -> Reference:
    """A reference whose 900 training and 300 held-out pictures are drawn from one distribution of features."""
    of = Reference(reference.squares["val"].pictures.path, tiny.SIZE, reference.perceptual)
    of.__dict__ |= {"train": fresh(900, 1), "held_out": fresh(300, 2)}
    return of


class Rebuilds:
    """The one thing asked of a vector codec here; its reconstructions are held-out pictures as they are."""

    codebook_size = None


def look(world: Reference, pooled: Tensor) -> dict[str, float | list[float]]:
    codec = Rebuilds()
    world._rebuilt[codec] = world.held_out[:300]
    return copying(pooled, pooled, codec, world)


def test_copies_never_lie_nearer_to_held_out_pictures(world: Reference) -> None:
    figures = look(world, world.train[torch.arange(0, 1800, 3)] + 1e-3)
    assert figures["nearest_val"] == 0 and figures["neighbour"][2] < 0.01 < figures["neighbour_real"][0]


def test_samples_of_the_same_kind_do_as_often_as_chance_has_it(world: Reference) -> None:
    figures = look(world, fresh(1000, 3))
    assert figures["nearest_val_even"] == pytest.approx(0.25)
    assert figures["nearest_val"] == pytest.approx(0.25, abs=0.04)
    assert figures["nearest_val_real"] == pytest.approx(0.25, abs=0.08)


def test_plainness_alone_is_not_taken_for_copying(world: Reference) -> None:
    """Samples near the centre lie closer to all: plain distances fall, the share of nearest ones does not."""
    figures = look(world, 0.5 * fresh(1000, 4))
    assert figures["neighbour"][1] < 0.8 * figures["neighbour_real"][1]
    assert figures["nearest_val"] == pytest.approx(0.25, abs=0.05)


def test_half_of_the_samples_copied_is_seen(world: Reference) -> None:
    mixed = torch.cat([world.train[:500], fresh(250, 5)])
    assert look(world, mixed)["nearest_val"] == pytest.approx(0.125, abs=0.03)


def test_held_out_pictures_are_not_their_own_neighbours(reference: Reference) -> None:
    pooled, half = reference.held_out, 10
    others = [torch.cat([pooled[:i], pooled[i + 1 : half + i], pooled[half + i + 1 :]]) for i in range(half)]
    expected = torch.cat([nearest(pooled[i : i + 1], rest) for i, rest in enumerate(others)])
    assert torch.allclose(reference.among_held_out(), expected, atol=1e-3)


def test_rows_are_pictures_and_then_their_mirror_images(reference: Reference, net: SqueezeNet) -> None:
    train = PictureSet(reference.squares["train"].pictures.path, "train").tensors(tiny.SIZE)
    assert len(reference.train) == 2 * len(train) == 78, "the broken one is left out of both halves"
    for row in (0, 3, 38, 39, 42, 77):
        x = reference.picture(row)
        assert torch.equal(x, train[row : row + 1] if row < 39 else train[row - 39 : row - 38].flip(3))
        assert torch.allclose(net.pooled(x), reference.train[row], atol=1e-4)


def test_tokens_are_those_of_the_same_rows(reference: Reference) -> None:
    codec = tiny.model("vqvae")
    tokens = reference.tokens(codec, "train")
    assert tokens.shape == (78, 64) and reference.tokens(codec, "train") is tokens
    x = torch.cat([reference.picture(5), reference.picture(44)])
    assert torch.equal(codec.encode(x).tokens.flatten(1), tokens[[5, 44]].long())


def test_equal_tokens_are_counted_place_by_place(reference: Reference) -> None:
    generator = torch.Generator().manual_seed(0)
    among, x = (torch.randint(5, (n, 12), generator=generator) for n in (40, 70))
    x[3] = among[17]
    equal, row = most_equal(x, among)
    by_hand = (x[:, None] == among).sum(2)
    assert torch.equal(equal.long(), by_hand.amax(1)) and equal[3] == 12 and row[3] == 17
    assert torch.equal(by_hand.gather(1, row[:, None])[:, 0], by_hand.amax(1))
    codec = tiny.model("vqvae")
    copies = reference.tokens(codec, "train")[[1, 50]].view(2, 8, 8)
    pictures = codec.decode(codec.lookup(copies.long()))
    figures = copying(copies, reference.perceptual.pooled(pictures), codec, reference)
    assert figures["equal_tokens"] == [64, 64, 64, 64]
    real, _ = most_equal(reference.tokens(codec, "val")[:10], reference.tokens(codec, "train"))
    assert figures["equal_tokens_real"] == [*quantiles(real.float()), float(real.max())]
