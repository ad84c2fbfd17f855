"""STL-10 (Coates et al. 2011) as a lifelong stream: random classes, fixed Gaussian noise, swapped channels.

`stl10`: 20 three-way tasks, 318 training, 57 validation and 2400 test images (paper, Section 4 and Appendix A).
`stl10-group`: 15 five-way tasks, 125/125 (paper, Appendix E). As in the released code, all trials share classes,
noise parameters and channel orders; training and validation images and the noise itself are a trial's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lasem_core.common.errors import LasemError
from lasem_core.common.keyed_random import key, permutation, uniform
from lasem_core.data import npz, splits
from lasem_core.data.pixels import Noise, Pixels, pooled, standardised
from lasem_core.data.stream import Task, TaskStream
from lasem_core.spec.run_spec import RunSpec

SIDE = 96
PER_CLASS = 500  # official training images of a class
OFFICIAL = (10, 5000, 8000)  # classes, training images, test images

# shares of the pixel range [-0.5, 0.5]: means, and scales whose absolute value is the standard deviation
NOISE = {
    "paper": ((-0.1, -0.05, 0.0, 0.05, 0.1), (-0.1, -0.05, 0.0, 0.05, 0.1)),  # a variance cannot be negative
    "released": ((-0.05, -0.025, 0.0, 0.025), (0.0, 0.025)),
}


@dataclass(frozen=True)
class Pools:
    """Images (M, 3, 96, 96) uint8 that all tasks share, and where each class stands in them."""

    train: Tensor
    test: Tensor
    train_rows: list[Tensor]
    test_rows: list[Tensor]
    names: tuple[str, ...]


def load(spec: RunSpec, root: Path | None) -> TaskStream:
    """The tasks of `stl10` or `stl10-group`; images stay uint8 in one pool (see `pixels`)."""
    arrays = npz.read_npz(npz.npz_path("stl10", root), SIDE)
    pools = _pools(arrays)
    n_classes, size = len(pools.names), spec.stream.classes_per_task
    if size > n_classes:
        raise LasemError(f"stream.classes_per_task = {size}: this STL-10 file has {n_classes} classes")
    splits.check_n_tasks(spec, math.comb(n_classes, size))
    sets = class_sets(spec.stream.n_tasks, size, n_classes, spec.dataset)
    tasks = [_task(spec, pools, t, classes) for t, classes in enumerate(sets)]
    return splits.in_order(spec, tasks, title(arrays))


def title(arrays: npz.Arrays) -> str:
    """The honest name of the file at hand, for records and figures."""
    have = (len(arrays.class_names), len(arrays.y_train), len(arrays.y_test))
    if have == OFFICIAL:
        return "STL-10"
    if have[0] < OFFICIAL[0]:
        return f"STL-10 ({have[0]}-class subset, not the official split)"
    return f"STL-10 ({have[1]} + {have[2]} images, not the official split)"


def class_sets(n_tasks: int, size: int, n_classes: int, dataset: str) -> list[list[int]]:
    """Distinct classes per task, drawn again until the task's SET is new; a label is the position in the draw."""
    chosen: list[list[int]] = []
    attempt = 0
    while len(chosen) < n_tasks:
        draw = permutation(key(dataset, "classes", len(chosen), attempt), n_classes)[:size].tolist()
        is_new = set(draw) not in map(set, chosen)
        chosen += [draw] if is_new else []
        attempt = 0 if is_new else attempt + 1
    return chosen


def noise_parameters(spec: RunSpec, task: int) -> tuple[float, float]:
    """Mean and standard deviation of a task's noise."""
    means, scales = NOISE[spec.stream.noise]
    u = uniform(key(spec.dataset, "noise parameters", spec.stream.noise, task), torch.zeros(1, dtype=torch.int64), 2)[0]
    return means[int(u[0] * len(means))], abs(scales[int(u[1] * len(scales))])


def _pools(arrays: npz.Arrays) -> Pools:
    images = (torch.from_numpy(x).permute(0, 3, 1, 2) for x in (arrays.x_train, arrays.x_test))  # views
    rows = (
        [torch.from_numpy(np.flatnonzero(labels == k)) for k in range(len(arrays.class_names))]
        for labels in (arrays.y_train, arrays.y_test)
    )
    return Pools(*images, *rows, arrays.class_names)


def _task(spec: RunSpec, pools: Pools, task: int, classes: list[int]) -> Task:
    # one subset per class and trial, whichever tasks the class is in: "25 % of the given training data"
    drawn = [splits.draw_train_valid(spec, len(pools.train_rows[k]), PER_CLASS, "stl10", k) for k in classes]
    rows = {
        "train": [pools.train_rows[k][train] for k, (train, _) in zip(classes, drawn, strict=True)],
        "valid": [pools.train_rows[k][valid] for k, (_, valid) in zip(classes, drawn, strict=True)],
        "test": [pools.test_rows[k] for k in classes],
    }
    parts = [
        pooled(pools.test if name == "test" else pools.train, part, _pixels(spec, task, name))
        for name, part in rows.items()
    ]
    ready = standardised(*parts, spec.stream.normalisation)
    return Task(f"STL-10 task {task + 1}", tuple(pools.names[k] for k in classes), *ready)


def _pixels(spec: RunSpec, task: int, split: str) -> Pixels:
    channels = tuple(permutation(key(spec.dataset, "channels", task), 3).tolist())  # the identity is allowed
    if spec.stream.noise == "none":
        return Pixels(-0.5, None, channels)
    noise_key = key(splits.trial(spec), spec.dataset, "noise", task, split)
    return Pixels(-0.5, Noise(*noise_parameters(spec, task), noise_key), channels)


def fingerprint(spec: RunSpec, root: Path | None) -> str:
    """See `lasem_core.data.fingerprint`; the nine-class file and the official one differ."""
    return npz.npz_fingerprint(npz.npz_path("stl10", root))
