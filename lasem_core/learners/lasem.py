"""LASEM (paper, Section 3, Algorithm 1): the configuration of each task is chosen by EM while it trains."""

from __future__ import annotations

import torch

from lasem_core.em import PRIORS, HistoryPrior, Prior
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.learners.protocol import Environment
from lasem_core.spec.configs import ConfigSpace


class Lasem(ConfiguredLearner):
    """All configurations at once, weighted by their posterior; at task end the most probable one stays."""

    def __init__(self, env: Environment):
        super().__init__(env)
        self.likelihood = env.spec.em.likelihood
        self.history = torch.zeros(len(self.space), device=env.device, dtype=env.dtype)  # won in earlier tasks

    def search_space(self) -> ConfigSpace:
        return self.spec.space

    def initial_prior(self) -> Prior:
        """A new belief for each task; only `history` takes in what earlier tasks counted."""
        start = torch.full_like(self.history, self.spec.em.prior_count)
        if self.spec.em.prior == "history":
            return HistoryPrior(start, self.history)
        return PRIORS[self.spec.em.prior](start)

    def end_task(self) -> None:
        search = self.open.search
        if self.spec.em.prior == "history" and len(search.trie) > 1:
            self.history = self.history + search.prior.votes - self.spec.em.prior_count
        super().end_task()

    def state_dict(self) -> dict:
        return super().state_dict() | {"history": self.history}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.history = state["history"]
