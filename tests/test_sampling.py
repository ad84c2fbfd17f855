"""The sampled tail: unbiased for what it says, repeatable, and never more than it is allowed to evaluate."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stream import CPU, Memory, Stopped, results, run, same, spec_of, stream
from test_learners import batches, context, learner_for, run_task
from test_network import data, small_network

from lasem_core.em import e_step, expected_loss
from lasem_core.learners.sampling import Proposal, systematic_counts
from lasem_core.learners.subset import Subset
from lasem_core.model.network import Trie
from lasem_core.spec.parts import EMSpec

F64 = torch.float64
SAMPLED = {"prune": "sampled", "prune_every": 3, "prune_samples": 2}
DRAWS, HEAD = 300, (2, 5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=12))
def test_counts_are_unbiased_and_neighbours_of_their_mean(expected):
    expected, n = torch.tensor(expected, dtype=F64), 2000
    counts = torch.stack([systematic_counts(expected, (i + 0.5) / n) for i in range(n)])
    torch.testing.assert_close(counts.mean(0), expected, rtol=0, atol=2 / n)
    assert ((counts - expected).abs() < 1 + 1e-9).all()
    torch.testing.assert_close(counts.var(0, correction=0), expected.frac() * (1 - expected.frac()), rtol=0, atol=5e-3)


def plans(space):
    """As the learner makes them: the configurations of the trie `space` at some positions."""
    return lambda positions: Subset(
        Trie.build([space.configs[p] for p in positions], CPU, space.bits.dtype), torch.tensor(positions)
    )


def gradient(network, trie, weights):
    loss = expected_loss(network, trie, network.features(data().images, trie), weights, data(), 0)
    gradients = torch.autograd.grad(loss, network.parameters(), allow_unused=True)
    return torch.cat([torch.zeros_like(p).flatten() if g is None else g.flatten()
                      for g, p in zip(gradients, network.parameters(), strict=True)])  # fmt: skip


def gradients(base, samples, n=DRAWS):
    """Of one mini-batch: the exact gradient of Eq. 3 (P,), an estimate of it per draw (n, P), the head's alone (P,)."""
    network, trie = small_network(base)
    uniform, seen = torch.full((16,), 1 / 16, dtype=F64), network.features(data().images, trie)
    exact = e_step(network, uniform, seen, data().labels, "joint")
    proposal = Proposal.build(exact, HEAD, EMSpec(prune_samples=samples))
    draws = [proposal.draw(plans(trie), ("draw", i)) for i in range(n)]
    drawn = [gradient(network, draw.trie, draw.weights(draw.restrict(exact))) for draw in draws]
    head = torch.zeros_like(exact).index_copy(0, torch.tensor(HEAD), exact[list(HEAD)] / exact[list(HEAD)].sum())
    return gradient(network, trie, exact), torch.stack(drawn), gradient(network, trie, head)


@pytest.mark.parametrize("base", ["hps", "tf", "df-cnn"])
def test_mean_gradient_over_draws_is_equation_3(base):
    """The mean of n draws is as far from the exact gradient as n independent unbiased draws make it."""
    exact, drawn, head = gradients(base, 3)
    distance, expected = (drawn.mean(0) - exact).square().sum(), drawn.var(0).sum() / DRAWS
    assert 0.05 * expected < distance < 4 * expected
    assert (head - exact).square().sum() > 100 * expected  # leaving the tail out would be seen


def test_more_draws_less_variance():
    variance = {n: float(gradients("hps", n, 100)[1].var(0).sum()) for n in (2, 6)}
    assert variance[6] < variance[2] / 2


def test_the_recorded_variance_is_that_of_the_weights():
    carried = torch.softmax(torch.arange(16, dtype=F64) / 4, 0)
    proposal, (_, trie) = Proposal.build(carried, (15,), EMSpec(prune_samples=3)), small_network("hps")
    weights = torch.zeros(4000, 16, dtype=F64)
    for i in range(4000):
        drawn = proposal.draw(plans(trie), (i,))
        weights[i, drawn.positions] = drawn.weights(drawn.restrict(carried))
    torch.testing.assert_close(weights.mean(0), carried, rtol=0, atol=0.01)
    assert float(weights.var(0).sum()) == pytest.approx(proposal.variance, rel=0.05)


