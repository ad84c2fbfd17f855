"""Lifelong architecture search via EM: Algorithm 1, lines 8 to 13, beside Equations 1 to 3.

`em_step` is the algorithm; the rest of this file are its three ingredients, likelihood, prior and posterior.
Everything stays on the device of the data: one step never waits for the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.model.network import TaskNetwork, Trie
from lasem_core.model.optim import RMSProp


@dataclass(frozen=True)
class Batch:
    """One mini-batch and where it stands.

    Attributes:
        lr: learning rate.
        key: what names this step for random numbers, e.g. (seed, visit, step).
    """

    images: Float[Tensor, "B channels H W"]
    labels: Int[Tensor, " B"]
    lr: float
    key: tuple[object, ...]


def log_true_class(logits: Float[Tensor, "C B K"], labels: Int[Tensor, " B"]) -> Float[Tensor, "C B"]:
    """log p(y | x, c)."""
    log_p = logits.log_softmax(-1)
    return log_p.gather(-1, labels.expand(log_p.shape[:2])[..., None])[..., 0]


def log_likelihood(logits: Float[Tensor, "C B K"], labels: Int[Tensor, " B"], kind: str) -> Float[Tensor, " C"]:
    """log P(y_new | X_new, c): `joint`, the product over the batch, or `mean`, released code, item 2."""
    log_p = log_true_class(logits, labels)
    if kind == "joint":
        return log_p.sum(1)
    return log_p.logsumexp(1) - math.log(len(labels))


@runtime_checkable
class Prior(Protocol):
    """pi_t(c): the belief about the task's configuration before the next mini-batch.

    `counts` (C,) decide the configuration in use: their argmax, the lowest index on ties.
    """

    counts: Tensor

    def probabilities(self) -> Tensor:
        """(C,), non-negative, sums to 1."""

    def update(self, posterior: Tensor) -> None:
        """Line 13: take one mini-batch's posterior (C,) in."""


class CountPrior:
    """Eq. 1: Laplace-smoothed counts of the mini-batches a configuration was the most probable of."""

    def __init__(self, start: Tensor):
        self.counts = start.clone()

    def probabilities(self) -> Tensor:
        return self.counts / self.counts.sum()

    def update(self, posterior: Tensor) -> None:
        self.counts += torch.nn.functional.one_hot(posterior.argmax(), len(posterior))


class HistoryPrior(CountPrior):
    """Section 3's alternative, the history over tasks: what earlier tasks counted, `earlier` (C,), joins the belief.

    The counts that decide are the task's own: otherwise two equal tasks would outvote every later one.
    """

    def __init__(self, start: Tensor, earlier: Tensor):
        super().__init__(start)
        self.earlier = earlier

    def probabilities(self) -> Tensor:
        total = self.earlier + self.counts
        return total / total.sum()


class RunningMeanPrior:
    """The released default: the mean of the task's posteriors; uniform only before the first one."""

    def __init__(self, start: Tensor):
        self.counts = torch.zeros_like(start)
        self.uniform = start / start.sum()
        self.n = 0

    def probabilities(self) -> Tensor:
        return self.counts / self.n if self.n else self.uniform

    def update(self, posterior: Tensor) -> None:
        self.counts += posterior
        self.n += 1


class FixedPrior:
    """A belief that data do not change: `uniform`, a static configuration, or Section 4.3's fixed posterior."""

    def __init__(self, start: Tensor):
        self.counts = start.clone()

    def probabilities(self) -> Tensor:
        return self.counts / self.counts.sum()

    def update(self, posterior: Tensor) -> None:
        pass


class CountedUniformPrior(FixedPrior):
    """A uniform belief for the posterior, while the counts that decide the final choice are kept."""

    def __init__(self, start: Tensor):
        super().__init__(start)
        self.uniform = start / start.sum()

    def probabilities(self) -> Tensor:
        return self.uniform

    def update(self, posterior: Tensor) -> None:
        self.counts += torch.nn.functional.one_hot(posterior.argmax(), len(posterior))


PRIORS = {
    "count": CountPrior,
    "history": HistoryPrior,
    "running-mean": RunningMeanPrior,
    "uniform": CountedUniformPrior,
}


