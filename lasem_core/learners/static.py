"""One transfer configuration for all tasks (paper, Section 2)."""

from __future__ import annotations

import torch

from lasem_core.em import Prior
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.spec.configs import ConfigSpace, TransferConfig


class Static(ConfiguredLearner):
    """Every task transfers the layers of `spec.config`."""

    def search_space(self) -> ConfigSpace:
        return ConfigSpace((TransferConfig.parse(self.spec.config, self.spec.model.depth),))

    def initial_prior(self) -> Prior:
        return Prior(torch.ones(1, device=self.env.device, dtype=self.env.dtype))
