"""Colours of codes: one each, alike for codes alike."""

import torch

from vq.codebook import false_colours


def test_colours_are_distinct_and_deterministic():
    codebook = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    colours = false_colours(codebook)
    assert colours.shape == (256, 3)
    assert colours.dtype == torch.uint8
    assert len({tuple(c) for c in colours.tolist()}) > 250
    assert torch.equal(colours, false_colours(codebook.clone()))


def test_near_codes_look_alike():
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(128, 3, generator=generator)
    twins = torch.cat([half, half + 1e-4 * torch.randn(128, 3, generator=generator)])
    colours = false_colours(twins).double()
    apart = (colours[:128] - colours[128:]).norm(dim=1).mean()
    others = (colours[:128] - colours[:128].roll(1, 0)).norm(dim=1).mean()
    assert apart < others / 10


def test_few_dimensions_work():
    assert false_colours(torch.randn(16, 2)).shape == (16, 3)
    assert false_colours(torch.randn(1, 4)).shape == (1, 3)
