"""Accuracy of a learner on one split of one task."""

from __future__ import annotations

import torch

from lasem_core.data.stream import Split
from lasem_core.learners.protocol import Learner

CHUNK = 500  # images per forward pass without gradients


@torch.no_grad()
def accuracy(learner: Learner, task: int, split: Split) -> float:
    """Share of `split` that `learner` labels correctly as `task`; waits for the device once."""
    correct = torch.zeros((), dtype=torch.int64, device=split.labels.device)
    for index in torch.arange(len(split), device=split.labels.device).split(CHUNK):
        images, labels = split.batch(index)
        correct += (learner.predict(task, images).argmax(-1) == labels).sum()
    return int(correct) / max(len(split), 1)
