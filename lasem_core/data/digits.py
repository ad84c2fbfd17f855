"""scikit-learn's 1797 real handwritten digits, 8x8 grey: an embedded data set that needs no download.

Four five-way tasks: the digits 0-4 and 5-9 as they are, then both again turned by 90 degrees with ink and
paper exchanged, so that low-level and high-level sharing both have something to offer.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lasem_core.data import splits
from lasem_core.data.stream import Task, TaskStream
from lasem_core.spec.run_spec import RunSpec

SIDE = 8
VERSION = "digits-1"


@lru_cache(maxsize=1)
def _digits() -> tuple[Tensor, np.ndarray]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return torch.from_numpy(found.images).float()[:, None] / 16, found.target  # (1797, 1, 8, 8), (1797,)


def load(spec: RunSpec, root: Path | None) -> TaskStream:
    """Up to 2 * (10 // classes_per_task) tasks; about 21 + 4 training and validation images per class and all
    54 test images by default."""
    size = spec.stream.classes_per_task
    groups = [tuple(range(first, first + size)) for first in range(0, 10 - size + 1, size)]
    splits.check_n_tasks(spec, 2 * len(groups))
    kinds = [(group, turned) for turned in (False, True) for group in groups]
    tasks = [_task(spec, group, turned) for group, turned in kinds[: spec.stream.n_tasks]]
    return splits.in_order(spec, tasks, "Digits (scikit-learn)")


def _task(spec: RunSpec, group: tuple[int, ...], turned: bool) -> Task:
    name = f"digits {group[0]}-{group[-1]}" + (", turned and inverted" if turned else "")
    return splits.task_from(spec, name, [str(d) for d in group], [_class_images(spec, d, turned) for d in group])


def _class_images(spec: RunSpec, digit: int, turned: bool) -> tuple[Tensor, Tensor, Tensor]:
    images, labels = _digits()
    own = images[torch.from_numpy(labels == digit)]
    own = 1 - own.rot90(1, (2, 3)) if turned else own
    train, valid, test = splits.split_class(spec, len(own), "digits", digit, turned)
    return own[train], own[valid], own[test]


def fingerprint(spec: RunSpec, root: Path | None) -> str:
    """See `lasem_core.data.fingerprint`."""
    return VERSION
