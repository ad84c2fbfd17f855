"""Metrics against numbers worked out by hand."""

import math

import pandas as pd
import pytest

from lasem_core.common.statistics import t_interval
from lasem_core.runs.results import accuracy_matrix, backward_transfer, forgetting_curve, forward_transfer

ROWS = [
    (0, 0, "before", 0.3), (0, 0, "after", 0.8),
    (1, 1, "before", 0.2), (1, 0, "after", 0.4), (1, 1, "after", 0.6), (1, 0, "unrolled", 0.1),
    (2, 2, "before", 0.4), (2, 0, "after", 0.6), (2, 1, "after", 0.9), (2, 2, "after", 0.5),
]  # fmt: skip
TABLE = pd.DataFrame(ROWS, columns=["position", "task", "when", "test_accuracy"])
ORDER = (0, 1, 2)


def test_forgetting_ratio_is_later_over_own():
    curve = forgetting_curve(accuracy_matrix(TABLE), ORDER)
    assert math.isnan(curve[0])
    assert curve[1] == pytest.approx(0.4 / 0.8)
    assert curve[2] == pytest.approx((0.6 / 0.8 + 0.9 / 0.6) / 2)


def test_backward_and_forward_transfer():
    assert backward_transfer(accuracy_matrix(TABLE), ORDER) == pytest.approx(((0.6 - 0.8) + (0.9 - 0.6)) / 2)
    assert forward_transfer(TABLE, [0.25] * 3) == pytest.approx(((0.2 - 0.25) + (0.4 - 0.25)) / 2)


def test_forward_transfer_counts_first_visits_only():
    again = pd.DataFrame([(3, 0, "before", 0.9)], columns=TABLE.columns)
    assert forward_transfer(pd.concat([TABLE, again]), [0.25] * 3) == forward_transfer(TABLE, [0.25] * 3)


def test_a_revisited_task_counts_from_its_last_visit():
    rows = [(0, 0, 0.5), (1, 0, 0.4), (1, 1, 0.6), (2, 0, 0.7), (2, 1, 0.3)]
    table = pd.DataFrame([(p, t, "after", a) for p, t, a in rows], columns=TABLE.columns)
    assert forgetting_curve(accuracy_matrix(table), (0, 1, 0))[2] == pytest.approx(0.3 / 0.6)


def test_one_task_forgets_nothing_measurable():
    one = TABLE[TABLE["position"] == 0]
    assert math.isnan(forgetting_curve(accuracy_matrix(one), (0,))[0])
    assert math.isnan(backward_transfer(accuracy_matrix(one), (0,)))


def test_t_interval():
    mean, half = t_interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)
    assert math.isnan(t_interval([1.0])[1])
    assert all(map(math.isnan, t_interval([])))
