"""The E-step against Equations 1 and 2 computed naively, the M-step against hand-made updates."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jaxtyping import TypeCheckError
from test_network import SPACE, data, small_network

from lasem_core.em import CountPrior, Prior, em_step, log_likelihood, posterior
from lasem_core.learners.priors import PRIORS, FadingPrior, HistoryPrior, RelatedPrior
from lasem_core.learners.subset import Subset, subset_step
from lasem_core.model.network import Trie
from lasem_core.model.optim import RMSProp, learning_rate
from lasem_core.spec.parts import OptimSpec

F64 = torch.float64
LOGITS = hnp.arrays(np.float64, (4, 3, 5), elements=st.floats(-8, 8))
LABELS = torch.tensor([0, 4, 2])


@settings(max_examples=50, deadline=None)
@given(LOGITS)
def test_likelihoods_are_the_product_and_the_mean(logits):
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    true = p[:, np.arange(3), LABELS.numpy()]
    joint = log_likelihood(torch.tensor(logits), LABELS, "joint").exp().numpy()
    mean = log_likelihood(torch.tensor(logits), LABELS, "mean").exp().numpy()
    np.testing.assert_allclose(joint, true.prod(1), rtol=1e-10)
    np.testing.assert_allclose(mean, true.mean(1), rtol=1e-10)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=4, max_size=4), LOGITS)
def test_posterior_is_equation_2(counts, logits):
    prior = CountPrior(torch.tensor(counts, dtype=F64) + 1)
    log_lik = log_likelihood(torch.tensor(logits), LABELS, "joint")
    naive = (np.array(counts) + 1) / (np.array(counts) + 1).sum() * log_lik.exp().numpy()
    np.testing.assert_allclose(posterior(prior.probabilities(), log_lik), naive / naive.sum(), rtol=1e-9, atol=1e-300)


POSTERIORS = [torch.tensor(p, dtype=F64) for p in ([0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8])]


def updated(kind, *more):
    prior = PRIORS.get(kind, kind)(torch.ones(3, dtype=F64), *more)
    for weights in POSTERIORS:
        prior.update(weights)
    return prior


def test_count_prior_is_equation_1_and_ties_lean_to_transfer():
    assert updated("count").probabilities().tolist() == [2 / 6, 2 / 6, 2 / 6]  # winners 1, 0 (tie), 2


def test_history_joins_the_belief_and_not_the_decision():
    prior = updated(HistoryPrior, torch.tensor([7.0, 0.0, 0.0], dtype=F64))
    assert prior.probabilities().tolist() == [9 / 13, 2 / 13, 2 / 13]
    assert prior.votes.tolist() == [2, 2, 2]


def test_running_mean_prior_forgets_its_uniform_start():
    mean = sum(POSTERIORS) / 3
    torch.testing.assert_close(updated("running-mean").probabilities(), mean)
    assert PRIORS["running-mean"](torch.ones(3)).probabilities().tolist() == pytest.approx([1 / 3] * 3)


def test_uniform_prior_stays_uniform_but_counts():
    prior = updated("uniform")
    assert prior.probabilities().tolist() == pytest.approx([1 / 3] * 3)
    assert prior.votes.tolist() == [2, 2, 2]


def test_a_fading_count_is_an_exponential_window():
    votes = torch.ones(3, dtype=F64)
    for winner in (1, 0, 2):
        votes = 0.9 * votes + 0.1 + torch.eye(3, dtype=F64)[winner]
    torch.testing.assert_close(updated(FadingPrior, 0.1).votes, votes)
    torch.testing.assert_close(updated(FadingPrior, 0.0).votes, updated("count").votes)


def test_a_fading_count_lets_a_late_winner_overtake_and_a_whole_count_does_not():
    fading, whole = FadingPrior(torch.ones(2), 0.02), CountPrior(torch.ones(2))
    for prior in (fading, whole):
        for winner in [0] * 300 + [1] * 100:
            prior.update(torch.eye(2)[winner])
    assert int(fading.votes.argmax()) == 1 and int(whole.votes.argmax()) == 0


def test_only_related_tasks_join_the_belief():
    """Of two earlier tasks the one whose likelihoods ranked the configurations alike counts, the opposite one not."""
    log_lik = torch.tensor([2.0, 0.0, -2.0], dtype=F64)
    counts = torch.tensor([[50.0, 0, 0], [0, 0, 50]], dtype=F64)
    prior = RelatedPrior(torch.ones(3, dtype=F64), torch.stack([7 * log_lik, -3 * log_lik]), counts)
    assert prior.probabilities().tolist() == pytest.approx([1 / 3] * 3)  # nothing is known of this task yet
    prior.update(posterior(prior.probabilities(), log_lik))
    torch.testing.assert_close(prior.probabilities(), torch.tensor([52.0, 1, 1], dtype=F64) / 54)
    torch.testing.assert_close(prior.profile, log_lik)  # centred, whatever the prior was
    prior.update(posterior(prior.probabilities(), log_lik))
    torch.testing.assert_close(prior.profile, 2 * log_lik)
    assert prior.votes.tolist() == [3, 1, 1]


def optimizer_of(network):
    return RMSProp(network.parameters(), OptimSpec(lr=0.1))


@pytest.mark.parametrize("base", ["hps", "tf", "df-cnn"])
def test_certainty_in_one_configuration_equals_that_configuration_alone(base):
    """Static (transfer all) and P = 1 on it: identical updates, bit for bit."""
    together, trie = small_network(base)
    alone, _ = small_network(base)
    one = Trie.build((SPACE[0],), torch.device("cpu"), F64)
    certain = torch.zeros(16, dtype=F64)
    certain[0] = 1
    for _ in range(3):
        em_step(together, trie, Prior(certain), optimizer_of(together), data(), None, 1)
        em_step(alone, one, Prior(torch.ones(1, dtype=F64)), optimizer_of(alone), data(), None, 1)
    used = [*alone.shared, *alone.task.adapters, *alone.task.head]
    same = [*together.shared, *together.task.adapters, *together.task.head]
    for group, other in zip(used, same, strict=True):
        for name in group:
            torch.testing.assert_close(group[name], other[name], rtol=0, atol=1e-12)


def test_m_steps_hold_the_posterior_fixed():
    """Two M-steps apply the first posterior twice: the prior is updated once."""
    network, trie = small_network("hps")
    prior = CountPrior(torch.ones(16, dtype=F64))
    step = em_step(network, trie, prior, optimizer_of(network), data(), "joint", 2)
    assert float(prior.votes.sum()) == 17
    again, _ = small_network("hps")
    first = em_step(again, trie, CountPrior(torch.ones(16, dtype=F64)), optimizer_of(again), data(), "joint", 1)
    torch.testing.assert_close(step.posterior, first.posterior, rtol=0, atol=0)
    assert not torch.equal(network.shared[0]["weight"], again.shared[0]["weight"])


def test_a_subset_renormalises_and_spreads():
    network, trie = small_network("hps")
    positions = torch.tensor([2, 5])
    some = Subset(Trie.build((SPACE[2], SPACE[5]), torch.device("cpu"), F64), positions)
    full = em_step(network, trie, CountPrior(torch.ones(16, dtype=F64)), optimizer_of(network), data(), "joint", 1)
    network, _ = small_network("hps")
    part = subset_step(network, some, CountPrior(torch.ones(16, dtype=F64)), optimizer_of(network), data(), "joint", 1)
    expected = torch.zeros(16, dtype=F64)
    expected[positions] = full.posterior[positions] / full.posterior[positions].sum()
    torch.testing.assert_close(part.posterior, expected)


@pytest.mark.parametrize("base", ["hps", "tf", "df-cnn"])
def test_the_whole_space_as_a_subset_is_the_exact_step(base):
    one, trie = small_network(base)
    other, _ = small_network(base)
    prior = CountPrior(torch.ones(16, dtype=F64))
    exact = em_step(one, trie, prior, optimizer_of(one), data(), "joint", 2)
    whole = Subset(trie, torch.arange(16))
    step = subset_step(other, whole, CountPrior(prior.votes * 0 + 1), optimizer_of(other), data(), "joint", 2)
    assert torch.equal(exact.posterior, step.posterior) and torch.equal(exact.loss, step.loss)
    assert all(map(torch.equal, one.parameters(), other.parameters()))


def test_rmsprop_is_tensorflows():
    weight = torch.tensor([1.0, -2.0], dtype=F64, requires_grad=True)
    optimizer, gradient = RMSProp([weight], OptimSpec()), torch.tensor([0.5, -3.0], dtype=F64)
    expected, ms = np.array([1.0, -2.0]), np.ones(2)
    for _ in range(3):
        optimizer.step([gradient], 0.01)
        ms = 0.9 * ms + 0.1 * gradient.numpy() ** 2
        expected -= 0.01 * gradient.numpy() / np.sqrt(ms + 1e-10)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12)


def test_a_parameter_without_gradient_is_left_alone():
    weights = [torch.ones(2, requires_grad=True) for _ in range(2)]
    optimizer = RMSProp(weights, OptimSpec())
    optimizer.step([None, torch.ones(2)], 0.1)
    assert torch.equal(weights[0], torch.ones(2)) and torch.equal(optimizer.mean_squares[0], torch.ones(2))


def test_learning_rate_decays_over_the_lifetime():
    assert learning_rate(OptimSpec(lr=1e-4, lr_decay=1 / 4000), 20000) == pytest.approx(1.6667e-5, rel=1e-4)
    assert learning_rate(OptimSpec(lr=1e-4), 20000) == 1e-4


def test_a_wrong_shape_is_refused_under_pytest():
    """The hook of conftest.py checks the shapes that signatures promise."""
    with pytest.raises(TypeCheckError):
        log_likelihood(torch.zeros(2, 3, 4), torch.zeros(5, dtype=torch.int64), "joint")
