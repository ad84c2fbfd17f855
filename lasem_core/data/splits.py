"""What every loader needs: how many images of a class each split gets, which ones, and the order of the tasks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lasem_core.common.errors import LasemError
from lasem_core.common.keyed_random import key, permutation
from lasem_core.data.stream import Split, Task, TaskStream
from lasem_core.spec.run_spec import RunSpec


def trial(spec: RunSpec) -> int | str:
    """The part of a key that lets trials draw their own images, or not (`stream.images`)."""
    return spec.seed if spec.stream.images == "per-seed" else "shared"


def check_n_tasks(spec: RunSpec, available: int) -> None:
    """Raises LasemError where the data cannot fill `stream.n_tasks` tasks."""
    if available == 0:
        size = spec.stream.classes_per_task
        raise LasemError(f"stream.classes_per_task = {size}: {spec.dataset} has no task of {size} classes")
    if spec.stream.n_tasks > available:
        raise LasemError(
            f"stream.n_tasks = {spec.stream.n_tasks}: {spec.dataset} with {spec.stream.classes_per_task} classes "
            f"per task has {available} tasks; use at most {available}"
        )


def in_order(spec: RunSpec, tasks: list[Task], title: str) -> TaskStream:
    """The stream of `tasks` in the order `stream.order` asks for: fixed, shuffled by the seed, or a list."""
    order = spec.stream.order
    if order == "fixed":
        order = range(len(tasks))
    elif order == "shuffled":
        order = permutation(key(spec.seed, "task order"), len(tasks)).tolist()
    return TaskStream(tasks, tuple(order), title)


def train_valid_counts(spec: RunSpec, per_class: int) -> tuple[int, int]:
    """Training and validation images of a class, of the `per_class` images that `fraction` = 1 would draw.

    CIFAR-100: 4 % of 500 = 17 + 3; STL-10: 25 % of 500 = 106 + 19 (paper, Appendix A).
    """
    drawn = max(2, round(spec.stream.fraction * per_class))
    valid = min(max(1, math.ceil(spec.stream.valid_fraction * drawn - 1e-9)), drawn - 1)
    return drawn - valid, valid


def draw_train_valid(spec: RunSpec, n: int, per_class: int, *where: object) -> tuple[Tensor, Tensor]:
    """Which of a class's `n` images this trial trains and validates on.

    One order of the class is cut into blocks and trial s takes block s, so that trials are disjoint as long as
    the images suffice; after the last block the class is shuffled again.

    Arguments:
        n: images of the class at hand.
        per_class: images of the class in the official training set, what `fraction` refers to.
        where: what names the class in the key, e.g. ("cifar100", 17).

    Returns: positions (n_train,) and (n_valid,) in 0..n-1.
    """
    n_train, n_valid = train_valid_counts(spec, per_class)
    drawn = n_train + n_valid
    if drawn > n:
        raise LasemError(
            f"stream.fraction = {spec.stream.fraction} asks for {drawn} of the official {per_class} training images "
            f"per class, but the {spec.dataset} file holds {n}; use at most {n / per_class:g}"
        )
    seed = spec.seed if spec.stream.images == "per-seed" else 0
    round_, block = divmod(seed, n // drawn)
    chosen = permutation(key("subset", *where, round_), n)[block * drawn : (block + 1) * drawn]
    return chosen[n_valid:], chosen[:n_valid]


def split_class(spec: RunSpec, n: int, *where: object) -> tuple[Tensor, Tensor, Tensor]:
    """Training, validation and test positions of a class without an official test split.

    int(0.6 n) / int(0.1 n) / int(0.3 n) on Office-Home (paper, Appendix A), of which `fraction` keeps a part of the
    first two; every trial draws again, the test images too (released code).
    """
    stream = spec.stream
    share = 1 - stream.valid_fraction - stream.test_fraction
    if share <= 0:
        raise LasemError(
            f"stream.valid_fraction = {stream.valid_fraction} and stream.test_fraction = {stream.test_fraction} "
            "leave no training images; their sum must be below 1"
        )
    n_train, n_valid = (max(1, _whole(stream.fraction * _whole(s * n))) for s in (share, stream.valid_fraction))
    n_test = max(1, _whole(stream.test_fraction * n))
    if n_train + n_valid + n_test > n:
        raise LasemError(f"{' '.join(map(str, where))} has {n} images; training, validation and test need one each")
    order = permutation(key(trial(spec), "split", *where), n)
    return order[n_test + n_valid :][:n_train], order[n_test : n_test + n_valid], order[:n_test]


def _whole(value: float) -> int:
    return math.floor(value + 1e-9)


def standardise(train: Tensor, valid: Tensor, test: Tensor, statistics: str) -> tuple[Tensor, Tensor, Tensor]:
    """(x - mean) / max(std, 1/sqrt(values)) per channel of float images (N, C, H, W).

    `statistics`: "train" uses the training split's for all three (the test set has no influence), "split" each
    split's own (released code), "none" leaves the images as they are.
    """
    if statistics == "none":
        return train, valid, test
    own = statistics == "split"
    return _standard(train, train), _standard(valid, valid if own else train), _standard(test, test if own else train)


def _standard(images: Tensor, reference: Tensor) -> Tensor:
    mean = reference.mean((0, 2, 3), keepdim=True)  # (1, C, 1, 1)
    std = reference.std((0, 2, 3), keepdim=True, correction=0)
    return (images - mean) / std.clamp_min((reference[:, 0].numel()) ** -0.5)


def labelled(images: list[Tensor]) -> Split:
    """The split of the classes' images [(N_k, C, H, W)], label = position in the list."""
    sizes = torch.tensor([len(part) for part in images])
    return Split(torch.cat(images), torch.repeat_interleave(torch.arange(len(images)), sizes))


def task_from(spec: RunSpec, name: str, classes: list[str], parts: list[tuple[Tensor, Tensor, Tensor]]) -> Task:
    """A task from each class's (train, valid, test) float images, standardised as `stream.normalisation` says."""
    train, valid, test = (labelled(list(split)) for split in zip(*parts, strict=True))
    ready = standardise(train.images, valid.images, test.images, spec.stream.normalisation)
    labels = (train.labels, valid.labels, test.labels)
    return Task(name, tuple(classes), *(Split(x, y) for x, y in zip(ready, labels, strict=True)))
