"""The protocol every method follows.

    training.lifelong
    └── for each task of the stream
        ├── learner.begin_task(context)
        ├── learner.train_task(fit)          default: fit(self), the epochs below
        │   └── for each epoch
        │       ├── learner.train_step(batch)     for each mini-batch
        │       └── learner.end_epoch()      the only place that may wait for the device
        └── learner.end_task()

A learner never touches the disk; the loop never asks which learner it holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from lasem_core.data.stream import Batch, Task
from lasem_core.spec.architecture import Architecture
from lasem_core.spec.run_spec import RunSpec

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Environment:
    """Where and on what a learner works: the run's spec, its image shape, its device.

    `map` runs trainings that do not depend on each other (brute force): Python's own one after another, or one
    with the same signature that runs them in parallel and yields results in order.
    """

    spec: RunSpec
    image_shape: tuple[int, int, int]
    device: torch.device
    map: Map = map

    @property
    def arch(self) -> Architecture:
        return Architecture.build(self.spec.model, self.image_shape)

    @property
    def dtype(self) -> torch.dtype:
        """dtype of the parameters."""
        return torch.float64 if self.spec.precision == "fp64" else torch.float32

    @property
    def compute_dtype(self) -> torch.dtype:
        """dtype of the convolutions."""
        return torch.bfloat16 if self.spec.precision == "bf16" else self.dtype


@dataclass(frozen=True)
class TaskContext:
    """What a learner may know at the start of a task.

    Attributes:
        number: the task's position in `TaskStream.tasks`; a revisited task has the same number.
        visit: position in the stream's order; keys every random number of this visit.
        task: its data. The test split is for the loop alone.
        epochs: how many epochs the task will be trained for.
        lr: learning rate by epoch of this task.
        seen: the tasks met so far by number, this one among them; only joint training looks at them.
    """

    number: int
    visit: int
    task: Task
    epochs: int
    lr: Callable[[int], float]
    seen: Mapping[int, Task] = field(default_factory=dict)

    def first_images(self) -> Tensor:
        """A few training images (B, ...), to try a network out with."""
        train = self.task.train
        return train.batch(torch.arange(min(4, len(train)), device=train.labels.device))[0]

    def n_batches(self, size: int) -> int:
        """Mini-batches of an epoch over all training images."""
        return full_batches(len(self.task.train), size)


def full_batches(n: int, size: int) -> int:
    """Mini-batches of an epoch over `n` images: an incomplete last one is left out (released code, item 42), unless it
    is the only one."""
    return max(1, n // size)


@dataclass
class EpochReport:
    """What a learner tells about an epoch (all on the host).

    Attributes:
        loss: mean training loss.
        config: bit string of the configuration in use, empty for methods without one.
        transfer: per layer the probability (or mixture weight) of 'transferred'.
        entropy, max_weight: of the posterior, means over the epoch (the paper's convergence monitor).
        weights: (step or None, {configuration: mass}) rows; None marks the epoch's mean.
        extra: further columns of the history table that only this method, so set up, has.
    """

    loss: float = float("nan")
    config: str = ""
    transfer: Sequence[float] = ()
    entropy: float = float("nan")
    max_weight: float = float("nan")
    weights: list[tuple[int | None, dict[str, float]]] = field(default_factory=list)
    extra: dict[str, float] = field(default_factory=dict)


@dataclass
class VisitLog:
    """What one visit of a task has shown so far; plain values, so that it can be checkpointed."""

    epoch: int = -1  # last finished epoch; 0 is the evaluation before training
    best_valid: float = -1.0
    peak_at_best_valid: float = float("nan")
    peak_test: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    begin_seconds: float = 0.0  # of `begin_task`, which came before this log's epochs
    posterior: list[dict[str, Any]] = field(default_factory=list)
    accuracy: list[dict[str, Any]] = field(default_factory=list)
    train_seconds: float = 0.0
    eval_seconds: float = 0.0


class Fit(Protocol):
    """Runs the epochs of the open task for a learner; see `training.Visit`."""

    def __call__(self, learner: Learner, log: VisitLog | None = None) -> VisitLog:
        """Go on where the loop stands, or after the last epoch of a log of the learner's own."""

    def unwatched(self) -> Fit:
        """The same where neither checkpoint nor progress can follow."""


class Learner(ABC):
    """A lifelong learner. A new method is one file with one subclass, registered in `learners.METHODS`."""

    def __init__(self, env: Environment):
        self.env = env
        self.spec = env.spec

    @abstractmethod
    def begin_task(self, context: TaskContext) -> None:
        """Make what a new task needs; a task seen before is trained on as it is."""

    @abstractmethod
    def train_step(self, batch: Batch) -> None:
        """Learn from one mini-batch of the current task, without waiting for the device."""

    @abstractmethod
    def end_epoch(self) -> EpochReport:
        """Report the epoch that just ended."""

    @abstractmethod
    def end_task(self) -> None:
        """Fix what the task keeps (choose its configuration, roll back, freeze)."""

    @abstractmethod
    def predict(self, task: int, images: Tensor) -> Tensor:
        """Logits (B, K) of a task seen so far for images (B, C, H, W), with today's shared knowledge."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that training goes on from: tensors, numbers, strings, lists and dicts of them only."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, on a fresh learner of the same environment."""

    @abstractmethod
    def resume_task(self, context: TaskContext, training: dict[str, Any]) -> None:
        """Go on within a task: `training` is that key of the state dict, there if and only if a task is open."""

    @abstractmethod
    def stored_tensors(self) -> dict[str, list[Tensor]]:
        """What stays in memory after a task end, by owner: 'shared' and one entry per task ('task0', ...)."""

    def train_task(self, fit: Fit) -> VisitLog:
        """Train the current task; `fit` runs the epochs for any learner and returns their log."""
        return fit(self)

    def learning_rate(self, context: TaskContext, epoch: int) -> float:
        """What the weights' updates are scaled by at the beginning of an epoch, counted from 1."""
        return context.lr(epoch - 1)

    def train_index(self, n: int) -> Tensor:
        """Which of the n training images the epochs go through."""
        return torch.arange(n, device=self.env.device)

    @property
    def configs(self) -> list[str]:
        """Final configuration of each finished task by task number, layer 1 first; empty for methods without one."""
        return []
