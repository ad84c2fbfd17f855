"""The lifelong loop of Algorithm 1: tasks come one after another, each for a fixed number of epochs.

    lifelong
    └── for each visit of a task
        ├── learner.begin_task
        ├── learner.train_task(visit) ── visit(learner): train_epoch, validation, test when it counts
        └── learner.end_task ── test accuracy of every task seen so far ── checkpoint

Lazy evaluation (the default) computes exactly `peak_at_best_valid` with a fraction of the test passes: a test
accuracy matters only at an epoch that improves the validation accuracy.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.common.errors import Diverged
from lasem_core.data.stream import Batch, Split, Task, TaskStream
from lasem_core.learners.protocol import Environment, EpochReport, Learner, TaskContext, VisitLog, full_batches
from lasem_core.model.optim import learning_rate
from lasem_core.spec.run_spec import RunSpec

SHAPE = 4  # of a checkpoint's state, raised with what it holds
CHUNK = 500  # images per forward pass without gradients
# what else than the learning rate can make a method diverge
STRENGTHS = {"ewc": ("ewc.strength",), "apd": ("apd.anchor",), "den": ("den.l2", "den.drift")}


@dataclass
class Lifetime:
    """Everything the loop has produced: finished visits, and the accuracies at their ends."""

    visits: list[VisitLog] = field(default_factory=list)
    accuracy: list[dict[str, Any]] = field(default_factory=list)
    eval_seconds: float = 0.0


class Checkpoint:
    """Where the loop leaves its state: nowhere; see `runs/checkpoint.py` for a file."""

    def load(self) -> dict[str, Any] | None:
        """The last state left, if any."""

    def offer(self, build_state: Callable[[], dict[str, Any]], force: bool = False) -> None:
        """Save `build_state()` if it is time to, or `force`."""

    def clear(self) -> None:
        """Forget the saved state."""


class Progress:
    """Who watches: nobody; see `runs/progress.py` for a bar, log lines and the live widget."""

    def __init__(self, spec: RunSpec | None = None):
        self.spec = spec

    def epoch(self, visit: int, row: dict[str, Any], report: EpochReport) -> None:
        """An epoch has ended; `row` is its line of the history table."""

    def close(self) -> None:
        """End of the run, finished or not."""


def lifelong(learner: Learner, stream: TaskStream, checkpoint: Checkpoint, progress: Progress) -> Lifetime:
    """Train `learner` on `stream`, which is on its device, going on from `checkpoint` if it holds a state."""
    life, log = _restore(learner, stream, checkpoint)
    for number in range(len(life.visits), len(stream.order)):
        context = context_of(learner.env, stream, number)
        log = log or VisitLog(begin_seconds=_timed(partial(learner.begin_task, context)))
        visit = Visit(context, log, partial(_on_epoch, life, learner, checkpoint, progress))
        life.visits.append(learner.train_task(visit))
        life.visits[-1].train_seconds += log.begin_seconds
        _finish(learner, life, context)
        log = None
        checkpoint.offer(partial(_state, life, None, learner), force=True)
    return life


def context_of(env: Environment, stream: TaskStream, visit: int) -> TaskContext:
    """What a learner is told about a visit: its task, its learning rates, the tasks seen so far; copies no data."""
    number, epochs = stream.order[visit], env.spec.schedule.epochs
    lr = partial(_lr_in_visit, env, visit)
    seen = {n: stream.tasks[n] for n in dict.fromkeys(stream.order[: visit + 1])}
    return TaskContext(number, visit, seen[number], epochs, lr, seen)


def _lr_in_visit(env: Environment, visit: int, epoch: int) -> float:
    return learning_rate(env.spec.optim, visit * env.spec.schedule.epochs + epoch)


EpochHook = Callable[["VisitLog", dict[str, Any], EpochReport], None]


@dataclass(frozen=True)
class Visit:
    """The epochs of one visit of a task, for whichever learner trains them.

    Attributes:
        context: what the learner knows of the task.
        log: what the visit has shown so far.
        on_epoch: called after every epoch, with the log, the epoch's history row and the learner's report.
    """

    context: TaskContext
    log: VisitLog
    on_epoch: EpochHook | None = None

    def __call__(self, learner: Learner, log: VisitLog | None = None) -> VisitLog:
        """Train the open task of `learner` to its last epoch, going on after the last one of `log` (None: the visit's).

        Raises Diverged at the end of an epoch whose mean loss is not finite.
        """
        log = self.log if log is None else log
        for epoch in range(log.epoch + 1, self.context.epochs + 1):
            started = time.perf_counter()
            report = train_epoch(learner, self.context, epoch) if epoch else EpochReport()
            _check_finite(report, learner.spec, self.context, epoch)
            trained = time.perf_counter()
            row = _evaluate_epoch(learner, self.context, log, epoch)
            log.train_seconds += trained - started
            log.eval_seconds += time.perf_counter() - trained
            row["lr"] = learner.learning_rate(self.context, max(epoch, 1))
            _write_row(log, row, report, self.context, epoch)
            if self.on_epoch is not None:
                self.on_epoch(log, row, report)
        return log

    def unwatched(self) -> Visit:
        """The same for a training in another process, where neither checkpoint nor progress can follow."""
        return replace(self, on_epoch=None)


def _check_finite(report: EpochReport, spec: RunSpec, context: TaskContext, epoch: int) -> None:
    """Raise Diverged where the loss of an epoch of training says that the parameters are lost."""
    if epoch == 0 or math.isfinite(report.loss):
        return
    rate = "darts.weight_lr" if (spec.method, spec.darts.weight_optimizer) == ("darts", "sgd") else "optim.lr"
    names = (rate, *STRENGTHS.get(spec.method, ()))
    lower = " or ".join(f"{name} (now {attrgetter(name)(spec):g})" for name in names)
    place = f"in epoch {epoch} of task {context.number + 1}"
    raise Diverged(f"training diverged: the loss is {report.loss} {place}, nothing is recorded; lower {lower}")


def train_epoch(learner: Learner, context: TaskContext, epoch: int) -> EpochReport:
    """One pass over the training images of the open task, in the order that (seed, visit, epoch) keys."""
    split, spec = context.task.train, learner.spec
    index = learner.train_index(len(split))
    key = keyed_random.key(spec.seed, "order", context.visit, epoch)
    order = keyed_random.permutation(key, len(index), learner.env.device)
    n, size = full_batches(len(index), spec.optim.batch_size), spec.optim.batch_size
    for number, batch_index in enumerate(index[order].split(size)[:n]):
        step = (epoch - 1) * n + number
        images, labels = split.batch(batch_index)
        learner.train_step(Batch(images, labels, context.lr(epoch - 1), (spec.seed, context.visit, step)))
    return learner.end_epoch()


def _evaluate_epoch(learner: Learner, context: TaskContext, log: VisitLog, epoch: int) -> dict[str, Any]:
    schedule, number, task = learner.spec.schedule, context.number, context.task
    every = schedule.evaluation == "every-epoch"
    row = {"position": context.visit, "task": number, "epoch": epoch, "train_accuracy": float("nan")}
    row["valid_accuracy"] = accuracy(learner, number, task.valid)
    improved = row["valid_accuracy"] > log.best_valid
    wanted = improved or every or epoch in (0, context.epochs) or epoch % schedule.test_every == 0
    row["test_accuracy"] = accuracy(learner, number, task.test) if wanted else float("nan")
    if every:
        row["train_accuracy"] = accuracy(learner, number, task.train)
        log.accuracy += [_old_task_row(learner, context, n, t, epoch) for n, t in context.seen.items() if n != number]
    if improved:
        log.best_valid, log.peak_at_best_valid = row["valid_accuracy"], row["test_accuracy"]
    if wanted:
        log.peak_test = max(log.peak_test, row["test_accuracy"])
    return row


def _old_task_row(learner: Learner, context: TaskContext, number: int, task: Task, epoch: int) -> dict[str, Any]:
    for split in (task.train, task.valid):
        accuracy(learner, number, split)  # the released timer includes these passes; their values are not used
    return _accuracy_row(context.visit, number, "epoch", epoch, accuracy(learner, number, task.test))


@torch.no_grad()
def accuracy(learner: Learner, task: int, split: Split) -> float:
    """Share of `split` that `learner` labels correctly as `task`; waits for the device once."""
    correct = torch.zeros((), dtype=torch.int64, device=split.labels.device)
    for index in torch.arange(len(split), device=split.labels.device).split(CHUNK):
        images, labels = split.batch(index)
        correct += (learner.predict(task, images).argmax(-1) == labels).sum()
    return int(correct) / max(len(split), 1)


def _accuracy_row(visit: int, task: int, when: str, epoch: int, value: float) -> dict[str, Any]:
    return {"position": visit, "task": task, "when": when, "epoch": epoch, "test_accuracy": value}


def _write_row(log: VisitLog, row: dict[str, Any], report: EpochReport, context: TaskContext, epoch: int) -> None:
    row |= {"loss": report.loss, "config": report.config}
    row |= {"entropy": report.entropy, "max_weight": report.max_weight}
    row |= {f"transfer_{layer}": p for layer, p in enumerate(report.transfer, start=1)} | report.extra
    log.history.append(row)
    place = {"position": context.visit, "task": context.number, "epoch": epoch}
    log.posterior += [place | {"step": step, "weights": weights} for step, weights in report.weights]
    if epoch == 0:
        log.accuracy.append(_accuracy_row(context.visit, context.number, "before", 0, row["test_accuracy"]))
    log.epoch = epoch


def _finish(learner: Learner, life: Lifetime, context: TaskContext) -> None:
    """End the task, then measure every task seen; `released` also before the roll-back (released code, item 21)."""

    def test(when: str) -> None:
        rows = [(n, accuracy(learner, n, task.test)) for n, task in context.seen.items()]
        life.accuracy += [_accuracy_row(context.visit, n, when, -1, value) for n, value in rows]

    if learner.spec.preset == "released":
        life.eval_seconds += _timed(partial(test, "unrolled"))
    life.visits[-1].train_seconds += _timed(learner.end_task)
    life.eval_seconds += _timed(partial(test, "after"))


def _timed(work: Callable[[], object]) -> float:
    """Do it, and say how many seconds it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _on_epoch(
    life: Lifetime, learner: Learner, checkpoint: Checkpoint, progress: Progress,
    log: VisitLog, row: dict[str, Any], report: EpochReport,
) -> None:  # fmt: skip
    progress.epoch(len(life.visits), row, report)
    checkpoint.offer(partial(_state, life, log, learner))


def _state(life: Lifetime, log: VisitLog | None, learner: Learner) -> dict[str, Any]:
    log = asdict(log) if log else None
    return {"shape": SHAPE, "life": asdict(life), "log": log, "learner": learner.state_dict()}


def _restore(learner: Learner, stream: TaskStream, checkpoint: Checkpoint) -> tuple[Lifetime, VisitLog | None]:
    state = checkpoint.load()
    if state is not None and state.get("shape") != SHAPE:
        logging.getLogger("lasem").warning("the checkpoint is of another version of LASEM: the run starts again")
        state = None
    if state is None:
        return Lifetime(), None
    saved = state["life"]
    life = Lifetime([VisitLog(**v) for v in saved["visits"]], saved["accuracy"], saved["eval_seconds"])
    learned = to_device(state["learner"], learner.env.device)
    learner.load_state_dict(learned)
    if state["log"] is None:
        return life, None
    learner.resume_task(context_of(learner.env, stream, len(life.visits)), learned["training"])
    return life, VisitLog(**state["log"])


def to_device(state: Any, device: torch.device) -> Any:
    """The nested state of a learner with every tensor of it on `device`, none of them part of a graph: a copy of a
    tensor that needs gradients would be, and could never again be told to need none."""
    if isinstance(state, Tensor):
        return state.detach().to(device)
    if isinstance(state, dict):
        return {key: to_device(value, device) for key, value in state.items()}
    return [to_device(value, device) for value in state] if isinstance(state, list) else state
