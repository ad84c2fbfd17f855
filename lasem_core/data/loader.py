"""Batches of a user's own DataLoader, checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lasem_core.common.errors import LasemError

Loader = DataLoader | Dataset | Sequence


def batches(loader: Loader, n_classes: int, name: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (B, ...) and labels (B,) of one epoch.

    Raises LasemError, which calls the loader `name`, where there are none or they are not images and whole numbers
    below `n_classes`.
    """
    batch = None
    for batch in loader:
        yield _checked(batch, n_classes, f"the {name} loader")
    if batch is None:
        raise LasemError(f"the {name} loader gives no batches; it needs images, and has to start anew every epoch")


def _checked(batch: Any, n_classes: int, loader: str) -> tuple[Tensor, Tensor]:
    if not isinstance(batch, Sequence) or len(batch) != 2 or not all(isinstance(part, Tensor) for part in batch):
        raise LasemError(f"{loader} gives a {type(batch).__name__}; it should give pairs of tensors (images, labels)")
    images, labels = batch
    if labels.is_floating_point() or labels.is_complex() or labels.shape != images.shape[:1] or not len(labels):
        kind = f"{labels.dtype} {tuple(labels.shape)}"
        raise LasemError(f"{loader}'s labels are {kind} for {len(images)} images; give whole numbers, one an image")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= n_classes:
        raise LasemError(
            f"{loader}'s labels go from {low} to {high}; with n_classes={n_classes} use 0 to {n_classes - 1}"
        )
    return images, labels
