"""The ablation of Section 4.3: the posterior is a constant, so every configuration's gradient stays in the sum."""

from __future__ import annotations

import torch

from lasem_core.common.errors import LasemError
from lasem_core.em import Prior
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.spec.configs import ConfigSpace, TransferConfig


class FixedPosterior(ConfiguredLearner):
    """Weight P on `spec.config`, (1 - P) / (|C| - 1) on every other one (released code, item 17)."""

    @property
    def favourite(self) -> TransferConfig:
        return TransferConfig.parse(self.spec.config, self.spec.model.depth)

    def search_space(self) -> ConfigSpace:
        """At P = 1 the other configurations have no weight at all and are not evaluated."""
        if self.spec.em.fixed_mass == 1:
            return ConfigSpace((self.favourite,))
        if self.favourite not in self.spec.space.positions:
            raise LasemError(
                f"config '{self.spec.config}' is not among the {len(self.spec.space)} configurations of em.groups "
                f"'{self.spec.em.groups}'; choose one that is the same within each group, or leave the groups out "
                "(--set em.groups=)"
            )
        return self.spec.space

    def initial_prior(self) -> Prior:
        mass, n = self.spec.em.fixed_mass, len(self.space)
        weights = torch.full((n,), (1 - mass) / max(n - 1, 1), device=self.env.device, dtype=self.env.dtype)
        weights[self.space.positions[self.favourite]] = mass
        return Prior(weights)
