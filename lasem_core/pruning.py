"""Which configurations the next mini-batch evaluates (`em.prune`): all, or those that carry the posterior.

`off`        every configuration, every time: the exact algorithm.
`refreshed`  a full E- and M-step every `prune_every` mini-batches; in between only the smallest set S that held
             1 - eps of the last full posterior. At each full step the mass outside S is measured (it is the
             total-variation distance between the posterior in use and the exact one); above eps, the next window
             is full again. While windows are full, S comes from a running mean over about ten mini-batches.
`certified`  S from the prior, and a bound instead of a measurement: with the mean likelihood, at most 1, the mass
             outside S is at most sum_{c not in S} prior_c / sum_{c in S} prior_c L_c, computed at every mini-batch.

The host waits for the device once per window, never in between; with `off`, never.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lasem_core.em import Active, Prior, Step
from lasem_core.spec import EMSpec

Activate = Callable[[tuple[int, ...] | None], Active]


class Exact:
    """`off`: the whole space at every mini-batch."""

    def __init__(self, em: EMSpec, n: int, activate: Activate):
        self.em, self.n, self.activate = em, n, activate
        self.everything = activate(None)

    def active(self) -> Active:
        """What the next mini-batch evaluates."""
        return self.everything

    def observe(self, step: Step, prior: Prior) -> None:
        """Take in what the mini-batch has shown."""

    def report(self) -> dict[str, float]:
        """Columns for the epoch's row of the history; nothing to say here."""
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""


class Refreshed(Exact):
    """`refreshed`: measured at every full step."""

    def __init__(self, em: EMSpec, n: int, activate: Activate):
        super().__init__(em, n, activate)
        self.step, self.kept = 0, None
        self.recent = torch.zeros_like(self.everything.trie.bits[:, 0])
        self.worst = torch.zeros_like(self.recent[0])
        self.evaluated, self.steps, self.reported = 0, 0, 0.0

    @property
    def is_full(self) -> bool:
        return self.kept is None or self.step % self.em.prune_every == 0

    def active(self) -> Active:
        return self.everything if self.is_full else self.activate(self.kept)

    def observe(self, step: Step, prior: Prior) -> None:
        self.evaluated += self.n if self.is_full else len(self.kept)
        self.steps += 1
        self._measure(step, prior)
        self.step += 1
        if self.step % self.em.prune_every == 1 and self.step > 1:
            self._decide(prior)

    def _measure(self, step: Step, prior: Prior) -> None:
        if not self.is_full:
            return
        if self.kept is None:
            self.recent = 0.9 * self.recent + 0.1 * step.posterior
        else:
            self.recent = step.posterior
            self.worst = 1 - step.posterior[self.activate(self.kept).positions].sum()

    def _decide(self, prior: Prior) -> None:
        """The one place that waits for the device, right after a full step."""
        worst = float(self.worst)
        self.reported = max(self.reported, worst)
        too_much = worst > self.em.prune_eps
        self.kept = None if too_much else self._smallest_set(self.recent / self.recent.sum(), 1 - self.em.prune_eps)
        self.recent, self.worst = torch.zeros_like(self.recent), torch.zeros_like(self.worst)

    def _smallest_set(self, weights: Tensor, mass: float) -> tuple[int, ...] | None:
        """Positions of the fewest configurations with `mass` of `weights`, in canonical order; None = all."""
        ordered = sorted(enumerate(weights.tolist()), key=lambda pair: -pair[1])
        kept, held = [], 0.0
        for position, weight in ordered:
            if held >= mass:
                break
            kept.append(position)
            held += weight
        return tuple(sorted(kept)) if len(kept) < self.n else None

    def report(self) -> dict[str, float]:
        """Configurations evaluated per mini-batch, and the largest mass measured (or bounded) outside."""
        row = {"evaluated": self.evaluated / max(self.steps, 1), "pruned_mass": self.reported}
        self.evaluated, self.steps, self.reported = 0, 0, 0.0
        return row

    def state(self) -> dict[str, Any]:
        kept = None if self.kept is None else list(self.kept)
        return {"step": self.step, "kept": kept, "recent": self.recent, "worst": self.worst, "reported": self.reported}

    def load(self, state: dict[str, Any]) -> None:
        self.step, self.reported = state["step"], state["reported"]
        self.kept = None if state["kept"] is None else tuple(state["kept"])
        self.recent, self.worst = state["recent"], state["worst"]


class Certified(Refreshed):
    """`certified`: bounded at every mini-batch; no full steps once S stands."""

    def __init__(self, em: EMSpec, n: int, activate: Activate):
        super().__init__(em, n, activate)
        self.least = torch.ones_like(self.worst)

    @property
    def is_full(self) -> bool:
        return self.kept is None

    def _measure(self, step: Step, prior: Prior) -> None:
        self.least = torch.minimum(self.least, step.evidence)
        if self.kept is not None:
            inside = prior.probabilities()[self.activate(self.kept).positions].sum()
            self.worst = torch.maximum(self.worst, (1 - inside) / (inside * step.evidence))

    def _decide(self, prior: Prior) -> None:
        worst, least = float(self.worst), float(self.least)
        self.reported = max(self.reported, worst)
        if self.kept is None:
            self.kept = self._smallest_set(prior.probabilities(), 1 - self.em.prune_eps * least)
        elif worst > self.em.prune_eps:
            self.kept = None
        self.worst.zero_()
        self.least.fill_(1)

    def state(self) -> dict[str, Any]:
        return super().state() | {"least": self.least}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.least = state["least"]


RULES = {"off": Exact, "refreshed": Refreshed, "certified": Certified}
