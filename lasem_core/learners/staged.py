"""Methods over the stages of any network in place of the layers of the paper's CNN."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.learners.lasem import Lasem
from lasem_core.learners.protocol import Environment, TaskContext
from lasem_core.learners.static import SingleTask, Static
from lasem_core.model import transfer
from lasem_core.model.network import TaskTensors
from lasem_core.model.small_networks import NETWORKS
from lasem_core.model.stage import Stage
from lasem_core.model.staged import StagedNetwork, Stages, StageSharing
from lasem_core.model.transfer import Initializer


def named_stages(env: Environment) -> Stages:
    """The stages of `model.network`."""
    spec = env.spec
    init = Initializer(spec.model, (spec.seed, "common"), env.device, env.dtype)
    factories = NETWORKS[spec.model.network](*env.image_shape[:2])
    return Stages(factories, torch.nn.Linear, spec.base, spec.model.dropout, init)


class OverStages(ConfiguredLearner):
    """Mixed into a method: what it does, with the tensors of stages.

    Arguments:
        stages: a user's own (`runs/layer_transfer.py`); None: those that the run's specification names.
    """

    def __init__(self, env: Environment, stages: Stages | None = None):
        self.stages = stages or named_stages(env)
        self.n_classes: dict[int, int] = {}  # of each task
        super().__init__(env)

    def body(self) -> tuple[Stages, StageSharing]:
        return self.stages, StageSharing(transfer.sharing(self.env.spec))

    def begin_task(self, context: TaskContext) -> None:
        self.n_classes[context.number] = context.task.n_classes
        self.stages.try_out(context.first_images(), context.task.n_classes)
        super().begin_task(context)

    def _new_task(self, context: TaskContext) -> TaskTensors:
        trie, init = self._trie(self.space.configs), self._init("task", context.visit)
        head = [self.stages.head(context.task.n_classes).fresh(init)]
        return TaskTensors.create(self.stages.layers, self.sharing, trie, Stage.fresh, head, init)

    def _network(self, number: int) -> StagedNetwork:
        head = self.stages.head(self.n_classes[number])
        return StagedNetwork(self.stages, self.sharing, self.shared, self.tasks[number], self.env.dtype, head=head)

    def train_step(self, batch: Batch) -> None:
        self.stages.train(True)
        super().train_step(batch)

    def predict(self, task: int, images: Tensor) -> Tensor:
        self.stages.train(False)
        return super().predict(task, images)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"n_classes": self.n_classes, "n_features": self.stages.n_features}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.n_classes, self.stages.n_features = state["n_classes"], state["n_features"]


class StagedLasem(OverStages, Lasem):
    """LASEM over stages."""


class StagedStatic(OverStages, Static):
    """One configuration of stages for all tasks."""


class StagedSingleTask(OverStages, SingleTask):
    """A network of stages for each task."""


STAGED: dict[str, type[OverStages]] = {"lasem": StagedLasem, "static": StagedStatic, "single-task": StagedSingleTask}
