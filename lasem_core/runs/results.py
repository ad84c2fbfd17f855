"""From what the loop has gathered to a run record: tidy tables, lifelong-learning metrics, a flat summary.

All accuracies are fractions in [0, 1]. R[i, j] is the test accuracy of task j after the i-th task end of the stream
(configuration fixed, roll-back done).
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from lasem_core.data.stream import TaskStream
from lasem_core.learners.protocol import Learner, VisitLog
from lasem_core.runs.machine import peak_mb
from lasem_core.spec.run_spec import RunSpec
from lasem_core.training import Lifetime

LEADING = 32  # configurations whose mass is stored one by one where there are more than ALL
ALL = 64
LIBRARIES = ("torch", "numpy", "pandas", "lasem")


def tables(life: Lifetime) -> dict[str, pd.DataFrame]:
    """The tables of a record, see `record.TABLES`."""
    return {"history": history_table(life), "posterior": posterior_table(life), "accuracy": accuracy_table(life)}


def history_table(life: Lifetime) -> pd.DataFrame:
    """One row per epoch: position, task, epoch, accuracies (NaN = not evaluated), loss, configuration in use,
    entropy and largest weight of the posterior, `transfer_l` = probability that layer l is transferred."""
    return pd.DataFrame([row for visit in life.visits for row in visit.history])


def posterior_table(life: Lifetime) -> pd.DataFrame:
    """Tidy posteriors: `step` is the mini-batch within the task, -1 for the mean of an epoch.

    Above 64 configurations only the leading 32 of each row and the mass of the 'rest' are kept.
    """
    rows = [row for visit in life.visits for row in visit.posterior]
    if not rows:
        return pd.DataFrame(columns=["position", "task", "epoch", "step", "config", "mass"])
    kept = [_leading(row["weights"]) for row in rows]
    places = [(row["position"], row["task"], row["epoch"], -1 if row["step"] is None else row["step"]) for row in rows]
    table = pd.DataFrame(places, columns=["position", "task", "epoch", "step"])
    table = table.loc[table.index.repeat([len(weights) for weights in kept])].reset_index(drop=True)
    table["config"] = [config for weights in kept for config in weights]
    table["mass"] = [mass for weights in kept for mass in weights.values()]
    return table.astype({"position": "int16", "task": "int16", "epoch": "int32", "step": "int32", "mass": "float16"})


def _leading(weights: dict[str, float]) -> dict[str, float]:
    if len(weights) <= ALL:
        return weights
    leading = dict(sorted(weights.items(), key=lambda item: -item[1])[:LEADING])
    return leading | {"rest": max(0.0, sum(weights.values()) - sum(leading.values()))}


def accuracy_table(life: Lifetime) -> pd.DataFrame:
    """Test accuracies: `when` = before (training), epoch, unrolled (before the roll-back) or after (task end)."""
    rows = [row for visit in life.visits for row in visit.accuracy] + life.accuracy
    return pd.DataFrame(rows, columns=["position", "task", "when", "epoch", "test_accuracy"])


def accuracy_matrix(accuracy: pd.DataFrame) -> pd.DataFrame:
    """R: rows = positions in the stream, columns = tasks, NaN before a task is seen."""
    after = accuracy[accuracy["when"] == "after"]
    return after.pivot(index="position", columns="task", values="test_accuracy").sort_index()


def last_visits(order: Sequence[int]) -> dict[int, int]:
    """Position at which each task's own training last ended."""
    return {task: position for position, task in enumerate(order)}


def forgetting_curve(matrix: pd.DataFrame, order: Sequence[int]) -> pd.Series:
    """Catastrophic-forgetting ratio after each task (Lee et al. 2019; Figure 7).

    After position i: mean over tasks j whose training ended before i of R[i, j] / R[end(j), j]. 1 = nothing
    forgotten, above 1 = positive backward transfer; NaN after the first task. A task that never got an image
    right at its own end has no ratio and is left out.
    """
    ratios = {position: _mean_ratio(matrix, order[: position + 1]) for position in range(len(order))}
    return pd.Series(ratios, name="forgetting_ratio")


def _mean_ratio(matrix: pd.DataFrame, order: Sequence[int]) -> float:
    now = len(order) - 1
    ends = {task: end for task, end in last_visits(order).items() if end < now}
    pairs = [(matrix.at[now, task], matrix.at[end, task]) for task, end in ends.items()]
    ratios = [later / own for later, own in pairs if own > 0]
    return float(np.mean(ratios)) if ratios else float("nan")


