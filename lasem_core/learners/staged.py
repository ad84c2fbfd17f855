"""Methods over the stages of any network in place of the layers of the paper's CNN."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lasem_core.common.errors import LasemError
from lasem_core.data.stream import Batch
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.learners.lasem import Lasem
from lasem_core.learners.protocol import Environment, TaskContext
from lasem_core.learners.static import SingleTask, Static
from lasem_core.model import transfer
from lasem_core.model.network import TaskTensors
from lasem_core.model.small_networks import NETWORKS
from lasem_core.model.staged import Stage, StagedNetwork, Stages, StageSharing, seeded
from lasem_core.model.transfer import Initializer


def named_stages(env: Environment) -> Stages:
    """The stages of `model.network`."""
    spec = env.spec
    init = Initializer(spec.model, (spec.seed, "common"), env.device, env.dtype)
    factories = NETWORKS[spec.model.network](*env.image_shape[:2])
    return Stages(factories, torch.nn.Linear, spec.base, spec.model.dropout, init)


@torch.no_grad()
def try_company(stages: Stages, images: Tensor, n_classes: int) -> None:
    """Try every stage, and the head, on the first of images (B, ...) in company that is unlike it.

    Raises LasemError for one whose output depends on the company, or that changes its input.
    """
    x = stages.cast(images[:1])
    for stage in stages.layers:
        x = _try_company(stage, x)
    _try_company(stages.head(n_classes), x.flatten(1))


def _try_company(stage: Stage, x: Tensor) -> Tensor:
    """Output (1, ...) for x (1, ...)."""
    company = _unlike(x)
    alone = x.expand(company.shape).clone()
    version = alone._version  # counts changes in place
    inputs = [alone, company] if _takes(stage, company.clone()) else [alone]
    outputs = stage.try_out(inputs)
    if alone._version != version:
        raise LasemError(f"{stage.name} changes its input in place, which other configurations need; begin it "
                         "without inplace=True, such as torch.nn.ReLU()")  # fmt: skip
    return outputs[0][:1]


def _unlike(x: Tensor) -> Tensor:
    """x (1, ...) and copies (N, ...) beyond its extremes; whole numbers, such as tokens, stay those that x has."""
    flipped = x.flip(tuple(range(1, x.dim())))
    if x.is_floating_point():
        return torch.cat([x, 2 * x + 1, -1.5 * x - 1, flipped])
    return torch.cat([x, x.max().expand(x.shape), x.min().expand(x.shape), flipped])


def _takes(stage: Stage, x: Tensor) -> bool:
    """Whether the stage runs for x (N, ...): it may want certain values, such as numbers of words."""
    try:
        with seeded(x.device, "try"):
            stage.module(x)
    except Exception:
        return False
    return True


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
        images, n_classes = context.first_images(), context.task.n_classes
        self.stages.try_out(images.clone(), n_classes)  # a copy: a stage may turn out to change its input
        try_company(self.stages, images, n_classes)
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
