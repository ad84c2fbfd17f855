"""LASEM for your own network: `LayerTransfer`, with stages of torch modules and any DataLoader.

    search = LayerTransfer(stages=[stem, block1, block2], head=torch.nn.Linear)
    search.fit(train, valid, n_classes=10, epochs=20)     # one call per task
    search.configurations                                  # ['110', ...]: which stages each task shares
    search.predict(0, images)

The way in only: the algorithm is `em.py`, the learner `learners/staged.py`, the checks of what is
given `layer_transfer_input.py`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from lasem_core.common.errors import Diverged, LasemError, one_line
from lasem_core.data.loader import Loader, batches
from lasem_core.data.stream import Batch, Split, Task
from lasem_core.learners.protocol import Environment, TaskContext
from lasem_core.learners.staged import StagedLasem
from lasem_core.model.optim import learning_rate
from lasem_core.model.stage import Factory, seeded
from lasem_core.model.staged import HeadFactory, Stages
from lasem_core.model.transfer import Initializer
from lasem_core.runs import layer_transfer_input as given
from lasem_core.runs.process import arithmetic
from lasem_core.runs.progress import is_silent
from lasem_core.runs.run import resolve_device
from lasem_core.spec.parts import EMSpec, OptimSpec
from lasem_core.training import CHUNK, to_device

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LoaderContext(TaskContext):
    """What a learner knows of a task whose images come from `loader`; `images` are some of them."""

    loader: Loader = field(kw_only=True)
    images: Tensor = field(kw_only=True)

    def first_images(self) -> Tensor:
        return self.images

    def n_batches(self, size: int) -> int:
        """Mini-batches of an epoch, whatever `size`."""
        try:
            return len(self.loader)
        except TypeError:
            raise LasemError(
                "em.start and em.temper need a train loader with a length; give one or leave them"
            ) from None


class LayerTransfer:
    """Tasks that come one after another over one network; EM decides for each which stages it shares.

    Arguments:
        stages: factories of modules, each shared or task-specific as a whole. The first takes the loaders' images
            (B, ...); every stage keeps the first axis, and an image's output does not depend on the others.
        head: factory of a task's own module from flattened features (B, F) to logits (B, K), called with F and K.
        sharing: `hps`; `tf` and `df-cnn` factorize the filters of every Conv2d in a shared stage, the rest as `hps`.
        em: switches of `EMSpec`, such as {"prune": "refreshed", "groups": "1,2|3,4"}.
        optim: of `OptimSpec`; default here {"lr": 1e-3, "start": 0.0}, since start=1 holds the first 100 steps back.
            `batch_size` is for a Dataset without a DataLoader.
        dropout: share of the features that the M-step drops; dropout inside a stage acts in both steps.
        seed: keys every random number: initial weights, dropout, a DataLoader's shuffling.
        device: `auto`, `cpu` or `cuda`.
        precision: `fp32` or `fp64`.

    Attributes:
        history: a row (dict) per epoch of every task.

    Raises LasemError, one line, for what the caller can correct.
    """

    def __init__(
        self,
        stages: Sequence[Factory],
        head: HeadFactory = nn.Linear,
        *,
        sharing: str = "hps",
        em: EMSpec | Mapping[str, Any] | None = None,
        optim: OptimSpec | Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        seed: int = 0,
        device: str = "auto",
        precision: str = "fp32",
    ):
        optim = OptimSpec(lr=1e-3, start=0.0).model_dump() | given.mapping("optim", optim)
        em = given.mapping("em", em)
        given.check_factories(stages, head)
        stages = list(stages)
        options = {"em": em, "optim": optim, "seed": seed, "precision": precision, "device": device}
        self.spec = given.make_spec(len(stages), sharing, dropout, **options)
        self.env = Environment(self.spec, (1, 1, 1), resolve_device(self.spec))
        init = Initializer(self.spec.model, (self.spec.seed, "common"), self.env.device, self.env.dtype)
        self.stages = Stages(stages, head, sharing, dropout, init)
        self.learner = StagedLasem(self.env, self.stages)
        self.history: list[dict[str, Any]] = []
        self.visits = self.epochs = 0  # calls of `fit` and epochs so far

    @property
    def configurations(self) -> list[str]:
        """Of each task, a bit per stage, 1 where the task shares it."""
        return self.learner.configs

    def frequencies(self) -> pd.DataFrame:
        """One row per stage: `stage`, counted from 1, and `transferred`, the share of tasks that share it."""
        import pandas as pd

        bits = torch.tensor([[bit == "1" for bit in config] for config in self.configurations], dtype=torch.float64)
        shares = bits.view(-1, self.stages.depth).mean(0).tolist()
        return pd.DataFrame({"stage": range(1, self.stages.depth + 1), "transferred": shares})

    def fit(
        self,
        train: Loader,
        valid: Loader | None = None,
        *,
        n_classes: int,
        epochs: int = 20,
        task: int | None = None,
        progress: bool = True,
    ) -> LayerTransfer:
        """Learn the next task, or go on with an earlier one; returns itself.

        Arguments:
            train: batches of images (B, ...) and int64 labels (B,), which start anew every epoch; a Dataset is
                shuffled into batches.
            valid: the same; its accuracy goes into `history` after every epoch. It decides nothing, unless
                `em.evidence` is `held-out`: then all of it is kept in memory for the E-step.
            n_classes: 2 or more; labels are 0 to n_classes - 1.
            task: number of an earlier task; None: a new one. It keeps its configuration, unless `em.revisit` is
                `search` and none stood out.
            progress: a bar over the epochs.

        A call that fails leaves the search as it was.
        """
        number = len(self.configurations) if task is None else self._known(task)
        n_classes = given.count("n_classes", n_classes, 2, given.MOST_CLASSES)
        epochs = given.count("epochs", epochs, 1, given.MOST_EPOCHS)
        if task is not None and n_classes != self.learner.n_classes[number]:
            raise LasemError(f"n_classes {n_classes}: task {number} has {self.learner.n_classes[number]}")
        for loader, name in ((train, "train"), (valid, "valid")):
            given.check_reusable(loader, name)
        before = copy.deepcopy(self.learner.state_dict())
        try:
            with arithmetic(), self._seeded("task", self.visits):
                context = self._context(number, n_classes, epochs, train, valid)
                rows = self._train(context, train, valid, progress)
        except BaseException:
            self.learner.open = None
            self.learner.load_state_dict(before)
            raise
        self.history += rows
        self.visits, self.epochs = self.visits + 1, self.epochs + epochs
        return self

    def predict(self, task: int, x: Tensor) -> Tensor:
        """Labels (B,) of x (B, ...) as `task`, with today's shared stages; on the search's device."""
        return self.predict_proba(task, x).argmax(-1)

    def predict_proba(self, task: int, x: Tensor) -> Tensor:
        """Probabilities (B, K)."""
        number, x = self._known(task), given.as_images(x, self.env.dtype)
        return torch.cat([self._logits(number, part.to(self.env.device), "x") for part in x.split(CHUNK)]).softmax(-1)

    def score(self, task: int, loader: Loader) -> float:
        """Share of the images that get their label."""
        return self._score(self._known(task), loader, "given")

    def save(self, path: str | Path) -> None:
        """Write tensors and options behind a checksum; the factories are code, and `load` wants them again."""
        spec = self.spec
        options = {"sharing": spec.base, "em": spec.em.model_dump(), "optim": spec.optim.model_dump(),
                   "dropout": spec.model.dropout, "seed": spec.seed, "precision": spec.precision}  # fmt: skip
        state = {"options": options, "stages": self.stages.state(), "history": self.history,
                 "counts": [self.visits, self.epochs], "learner": self.learner.state_dict()}  # fmt: skip
        given.write_search(Path(path), state)

    @classmethod
    def load(
        cls, path: str | Path, stages: Sequence[Factory], head: HeadFactory = nn.Linear, device: str = "auto"
    ) -> LayerTransfer:
        """What `save` wrote, with the same factories; predicts and goes on learning as the original would."""
        state = given.read_search(Path(path))
        given.check_factories(stages, head)
        stages = list(stages)
        if len(state["stages"]) != len(stages):
            raise LasemError(f"{path} has {len(state['stages'])} stages, given are {len(stages)}; give the same")
        search = cls(stages, head, device=device, **state["options"])
        search.learner.load_state_dict(to_device(state["learner"], search.env.device))
        search.stages.load(state["stages"])
        given.check_heads(path, search.stages, search.learner)
        search.history, (search.visits, search.epochs) = state["history"], state["counts"]
        return search

    def _train(self, context: TaskContext, train: Loader, valid: Loader | None, progress: bool) -> list[dict[str, Any]]:
        """One visit of a task; its rows of the history."""
        self.learner.begin_task(context)
        if valid is not None:
            self._try_valid(context, valid)
        epochs = range(1, context.epochs + 1)
        rows = []
        for epoch in (bar := tqdm(epochs, f"task {context.number}", disable=not progress or is_silent(), unit="epoch")):
            rows.append(self._epoch(context, epoch, train, valid))
            accuracy = "" if valid is None else f", validation {100 * rows[-1]['valid_accuracy']:.1f} %"
            bar.set_postfix_str(rows[-1]["config"] + accuracy)
        self.learner.end_task()
        return rows

    def _try_valid(self, context: TaskContext, valid: Loader) -> None:
        """Raise LasemError before the first epoch where the stages do not take what `valid` gives."""
        n_classes = context.task.n_classes
        with self._seeded("valid", context.visit):
            images, _ = next(self._batches(valid, n_classes, "valid"))
        given.check_finite(images, "valid")
        try:
            self.stages.try_out(images, n_classes)
        except LasemError as error:
            raise LasemError(f"the valid loader's images: {error}") from error

    def _epoch(self, context: TaskContext, epoch: int, train: Loader, valid: Loader | None) -> dict[str, Any]:
        lr = context.lr(epoch - 1)
        with self._seeded("epoch", context.visit, epoch):
            for step, (images, labels) in enumerate(self._batches(train, context.task.n_classes, "train")):
                self.learner.train_step(Batch(images, labels, lr, (self.spec.seed, context.visit, epoch, step)))
        report = self.learner.end_epoch()
        if not math.isfinite(report.loss):
            for images, _ in self._batches(train, context.task.n_classes, "train"):
                given.check_finite(images, "train")
            raise Diverged(f"training diverged: the loss is {report.loss} in epoch {epoch} of task {context.number}; "
                           f"lower optim['lr'] (now {self.spec.optim.lr:g})")  # fmt: skip
        row = {"visit": context.visit, "task": context.number, "epoch": epoch, "lr": lr, "loss": report.loss}
        row |= {"valid_accuracy": math.nan if valid is None else self._score(context.number, valid, "valid")}
        row |= {"config": report.config, "entropy": report.entropy, "max_weight": report.max_weight}
        return row | {f"transfer_{n}": p for n, p in enumerate(report.transfer, start=1)} | report.extra

    def _score(self, number: int, loader: Loader, name: str) -> float:
        right = total = 0
        for images, labels in self._batches(loader, self.learner.n_classes[number], name):
            logits = self._logits(number, images, f"a batch of the {name} loader")
            right += (logits.argmax(-1) == labels).sum()
            total += len(labels)
        return int(right) / total

    def _logits(self, number: int, x: Tensor, name: str) -> Tensor:
        """Logits (B, K) of x (B, ...)."""
        try:
            return self.learner.predict(number, x)
        except Exception as error:
            reason = one_line(error)
            raise LasemError(
                f"{name} {tuple(x.shape)} does not go through the stages of task {number}: {reason}"
            ) from error

    def _batches(self, loader: Loader, n_classes: int, name: str) -> Iterator[tuple[Tensor, Tensor]]:
        """On the device, checked."""
        for images, labels in batches(self._loader(loader, name), n_classes, name):
            yield given.as_images(images, self.env.dtype).to(self.env.device), labels.to(self.env.device, torch.int64)

    def _loader(self, loader: Loader, name: str) -> Loader:
        return given.as_loader(loader, name, self.spec.optim.batch_size, shuffle=name == "train")

    def _context(self, number: int, n_classes: int, epochs: int, train: Loader, valid: Loader | None) -> LoaderContext:
        nothing = Split(torch.empty(0), torch.empty(0))  # learners are given batches
        held_out = self._held_out(valid, n_classes) if self.spec.em.evidence == "held-out" else nothing
        task = Task(f"task {number}", tuple(map(str, range(n_classes))), nothing, held_out, nothing)
        first, (images, _) = self.epochs, next(self._batches(train, n_classes, "train"))
        given.check_finite(images, "train")
        return LoaderContext(number, self.visits, task, epochs, lambda e: learning_rate(self.spec.optim, first + e),
                             loader=self._loader(train, "train"), images=images)  # fmt: skip

    def _held_out(self, valid: Loader | None, n_classes: int) -> Split:
        if valid is None:
            raise LasemError("em.evidence 'held-out' needs a valid loader; give one, or use 'training'")
        return Split(*map(torch.cat, zip(*self._batches(valid, n_classes, "valid"), strict=True)))

    def _seeded(self, *key: object):
        return seeded(self.env.device, self.spec.seed, *key)

    def _known(self, task: int) -> int:
        if not isinstance(task, Integral) or task not in self.learner.chosen:
            known = ", ".join(map(str, self.learner.chosen)) or "none yet, call fit"
            raise LasemError(f"unknown task {task!r}; tasks learned: {known}")
        return int(task)  # numpy's integers are no part of a saved search
