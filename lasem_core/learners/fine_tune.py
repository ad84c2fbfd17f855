"""One network for all tasks, trained on whatever comes: the field's usual reference point for forgetting.

All convolutions are shared, each task has a head of its own (McCloskey and Cohen 1989 describe what happens then).
The numbers are those of `static` with configuration `all` and hard parameter sharing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.em import expected_loss
from lasem_core.learners.mean_loss import MeanLoss
from lasem_core.learners.protocol import Environment, EpochReport
from lasem_core.learners.static import Static
from lasem_core.model.layers import tensors_of
from lasem_core.model.network import TaskNetwork
from lasem_core.spec.configs import ConfigSpace


class FineTune(Static):
    """Every layer is transferred and nothing protects what earlier tasks need."""

    def __init__(self, env: Environment):
        super().__init__(env)
        self.mean_loss = MeanLoss(env)

    def search_space(self) -> ConfigSpace:
        return self._only("all")

    def sample(self, batch: Batch) -> tuple[TaskNetwork, Batch]:
        """The network a step trains and what it is shown."""
        return self.open.network, batch

    def regularise(self, gradients: list[Tensor | None]) -> list[Tensor | None]:
        """A last word on the gradients; those of the shared tensors come first."""
        return gradients

    def train_step(self, batch: Batch) -> None:
        network, batch = self.sample(batch)
        trie, optimizer = self.open.search.trie, self.open.search.optimizer
        features = network.features(batch.images, trie)
        loss = expected_loss(network, trie, features, self.open.search.prior.probabilities(), batch, 0)
        gradients = torch.autograd.grad(loss, optimizer.parameters, allow_unused=True)
        optimizer.step(self.regularise(list(gradients)), batch.lr)
        self.mean_loss.add(loss)

    def end_epoch(self) -> EpochReport:
        return EpochReport(loss=self.mean_loss.take())

    def shared_tensors(self) -> list[Tensor]:
        """The convolutions all tasks share."""
        return tensors_of(self.shared)

    @property
    def configs(self) -> list[str]:
        return []
