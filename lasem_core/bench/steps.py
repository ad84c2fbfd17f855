"""What a training step costs, beside the convolutions alone (`lasem bench`).

Per base and setting, medians of interleaved rounds in one process, in milliseconds: the static step (transfer
everywhere), the exact EM step, the pruned EM step in its steady state (one configuration evaluated), the E-step
alone, the rooflines (the same convolutions alone, forward and backward, with their Gflop), and what a static step
does besides them, part by part. Peak memory (MiB) of the exact step is measured in a process of its own. Only
ratios within one call are meaningful: medians over rounds of the ratio in each round, with a 95 % interval in
`intervals` (none for fewer than six rounds); `spread` shows whether the machine was busy.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import median
from typing import Any

import numpy as np
import torch

from lasem_core.bench import BASES, SETTINGS, Call, spec_of
from lasem_core.bench.parts import parts
from lasem_core.bench.rooflines import bare, gflop
from lasem_core.common.statistics import median_interval
from lasem_core.data.stream import Batch
from lasem_core.learners import Environment, TaskContext
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.learners.pruning import Refreshed
from lasem_core.runs.machine import bf16_units, peak_mb
from lasem_core.runs.process import settings
from lasem_core.runs.run import make_learner
from lasem_core.spec.run_spec import RunSpec

RATIOS = {
    "static / roofline": ("static", "roofline_static"),
    "exact / roofline": ("exact", "roofline_exact"),
    "exact / static": ("exact", "static"),
    "pruned / static": ("pruned", "static"),
    "estep / mstep": ("estep", "mstep"),
}


class _Task:
    """As much of a task as a learner asks for before its first mini-batch."""

    def __init__(self, n_classes: int):
        self.n_classes = n_classes


def bench(setting: str, threads: int, rounds: int, bases: Sequence[str] = BASES, precision: str = "fp32") -> dict:
    """Measure `setting` and return what `lasem bench --json` prints; LasemError for a name that is unknown."""
    return {
        "setting": setting,
        "threads": threads,
        "precision": precision,
        "rounds": rounds,
        "isa": bf16_units(),
        "bases": {base: _bench_base(setting, base, threads, rounds, precision) for base in bases},
    }


def _bench_base(setting: str, base: str, threads: int, rounds: int, precision: str) -> dict[str, Any]:
    spec = spec_of(setting, base, threads, method="lasem", precision=precision)
    with settings(spec):
        learners = _learners(setting, base, spec)
        times = _interleaved(_calls(**learners, shape=SETTINGS[setting][1]), rounds)
    times["mstep"] = [exact - estep for exact, estep in zip(times["exact"], times["estep"], strict=True)]
    row = {f"{name}_ms": median(values) for name, values in times.items()}
    row["spread"] = max(_spread(values) for values in times.values())
    row |= {f"{name}_gflop": gflop(learner) for name, learner in learners.items() if name != "pruned"}
    row["peak_mb"] = _peak_memory(setting, base, threads, precision)
    by_round = {name: np.divide(times[a], times[b]) for name, (a, b) in RATIOS.items()}
    row["ratios"] = {name: float(np.median(values)) for name, values in by_round.items()}
    return row | {"intervals": {name: median_interval(values) for name, values in by_round.items()}}


def _spread(values: list[float]) -> float:
    """Interquartile range over the median."""
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[3 * n // 4] - ordered[n // 4]) / ordered[n // 2]


def _learners(setting: str, base: str, spec: RunSpec) -> dict[str, ConfiguredLearner]:
    static = _learner(setting, spec_of(setting, base, spec.threads, method="static", precision=spec.precision))
    exact, pruned = _learner(setting, spec), _learner(setting, spec)
    rule = pruned.open.rule = Refreshed(pruned.open.search)
    rule.window.kept, rule.window.left = (0,), sys.maxsize
    return {"static": static, "exact": exact, "pruned": pruned}


def _calls(
    static: ConfiguredLearner, exact: ConfiguredLearner, pruned: ConfiguredLearner, shape: tuple[int, int, int]
) -> dict[str, Call]:
    return {
        "static": _stepper(static, shape),
        "exact": _stepper(exact, shape),
        "pruned": _stepper(pruned, shape),
        "estep": _e_step(exact, shape),
        "roofline_static": bare(static),
        "roofline_exact": bare(exact),
        **{f"part_{name}": call for name, call in parts(static, next(_batches(static.spec, shape))).items()},
    }


def _learner(setting: str, spec: RunSpec) -> ConfiguredLearner:
    learner = make_learner(Environment(spec, SETTINGS[setting][1], torch.device("cpu")))
    learner.begin_task(TaskContext(0, 0, _Task(spec.stream.classes_per_task), 1, lambda epoch: spec.optim.lr))
    return learner


def _batches(spec: RunSpec, shape: tuple[int, int, int]) -> Iterator[Batch]:
    images = torch.randn(spec.optim.batch_size, *shape).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(spec.optim.batch_size) % spec.stream.classes_per_task
    step = 0
    while True:
        yield Batch(images, labels, spec.optim.lr, (0, 0, step))
        step += 1


def _stepper(learner: ConfiguredLearner, shape: tuple[int, int, int]) -> Call:
    batches = _batches(learner.spec, shape)
    return lambda: learner.train_step(next(batches))


def _e_step(learner: ConfiguredLearner, shape: tuple[int, int, int]) -> Call:
    batches = _batches(learner.spec, shape)
    return lambda: learner.open.search.exact_posterior(next(batches))


def _interleaved(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call, round by round, so that a drifting machine touches all alike."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - started))
    return times


def _peak_memory(setting: str, base: str, threads: int, precision: str) -> float:
    """Peak resident memory (MB) of a fresh process that takes three exact steps."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_three_steps, setting, base, threads, precision).result()


def _three_steps(setting: str, base: str, threads: int, precision: str) -> float:
    spec = spec_of(setting, base, threads, method="lasem", precision=precision)
    with settings(spec):
        step = _stepper(_learner(setting, spec), SETTINGS[setting][1])
        for _ in range(3):
            step()
    return peak_mb()
