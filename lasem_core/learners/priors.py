"""Beliefs other than Eq. 1's: what the released code does, what Section 3 mentions, and a count that forgets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lasem_core.em import CountPrior, Prior
from lasem_core.spec.consistency import EARLY


class HistoryPrior(CountPrior):
    """Section 3's alternative, the history over tasks: what earlier tasks counted, `earlier` (C,), joins the belief.

    The votes are the task's own: otherwise two equal tasks would outvote every later one.
    """

    def __init__(self, start: Tensor, earlier: Tensor):
        super().__init__(start)
        self.earlier = earlier

    def probabilities(self) -> Tensor:
        total = self.earlier + self.votes
        return total / total.sum()


class UniformPrior(CountPrior):
    """A uniform belief for the posterior, while the votes for the final choice are counted."""

    def __init__(self, start: Tensor):
        super().__init__(start)
        self.uniform = start / start.sum()

    def probabilities(self) -> Tensor:
        return self.uniform


class RunningMeanPrior(UniformPrior):
    """The released default: the mean of the task's posteriors; uniform only before the first one."""

    def __init__(self, start: Tensor):
        super().__init__(start)
        self.votes, self.n = torch.zeros_like(start), 0

    def probabilities(self) -> Tensor:
        return self.votes / self.n if self.n else self.uniform

    def update(self, posterior: Tensor) -> None:
        self.votes += posterior
        self.n += 1

    def state(self) -> dict[str, Any]:
        return super().state() | {"n": self.n}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.n = state["n"]


class FadingPrior(CountPrior):
    """Eq. 1 with a memory of about 1 / `forget` mini-batches, so that an early winner can be dethroned (ours)."""

    def __init__(self, start: Tensor, forget: float):
        super().__init__(start)
        self.start, self.forget = start, forget

    def update(self, posterior: Tensor) -> None:
        self.votes.lerp_(self.start, self.forget)
        super().update(posterior)


class RelatedPrior(CountPrior):
    """Section 3's alternative, related tasks: earlier tasks' counts, each weighted by how alike the tasks are (ours).

    A task's profile is the sum over its first `EARLY` mini-batches of log P(y | X, c), centred over c; two tasks are
    as related as the cosine of their profiles, and not at all below 0.

    Arguments:
        profiles: (T, C) of the T earlier tasks.
        counts: (T, C) what they counted.
    """

    def __init__(self, start: Tensor, profiles: Tensor, counts: Tensor):
        super().__init__(start)
        self.profiles, self.counts = profiles, counts
        self.profile, self.n = torch.zeros_like(start), 0

    def probabilities(self) -> Tensor:
        relatedness = torch.cosine_similarity(self.profiles, self.profile[None]).clamp_min(0)  # (T,)
        total = self.votes + relatedness @ self.counts
        return total / total.sum()

    def update(self, posterior: Tensor) -> None:
        if self.n < EARLY:  # a posterior over its prior is the likelihood, up to a factor
            ratio = posterior / self.probabilities()
            log_lik = ratio.clamp_min(torch.finfo(ratio.dtype).tiny).log()
            self.profile += log_lik - log_lik.mean()
            self.n += 1
        super().update(posterior)

    def state(self) -> dict[str, Any]:
        return super().state() | {"profile": self.profile, "n": self.n}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.profile, self.n = state["profile"], state["n"]


# those that need nothing but what a configuration counts at the beginning
PRIORS: dict[str, type[Prior]] = {"count": CountPrior, "running-mean": RunningMeanPrior, "uniform": UniformPrior}
