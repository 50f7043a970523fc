"""Laws of sampling, on tiny priors of both kinds."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_priors import CODES, GRID, TINY, random_tokens

from vq import sampling
from vq.prior import GaussianPrior
from vq.sampling import Options

H, W = GRID


@pytest.fixture(scope="module", params=list(TINY))
def prior(request):
    return TINY[request.param]()


# The distribution a token is drawn from


def reference(logits, options):
    """Top-k and top-p one token at a time, in plain Python."""
    weights = [math.exp(x / options.temperature) for x in logits]
    order = sorted(range(len(weights)), key=lambda i: (-weights[i], i))
    if options.top_k:
        order = order[: options.top_k]
    total, kept, mass = sum(weights[i] for i in order), [], 0.0
    for i in order:
        if mass >= options.top_p:
            break
        kept.append(i)
        mass += weights[i] / total
    total = sum(weights[i] for i in kept)
    return [weights[i] / total if i in kept else 0.0 for i in range(len(weights))]


@settings(max_examples=150, deadline=None)
@given(
    logits=st.lists(st.integers(-800, 800).map(lambda i: i / 100), min_size=1, max_size=12, unique=True),
    temperature=st.floats(0.2, 3),
    top_k=st.integers(0, 14),
    top_p=st.floats(0.05, 1),
)
def test_probabilities_equal_the_plain_reference(logits, temperature, top_k, top_p):
    options = Options(temperature, top_k, top_p)
    got = sampling.probabilities(torch.tensor([logits], dtype=torch.float64), options)[0]
    want = torch.tensor(reference(logits, options), dtype=torch.float64)
    # A mass within rounding of top_p may or may not take one token more.
    if torch.equal(got > 0, want > 0):
        torch.testing.assert_close(got, want)
    else:
        ordered = torch.tensor(reference(logits, Options(temperature, top_k))).sort(descending=True).values.cumsum(0)
        assert float((ordered - top_p).abs().min()) < 1e-6


def test_draw_inverts_the_cumulative_distribution():
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.7]])).expand(5, 3)
    u = torch.tensor([0.0, 0.0999, 0.1001, 0.31, 1 - 2**-53], dtype=torch.float64)
    assert sampling.draw(logits, u, Options()).tolist() == [0, 0, 1, 2, 2]


def test_draw_never_takes_a_token_without_probability():
    logits = torch.tensor([[0.0, 5.0, -1.0, 0.5]]).expand(1000, 4)
    u = torch.linspace(0, 1 - 1e-16, 1000, dtype=torch.float64)
    assert set(sampling.draw(logits, u, Options(top_k=2)).tolist()) == {1, 3}


def test_frequencies_follow_the_distribution():
    logits = torch.tensor([[1.0, 0.0, 2.0, -1.0]]).expand(20000, 4)
    u = torch.rand(20000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = sampling.draw(logits, u, Options()).bincount(minlength=4) / 20000
    assert float((shares - logits[0].softmax(0)).abs().max()) < 0.012


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
    ],
)
def test_options_out_of_range_are_refused(prior, options, words):
    for call in (prior.sample, prior.stream):
        with pytest.raises(ValueError, match=words):
            call(1, **options)
    with pytest.raises(ValueError, match=words):
        prior.complete(random_tokens(1), torch.ones(H, W, dtype=torch.bool), **options)


@pytest.mark.parametrize("call", [{"n": 0}, {"n": -1}, {"n": 1.0}, {"n": 1, "seed": -1}, {"n": 1, "seed": 0.5}])
def test_counts_and_seeds_are_checked(prior, call):
    with pytest.raises(ValueError, match=r"^(n|seed): expected an integer >= [01], got"):
        prior.sample(**call)


# The ordered loop


@pytest.mark.parametrize("n", [1, 3, 16])
@pytest.mark.parametrize("options", [{}, {"temperature": 0.7, "top_k": 9}, {"top_p": 0.8}, {"temperature": 0.0}])
def test_incremental_equals_naive(prior, n, options):
    want = sampling.naive(prior, n, 5, prior.options(**options))
    assert torch.equal(prior.sample(n, seed=5, **options), want)


def test_a_picture_depends_on_seed_and_index_alone(prior):
    many = prior.sample(16, seed=9)
    for n in (1, 2, 7):
        assert torch.equal(prior.sample(n, seed=9), many[:n])
    assert not torch.equal(prior.sample(16, seed=10), many)
    assert len({tuple(grid.flatten().tolist()) for grid in many}) > 12


def test_temperature_zero_is_argmax(prior):
    tokens = prior.sample(2, seed=1, temperature=0)
    assert torch.equal(prior(tokens).argmax(-1), tokens)
    assert torch.equal(prior.sample(2, seed=2, temperature=0), tokens)


def test_top_k_one_is_argmax(prior):
    assert torch.equal(prior.sample(2, seed=4, top_k=1), prior.sample(2, temperature=0))


def test_every_token_drawn_is_among_the_top_k(prior):
    tokens = prior.sample(8, seed=3, top_k=4)
    allowed = prior(tokens).topk(4, dim=-1).indices
    assert bool((allowed == tokens[..., None]).any(-1).all())


def test_defaults_come_from_the_config():
    for make in TINY.values():
        stored, plain = make(temperature=0.6, top_k=5, top_p=0.9), make()
        asked = plain.sample(3, seed=2, temperature=0.6, top_k=5, top_p=0.9)
        assert torch.equal(stored.sample(3, seed=2), asked)
        assert torch.equal(stored.sample(3, seed=2, temperature=1.0, top_k=0, top_p=1.0), plain.sample(3, seed=2))


@pytest.mark.parametrize("every", [1, 3, 20, 64])
def test_stream_grows_and_ends_with_the_sample(prior, every):
    total, grids = H * W, list(prior.stream(2, seed=6, every=every))
    assert len(grids) == math.ceil(total / every)
    for i, grid in enumerate(grids):
        stands = (grid.flatten(1) >= 0).long()
        assert stands.sum(1).tolist() == [min((i + 1) * every, total)] * 2
        assert bool((stands.diff(dim=1) <= 0).all())
    for a, b in itertools.pairwise(grids):
        assert torch.equal(torch.where(a >= 0, a, b), b)
    assert torch.equal(grids[-1], prior.sample(2, seed=6))


def test_closing_the_stream_stops_the_work(prior, monkeypatch):
    calls = []
    steps = type(prior.start(1))
    feed = steps.feed
    monkeypatch.setattr(steps, "feed", lambda self, tokens: calls.append(1) or feed(self, tokens))
    stream = prior.stream(2)
    next(stream), next(stream)
    stream.close()
    assert len(calls) == 2
    assert list(stream) == []


def test_two_streams_at_once_do_not_meet(prior):
    a, b = prior.stream(2, seed=1), prior.stream(3, seed=2)
    pairs = list(zip(a, b, strict=True))
    assert torch.equal(pairs[-1][0], prior.sample(2, seed=1))
    assert torch.equal(pairs[-1][1], prior.sample(3, seed=2))


# Completion


@settings(max_examples=20, deadline=None)
@given(
    cells=st.lists(st.booleans(), min_size=H * W, max_size=H * W),
    seed=st.integers(0, 99),
    name=st.sampled_from(list(TINY)),
)
def test_completion_keeps_what_is_outside_the_mask(cells, seed, name):
    prior, tokens, mask = TINY[name](), random_tokens(2, seed=seed), torch.tensor(cells).view(H, W)
    done = prior.complete(tokens, mask, seed=seed, candidates=2)
    assert torch.equal(done[:, ~mask], tokens[:, ~mask])
    assert int(done.min()) >= 0 and int(done.max()) < CODES
    assert torch.equal(tokens, random_tokens(2, seed=seed))


def test_completing_everything_once_is_sampling(prior):
    everything = torch.ones(H, W, dtype=torch.bool)
    done = prior.complete(random_tokens(3), everything, seed=8, candidates=1)
    assert torch.equal(done, prior.sample(3, seed=8))


def test_completion_draws_the_conditionals_of_the_naive_loop(prior):
    tokens, mask = random_tokens(2, seed=1), torch.rand(2, H, W, generator=torch.Generator().manual_seed(3)) < 0.4
    want, u = tokens.clone(), sampling.uniforms(4, 2, H * W)
    for t in range(H * W):
        row, column = divmod(t, W)
        drawn = sampling.draw(prior(want)[:, row, column], u[:, t], Options())
        want[:, row, column] = torch.where(mask[:, row, column], drawn, want[:, row, column])
    assert torch.equal(prior.complete(tokens, mask, seed=4, candidates=1), want)


def test_completion_picks_the_likeliest_whole_grid(prior):
    tokens, mask = random_tokens(2), torch.zeros(H, W, dtype=torch.bool)
    mask[1:3, 1:4] = True
    grids, nats = sampling.candidates_of(prior, tokens, mask, 7, 8, Options())
    joint = torch.stack([prior.surprisal(g).flatten(1).sum(1) for g in grids])
    torch.testing.assert_close(nats.float(), joint, rtol=1e-5, atol=1e-4)
    assert len({tuple(g.flatten().tolist()) for g in grids[0]}) > 1
    best = torch.stack([g[i] for g, i in zip(grids, nats.argmin(1), strict=True)])
    assert torch.equal(prior.complete(tokens, mask, seed=7, candidates=8), best)


def test_a_completion_depends_on_its_own_picture_alone(prior):
    tokens, mask = random_tokens(3), torch.rand(H, W, generator=torch.Generator().manual_seed(1)) < 0.5
    together = prior.complete(tokens, mask, seed=2, candidates=3)
    assert torch.equal(prior.complete(tokens[:1], mask, seed=2, candidates=3), together[:1])


def test_an_empty_mask_changes_nothing(prior):
    tokens, empty = random_tokens(2), torch.zeros(2, H, W, dtype=torch.bool)
    assert torch.equal(prior.complete(tokens, empty), tokens)
    grids, nats = prior.variants(tokens[:1], empty[0])
    assert torch.equal(grids, tokens[:1])
    torch.testing.assert_close(nats.float(), prior.surprisal(grids).sum((1, 2)))


def test_variants_differ_and_are_ordered(prior):
    tokens, mask = random_tokens(1), torch.zeros(H, W, dtype=torch.bool)
    mask[2, 1:] = True
    grids, nats = prior.variants(tokens, mask, keep=4, seed=3, candidates=24)
    assert grids.shape == (4, H, W)
    assert nats.shape == (4,)
    assert len({tuple(g.flatten().tolist()) for g in grids}) == 4
    assert bool((nats.diff() >= 0).all())
    assert bool((grids[:, ~mask] == tokens[0][~mask]).all())
    assert torch.equal(grids[0], prior.complete(tokens, mask, seed=3, candidates=24)[0])
    assert torch.equal(prior.variants(tokens[0], mask, keep=2, seed=3, candidates=24)[0], grids[:2])


def test_variants_at_temperature_zero_are_one(prior):
    grids, _ = prior.variants(random_tokens(1), torch.ones(H, W, dtype=torch.bool), temperature=0)
    assert len(grids) == 1


@pytest.mark.parametrize(
    ("tokens", "mask", "words"),
    [
        (random_tokens(1).int(), torch.ones(H, W, dtype=torch.bool), "int64"),
        (random_tokens(1)[0], torch.ones(H, W, dtype=torch.bool), r"\(n,4,5\)"),
        (random_tokens(1, (4, 4)), torch.ones(4, 4, dtype=torch.bool), r"\(n,4,5\), got \(1, 4, 4\)"),
        (random_tokens(1) + CODES, torch.ones(H, W, dtype=torch.bool), r"\[0,23\)"),
        (random_tokens(1) - CODES, torch.ones(H, W, dtype=torch.bool), r"\[0,23\)"),
        (random_tokens(1), torch.ones(W, H, dtype=torch.bool), "mask: expected shape"),
        (random_tokens(2), torch.ones(1, H, W, dtype=torch.bool), "mask: expected shape"),
        (random_tokens(1), torch.ones(H, W), "bool"),
    ],
)
def test_completion_refuses_what_does_not_fit(prior, tokens, mask, words):
    with pytest.raises(ValueError, match=words):
        prior.complete(tokens, mask)


def test_counts_of_candidates_are_checked(prior):
    mask = torch.ones(H, W, dtype=torch.bool)
    with pytest.raises(ValueError, match="candidates"):
        prior.complete(random_tokens(1), mask, candidates=0)
    with pytest.raises(ValueError, match="keep"):
        prior.variants(random_tokens(1), mask, keep=0)
    with pytest.raises(ValueError, match="one picture"):
        prior.variants(random_tokens(2), mask)


# Surprisal


def test_surprisal_sums_to_the_joint(prior):
    tokens = random_tokens(2, seed=5)
    joint = torch.zeros(2, dtype=torch.float64)
    for t in range(H * W):
        row, column = divmod(t, W)
        p = prior(tokens[:, : row + 1])[:, row, column].double().log_softmax(1)
        joint -= p[torch.arange(2), tokens[:, row, column]]
    nats = prior.surprisal(tokens)
    assert nats.shape == (2, H, W)
    assert nats.dtype == torch.float32
    torch.testing.assert_close(nats.double().sum((1, 2)), joint, rtol=1e-5, atol=1e-4)


def test_surprisal_of_an_enumerable_prior_sums_to_one():
    for make in TINY.values():
        prior = make((1, 2))
        grids = torch.cartesian_prod(torch.arange(CODES), torch.arange(CODES)).view(-1, 1, 2)
        total = prior.surprisal(grids).double().sum((1, 2)).neg().exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-4)


# Gaussians


def test_gaussian_priors():
    mean, std = torch.arange(6.0), torch.linspace(2, 0.1, 6)
    components = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0))).Q.T
    fitted = GaussianPrior.fitted("ae", {"mean": mean, "components": components, "std": std})
    z = fitted.sample(4000, seed=1)
    assert z.shape == (4000, 6)
    assert z.dtype == torch.float32
    assert float((z.mean(0) - mean).abs().max()) < 0.12
    covariance = components.T @ torch.diag(std**2) @ components
    assert float((torch.cov(z.T) - covariance).abs().max()) < 0.3
    assert torch.equal(fitted.sample(3, seed=1), z[:3])
    assert not torch.equal(fitted.sample(3, seed=2), z[:3])
    assert torch.equal(fitted.sample(2, temperature=0), mean.expand(2, 6))
    normal = GaussianPrior.normal("vae", 6).sample(4000)
    assert abs(float(normal.mean())) < 0.03
    assert abs(float(normal.std()) - 1) < 0.03


def test_gaussian_priors_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="components"):
        GaussianPrior("ae", torch.zeros(3), torch.eye(2), torch.ones(3))
    with pytest.raises(ValueError, match="n: expected"):
        GaussianPrior.normal("vae", 3).sample(0)
    with pytest.raises(ValueError, match="temperature"):
        GaussianPrior.normal("vae", 3).sample(1, temperature=-1)


@pytest.mark.parametrize("spread", [0.0, 1.0, 6.0])
@pytest.mark.parametrize("top_p", [0.1, 0.9, 0.99])
def test_the_nucleus_of_many_tokens_is_what_sorting_all_of_them_gives(spread, top_p):
    logits = spread * torch.randn(4, 600, generator=torch.Generator().manual_seed(0))
    p, kept = logits.softmax(1).double(), sampling.probabilities(logits, Options(top_p=top_p))
    ordered, places = p.sort(dim=1, descending=True, stable=True)
    count = (ordered.cumsum(1) - ordered < top_p).sum(1)
    for row, some, n, place in zip(p, kept, count.tolist(), places, strict=True):
        want = torch.zeros_like(row).index_copy(0, place[:n], row[place[:n]])
        torch.testing.assert_close(some, want / want.sum())
