"""The PixelCNN: every earlier position seen, no later one; cached steps equal full passes; saved and loaded exactly."""

import pytest
import torch
from tiny_priors import CODES, GRID, random_tokens, randomised, tiny_pixelcnn

from vq.models.pixelcnn import PixelCNN, code_features

H, W = GRID


def seen(prior, tokens, positions):
    """(len(positions),T) bool: which positions the logits of each of `positions` depend on, by gradients."""
    shown = []

    def remember(module, inputs, output):
        output.requires_grad_(True).retain_grad()
        shown.append(output)

    hooks = [e.register_forward_hook(remember) for e in (prior.above, prior.left)]
    logits = prior(tokens).flatten(1, 2)[0]
    for hook in hooks:
        hook.remove()
    weights = torch.randn(logits.shape[1], generator=torch.Generator().manual_seed(0)).to(logits)
    rows = []
    for t in positions:
        above, left = torch.autograd.grad(logits[t] @ weights, shown, retain_graph=True)
        rows.append(((above[0].abs().sum(-1) > 0) | (left[0].abs().sum(-1) > 0)).flatten())
    return torch.stack(rows)


@pytest.mark.parametrize("grid", [GRID, (6, 3), (1, 5), (5, 1)])
def test_every_earlier_position_is_seen_and_no_later_one(grid):
    prior, T = tiny_pixelcnn(grid).double(), grid[0] * grid[1]
    reached = seen(prior, random_tokens(1, grid), range(T))
    assert torch.equal(reached, torch.ones(T, T, dtype=torch.bool).tril(-1))


def test_the_shipped_shape_spans_its_grid():
    grid, positions = (16, 16), [255, 240, 128, 119]
    reached = seen(randomised(PixelCNN(CODES, grid, width=4)).double(), random_tokens(1, grid), positions)
    assert torch.equal(reached, torch.ones(256, 256, dtype=torch.bool).tril(-1)[positions])


def test_changing_a_token_changes_no_logits_up_to_it():
    prior, tokens = tiny_pixelcnn(), random_tokens(1)
    before = prior(tokens).flatten(1, 2)
    for t in range(H * W):
        changed = tokens.clone()
        changed.view(-1)[t] = (changed.view(-1)[t] + 1) % CODES
        difference = (prior(changed).flatten(1, 2) - before).abs().amax((0, 2))
        assert float(difference[: t + 1].max()) == 0
        if t + 1 < H * W:
            assert float(difference[t + 1]) > 0


def test_refusals():
    with pytest.raises(ValueError, match="blind spot"):
        PixelCNN(CODES, (16, 16), width=8, depth=7, kernel=5)
    with pytest.raises(ValueError, match="odd"):
        PixelCNN(CODES, GRID, width=8, kernel=4)
    with pytest.raises(ValueError, match=r"expected \(B,r,5\)"):
        tiny_pixelcnn()(random_tokens(1, (4, 4)))


def test_packing_changes_the_layout_and_nothing_else():
    prior, tokens = tiny_pixelcnn(), random_tokens(2)
    before, state = prior(tokens), {k: v.clone() for k, v in prior.state_dict().items()}
    assert prior.pack() is prior
    assert all(torch.equal(v, state[k]) for k, v in prior.state_dict().items())
    torch.testing.assert_close(prior(tokens), before, rtol=1e-5, atol=1e-5)
    steps = prior.start(2)
    torch.testing.assert_close(steps.feed(tokens.flatten(1)[:, :7]), before.flatten(1, 2)[:, 7], rtol=1e-5, atol=1e-5)


def test_codes_that_lie_close_begin_alike():
    circle = torch.linspace(0, 2 * torch.pi, 65)[:-1]
    codes = torch.stack([circle.cos(), circle.sin()], 1)
    features = code_features(codes, 64)
    assert features.shape == (64, 64) and torch.equal(features, code_features(codes, 64))
    torch.testing.assert_close(features[:, :2].std(0, correction=0), torch.ones(2))
    near = torch.nn.functional.cosine_similarity(features, features.roll(1, 0)).mean()
    far = torch.nn.functional.cosine_similarity(features, features.roll(32, 0)).mean()
    assert near > 0.95 and far < 0.2
    prior = tiny_pixelcnn(codes=64)
    prior.begin(codes)
    assert torch.equal(prior.codes.weight, code_features(codes, 6))
    assert code_features(torch.ones(3, 8), 4).isfinite().all()
