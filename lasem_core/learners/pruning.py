"""Which configurations the next mini-batch evaluates (`em.prune`): all, or those that carry the posterior.

`off`        every configuration, every time: the exact algorithm.
`refreshed`  only the smallest set S that held 1 - eps of the last full posterior, which an E-step over all
             configurations gives every `prune_every` mini-batches. It also measures the mass outside S (the
             total-variation distance between the posterior in use and the exact one); above eps, the next window
             takes the whole space. While windows are full, S comes from a running mean over about ten mini-batches.
`sampled`    as `refreshed`, but the M-step takes at most `prune_samples` configurations of S, and about as many drawn
             from all others, weighted so that the gradient is unbiased (`sampling.py`).

The host waits for the device once per window, never in between, except that `sampled` also does at every full
E-step, which its M-step is drawn from; with `off`, never.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lasem_core.em import Active, Batch, Step
from lasem_core.learners.sampling import Proposal
from lasem_core.spec.run_spec import EMSpec

Activate = Callable[[tuple[int, ...] | None], Active]
Look = Callable[[Batch], Tensor]


class Exact:
    """`off`: the whole space at every mini-batch.

    Arguments:
        n: configurations in the space.
        activate: the plan for the configurations at these positions, None = all.
        look: the exact posterior (C,) of a mini-batch, which changes nothing.
    """

    def __init__(self, em: EMSpec, n: int, activate: Activate, look: Look):
        self.em, self.n, self.activate, self.look = em, n, activate, look
        self.everything = activate(None)

    def active(self, batch: Batch) -> Active:
        """What the next mini-batch evaluates."""
        return self.everything

    def observe(self, step: Step) -> None:
        """Take in what the mini-batch has shown."""

    def report(self) -> dict[str, float]:
        """Columns for the epoch's row of the history; nothing to say here."""
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""


class Refreshed(Exact):
    """`refreshed`: measured at every look at the whole space."""

    def __init__(self, em: EMSpec, n: int, activate: Activate, look: Look):
        super().__init__(em, n, activate, look)
        self.step, self.kept, self.largest = 0, None, n
        self.recent = torch.zeros_like(self.everything.trie.bits[:, 0])
        self.worst = torch.zeros_like(self.recent[0])
        self.evaluated, self.updated, self.steps, self.reported = 0, 0, 0, 0.0

    @property
    def is_full(self) -> bool:
        """Whether the next mini-batch evaluates the whole space."""
        return self.kept is None or self.step % self.em.prune_every == 0

    def active(self, batch: Batch) -> Active:
        active = self._choose(batch)
        self.n_active = len(active.trie)
        return active

    def _choose(self, batch: Batch) -> Active:
        if self.kept is None:
            return self.everything
        if self.is_full:
            self.recent = self.look(batch)
        return self.activate(self.kept)

    def observe(self, step: Step) -> None:
        self.evaluated += self.n if self.is_full else self.n_active
        self.updated += self.n_active
        self.steps += 1
        self._measure(step)
        self.step += 1
        if (self.step - 1) % self.em.prune_every == 0 and self.step > 1:
            self._decide()

    def _measure(self, step: Step) -> None:
        if self.kept is None:
            self.recent = 0.9 * self.recent + 0.1 * step.posterior
        elif self.is_full:
            self.worst = self._distance(self.recent)

    def _distance(self, exact: Tensor) -> Tensor:
        """Total-variation distance between the posterior in use and the exact one (C,)."""
        return 1 - exact[self.activate(self.kept).positions].sum()

    def _decide(self) -> None:
        """The one place that waits for the device, at the end of a window."""
        worst = float(self.worst)
        self.reported = max(self.reported, worst)
        too_much = worst > self.em.prune_eps
        self.kept = None if too_much else self._smallest_set(self.recent / self.recent.sum(), 1 - self.em.prune_eps)
        self.recent, self.worst = torch.zeros_like(self.recent), torch.zeros_like(self.worst)

    def _smallest_set(self, weights: Tensor, mass: float) -> tuple[int, ...] | None:
        """Positions of the fewest configurations with `mass` of `weights`, the `largest` at most, in canonical
        order; None = all."""
        ordered = sorted(enumerate(weights.tolist()), key=lambda pair: -pair[1])
        kept, held = [], 0.0
        for position, weight in ordered:
            if held >= mass or len(kept) == self.largest:
                break
            kept.append(position)
            held += weight
        return tuple(sorted(kept)) if len(kept) < self.n else None

    def report(self) -> dict[str, float]:
        """Configurations per mini-batch, evaluated and in the M-step; the largest mass measured outside."""
        n = max(self.steps, 1)
        row = {"evaluated": self.evaluated / n, "pruned_mass": self.reported, "updated": self.updated / n}
        self.evaluated, self.updated, self.steps, self.reported = 0, 0, 0, 0.0
        return row

    def state(self) -> dict[str, Any]:
        kept = None if self.kept is None else list(self.kept)
        return {"step": self.step, "kept": kept, "recent": self.recent, "worst": self.worst, "reported": self.reported}

    def load(self, state: dict[str, Any]) -> None:
        self.step, self.reported = state["step"], state["reported"]
        self.kept = None if state["kept"] is None else tuple(state["kept"])
        self.recent, self.worst = state["recent"], state["worst"]


class Sampled(Refreshed):
    """`sampled`: the tail stays in the sum, by a few draws."""

    def __init__(self, em: EMSpec, n: int, activate: Activate, look: Look):
        super().__init__(em, n, activate, look)
        self.largest = em.prune_samples
        self.proposal: Proposal | None = None  # of the window
        self.variance = 0.0

    def _choose(self, batch: Batch) -> Active:
        proposal = self._propose(self.look(batch)) if self.is_full else self.proposal
        self.variance += proposal.variance if proposal else 0
        return proposal.draw(self.activate, batch.key) if proposal else self.everything

    def _propose(self, weights: Tensor) -> Proposal | None:
        here = weights.cpu()
        head = self._smallest_set(here, 1 - self.em.prune_eps)
        return None if head is None else Proposal.build(weights, head, self.em, here)

    def _measure(self, step: Step) -> None:
        """At a full E-step the posterior in use is the exact one."""
        if self.kept is not None and self.is_full:
            self.recent = step.posterior
        super()._measure(step)

    def _distance(self, exact: Tensor) -> Tensor:
        return (self.proposal.in_use(exact) - exact).abs().sum() / 2

    def _decide(self) -> None:
        carried = self.recent / self.recent.sum()
        super()._decide()
        self.proposal = Proposal.build(carried, self.kept, self.em) if self.kept else None

    def report(self) -> dict[str, float]:
        """Besides: the standard deviation of the configurations' weights over draws."""
        deviation = math.sqrt(self.variance / max(self.steps, 1))
        self.variance = 0.0
        return super().report() | {"sampling_sd": deviation}

    def state(self) -> dict[str, Any]:
        return super().state() | {"carried": self.proposal and self.proposal.carried}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.proposal = Proposal.build(state["carried"], self.kept, self.em) if self.kept else None


RULES = {"off": Exact, "refreshed": Refreshed, "sampled": Sampled}
