"""The adversarial phase: two networks, two optimizers, and no gradient that crosses over."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import tiny
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vq.models.discriminator import FeatureDiscriminator, PatchDiscriminator
from vq.models.squeezenet import TAP_CHANNELS, SqueezeNet, activation_distance, texture_distance
from vq.models.vqvae import VQVAE
from vq.train.autoencoders import Spec, VQRecipe
from vq.train.losses import discriminator_loss, generator_loss


def test_one_verdict_a_patch() -> None:
    net = PatchDiscriminator((8, 16))
    assert net(torch.zeros(2, 3, 32, 64)).shape == (2, 1, 8, 16)


def test_a_verdict_depends_on_its_own_picture_only() -> None:
    torch.manual_seed(0)
    net, x = PatchDiscriminator((8, 16)), tiny.pictures(4)
    assert torch.allclose(net(x)[:1], net(torch.cat([x[:1], -x[1:]]))[:1], atol=1e-5)


def test_verdicts_on_features_one_map_a_tap_and_one_picture_a_verdict() -> None:
    torch.manual_seed(0)
    seen, net = SqueezeNet().eval(), FeatureDiscriminator(TAP_CHANNELS, width=4)
    x = tiny.pictures(2)
    activations = seen.activations(x)
    verdicts = net(activations)
    assert [v.shape for v in verdicts] == [(2, 1, *a.shape[2:]) for a in activations]
    assert all(a.shape[1] == channels for a, channels in zip(activations, TAP_CHANNELS, strict=True))
    for both, alone in zip(verdicts, net(seen.activations(x[:1])), strict=True):
        assert torch.allclose(both[:1], alone, atol=1e-5)


def test_the_distance_of_pictures_is_that_of_their_activations() -> None:
    torch.manual_seed(0)
    net, x, y = SqueezeNet().eval(), tiny.pictures(2), tiny.pictures(2, seed=1)
    assert torch.equal(net.distance(x, y), activation_distance(net.activations(x), net.activations(y)))
    # By hand: opposite unit vectors in one tap of two cells lie 2 apart, and equal ones not at all.
    a = torch.zeros(1, 2, 1, 2)
    a[0, 0] = 3.0
    b = torch.stack([a[0, :, :, 0], torch.tensor([[0.0], [7.0]])], 2)[None]
    assert torch.allclose(activation_distance([a], [b]), torch.tensor([1.0]))


def test_texture_is_how_much_there_is_not_where() -> None:
    torch.manual_seed(0)
    a = torch.rand(2, 3, 4, 4)
    moved = a.flatten(2)[:, :, torch.randperm(16)].view_as(a)
    assert torch.allclose(texture_distance([a], [moved]), torch.zeros(2), atol=1e-6)
    # By hand: mean 2 and deviation 1 against mean 2 and deviation 0, relative to 2^2 + 1^2.
    stripes, flat = torch.tensor([[[[1.0, 3.0]]]]), torch.full((1, 1, 1, 2), 2.0)
    assert torch.allclose(texture_distance([stripes], [flat]), torch.tensor([0.2]), atol=1e-3)


def test_losses_leave_no_gradient_on_the_other_side() -> None:
    torch.manual_seed(0)
    generator, discriminator = tiny.model("vqvae"), PatchDiscriminator((8, 16))
    x = tiny.pictures(2)
    fake = generator(x).x_hat
    discriminator_loss(discriminator(x), discriminator(fake.detach())).backward()
    assert all(p.grad is None for p in generator.parameters())
    assert all(p.grad is not None for p in discriminator.parameters())


class Watched:
    """A tiny VQ-GAN recipe whose backward passes are recorded: which parameters' gradients each of them changed."""

    def __init__(self, form: str, features: float = 0.0):
        torch.manual_seed(0)
        spec = Spec(
            *(VQVAE, tiny.GRID),
            batch=2,
            adversary_start=0.5,
            discriminator_widths=(8, 16),
            adversarial_form=form,
            feature_adversarial=features,
        )
        self.recipe = VQRecipe(spec, SqueezeNet().eval().requires_grad_(False))
        self.recipe.prepare(Accelerator(cpu=True, mixed_precision="no"))
        self.recipe.model.train()
        self.moved: list[set[str]] = []
        self._backward: Callable[[Tensor], None] = self.recipe.accelerator.backward
        self.recipe.accelerator.backward = self.backward

    def parts(self) -> dict[str, nn.Module]:
        model = self.recipe.model
        return {
            "encoder": model.encoder,
            "quantizer": model.quantizer,
            "decoder": model.decoder,
            "discriminator": self.recipe.discriminator,
            "perceptual": cast(nn.Module, self.recipe.perceptual),
        }

    def backward(self, loss: Tensor) -> None:
        before = self.gradients()
        self._backward(loss)
        after = self.gradients()
        self.moved.append({name for name in after if not torch.equal(before[name], after[name])})

    def gradients(self) -> dict[str, Tensor]:
        return {
            name: torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in part.parameters()])
            for name, part in self.parts().items()
        }

    def values(self) -> dict[str, Tensor]:
        return {n: torch.cat([p.detach().flatten() for p in part.parameters()]) for n, part in self.parts().items()}


