"""Tasks as in-memory tensors: what every data set loader returns and every learner trains on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Prepare = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Split:
    """Labelled images of one split of one task.

    Attributes:
        images: (N, C, H, W), float and ready to train on, or uint8 where float copies would be large.
        labels: (N,) int64 in 0..K-1.
        prepare: for uint8 images, `prepare(images, index) -> float images`: normalisation and the task's fixed
            noise of the images at `index`; None where `images` are ready.
    """

    images: Tensor
    labels: Tensor
    prepare: Prepare | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) in channels-last memory and labels (B,) at `index` (B,)."""
        images = self.images[index]
        images = images if self.prepare is None else self.prepare(images, index)
        return images.contiguous(memory_format=torch.channels_last), self.labels[index]

    def to(self, device: torch.device) -> Split:
        return Split(self.images.to(device), self.labels.to(device), self.prepare)


@dataclass(frozen=True)
class Task:
    """One task of a lifelong stream; `classes` are the names in label order."""

    name: str
    classes: tuple[str, ...]
    train: Split
    valid: Split
    test: Split

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    def to(self, device: torch.device) -> Task:
        return Task(self.name, self.classes, *(s.to(device) for s in (self.train, self.valid, self.test)))


@dataclass(frozen=True)
class TaskStream:
    """The tasks of a run, the order they come in, and what the data are called in every figure.

    Attributes:
        tasks: the distinct tasks.
        order: positions in `tasks`; a task may come back.
        title: the data's honest name, e.g. "STL-10 (9-class subset, not the official split)".
    """

    tasks: Sequence[Task]
    order: tuple[int, ...]
    title: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.tasks[0].train.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device) -> TaskStream:
        return TaskStream([task.to(device) for task in self.tasks], self.order, self.title)

    def content_hash(self) -> str:
        """A hash of every image and label as stored: the same spec gives the same hash on any machine."""
        digest = hashlib.blake2b(repr(self.order).encode(), digest_size=8)
        for task in self.tasks:
            for split in (task.train, task.valid, task.test):
                digest.update(split.images.contiguous().cpu().numpy().tobytes())
                digest.update(split.labels.cpu().numpy().tobytes())
        return digest.hexdigest()
