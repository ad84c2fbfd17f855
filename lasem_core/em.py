"""Lifelong architecture search via EM: Algorithm 1, lines 8 to 13, beside Equations 1 to 3.

`em_step`, at the end, is the algorithm; before it stand its ingredients: likelihood, prior, posterior, gradient steps.
Everything stays on the device of the data: one step never waits for the host.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.model.network import TaskNetwork, Trie
from lasem_core.model.optim import RMSProp


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


class Prior:
    """pi_t(c): the belief about the task's configuration before the next mini-batch.

    A fixed one, that data do not change: a static configuration, or Section 4.3's fixed posterior.

    Attributes:
        votes: (C,) whose argmax, the lowest index on ties, is the configuration in use.
    """

    def __init__(self, start: Tensor):
        self.votes = start.clone()

    def probabilities(self) -> Tensor:
        """(C,), non-negative, sums to 1."""
        return self.votes / self.votes.sum()

    def update(self, posterior: Tensor) -> None:
        """Line 13: take one mini-batch's posterior (C,) in."""

    def state(self) -> dict[str, Any]:
        """What a resumed task goes on from."""
        return {"votes": self.votes}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.votes = state["votes"]


class CountPrior(Prior):
    """Eq. 1: Laplace-smoothed counts of the mini-batches a configuration was the most probable of."""

    def update(self, posterior: Tensor) -> None:
        self.votes += torch.nn.functional.one_hot(posterior.argmax(), len(posterior))


def posterior(prior: Float[Tensor, " C"], log_lik: Float[Tensor, " C"]) -> Float[Tensor, " C"]:
    """Eq. 2: P(c | X_new, y_new), computed in log space."""
    return torch.softmax(prior.log() + log_lik, 0)


@torch.no_grad()
def e_step(
    network: TaskNetwork,
    belief: Float[Tensor, " C"],
    features: Float[Tensor, "C B F"],
    labels: Int[Tensor, " B"],
    likelihood: str,
    beta: float = 1.0,
) -> Float[Tensor, " C"]:
    """Lines 8 and 9: the posterior from the belief pi_t and what the images behind `features` say.

    Arguments: beta, the likelihood's exponent, below 1 while it is tempered (`em.temper`, ours).
    """
    log_lik = log_likelihood(network.logits(features), labels, likelihood)
    return posterior(belief, beta * log_lik)


@torch.no_grad()
def shown(network: TaskNetwork, trie: Trie, batch: Batch) -> tuple[Float[Tensor, "C B F"], Int[Tensor, " B"]]:
    """Features and labels of a mini-batch that the M-step does not see."""
    return network.features(batch.images, trie), batch.labels


def expected_loss(
    network: TaskNetwork,
    trie: Trie,
    features: Float[Tensor, "C B F"],
    weights: Float[Tensor, " C"],
    batch: Batch,
    n: int,
) -> Float[Tensor, ""]:
    """The loss whose gradient is Eq. 3: sum over c of the constant P(c | X, y) times the mean cross-entropy.

    Arguments: n, the M-step's number, which keys its dropout masks.
    """
    logits = network.logits(features, network.dropout_mask(trie, batch, n))
    loss = -(weights @ log_true_class(logits, batch.labels).mean(1))
    penalty = network.penalty(weights @ trie.bits, trie.transferred)
    return loss if penalty is None else loss + penalty


def m_step(
    network: TaskNetwork, trie: Trie, features: Tensor, weights: Tensor, optimizer: RMSProp, batch: Batch, n_steps: int
) -> Float[Tensor, ""]:
    """Lines 10 and 11: gradient steps with the weights (C,) held fixed; returns the loss of the first."""
    loss = expected_loss(network, trie, features, weights, batch, 0)
    first = loss.detach()
    for n in range(n_steps):
        if n > 0:
            loss = expected_loss(network, trie, network.features(batch.images, trie), weights, batch, n)
        optimizer.step(torch.autograd.grad(loss, optimizer.parameters, allow_unused=True), batch.lr)
    return first


class Step(NamedTuple):
    """What one mini-batch has shown: all on the device."""

    posterior: Float[Tensor, " C"]
    loss: Float[Tensor, ""]  # of the first gradient step


def em_step(
    network: TaskNetwork,
    trie: Trie,
    prior: Prior,
    optimizer: RMSProp,
    batch: Batch,
    likelihood: str | None,
    n_steps: int,
    beta: float = 1.0,
    judge: Batch | None = None,
) -> Step:
    """One mini-batch of Algorithm 1, over the C configurations of `trie`.

    Arguments:
        network: the task's network; the optimizer changes its tensors in place.
        trie: the configurations, and the plan of their common forward pass.
        prior: pi_t(c), updated in place.
        optimizer: of the network's tensors.
        batch: B images and labels.
        likelihood: `joint` or `mean`; None leaves the belief as it is (static, fixed posterior).
        n_steps: numMSteps.
        beta: see `e_step`.
        judge: what the E-step looks at in place of `batch` (`em.evidence`, ours).
    """
    features = network.features(batch.images, trie)  # (C, B, F), for both steps: dropout comes behind them
    belief = prior.probabilities()
    if likelihood is not None:  # lines 8 and 9, Eq. 2
        seen, labels = (features, batch.labels) if judge is None else shown(network, trie, judge)
        belief = e_step(network, belief, seen, labels, likelihood, beta)
    loss = m_step(network, trie, features, belief, optimizer, batch, n_steps)  # lines 10 and 11, Eq. 3
    prior.update(belief)  # line 13
    return Step(belief, loss)
