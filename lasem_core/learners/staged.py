"""LASEM over the stages of a user's own network: what `Lasem` does, with other tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.learners.lasem import Lasem
from lasem_core.learners.protocol import Environment, TaskContext
from lasem_core.model.network import TaskTensors
from lasem_core.model.staged import StagedNetwork, Stages, StageSharing


class StagedLasem(Lasem):
    """See `runs/layer_transfer.py` for the way in."""

    def __init__(self, env: Environment, stages: Stages):
        super().__init__(env)
        self.arch, self.sharing = stages, StageSharing(self.sharing)
        self.n_classes: dict[int, int] = {}  # of each task

    def _new_task(self, context: TaskContext) -> TaskTensors:
        n_classes = self.n_classes[context.number] = context.task.n_classes
        return self.arch.new_task(
            self.sharing, self._trie(self.space.configs), n_classes, self._init("task", context.visit)
        )

    def _network(self, number: int) -> StagedNetwork:
        head = self.arch.head(self.n_classes[number])
        return StagedNetwork(self.arch, self.sharing, self.shared, self.tasks[number], self.env.dtype, head=head)

    def train_step(self, batch: Batch) -> None:
        self.arch.train(True)
        super().train_step(batch)

    def predict(self, task: int, images: Tensor) -> Tensor:
        self.arch.train(False)
        return super().predict(task, images)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"n_classes": self.n_classes, "n_features": self.arch.n_features}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.n_classes, self.arch.n_features = state["n_classes"], state["n_features"]