@pytest.mark.parametrize(("form", "features"), [("hinge", 0.0), ("log", 0.0), ("hinge", 0.3)])
def test_the_recipe_keeps_the_sides_apart(form: str, features: float) -> None:
    watched = Watched(form, features)
    x = tiny.pictures(2)
    watched.recipe.step(x, 0.1)
    assert watched.moved == [{"encoder", "quantizer", "decoder"}]
    for progress in (0.7, 0.8):
        watched.moved.clear()
        before = watched.values()
        watched.recipe.step(x, progress)
        after = watched.values()
        assert watched.moved == [{"decoder"}, {"discriminator"}]
        assert not torch.equal(before["discriminator"], after["discriminator"])
        if progress == 0.8:  # the first such step starts from the averaged weights
            assert torch.equal(before["encoder"], after["encoder"])
            assert torch.equal(before["quantizer"], after["quantizer"])
            assert not torch.equal(before["decoder"], after["decoder"])


def test_tokens_keep_their_meaning_through_the_phase() -> None:
    watched = Watched("hinge")
    x = tiny.pictures(2)
    for progress in (0.1, 0.3, 0.6):
        watched.recipe.step(x, progress)
    assert watched.recipe.milestone() == "before_adversary" and watched.recipe.milestone() is None
    model = watched.recipe.model
    tokens, values = model.encode(x).tokens, watched.values()
    for progress in (0.7, 0.8, 0.9):
        watched.recipe.step(x, progress)
        assert torch.equal(model.encode(x).tokens, tokens)
        for part in ("encoder", "quantizer"):
            assert torch.equal(watched.values()[part], values[part]), "bit by bit"
    assert watched.recipe.milestone() is None


def test_needs_the_perceptual_network() -> None:
    with pytest.raises(ValueError, match="--perceptual"):
        VQRecipe(Spec(VQVAE, tiny.GRID, adversary_start=0.5))


def test_generator_loss_falls_as_verdicts_rise() -> None:
    low, high = torch.full((2, 1, 4, 4), -1.0), torch.full((2, 1, 4, 4), 1.0)
    for form in ("hinge", "log"):
        assert generator_loss(high, form) < generator_loss(low, form)
        assert discriminator_loss(high, low, form) < discriminator_loss(low, high, form)


def test_perceptual_weights_are_read_strictly(tmp_path: Path) -> None:
    path = tiny.write_perceptual(tmp_path / "squeezenet.safetensors")
    net = SqueezeNet.from_file(path)
    x, y = tiny.pictures(2), tiny.pictures(2, seed=1)
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    assert net.pooled(x).shape == (2, 512)
    assert torch.equal(net.distance(x, x), torch.zeros(2)) and (net.distance(x, y) > 0).all()
