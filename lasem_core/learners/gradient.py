"""What the methods without transfer configurations share: the gradient step, the epoch's loss, resuming.

GradientLearner
├── Progressive     a column per task, laterals from the frozen ones
├── Den             one network that grows, units stamped with their task
└── Apd             shared filters, masked and corrected by each task
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.learners.mean_loss import MeanLoss
from lasem_core.learners.protocol import Environment, EpochReport, Learner, TaskContext
from lasem_core.model.layers import dropout, head_logits
from lasem_core.model.optim import RMSProp
from lasem_core.model.transfer import Initializer, Tensors


class GradientLearner(Learner):
    """A learner that follows the gradient of cross-entropy plus a penalty of its own.

    Attributes:
        knowledge: names of the attributes that, with `heads`, are its state outside an open task's training.
        training: names of those that an open task's training goes on from, the optimizer's state excepted.
    """

    knowledge: tuple[str, ...]
    training: tuple[str, ...] = ()

    def __init__(self, env: Environment):
        super().__init__(env)
        self.arch = env.arch
        self.heads: dict[int, list[Tensors]] = {}
        self.current: TaskContext | None = None
        self.mean_loss = MeanLoss(env)

    @abstractmethod
    def add_task(self, context: TaskContext) -> None:
        """Make the tensors of a new task, `heads[context.number]` among them."""

    @abstractmethod
    def trainable(self) -> list[Tensor]:
        """What the open task's gradient steps change; always in the same order."""

    @abstractmethod
    def features(self, number: int, images: Tensor) -> Tensor:
        """Flattened features (B, F) of a task for images (B, C, H, W)."""

    def penalty(self) -> Tensor | None:
        """What is added to the cross-entropy, if anything."""
        return None

    def regularise(self, gradients: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """A last word on the gradients of `trainable`."""
        return gradients

    def after_step(self, lr: float) -> None:
        """Proximal steps and the like, after each gradient step."""

    def begin_task(self, context: TaskContext) -> None:
        if context.number not in self.heads:
            self.add_task(context)
        self._open(context)

    def _open(self, context: TaskContext) -> None:
        self.current = context
        self.renew_optimizer()

    def renew_optimizer(self) -> None:
        """A fresh optimizer state over `trainable`."""
        self.optimizer = RMSProp([t.requires_grad_(True) for t in self.trainable()], self.spec.optim)

    def train_step(self, batch: Batch) -> None:
        features = self.features(self.current.number, batch.images)
        logits = head_logits(self.heads[self.current.number], dropout(features, self.arch.dropout, (*batch.key, 0)))
        loss = F.cross_entropy(logits, batch.labels)
        penalty = self.penalty()
        total = loss if penalty is None else loss + penalty
        gradients = torch.autograd.grad(total, self.optimizer.parameters, allow_unused=True)
        self.optimizer.step(self.regularise(gradients), batch.lr)
        self.after_step(batch.lr)
        self.mean_loss.add(loss)

    def end_epoch(self) -> EpochReport:
        return EpochReport(loss=self.mean_loss.take())

    def end_task(self) -> None:
        for tensor in self.optimizer.parameters:
            tensor.requires_grad_(False)
        self.current = None

    @torch.no_grad()
    def predict(self, task: int, images: Tensor) -> Tensor:
        return head_logits(self.heads[task], self.features(task, images))

    def initializer(self, *key: object) -> Initializer:
        """Initial tensors named by the run's seed and `key`."""
        return Initializer(self.spec.model, (self.spec.seed, "init", *key), self.env.device, self.env.dtype)

    def state_dict(self) -> dict[str, Any]:
        state = {name: getattr(self, name) for name in ("heads", *self.knowledge)}
        if self.current is None:
            return state
        own = {name: getattr(self, name) for name in self.training}
        return state | {"training": {"mean_squares": self.optimizer.mean_squares} | own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in ("heads", *self.knowledge):
            setattr(self, name, state[name])

    def resume_task(self, context: TaskContext, training: dict[str, Any]) -> None:
        for name in self.training:
            setattr(self, name, training[name])
        self._open(context)
        self.optimizer.load(training["mean_squares"])
