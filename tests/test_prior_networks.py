"""Laws that both token priors obey."""

import pytest
import torch
from tiny_priors import CODES, GRID, TINY, random_tokens

H, W = GRID


@pytest.fixture(params=TINY)
def tiny(request):
    return TINY[request.param]


@pytest.mark.parametrize("lengths", [[0] + [1] * (H * W - 1), [7, 1, 5, 1, 1, 4], [19], [0, 19], [5, 5, 5]])
def test_cached_logits_equal_a_full_pass(tiny, lengths):
    prior, tokens = tiny(), random_tokens(3)
    full, steps, known = prior(tokens).flatten(1, 2), prior.start(3), 0
    for m in lengths:
        logits = steps.feed(tokens.flatten(1)[:, known : known + m])
        known += m
        torch.testing.assert_close(logits, full[:, known], rtol=1e-5, atol=1e-5)


def test_the_first_rows_alone_give_the_same_logits(tiny):
    prior, tokens = tiny(), random_tokens(2)
    torch.testing.assert_close(prior(tokens[:, :2]), prior(tokens)[:, :2], rtol=1e-5, atol=1e-5)


def test_any_grid(tiny):
    for grid in ((1, 1), (1, 6), (6, 1), (3, 7)):
        prior = tiny(grid)
        assert prior(random_tokens(2, grid)).shape == (2, *grid, CODES)
        assert prior.sample(2).shape == (2, *grid)


@pytest.mark.parametrize("codec", ["vqvae", "vqgan"])
def test_save_and_load_is_exact(tiny, codec, tmp_path):
    prior = tiny(codec=codec, codebook_sha256="ab", temperature=0.9, top_k=7, top_p=0.95)
    prior.save_pretrained(tmp_path)
    again = type(prior).from_pretrained(tmp_path)
    assert (again.codec, again.grid, again.codebook_sha256) == (codec, GRID, "ab")
    assert again.options() == prior.options()
    assert torch.equal(again(random_tokens(2)), prior(random_tokens(2)))
    assert torch.equal(again.sample(3, seed=1), prior.sample(3, seed=1))


def test_nats_are_the_cross_entropy_of_the_logits(tiny, monkeypatch):
    monkeypatch.setattr("vq.models.pixelcnn.PART", 7)
    prior, read, tokens = tiny().requires_grad_(True), random_tokens(2), random_tokens(2, seed=1)
    nats = prior.nats(read, tokens)
    want = torch.nn.functional.cross_entropy(prior(read).flatten(0, 2), tokens.flatten())
    torch.testing.assert_close(nats, want)
    for ours, theirs in zip(*(torch.autograd.grad(n, list(prior.parameters())) for n in (nats, want)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