def test_a_light_tail_is_rarely_drawn():
    carried = torch.tensor([0.999, 0.001], dtype=F64)
    proposal = Proposal.build(carried, (0,), EMSpec(prune_eps=0.02, prune_samples=4))
    assert (proposal.unit, proposal.expected.tolist()) == (0.02 / 4, [0, pytest.approx(0.2)])


def started(steps=0, **em):
    learner = learner_for(method="lasem", em=SAMPLED | em)
    learner.begin_task(context(0, 0))
    for batch in batches(0, steps):
        learner.train_step(batch)
    return learner


def test_a_full_e_step_draws_from_this_mini_batchs_posterior():
    learner, (batch,) = started(), batches(0, 1)
    exact = learner.open.search.exact_posterior(batch)
    drawn = learner.open.rule._proposal_for(exact).draw(learner.open.search.subset, batch.key)
    assert len(drawn.trie) <= 2 * SAMPLED["prune_samples"]
    belief = torch.where(drawn.in_head, exact[drawn.positions], 0)
    torch.testing.assert_close(drawn.spread(belief / belief.sum(), 16), exact)
    learner.train_step(batch)
    torch.testing.assert_close(learner.open.trace.kept[-1], exact)


def test_between_full_e_steps_the_tail_is_carried():
    learner, batch = started(4, prune_eps=0.9), batches(0, 5)[4]
    rule, kept = learner.open.rule, learner.open.rule.window.kept
    assert not rule.window.is_full
    carried, exact = rule.proposal.carried, learner.open.search.exact_posterior(batch)
    learner.train_step(batch)
    used = rule.proposal.in_use(exact)
    torch.testing.assert_close(learner.open.trace.kept[-1], used)
    outside = [c for c in range(16) if c not in kept]
    assert torch.equal(used[outside], carried[outside]) and float(used.sum()) == pytest.approx(1)
    head = exact[list(kept)]
    torch.testing.assert_close(used[list(kept)], head / head.sum() * carried[list(kept)].sum())


def test_distance_is_total_variation():
    rule = started(4, prune_eps=0.9).open.rule
    kept = list(rule.window.kept)
    moved = torch.zeros(16, dtype=F64).index_fill(0, torch.tensor(kept), 1 / len(kept))
    tail = 1 - float(rule.proposal.carried[kept].sum())
    assert float(rule.proposal.distance(moved)) == pytest.approx(tail)


def test_with_a_full_e_step_every_time_the_recorded_posterior_is_exact():
    learner, twin = started(prune_every=1), started(prune_every=1)
    for batch in batches(0, 5):
        exact = twin.open.search.exact_posterior(batch)
        learner.train_step(batch)
        twin.train_step(batch)
        torch.testing.assert_close(learner.open.trace.kept[-1], exact)
    assert learner.end_epoch().extra["evaluated"] == 16


def test_the_history_says_what_was_evaluated_and_how_much_the_weights_vary():
    extra = started(30, prune_eps=0.5).end_epoch().extra
    assert 1 <= extra["updated"] <= 4 and extra["updated"] <= extra["evaluated"] <= 16
    assert 0 < extra["sampling_sd"] < 1 and 0 <= extra["pruned_mass"] <= 1


def test_a_stopped_run_goes_on_bit_for_bit():
    spec, tasks = spec_of("lasem", "tf", em=SAMPLED | {"prune_eps": 0.5}), stream()
    learner, life = run(spec, tasks)
    memory = Memory(stop_at=3)
    with pytest.raises(Stopped):
        run(spec, tasks, memory)
    assert memory.state["learner"]["training"]["rule"]["carried"] is not None
    resumed, again = run(spec, tasks, Memory(memory.state))
    assert same(results(life), results(again)) and same(learner.state_dict(), resumed.state_dict())


def test_nine_layers_layer_by_layer():
    model = {"channels": (2,) * 9, "kernels": (3,) * 9, "pools": (1, 1, 2) * 3, "head": (4,)}
    learner = learner_for(method="lasem", model=model, em=SAMPLED)
    report = run_task(learner, 0)
    assert len(learner.space) == 512 and len(learner.configs[0]) == 9
    assert report.extra["updated"] <= 4
