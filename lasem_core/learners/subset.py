"""An EM step that evaluates some configurations of a space only: what pruning and sampling do in place of `em_step`."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.em import Prior, Step, e_step, m_step, shown
from lasem_core.model.network import TaskNetwork, Trie
from lasem_core.model.optim import RMSProp


@dataclass(frozen=True)
class Subset:
    """S of a space's C configurations.

    Attributes:
        trie: the plan of their forward pass.
        positions: (S,) where they stand in the space.
    """

    trie: Trie
    positions: Tensor

    def restrict(self, belief: Tensor) -> Tensor:
        """A belief (C,) over the space as one over the subset, (S,), summing to 1."""
        return belief[self.positions] / belief[self.positions].sum()

    def weights(self, belief: Tensor) -> Tensor:
        """The M-step's weights (S,) from the posterior (S,)."""
        return belief

    def spread(self, belief: Tensor, n: int) -> Tensor:
        """A posterior (S,) as one over the space of n configurations, zero outside the subset."""
        return belief.new_zeros(n).index_copy(0, self.positions, belief)


def subset_step(
    network: TaskNetwork, subset: Subset, prior: Prior, optimizer: RMSProp, batch: Batch, likelihood: str, n_steps: int,
    beta: float = 1.0, judge: Batch | None = None,
) -> Step:  # fmt: skip
    """`em.em_step`, line by line, over a subset; its arguments but for `subset` are those of `em_step`."""
    trie = subset.trie
    features = network.features(batch.images, trie)  # (S, B, F)
    belief = subset.restrict(prior.probabilities())
    if len(trie) > 1:  # the posterior of a single configuration is 1
        seen, labels = (features, batch.labels) if judge is None else shown(network, trie, judge)
        belief = e_step(network, belief, seen, labels, likelihood, beta)
    loss = m_step(network, trie, features, subset.weights(belief), optimizer, batch, n_steps)
    full = subset.spread(belief, len(prior.votes))
    prior.update(full)
    return Step(full, loss)