def backward_transfer(matrix: pd.DataFrame, order: Sequence[int]) -> float:
    """BWT (Lopez-Paz and Ranzato 2017): mean of R[T, j] - R[end(j), j] over tasks finished before the last."""
    now = len(order) - 1
    changes = [matrix.at[now, t] - matrix.at[end, t] for t, end in last_visits(order).items() if end < now]
    return float(np.mean(changes)) if changes else float("nan")


def forward_transfer(accuracy: pd.DataFrame, chance: Sequence[float]) -> float:
    """FWT (Lopez-Paz and Ranzato 2017): mean of R[j-1, j] - chance over all tasks but the first, each at its first
    visit: a task that comes back has been trained before.

    With a head of its own that no data have reached yet, a task's accuracy before training hardly leaves
    chance; the field's definition is kept for comparison.
    """
    before = accuracy[accuracy["when"] == "before"].sort_values("position").drop_duplicates("task")
    gains = [row.test_accuracy - chance[row.task] for row in before.itertuples() if row.position > 0]
    return float(np.mean(gains)) if gains else float("nan")


def summary(spec: RunSpec, stream: TaskStream, learner: Learner, life: Lifetime) -> dict[str, Any]:
    """The identical part in flat numbers; accuracies are fractions, means over tasks."""
    table = accuracy_table(life)
    matrix = accuracy_matrix(table)
    chance = [1 / task.n_classes for task in stream.tasks]
    return {
        **peaks(stream.order, life.visits),
        "final_accuracy": float(matrix.iloc[-1].mean()),
        "forgetting_ratio": float(forgetting_curve(matrix, stream.order).iloc[-1]),
        "backward_transfer": backward_transfer(matrix, stream.order),
        "forward_transfer": forward_transfer(table, chance),
        "configs": _by_task(learner.configs, stream),
        "n_tasks": len(stream.tasks),
        "epochs": spec.schedule.epochs,
        "data_title": stream.title,
        "stream_hash": stream.content_hash(),
        **memory(learner),
    }


def peaks(order: Sequence[int], visits: Sequence[VisitLog]) -> dict[str, float]:
    """Both peaks (item 45), means over tasks, each over its own training: all visits of a task that comes back."""
    of_task = [[v for v, number in zip(visits, order, strict=True) if number == task] for task in sorted(set(order))]
    best = [max(own, key=lambda visit: visit.best_valid) for own in of_task]  # the earliest of equal ones
    return {
        "peak_at_best_valid": float(np.mean([visit.peak_at_best_valid for visit in best])),
        "peak_test": float(np.mean([max(visit.peak_test for visit in own) for own in of_task])),
    }


def _by_task(configs: list[str], stream: TaskStream) -> list[str]:
    """One entry per task, empty for a task that the stream's order leaves out."""
    chosen = dict(zip(sorted(set(stream.order)), configs, strict=True)) if configs else {}
    return [chosen.get(number, "") for number in range(len(stream.tasks))] if chosen else []


def memory(learner: Learner) -> dict[str, int]:
    """What is kept after the last task (Appendix F): bytes of shared knowledge, of the largest task's own tensors
    and of all; `parameters` counts the numbers among them, whatever else a method keeps for later included."""
    stored = learner.stored_tensors()
    sizes = {owner: sum(t.numel() * t.element_size() for t in ts) for owner, ts in stored.items()}
    shared = sizes.pop("shared", 0)
    return {
        "shared_bytes": shared,
        "task_bytes_max": max(sizes.values(), default=0),
        "stored_bytes": shared + sum(sizes.values()),
        "parameters": sum(t.numel() for ts in stored.values() for t in ts if t.is_floating_point()),
    }


def measured(life: Lifetime, machine: dict[str, Any]) -> dict[str, Any]:
    """What differs from run to run: seconds, peak memory, library versions, and the `machine` (`machine.Watch`)."""
    return {
        "train_seconds": sum(visit.train_seconds for visit in life.visits),
        "eval_seconds": sum(visit.eval_seconds for visit in life.visits) + life.eval_seconds,
        "task_train_seconds": [visit.train_seconds for visit in life.visits],
        "peak_rss_mb": peak_mb(),
        **machine,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
