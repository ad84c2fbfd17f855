"""Independent networks, one per task: the bound without any transfer."""

from __future__ import annotations

from lasem_core.learners.static import Static
from lasem_core.spec.configs import ConfigSpace, TransferConfig


class SingleTask(Static):
    """No layer is transferred; its forgetting ratio is 1 by construction."""

    def search_space(self) -> ConfigSpace:
        return ConfigSpace((TransferConfig.parse("none", self.spec.model.depth),))

    @property
    def configs(self) -> list[str]:
        return []