def posterior(prior: Float[Tensor, " C"], log_lik: Float[Tensor, " C"]) -> Float[Tensor, " C"]:
    """Eq. 2: P(c | X_new, y_new), computed in log space."""
    return torch.softmax(prior.log() + log_lik, 0)


@torch.no_grad()
def e_step(network: TaskNetwork, trie: Trie, prior: Prior, batch: Batch, likelihood: str) -> Float[Tensor, " C"]:
    """Lines 8 and 9 alone: the posterior over the configurations of `trie`."""
    logits = network.logits(network.features(batch.images, trie))
    return posterior(prior.probabilities(), log_likelihood(logits, batch.labels, likelihood))


def dropout_mask(network: TaskNetwork, trie: Trie, batch: Batch, m_step: int) -> Shaped[Tensor, "C B F"] | None:
    """One mask per configuration, a pure function of (step, configuration); None without dropout."""
    if network.arch.dropout == 0:
        return None
    n = len(batch.labels) * network.arch.n_features
    key = keyed_random.key("dropout", *batch.key, m_step)
    mask = keyed_random.bernoulli_mask(key, trie.index, n, 1 - network.arch.dropout)
    return mask.view(len(trie), len(batch.labels), network.arch.n_features)


def m_step(
    network: TaskNetwork,
    trie: Trie,
    features: Float[Tensor, "C B F"],
    weights: Float[Tensor, " C"],
    batch: Batch,
    n: int,
) -> Float[Tensor, ""]:
    """The loss whose gradient is Eq. 3: sum over c of the constant P(c | X, y) times the mean cross-entropy."""
    logits = network.logits(features, dropout_mask(network, trie, batch, n))
    loss = -(weights @ log_true_class(logits, batch.labels).mean(1))
    penalty = network.penalty(weights @ trie.bits, trie.transferred)
    return loss if penalty is None else loss + penalty


@dataclass(frozen=True)
class Active:
    """The configurations one mini-batch evaluates.

    Attributes:
        trie: the plan of their forward pass.
        positions: (S,) where they stand in the space; None = the whole space, nothing is left out.
    """

    trie: Trie
    positions: Tensor | None = None

    def restrict(self, prior: Tensor) -> Tensor:
        """A belief (C,) over the space as one over these configurations, (S,), summing to 1."""
        return prior if self.positions is None else prior[self.positions] / prior[self.positions].sum()

    def weights(self, belief: Tensor) -> Tensor:
        """The M-step's weights (S,) from the posterior (S,)."""
        return belief

    def spread(self, weights: Tensor, n: int) -> Tensor:
        """Weights (S,) as weights over a space of n configurations, zero where nothing was evaluated."""
        return weights if self.positions is None else weights.new_zeros(n).index_copy(0, self.positions, weights)


class Step(NamedTuple):
    """What one mini-batch has shown: all on the device."""

    posterior: Float[Tensor, " C"]  # zero outside the active configurations
    loss: Float[Tensor, ""]  # of the first M-step


def em_step(
    network: TaskNetwork,
    active: Active,
    prior: Prior,
    optimizer: RMSProp,
    batch: Batch,
    likelihood: str | None,
    m_steps: int,
) -> Step:
    """One mini-batch of Algorithm 1; `likelihood` None leaves the belief as it is (static, fixed posterior)."""
    trie = active.trie
    features = network.features(batch.images, trie)  # (S, B, F), for both steps: dropout comes behind them
    with torch.no_grad():
        belief = active.restrict(prior.probabilities())
        if likelihood is not None:
            log_lik = log_likelihood(network.logits(features), batch.labels, likelihood)  # line 8
            belief = posterior(belief, log_lik)  # line 9
    weights = active.weights(belief)
    loss = m_step(network, trie, features, weights, batch, 0)
    first = loss.detach()
    for n in range(m_steps):  # line 10, the likelihood held fixed
        if n > 0:
            loss = m_step(network, trie, network.features(batch.images, trie), weights, batch, n)
        gradients = torch.autograd.grad(loss, optimizer.parameters, allow_unused=True)
        optimizer.step(gradients, batch.lr)  # line 11, Eq. 3
    full = active.spread(belief, len(prior.counts))
    prior.update(full)  # line 13
    return Step(full, first)
