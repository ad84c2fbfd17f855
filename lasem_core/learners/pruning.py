"""Which configurations the next mini-batch evaluates (`em.prune`): all, or those that carry the posterior.

`off`        every configuration, every time: the exact algorithm.
`refreshed`  windows of `prune_every` mini-batches that evaluate the same set S. The last mini-batch of a window is a
             full evaluation: an E-step over all configurations, which measures the mass outside S (the total-variation
             distance between the posterior in use and the exact one) and gives the next S, the smallest set with
             1 - eps of it. Above eps the next window takes the whole space, and the S after it comes from a running
             mean of its posteriors over about ten mini-batches.
`sampled`    as `refreshed`, but the M-step takes at most `prune_samples` configurations of S, and about as many drawn
             from all others, weighted so that the gradient is unbiased (`sampling.py`).

Synchronises with the device once per window; `sampled` also at every full evaluation, which its M-step is drawn from;
`off` never.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lasem_core.data.stream import Batch, Split
from lasem_core.em import Prior, Step, e_step, em_step, shown
from lasem_core.learners.sampling import Proposal
from lasem_core.learners.subset import Subset, subset_step
from lasem_core.model.network import TaskNetwork, Trie
from lasem_core.model.optim import RMSProp
from lasem_core.spec.parts import EMSpec

KEPT_PLANS = 256  # of subsets; `sampled` draws ever new ones


@dataclass
class Search:
    """What the EM steps of one task work on; `likelihood` None: no E-step (static, fixed posterior).

    Attributes:
        held_out: images that the E-step looks at in place of the mini-batch's; None: the mini-batch's.
        beta: the likelihood's exponent at the present step.
    """

    network: TaskNetwork
    trie: Trie
    prior: Prior
    optimizer: RMSProp
    likelihood: str | None
    em: EMSpec
    held_out: Split | None = None
    beta: float = 1.0
    _plans: dict[tuple[int, ...], Subset] = field(default_factory=dict)

    def step(self, batch: Batch) -> Step:
        """The exact EM step."""
        return em_step(self.network, self.trie, self.prior, self.optimizer, batch, *self._how(batch))

    def step_on(self, subset: Subset, batch: Batch) -> Step:
        """The EM step over `subset`."""
        return subset_step(self.network, subset, self.prior, self.optimizer, batch, *self._how(batch))

    def _how(self, batch: Batch) -> tuple[str | None, int, float, Batch | None]:
        return self.likelihood, self.em.m_steps, self.beta, self._judge(batch)

    def uniform_step(self, batch: Batch) -> Step:
        """An M-step of every configuration alike; the belief stays as it is."""
        uniform = Prior(torch.ones_like(self.trie.bits[:, 0]))
        return em_step(self.network, self.trie, uniform, self.optimizer, batch, None, self.em.m_steps)

    def exact_posterior(self, batch: Batch) -> Tensor:
        """(C,), and nothing is changed."""
        seen = shown(self.network, self.trie, self._judge(batch) or batch)
        return e_step(self.network, self.prior.probabilities(), *seen, self.likelihood, self.beta)

    def _judge(self, batch: Batch) -> Batch | None:
        return None if self.held_out is None else self.held_out.in_place_of(batch, "evidence")

    def subset(self, positions: tuple[int, ...]) -> Subset:
        """The configurations at `positions` of the space."""
        if positions not in self._plans:
            if len(self._plans) == KEPT_PLANS:
                del self._plans[next(iter(self._plans))]
            configs, bits = [self.trie.configs[p] for p in positions], self.trie.bits
            trie = Trie.build(configs, bits.device, bits.dtype)
            self._plans[positions] = Subset(trie, torch.searchsorted(self.trie.index, trie.index))
        return self._plans[positions]


class Exact:
    """`off`: the whole space at every mini-batch."""

    def __init__(self, search: Search):
        self.search, self.em, self.n = search, search.em, len(search.trie)

    def step(self, batch: Batch) -> Step:
        """One mini-batch."""
        return self.search.step(batch)

    def unjudged_step(self, batch: Batch) -> Step:
        """One mini-batch of `em.start`."""
        return self.search.uniform_step(batch)

    def report(self) -> dict[str, float]:
        """Columns for the epoch's row of the history; nothing to say here."""
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""


def smallest_set(weights: Tensor, mass: float, largest: int) -> tuple[int, ...] | None:
    """Positions of the fewest configurations that hold `mass` of `weights` (C,), at most `largest`, in canonical
    order; None = all. Waits for the device."""
    kept, held = [], 0.0
    for position, weight in sorted(enumerate(weights.tolist()), key=lambda pair: -pair[1]):
        if held >= mass or len(kept) == largest:
            break
        kept.append(position)
        held += weight
    return tuple(sorted(kept)) if len(kept) < len(weights) else None


@dataclass
class Window:
    """Mini-batches that evaluate the same configurations.

    Attributes:
        kept: their positions; None = the whole space.
        left: mini-batches to come; the last one of a window that keeps some is a full evaluation.
        evidence: (C,) what the next window's choice is made from.
        outside: () mass measured outside `kept`.
    """

    kept: tuple[int, ...] | None
    left: int
    evidence: Tensor
    outside: Tensor

    @property
    def is_full(self) -> bool:
        """Whether the next mini-batch evaluates the whole space."""
        return self.kept is None or self.left == 1


