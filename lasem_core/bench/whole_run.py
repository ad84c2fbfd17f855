"""What a whole task costs under LASEM beside transfer at all layers (`lasem bench --epochs N`).

Both train the first real task of profile `paper`, in turns, so that a busy machine touches both alike; LASEM prunes
by `refreshed` with the default window. Only training is timed: evaluation follows the same schedule in both. Times are
processor time, so that waiting for other processes does not count. Every static epoch costs the same, so only one in
`STATIC_EVERY` is trained and stands for its neighbours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from lasem_core import data as datasets
from lasem_core.bench import BASES, spec_of
from lasem_core.learners import Environment, EpochReport, Learner, TaskContext
from lasem_core.runs.machine import bf16_units
from lasem_core.runs.process import settings
from lasem_core.runs.progress import is_silent
from lasem_core.runs.run import make_learner, resolve_device
from lasem_core.spec.run_spec import RunSpec
from lasem_core.training import context_of, train_epoch

STATIC_EVERY = 5
PARTS = 10  # of a run, for the course of the costs; each needs a static epoch


class _Trainee:
    """A learner in its first task, and the milliseconds per mini-batch of every epoch, NaN where it did not train."""

    def __init__(self, spec: RunSpec, data: Path | None):
        stream = datasets.load_stream(spec, data)
        self.env = Environment(spec, stream.image_shape, resolve_device(spec))
        self.learner: Learner = make_learner(self.env)
        self.context: TaskContext = context_of(self.env, stream.to(self.env.device), 0)
        self.learner.begin_task(self.context)
        self.ms: list[float] = []

    def train(self, epoch: int) -> EpochReport:
        started = time.process_time()
        report = train_epoch(self.learner, self.context, epoch)
        steps = self.context.n_batches(self.env.spec.optim.batch_size)
        self.ms.append(1e3 * (time.process_time() - started) / steps)
        return report

    def rest(self) -> None:
        self.ms.append(math.nan)


def whole_run(
    setting: str, epochs: int, threads: int, bases: Sequence[str] = BASES, data: Path | None = None, seed: int = 0
) -> dict[str, Any]:
    """Train `epochs` epochs of one task of `setting` per base and return what `lasem bench --epochs --json` prints.

    Per base: `static_ms` and `lasem_ms` per mini-batch, their `ratio`, `evaluated` configurations per mini-batch;
    `course` has the same for each tenth of the run.
    """
    specs = {base: _specs(setting, base, threads, seed) for base in bases}
    report = {"setting": setting, "threads": threads, "seed": seed, "epochs": epochs, "static_every": STATIC_EVERY}
    report["isa"] = bf16_units()
    em = next(iter(specs.values()))[1].em
    report |= {"prune": em.prune, "eps": em.prune_eps, "every": em.prune_every}
    return report | {"bases": {base: _measure(*pair, epochs, data) for base, pair in specs.items()}}


def _specs(setting: str, base: str, threads: int, seed: int) -> tuple[RunSpec, RunSpec]:
    common = {"profile": "paper", "seed": seed}
    static = spec_of(setting, base, threads, method="static", **common)
    return static, spec_of(setting, base, threads, "refreshed", method="lasem", **common)


def _measure(static_spec: RunSpec, lasem_spec: RunSpec, epochs: int, data: Path | None) -> dict[str, Any]:
    with settings(lasem_spec):
        static, lasem = _Trainee(static_spec, data), _Trainee(lasem_spec, data)
        evaluated = []
        bar = tqdm(range(1, epochs + 1), desc=lasem_spec.base, disable=is_silent())
        for epoch in bar:
            static.train(epoch) if epoch % STATIC_EVERY == 1 else static.rest()
            evaluated.append(lasem.train(epoch).extra["evaluated"])
    course = [_costs(static.ms[part], lasem.ms[part], evaluated[part]) for part in _parts(epochs)]
    return _costs(static.ms, lasem.ms, evaluated) | {"course": course}


def _costs(static_ms: list[float], lasem_ms: list[float], evaluated: list[float]) -> dict[str, float]:
    static, lasem = float(np.nanmean(static_ms)), fmean(lasem_ms)
    return {"static_ms": static, "lasem_ms": lasem, "ratio": lasem / static, "evaluated": fmean(evaluated)}


def _parts(n: int) -> list[slice]:
    parts = min(PARTS, max(1, n // STATIC_EVERY))
    edges = [round(i * n / parts) for i in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]
