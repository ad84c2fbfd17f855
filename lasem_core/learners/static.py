"""Methods whose belief about configurations stays as it is: one for all tasks, no transfer, a fixed posterior."""

from __future__ import annotations

import torch

from lasem_core.common.errors import LasemError
from lasem_core.em import Prior
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.spec.configs import ConfigSpace, TransferConfig


class Static(ConfiguredLearner):
    """Every task transfers the layers of `spec.config` (paper, Section 2)."""

    def search_space(self) -> ConfigSpace:
        return self._only(self.spec.config)

    def _only(self, config: str) -> ConfigSpace:
        return ConfigSpace((TransferConfig.parse(config, self.spec.model.depth),))


class SingleTask(Static):
    """Independent networks, the bound without any transfer; its forgetting ratio is 1 by construction."""

    def search_space(self) -> ConfigSpace:
        return self._only("none")

    @property
    def configs(self) -> list[str]:
        return []


class FixedPosterior(ConfiguredLearner):
    """Section 4.3's ablation, where every configuration's gradient stays in the sum for good.

    Weight P on `spec.config`, (1 - P) / (|C| - 1) on every other one (released code, item 17).
    """

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
