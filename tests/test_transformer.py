"""The transformer: causal, cached steps equal to full passes, saved and loaded exactly."""

import pytest
import torch
from tiny_priors import CODES, GRID, random_tokens, randomised, tiny_transformer

from vq import sampling
from vq.models.transformer import TILE, Transformer

H, W = GRID


def test_changing_a_token_changes_no_logits_up_to_it():
    prior, tokens = tiny_transformer(), random_tokens(1)
    before = prior(tokens).flatten(1, 2)
    for t in range(H * W):
        changed = tokens.clone()
        changed.view(-1)[t] = (changed.view(-1)[t] + 1) % CODES
        difference = (prior(changed).flatten(1, 2) - before).abs().amax((0, 2))
        assert float(difference[: t + 1].max()) == 0
        if t + 1 < H * W:
            assert float(difference[t + 1 :].min()) > 0


def test_each_cell_knows_its_neighbours_and_no_cell_beyond_the_edge():
    prior = tiny_transformer()
    shown = prior.embed(prior.padded(torch.arange(H * W)[None]), prior.surroundings(), prior.places())[0]
    place = (prior.row_h1C + prior.column_wC).flatten(0, 1)
    for t in range(H * W):
        row, column = divmod(t, W)
        before = t - 1 if t else CODES
        above = t - W if row else CODES
        beyond = t - W + 1 if row and column < W - 1 else CODES
        want = prior.before.weight[before] + prior.above.weight[above] + prior.beyond.weight[beyond] + place[t]
        torch.testing.assert_close(shown[t], want)


def test_refusals():
    with pytest.raises(ValueError, match="multiple of heads"):
        Transformer(CODES, GRID, width=10, heads=3)
    with pytest.raises(ValueError, match="top_p"):
        Transformer(CODES, GRID, width=12, heads=3, top_p=0.0)
    with pytest.raises(ValueError, match="codebook_size"):
        Transformer(0, GRID, width=12, heads=3)
    with pytest.raises(ValueError, match=r"expected \(B,r,5\)"):
        tiny_transformer()(random_tokens(1, (4, 4)))


def test_packing_changes_the_layout_and_nothing_else():
    prior, tokens = tiny_transformer(), random_tokens(2)
    before, state = prior(tokens), {k: v.clone() for k, v in prior.state_dict().items()}
    assert prior.pack() is prior
    assert all(torch.equal(v, state[k]) for k, v in prior.state_dict().items())
    torch.testing.assert_close(prior(tokens), before, rtol=1e-5, atol=1e-5)
    assert prior.head.weight.stride(0) == 1


@pytest.mark.parametrize("n", [1, 3, 16])
@pytest.mark.parametrize("options", [{}, {"top_p": 0.8}, {"temperature": 0.0}])
def test_packed_incremental_equals_naive(n, options):
    """A single row is multiplied tile by tile, which takes widths that are multiples of a tile."""
    prior = randomised(Transformer(2 * TILE, GRID, width=TILE, depth=2, heads=2)).pack()
    assert all(product.tiles is not None for product in (prior.packed.head, prior.packed.layers[0].down))
    assert torch.equal(prior.sample(n, seed=5, **options), sampling.naive(prior, n, 5, prior.options(**options)))


def test_packing_again_follows_changed_weights():
    prior = randomised(Transformer(2 * TILE, GRID, width=TILE, depth=2, heads=2)).pack()
    before, other = prior.sample(1, seed=1), randomised(Transformer(2 * TILE, GRID, width=TILE, depth=2, heads=2), 1)
    prior.load_state_dict(other.state_dict())
    assert torch.equal(prior.pack().sample(1, seed=1), other.sample(1, seed=1))
    assert not torch.equal(before, other.sample(1, seed=1))


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    dropped, plain = (Transformer(12, (4, 4), 16, 2, 2, dropout=p) for p in (0.5, 0.0))
    with torch.no_grad():
        for p in dropped.parameters():
            p.normal_(std=0.3)
    plain.load_state_dict(dropped.state_dict())
    tokens = torch.randint(12, (3, 4, 4))
    dropped.train(), plain.train()
    assert not torch.equal(dropped(tokens), dropped(tokens)) and torch.equal(plain(tokens), plain(tokens))
    assert torch.equal(dropped.eval()(tokens), plain.eval()(tokens))
    assert torch.equal(dropped.sample(3, seed=1), plain.sample(3, seed=1))
    for wrong in (1.0, -0.1):
        with pytest.raises(ValueError, match="dropout: expected a share"):
            Transformer(12, (4, 4), 16, 2, 2, dropout=wrong)