class Refreshed(Exact):
    """`refreshed`: chosen and measured at every full evaluation."""

    def __init__(self, search: Search):
        super().__init__(search)
        self.window = self._open(None, self.em.prune_every + 1)  # the first mini-batch of a task is one of its own
        self.steps, self.evaluated, self.updated, self.largest_outside = 0, 0, 0, 0.0

    def _open(self, kept: tuple[int, ...] | None, left: int) -> Window:
        nothing = torch.zeros_like(self.search.trie.bits[:, 0])
        return Window(kept, left, nothing, torch.zeros_like(nothing[0]))

    def step(self, batch: Batch) -> Step:
        window, is_full = self.window, self.window.is_full
        step, n_updated = self._step(batch)
        if window.kept is None:
            window.evidence = 0.9 * window.evidence + 0.1 * step.posterior
        self._count(self.n if is_full else n_updated, n_updated)
        window.left -= 1
        if window.left == 0:
            self.window = self._next()
        return step

    def unjudged_step(self, batch: Batch) -> Step:
        self._count(self.n, self.n)
        return super().unjudged_step(batch)

    def _count(self, evaluated: int, updated: int) -> None:
        """One mini-batch more, for the report."""
        self.steps += 1
        self.evaluated += evaluated
        self.updated += updated

    def _step(self, batch: Batch) -> tuple[Step, int]:
        """The step, and how many configurations its M-step took."""
        window, search = self.window, self.search
        if window.kept is None:
            return search.step(batch), self.n
        subset = search.subset(window.kept)
        if window.is_full:
            window.evidence = search.exact_posterior(batch)
            window.outside = 1 - window.evidence[subset.positions].sum()
        return search.step_on(subset, batch), len(window.kept)

    def _next(self) -> Window:
        """The one place that waits for the device, at the end of a window."""
        outside, evidence = float(self.window.outside), self.window.evidence
        self.largest_outside = max(self.largest_outside, outside)
        kept = None
        if outside <= self.em.prune_eps:
            kept = smallest_set(evidence / evidence.sum(), 1 - self.em.prune_eps, self.largest)
        return self._open(kept, self.em.prune_every)

    @property
    def largest(self) -> int:
        """Configurations that a window may keep."""
        return self.n

    def report(self) -> dict[str, float]:
        """Configurations per mini-batch, evaluated and in the M-step; the largest mass measured outside."""
        n = max(self.steps, 1)
        row = {"evaluated": self.evaluated / n, "pruned_mass": self.largest_outside, "updated": self.updated / n}
        self.steps, self.evaluated, self.updated, self.largest_outside = 0, 0, 0, 0.0
        return row

    def state(self) -> dict[str, Any]:
        kept = None if self.window.kept is None else list(self.window.kept)
        return vars(self.window) | {"kept": kept}

    def load(self, state: dict[str, Any]) -> None:
        kept = None if state["kept"] is None else tuple(state["kept"])
        self.window = Window(**{name: state[name] for name in ("left", "evidence", "outside")}, kept=kept)


class Sampled(Refreshed):
    """`sampled`: the tail stays in the sum, by a few draws."""

    def __init__(self, search: Search):
        super().__init__(search)
        self.proposal: Proposal | None = None  # of the window
        self.variance = 0.0

    @property
    def largest(self) -> int:
        return self.em.prune_samples

    def _step(self, batch: Batch) -> tuple[Step, int]:
        """At a full evaluation the draw is made from the exact posterior, which then is the one in use."""
        window, search = self.window, self.search
        proposal = self._proposal_for(search.exact_posterior(batch)) if window.is_full else self.proposal
        self.variance += proposal.variance if proposal else 0
        subset = proposal.draw(search.subset, batch.key) if proposal else None
        step = search.step_on(subset, batch) if subset else search.step(batch)
        if window.kept is not None and window.is_full:
            window.evidence = step.posterior
            window.outside = self.proposal.distance(step.posterior)
        return step, len(subset.trie) if subset else self.n

    def _proposal_for(self, weights: Tensor) -> Proposal | None:
        here = weights.cpu()
        head = smallest_set(here, 1 - self.em.prune_eps, self.largest)
        return None if head is None else Proposal.build(weights, head, self.em, here)

    def _next(self) -> Window:
        carried = self.window.evidence / self.window.evidence.sum()
        window = super()._next()
        self.proposal = Proposal.build(carried, window.kept, self.em) if window.kept else None
        return window

    def report(self) -> dict[str, float]:
        """Besides: the standard deviation of the configurations' weights over draws."""
        deviation = math.sqrt(self.variance / max(self.steps, 1))
        self.variance = 0.0
        return super().report() | {"sampling_sd": deviation}

    def state(self) -> dict[str, Any]:
        return super().state() | {"carried": self.proposal and self.proposal.carried}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.proposal = Proposal.build(state["carried"], self.window.kept, self.em) if self.window.kept else None


RULES = {"off": Exact, "refreshed": Refreshed, "sampled": Sampled}
