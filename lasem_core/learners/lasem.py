"""LASEM (paper, Section 3, Algorithm 1): the configuration of each task is chosen by EM while it trains."""

from __future__ import annotations

import torch

from lasem_core.em import Prior
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.learners.open_task import OpenTask
from lasem_core.learners.priors import PRIORS, FadingPrior, HistoryPrior, RelatedPrior
from lasem_core.learners.protocol import Environment
from lasem_core.spec.configs import ConfigSpace

CERTAIN = 0.9  # a largest posterior above it ends the search of a task that is visited again


class Lasem(ConfiguredLearner):
    """All configurations at once, weighted by their posterior; at task end the most probable one stays."""

    def __init__(self, env: Environment):
        super().__init__(env)
        self.likelihood = env.spec.em.likelihood
        nothing = torch.zeros(0, len(self.space), device=env.device, dtype=env.dtype)
        self.counts, self.profiles = nothing, nothing  # (T, C) of the finished tasks, for the beliefs that remember

    def search_space(self) -> ConfigSpace:
        return self.spec.space

    def initial_prior(self) -> Prior:
        """A new belief for each task; only `history` and `related` take in what earlier tasks counted."""
        em = self.spec.em
        start = torch.full_like(self._trie(self.space.configs).bits[:, 0], em.prior_count)
        if em.prior == "history":
            return HistoryPrior(start, self.counts.sum(0))
        if em.prior == "related":
            return RelatedPrior(start, self.profiles, self.counts)
        return FadingPrior(start, em.forget) if em.forget else PRIORS[em.prior](start)

    def goes_on(self, task: OpenTask) -> bool:
        """`em.revisit=search`: as long as no configuration stands out (ours; Section 3 lets tasks switch before they
        converge)."""
        return self.spec.em.revisit == "search" and len(task.search.trie) > 1 and task.certainty <= CERTAIN

    def end_task(self) -> None:
        prior = self.open.search.prior
        if isinstance(prior, HistoryPrior | RelatedPrior):
            self.counts = torch.cat([self.counts, (prior.votes - self.spec.em.prior_count)[None]])
        if isinstance(prior, RelatedPrior):
            self.profiles = torch.cat([self.profiles, prior.profile[None]])
        super().end_task()

    def state_dict(self) -> dict:
        return super().state_dict() | {"counts": self.counts, "profiles": self.profiles}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        for name in ("counts", "profiles"):  # older models have none, and predict without
            setattr(self, name, state.get(name, getattr(self, name)))
