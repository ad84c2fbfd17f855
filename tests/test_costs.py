"""The paper's statements of cost are judged by what was measured: other measurements, other verdicts."""

import json
import math

import pytest

from lasem_core.common.statistics import NOT_RUN, UNDECIDED
from lasem_core.views.costs import BY_PRUNING, cost_table, judge_bound, paper_costs
from lasem_core.views.verdicts import NOT_REPRODUCED, REPRODUCED

STEP = {"exact / static": (6.9, (6.8, 7.1)), "estep / mstep": (0.19, (0.18, 0.2))}


@pytest.fixture
def folder(tmp_path):
    """HPS alone: a step of CIFAR-100, none of STL-10, three whole tasks."""
    ratios, intervals = ({name: pair[i] for name, pair in STEP.items()} for i in (0, 1))
    steps = {"rounds": 21, "bases": {"hps": {"ratios": ratios, "intervals": intervals}}}
    (tmp_path / "cifar100.json").write_text(json.dumps(steps))
    for seed, ratio in enumerate((1.0, 1.1, 1.2)):
        (tmp_path / f"whole-cifar100-{seed}.json").write_text(json.dumps({"bases": {"hps": {"ratio": ratio}}}))
    return tmp_path


def verdicts(folder, sharing="HPS"):
    table = cost_table(folder)
    return table[table["sharing"] == sharing].set_index("where", append=True)[["ratio", "n", "verdict"]].values.tolist()


def test_bounds_are_the_papers():
    assert [(cost.bound, cost.setting, cost.ratio) for cost in paper_costs()] == [
        (1.5, "cifar100", "exact / static"), (1.5, "cifar100", ""), (2.0, "stl10", "exact / static"),
        (0.2, "cifar100", "estep / mstep"),
    ]  # fmt: skip


def test_every_statement_stands_beside_what_was_measured(folder):
    assert verdicts(folder) == [
        ["6.90 (6.80 to 7.10)", "21 rounds", NOT_REPRODUCED],
        ["1.10 (0.85 to 1.35)", "3 tasks", BY_PRUNING],
        ["-", "-", NOT_RUN],
        ["0.19 (0.18 to 0.20)", "21 rounds", REPRODUCED],
    ]
    assert {row[2] for row in verdicts(folder, "TF")} == {NOT_RUN}


def test_two_tasks_decide_nothing(folder):
    (folder / "whole-cifar100-2.json").unlink()
    assert verdicts(folder)[1] == ["1.05", "2 tasks", UNDECIDED]


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((1.0, 1.5), REPRODUCED), ((1.4, 1.6), UNDECIDED), ((1.51, 1.6), NOT_REPRODUCED), ((math.nan,) * 2, UNDECIDED)],
)
def test_a_bound_is_judged_by_the_whole_interval(interval, verdict):
    assert judge_bound(*interval, 1.5) == verdict
