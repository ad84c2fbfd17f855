"""Tasks as in-memory tensors: what every data set loader returns and every learner trains on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lasem_core.common import keyed_random

Prepare = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Split:
    """Labelled images of one split of one task.

    Attributes:
        images: (N, C, H, W), float and ready to train on, or uint8 where float copies would be large.
        labels: (N,) int64 in 0..K-1.
        prepare: for uint8 images, `prepare(images, index) -> float images`: normalisation and the task's fixed
            noise of the images at `index`; None where `images` are ready.
        rows: (N,) int64 where many splits share one pool: image i of the split is `images[rows[i]]`.
    """

    images: Tensor
    labels: Tensor
    prepare: Prepare | None = field(default=None, repr=False)
    rows: Tensor | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) in channels-last memory and labels (B,) at `index` (B,), all on the split's device."""
        images = self.images[index if self.rows is None else self.rows[index]]
        images = images if self.prepare is None else self.prepare(images, index)
        return images.contiguous(memory_format=torch.channels_last), self.labels[index]

    def in_place_of(self, batch: Batch, purpose: str) -> Batch:
        """As many images of this split as `batch` has, drawn with replacement; `purpose` keys the draw."""
        stream = torch.zeros(1, dtype=torch.int64, device=batch.labels.device)
        draws = keyed_random.uniform(keyed_random.key(purpose, *batch.key), stream, len(batch.labels))[0]
        images, labels = self.batch((draws * len(self)).long())
        return replace(batch, images=images, labels=labels)

    def to(self, device: torch.device, pools: dict[int, Tensor] | None = None) -> Split:
        """The split on `device`; what is there already is not copied, `prepare` holds nothing that could be moved.

        Arguments:
            pools: images already moved, by the identity of the original, so that splits keep sharing them.
        """
        pools = {} if pools is None else pools
        if id(self.images) not in pools:
            pools[id(self.images)] = self.images.to(device)
        rows = None if self.rows is None else self.rows.to(device)
        return replace(self, images=pools[id(self.images)], labels=self.labels.to(device), rows=rows)


@dataclass(frozen=True)
class Batch:
    """One mini-batch and where it stands.

    Attributes:
        lr: learning rate.
        key: what names this step for random numbers, e.g. (seed, visit, step).
    """

    images: Float[Tensor, "B channels H W"]
    labels: Int[Tensor, " B"]
    lr: float
    key: tuple[object, ...]


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

    def to(self, device: torch.device, pools: dict[int, Tensor] | None = None) -> Task:
        """The task on `device`; see `Split.to`."""
        pools = {} if pools is None else pools
        return replace(self, **{name: getattr(self, name).to(device, pools) for name in ("train", "valid", "test")})


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
        """The stream on `device`; a pool that many splits share crosses once and stays shared. See `Split.to`."""
        pools: dict[int, Tensor] = {}
        return replace(self, tasks=[task.to(device, pools) for task in self.tasks])

    def content_hash(self) -> str:
        """A hash of every image, label and preparation: the same spec gives the same hash on any machine."""
        digest = hashlib.blake2b(repr(self.order).encode(), digest_size=8)
        pools: dict[int, bytes] = {}
        for split in (s for task in self.tasks for s in (task.train, task.valid, task.test)):
            if id(split.images) not in pools:
                pools[id(split.images)] = _bytes_hash(split.images)
            digest.update(pools[id(split.images)])
            digest.update(_bytes_hash(split.labels) + repr(split.prepare).encode())
            digest.update(b"" if split.rows is None else _bytes_hash(split.rows))
        return digest.hexdigest()


def _bytes_hash(tensor: Tensor) -> bytes:
    last = tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor  # how shared pools lie in memory: no copy
    return hashlib.blake2b(last.contiguous().cpu().numpy(), digest_size=8).digest()
