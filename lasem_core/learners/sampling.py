"""A few configurations stand for all: an unbiased estimate of Eq. 3 where the space is large (`em.prune=sampled`).

The *head*, few configurations that hold most of a posterior W, is evaluated always; from the rest, the *tail*, a
few are drawn for each mini-batch. A draw stands for the mass `unit`, and c is drawn W_c / unit times on average.

What is unbiased for what, over the draws of one mini-batch (dropout masks belong to the configurations):

1. Every weight for its W_c; hence the gradient, linear in the weights, for sum_c W_c grad_c: Eq. 3 with posterior W.
2. At a full E-step W is this mini-batch's posterior, and the estimate is unbiased for Eq. 3 itself.
3. Between two full E-steps the tail of W is carried over from an earlier posterior, and its head is this
   mini-batch's own, scaled to the mass the head had there. For Eq. 3 itself the estimate is then biased, as any
   must be that leaves likelihoods out: they are in Eq. 2's normaliser. The next full E-step measures how far W was.
4. RMSProp's step is not linear in the gradient: its expectation is not that of the exact step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.learners.subset import Subset
from lasem_core.model.crossing import send
from lasem_core.spec.parts import EMSpec


def systematic_counts(expected: Tensor, u: float) -> Tensor:
    """How often each item is drawn, (C,): with u uniform in (0, 1) the mean is `expected` (C,), exactly.

    One random number for all of them (systematic sampling, Madow 1949): a count is one of the two integers beside
    its mean, and so is their sum.
    """
    edges = torch.cat([expected.new_zeros(1), expected.cumsum(0)]) + u
    return edges.floor().diff()


@dataclass(frozen=True, kw_only=True)
class Drawn(Subset):
    """Head and drawn tail of one mini-batch, S configurations of a space of C.

    Attributes:
        carried: (C,) the posterior that the head's mass and the tail come from.
        in_head: (S,) bool.
        tail_weights: (S,) mass that a drawn configuration stands for, zero for the head.
    """

    carried: Tensor
    in_head: Tensor
    tail_weights: Tensor

    def restrict(self, prior: Tensor) -> Tensor:
        """The belief over the head; the tail's is carried."""
        head = prior[self.positions] * self.in_head
        return head / head.sum()

    def weights(self, belief: Tensor) -> Tensor:
        """Weights (S,) of the M-step, whose mean over draws is W on the head and on the tail."""
        return belief * self._head_mass + self.tail_weights

    def spread(self, belief: Tensor, n: int) -> Tensor:
        """W (C,): what the draws stand for, not what was drawn."""
        own = torch.where(self.in_head, belief * self._head_mass, self.carried[self.positions])
        return self.carried.index_copy(0, self.positions, own)

    @property
    def _head_mass(self) -> Tensor:
        return (self.carried[self.positions] * self.in_head).sum()


@dataclass(frozen=True)
class Proposal:
    """What the draws of one or more mini-batches are made from: on the host, except for `carried` and `head_there`.

    Attributes:
        carried: (C,) the posterior W is taken from.
        head: positions that are always evaluated.
        head_there: (H,) the same on the device.
        expected: (C,) float64, mean number of draws, zero for the head.
        unit: posterior mass that one draw stands for.
    """

    carried: Tensor
    head: tuple[int, ...]
    head_there: Tensor
    expected: Tensor
    unit: float

    @classmethod
    def build(cls, carried: Tensor, head: tuple[int, ...], em: EMSpec, here: Tensor | None = None) -> Proposal:
        """`em.prune_samples` draws on average, fewer from a tail lighter than eps; `here`: `carried` on the host."""
        tail = (carried.cpu() if here is None else here).double().index_fill(0, torch.tensor(head), 0)
        unit = max(float(tail.sum()), em.prune_eps) / em.prune_samples
        return cls(carried, head, *send([head], carried.device), tail / unit, unit)

    @property
    def variance(self) -> float:
        """Sum over configurations of the variance of their weights."""
        share = self.expected.frac()
        return self.unit**2 * float((share * (1 - share)).sum())

    def draw(self, subset_at: Callable[[tuple[int, ...]], Subset], key: tuple[object, ...]) -> Drawn:
        """Head and tail for the mini-batch that `key` names; `subset_at` plans those at some positions."""
        stream = torch.zeros(1, dtype=torch.int64)
        counts = systematic_counts(
            self.expected, float(keyed_random.uniform(keyed_random.key("tail", *key), stream, 1))
        )
        positions = sorted({*self.head, *counts.nonzero()[:, 0].tolist()})
        subset = subset_at(tuple(positions))
        (drawn,) = send([counts[positions].long().tolist()], self.carried.device)
        in_head = (subset.positions[:, None] == self.head_there).any(1)
        tail_weights = (drawn.double() * self.unit).to(self.carried.dtype)
        return Drawn(subset.trie, subset.positions, carried=self.carried, in_head=in_head, tail_weights=tail_weights)

    def in_use(self, exact: Tensor) -> Tensor:
        """W (C,) for a mini-batch whose posterior is `exact` (C,), as item 3 makes it."""
        head = self.head_there
        own = exact[head] / exact[head].sum() * self.carried[head].sum()
        return self.carried.index_copy(0, head, own)

    def distance(self, exact: Tensor) -> Tensor:
        """Total-variation distance between the posterior in use and the exact one (C,)."""
        return (self.in_use(exact) - exact).abs().sum() / 2
