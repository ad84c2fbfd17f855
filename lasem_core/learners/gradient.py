"""What the methods without transfer configurations share: heads, the gradient step, the epoch's loss, resuming.

GradientLearner
├── Progressive     a column per task, laterals from the frozen ones
├── Den             one network that grows, units stamped with their task
└── Apd             shared filters, masked and corrected by each task
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.data.stream import Batch
from lasem_core.learners.protocol import Environment, EpochReport, Learner, TaskContext
from lasem_core.model.optim import RMSProp
from lasem_core.model.transfer import Initializer, Tensors
from lasem_core.spec.architecture import Architecture, ConvLayer


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, layer: ConvLayer) -> Tensor:
    """The convolution of `layer` alone, (B, C_out, H, W), in the dtype of x (B, C_in, H, W)."""
    bias = None if bias is None else bias.to(x.dtype)
    return F.conv2d(x, weight.to(x.dtype), bias, padding=layer.kernel // 2)


def activate(z: Tensor, layer: ConvLayer) -> Tensor:
    """Max-pool and ReLU, which commute; pooling first touches fewer numbers."""
    if layer.pool > 1:
        z = F.max_pool2d(z, layer.pool, layer.pool, layer.pool_padding, ceil_mode=True)
    return z.relu()


def flat(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Features (B, H * W * C) from activations (B, C, H, W)."""
    return x.permute(0, 2, 3, 1).flatten(1).to(dtype)


def head_tensors(arch: Architecture, n_classes: int, init: Initializer, n_features: int | None = None) -> list[Tensors]:
    """A task's fully connected layers, from the features (None: as many as `arch` has) to the logits."""
    widths = (n_features or arch.n_features, *arch.head, n_classes)
    return [
        {"weight": init.weight(f"weight{i}", (n_out, n_in)), "bias": init.bias(n_out)}
        for i, (n_in, n_out) in enumerate(pairwise(widths))
    ]


def head_logits(head: Sequence[Tensors], features: Tensor) -> Tensor:
    """Logits (B, K) of features (B, F)."""
    for group in head[:-1]:
        features = F.relu(F.linear(features, group["weight"], group["bias"]))
    return F.linear(features, head[-1]["weight"], head[-1]["bias"])


def dropout(features: Tensor, rate: float, key: tuple[object, ...]) -> Tensor:
    """Features (B, F), each dropped with probability `rate` by a mask that is a function of `key` alone."""
    if rate == 0:
        return features
    stream = torch.zeros(1, dtype=torch.int64, device=features.device)
    mask = keyed_random.bernoulli_mask(keyed_random.key("dropout", *key), stream, features.numel(), 1 - rate)
    return features * (mask.view(features.shape) / (1 - rate))


def tensors_of(groups: Sequence[Tensors]) -> list[Tensor]:
    """All tensors of a list of named ones, in order."""
    return [tensor for group in groups for tensor in group.values()]


class GradientLearner(Learner):
    """A learner that follows the gradient of cross-entropy plus a penalty of its own."""

    def __init__(self, env: Environment):
        super().__init__(env)
        self.arch = env.arch
        self.heads: dict[int, list[Tensors]] = {}
        self.current: TaskContext | None = None

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
        self._start_epoch()

    def renew_optimizer(self) -> None:
        """A fresh optimizer state over `trainable`."""
        self.optimizer = RMSProp([t.requires_grad_(True) for t in self.trainable()], self.spec.optim)

    def _start_epoch(self) -> None:
        self.loss_sum, self.n_steps = torch.zeros((), device=self.env.device, dtype=self.env.dtype), 0

    def train_step(self, batch: Batch) -> None:
        features = self.features(self.current.number, batch.images)
        logits = head_logits(self.heads[self.current.number], dropout(features, self.arch.dropout, (*batch.key, 0)))
        loss = F.cross_entropy(logits, batch.labels)
        penalty = self.penalty()
        total = loss if penalty is None else loss + penalty
        gradients = torch.autograd.grad(total, self.optimizer.parameters, allow_unused=True)
        self.optimizer.step(self.regularise(gradients), batch.lr)
        self.after_step(batch.lr)
        self.loss_sum += loss.detach()
        self.n_steps += 1

    def end_epoch(self) -> EpochReport:
        loss = float(self.loss_sum) / max(self.n_steps, 1)
        self._start_epoch()
        return EpochReport(loss=loss)

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

    @abstractmethod
    def knowledge(self) -> dict[str, Any]:
        """The state outside an open task's training, `heads` excepted."""

    def training_state(self) -> dict[str, Any]:
        """The state of an open task's training."""
        return {"mean_squares": self.optimizer.mean_squares}

    def state_dict(self) -> dict[str, Any]:
        state = {"heads": self.heads} | self.knowledge()
        return state | ({"training": self.training_state()} if self.current else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in ("heads", *self.knowledge()):
            setattr(self, name, state[name])

    def resume_task(self, context: TaskContext, training: dict[str, Any]) -> None:
        self._open(context)
        self.optimizer.mean_squares = training["mean_squares"]
