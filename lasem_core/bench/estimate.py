"""How long runs would take on this machine: a few mini-batches of each kind of run are trained and timed.

Records are no help: most were made on machines that also did other work, and none on the one at hand. What is timed is
the first task; of methods whose steps cost more with every task also the last one, and the mean is taken. DEN grows as
the data ask for, which nobody knows beforehand. A pruned run is taken to evaluate one configuration for most of its
mini-batches, as whole tasks did (docs/speed.md).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from lasem_core import data as datasets
from lasem_core.common.errors import LasemError
from lasem_core.data.stream import Batch, TaskStream
from lasem_core.learners import Environment, Learner, TaskContext
from lasem_core.learners.brute_force import BruteForce
from lasem_core.learners.protocol import full_batches
from lasem_core.learners.pruning import Refreshed
from lasem_core.runs.process import settings
from lasem_core.runs.progress import is_silent
from lasem_core.runs.run import make_learner, resolve_device
from lasem_core.spec.run_spec import RunSpec
from lasem_core.training import accuracy, context_of

REPEATS = 3
UNPRUNED = 0.02  # share of a pruned task's mini-batches that evaluate the whole space, on CIFAR-100 over 2000 epochs
GROWING = ("progressive", "apd")
IMPROVEMENTS = 20  # epochs of a task at which validation improves, so that lazy evaluation tests


def seconds_of(specs: Sequence[RunSpec], data: Path | None = None) -> list[float | None]:
    """Expected seconds of each run, None where it cannot be tried (no data). One trial of each kind is timed."""
    kinds = {_kind(spec): spec for spec in specs}
    bar = tqdm(kinds.items(), desc="timing a few steps", unit="kind", disable=is_silent(), leave=False, delay=2)
    known = {kind: _epoch_seconds(spec, data) for kind, spec in bar}
    return [_scaled(spec, known[_kind(spec)]) for spec in specs]


def _kind(spec: RunSpec) -> str:
    """Runs of one kind cost the same per epoch: they differ in seed, schedule, number of tasks and belief only."""
    tasks = {"images"} if spec.method in GROWING else {"n_tasks", "order", "images"}
    scale = {"schedule": {"epochs"}, "stream": tasks, "optim": {"lr", "lr_decay"}}
    belief = {"em": {"likelihood", "prior", "prior_count", "rollback", "shared_init", "fixed_mass"}}
    return spec.model_dump_json(exclude={"seed": True, "profile": True} | scale | belief)


class _Seconds(NamedTuple):
    """Of an epoch with its validation, of one test of the current task, and of evaluating all images of a task."""

    epoch: float
    test: float
    task: float


def _scaled(spec: RunSpec, seconds: _Seconds | None) -> float | None:
    if seconds is None:
        return None
    epochs, schedule = spec.schedule.epochs, spec.schedule
    evaluation = min(epochs / schedule.test_every + IMPROVEMENTS, epochs) * seconds.test
    if schedule.evaluation == "every-epoch":  # of every task seen so far
        evaluation = epochs * seconds.task * (spec.stream.n_tasks + 1) / 2
    return spec.stream.n_visits * (epochs * seconds.epoch + evaluation)


def _epoch_seconds(spec: RunSpec, data: Path | None) -> _Seconds | None:
    try:
        stream = datasets.load_stream(spec, data)
        learner = make_learner(Environment(spec, stream.image_shape, resolve_device(spec)))
    except LasemError:
        return None
    with settings(spec):
        last = spec.stream.n_visits - 1 if spec.method in GROWING else 0
        visits = islice(_opened(learner, stream.to(learner.env.device)), last + 1)
        timed = [_visit_seconds(learner, context) for context in visits if context.visit in (0, last)]
    return _Seconds(*map(mean, zip(*timed, strict=True)))


def _opened(learner: Learner, stream: TaskStream) -> Iterator[TaskContext]:
    """One visit after another, open and untrained."""
    for visit in range(len(stream.order)):
        context = context_of(learner.env, stream, visit)
        learner.begin_task(context)
        yield context
        learner.end_task()


def _visit_seconds(learner: Learner, context: TaskContext) -> _Seconds:
    task, size = context.task, learner.spec.optim.batch_size
    step, n_steps = _step_seconds(learner, context), full_batches(len(learner.train_index(len(task.train))), size)
    valid = _timed(lambda: accuracy(learner, context.number, task.valid))
    test = _timed(lambda: accuracy(learner, context.number, task.test))
    per_test = (len(task.train) + len(task.valid) + len(task.test)) / max(len(task.test), 1)
    trainings = len(learner.spec.space) if isinstance(learner, BruteForce) else 1
    return _Seconds(*(trainings * seconds for seconds in (n_steps * step + valid, test, test * per_test)))


def _step_seconds(learner: Learner, context: TaskContext) -> float:
    index = torch.arange(min(learner.spec.optim.batch_size, len(context.task.train)), device=learner.env.device)
    batch = Batch(*context.task.train.batch(index), context.lr(0), (0, 0, 0))
    every = _timed(lambda: learner.train_step(batch))
    rule = getattr(getattr(learner, "open", None), "rule", None)
    if type(rule) is not Refreshed:
        return every
    rule.window.kept, rule.window.left = (0,), sys.maxsize
    full = _timed(lambda: learner.open.search.exact_posterior(batch))
    few = _timed(lambda: learner.train_step(batch))
    return UNPRUNED * every + (1 - UNPRUNED) * few + full / learner.spec.em.prune_every


def _timed(work: Callable[[], object]) -> float:
    """Median seconds, after one call that warms up."""
    _finish(work)
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        _finish(work)
        times.append(time.perf_counter() - started)
    return median(times)


def _finish(work: Callable[[], object]) -> None:
    work()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
