"""CIFAR-100 (Krizhevsky 2009): ten ten-way tasks, 4 % of the training images (paper, Section 4 and Appendix A)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lasem_core.common.errors import LasemError
from lasem_core.data import npz, splits
from lasem_core.data.stream import TaskStream
from lasem_core.spec.run_spec import RunSpec

SIDE = 32
PER_CLASS = 500  # official training images of a class

# the released code's fixed class lists; a label is the position in its list
TASK_CLASSES = (
    (4, 1, 54, 9, 0, 5, 6, 3, 12, 8),
    (30, 32, 62, 10, 51, 20, 7, 42, 17, 13),
    (55, 67, 70, 16, 53, 25, 14, 43, 37, 48),
    (72, 73, 82, 28, 57, 84, 18, 88, 68, 58),
    (95, 91, 92, 61, 83, 94, 24, 97, 76, 90),
    (22, 23, 15, 34, 26, 2, 27, 36, 47, 41),
    (39, 33, 19, 63, 45, 11, 29, 50, 52, 69),
    (40, 49, 21, 64, 77, 35, 44, 65, 56, 81),
    (86, 60, 31, 66, 79, 46, 78, 74, 59, 85),
    (87, 71, 38, 75, 99, 98, 93, 80, 96, 89),
)


def load(spec: RunSpec, root: Path | None) -> TaskStream:
    """The ten tasks (or fewer): 170 training, 30 validation and 1000 test images each by default.

    Another `classes_per_task` cuts the same sequence of 100 classes into groups of that size.
    """
    path = npz.npz_path("cifar100", root)
    classes = [c for task in TASK_CLASSES for c in task]
    size = spec.stream.classes_per_task
    splits.check_n_tasks(spec, len(classes) // size)
    arrays = npz.read_npz(path, SIDE)
    if len(arrays.class_names) < len(classes):
        raise LasemError(f"{path}: class_names has {len(arrays.class_names)} classes, CIFAR-100 has {len(classes)}")
    groups = [classes[t * size : (t + 1) * size] for t in range(spec.stream.n_tasks)]
    tasks = [
        splits.task_from(
            spec,
            f"CIFAR-100 task {t + 1}",
            [arrays.class_names[c] for c in group],
            [_class_images(spec, arrays, c) for c in group],
        )
        for t, group in enumerate(groups)
    ]
    return splits.in_order(spec, tasks, "CIFAR-100")


def _class_images(spec: RunSpec, arrays: npz.Arrays, label: int) -> tuple[Tensor, Tensor, Tensor]:
    pool = np.flatnonzero(arrays.y_train == label)
    train, valid = splits.draw_train_valid(spec, len(pool), PER_CLASS, "cifar100", label)
    test = arrays.x_test[arrays.y_test == label]
    return tuple(_float(part) for part in (arrays.x_train[pool[train]], arrays.x_train[pool[valid]], test))


def _float(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous() / 255.0  # (N, 3, H, W)


def fingerprint(spec: RunSpec, root: Path | None) -> str:
    """See `lasem_core.data.fingerprint`."""
    return npz.npz_fingerprint(npz.npz_path("cifar100", root))
