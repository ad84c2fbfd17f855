"""Lifelong-learning metrics from the table of accuracies.

R[i, j] is the test accuracy of task j after the i-th task end of the stream (configuration fixed, roll-back
done). All accuracies are fractions in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


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
