"""TOST against closed forms; pairs of exact and pruned runs against records with known numbers."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from sample_records import record

from lasem_core.common.statistics import DIFFERENT, EQUIVALENT, NOT_RUN, UNDECIDED, tost
from lasem_core.runs.plan import plan
from lasem_core.runs.store import RunStore
from lasem_core.spec.parts import ScheduleSpec
from lasem_core.spec.run_spec import build_spec
from lasem_core.training import Progress
from lasem_core.views import canvas, pairs


def two_degrees(t):
    """Upper tail of Student's t with two degrees of freedom."""
    return (1 - t / math.sqrt(t * t + 2)) / 2


def test_tost_by_hand():
    """Mean 0.002, standard error 0.001 / sqrt 3: the nearer border is 8 sqrt 3 standard errors away."""
    result = tost([0.001, 0.002, 0.003], 0.01)
    assert (result.mean, result.n) == (pytest.approx(0.002), 3)
    assert result.p == pytest.approx(two_degrees(8 * math.sqrt(3)))
    assert result.half == pytest.approx(2.919986 * 0.001 / math.sqrt(3), rel=1e-6)
    assert tost([-0.001, -0.002, -0.003], 0.01).p == pytest.approx(result.p)


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([0.001, 0.002, 0.003], EQUIVALENT),
        ([-0.02, 0.02, 0.001], UNDECIDED),
        ([0.03, 0.031, 0.032], DIFFERENT),
        ([0.0, 0.0, 0.0], EQUIVALENT),
        ([0.01, 0.01, 0.01], UNDECIDED),
        ([0.001, 0.002], UNDECIDED),
        ([float("nan")], NOT_RUN),
        ([], NOT_RUN),
    ],
)
def test_verdicts(differences, word):
    assert tost(differences, 0.01).verdict == word


def test_the_verdict_is_that_of_the_90_percent_interval():
    for shift in (0, 0.004, 0.006, 0.008):
        result = tost([shift, shift + 0.002, shift + 0.005, shift - 0.001], 0.01)
        assert (result.verdict == EQUIVALENT) == (abs(result.mean) + result.half < 0.01)


CONFIGS = ("0111", "0101", "0111")


def lasem(name, base, seed, peak, evaluated, seconds=10.0, configs=CONFIGS, **em):
    spec = {"dataset": "cifar100", "profile": "quick", "base": base, "seed": seed, "em": em}
    made = record(name, peak, configs=configs, seconds=seconds, **spec)
    if em:
        made.history["evaluated"] = [math.nan, evaluated, 1, 1, 1] * 3
        made.history["pruned_mass"] = [math.nan, 0.01, 0, 0.004, 0] * 3
    return made


@pytest.fixture
def records():
    made = []
    for base in ("hps", "tf", "df-cnn"):
        for seed in range(3):
            made.append(lasem(f"e{base}{seed}", base, seed, 0.40, 16))
            other = ("0111", "0101", "1111") if (base, seed) == ("tf", 0) else CONFIGS
            made.append(lasem(f"p{base}{seed}", base, seed, 0.401 + 0.001 * seed, 5, 2.5, other, prune="refreshed"))
        made.append(record(f"s{base}", 0.3, method="static", config="all", dataset="cifar100", profile="quick",
                           base=base, seed=0, seconds=2.0))  # fmt: skip
    return made


def test_pairs_differ_in_pruning_alone(records):
    matched = pairs.pairs_of([*records, lasem("lonely", "hps", 7, 0.4, 1, prune="refreshed")])
    assert len(matched) == 9
    assert all(a.spec.em.prune == "off" and b.spec.em.prune == "refreshed" for a, b in matched)
    assert all((a.spec.base, a.spec.seed) == (b.spec.base, b.spec.seed) for a, b in matched)


def test_pair_table_by_hand(records):
    table = pairs.pair_table(pairs.pairs_of(records)).set_index(["base", "seed"])
    row = table.loc[("tf", 0)]
    assert row["same_choice"] == pytest.approx(2 / 3) and table.loc[("tf", 1), "same_choice"] == 1
    assert row["peak_at_best_valid"] == pytest.approx(0.001)
    assert (row["evaluated"], row["outside"]) == (2, 0.01)
    assert math.isnan(row["kept"])  # made-up records have no models


def test_course_of_pruned_runs_without_a_twin(records):
    assert pairs.course_table(records).empty
    alone = lasem("lonely", "hps", 7, 0.4, 5, prune="refreshed")
    alone = replace(alone, spec=alone.spec.model_copy(update={"schedule": ScheduleSpec(epochs=4)}))
    (row,) = pairs.course_table([*records, alone]).to_dict("records")
    assert (row["dataset"], row["base"], row["tasks"], row["epochs"], row["configurations"]) == (
        "cifar100",
        "hps",
        10,
        4,
        16,
    )
    assert row["evaluated, tenth by tenth"] == "5.0 1.0 1.0 1.0"


def test_verdicts_over_all_bases_and_each(records):
    table = pairs.verdict_table(pairs.pairs_of(records)).set_index(["accuracy", "base"])
    overall = table.loc[("peak_at_best_valid", "all")]
    assert (overall["n"], overall["verdict"]) == (3, EQUIVALENT)  # a trial is one seed, whatever the bases
    assert table.loc[("peak_at_best_valid", "hps"), "p"] == f"{two_degrees(8 * math.sqrt(3)):.3f}"
    assert table.loc[("peak_at_best_valid", "hps"), "difference (points, 90 % interval)"] == "+0.20 ± 0.17"


def test_smoke_runs_decide_nothing():
    names = {"dataset": "planted", "profile": "smoke"}
    exact, pruned = (record(p, **names, em={"prune": p}) for p in ("off", "refreshed"))
    pruned.history["evaluated"], pruned.history["pruned_mass"] = 1.0, 0.0
    table = pairs.verdict_table(pairs.pairs_of([exact, pruned]))
    assert set(table["verdict"]) == {NOT_RUN} and set(table["n"]) == {0}


def test_bf16_is_paired_with_fp32_on_embedded_data():
    names = {"dataset": "planted", "profile": "quick"}
    runs = [record(f"{p}{seed}", 0.5, **names, seed=seed, precision=p) for p in ("bf16", "fp32") for seed in range(3)]
    matched = pairs.precision_pairs_of([*runs, record("lonely", 0.5, **names, seed=9, precision="bf16")])
    assert [(a.spec.precision, b.spec.precision) for a, b in matched] == [("fp32", "bf16")] * 3
    assert set(pairs.verdict_table(matched)["n"]) == {0}
    table = pairs.verdict_table(matched, embedded=True).set_index(["accuracy", "base"])
    assert table.loc[("peak_test", "all"), ["n", "verdict"]].tolist() == [3, EQUIVALENT]


def test_trajectories(records):
    matched = pairs.pairs_of(records)
    table = pairs.by_epoch(matched).set_index(["base", "epoch"])
    assert table.loc[("hps", 1), "evaluated"] == 5 and table.loc[("hps", 4), "evaluated"] == 1
    assert table.loc[("hps", 1), "agreement"] == 1 and table.loc[("tf", 1), "agreement"] == pytest.approx(8 / 9)
    assert canvas.png(pairs.trajectories(matched)) and canvas.png(pairs.trajectories([]))


def test_costs_stand_beside_the_static_run_of_the_same_trial(records):
    table = pairs.cost_table(records)
    assert list(table["base"]) == ["hps", "tf", "df-cnn"]
    assert table.loc[0, ["exact / static", "pruned / static"]].tolist() == [5, 1.25]


def test_no_pairs_no_numbers():
    assert pairs.summary([]).empty and pairs.pair_table([]).empty and pairs.cost_table([]).empty
    assert isinstance(pairs.verdict_table([]), pd.DataFrame)


def test_kept_parameters_are_compared_where_models_are_kept(tmp_path):
    """With an epsilon that leaves nothing out the two runs are one; after it they drift apart."""
    from lasem_core.runs.run import train

    def run(**em):
        settings = {"schedule.epochs": "2", "stream.n_tasks": "2", **{f"em.{k}": str(v) for k, v in em.items()}}
        return train(build_spec({"dataset": "planted"}, settings), RunStore(tmp_path), progress=Progress())

    exact = run()
    same = run(prune="refreshed", prune_eps=1e-12, prune_every=2)
    assert pairs.kept_distance(exact, same) == 0
    apart = run(prune="refreshed", prune_eps=0.5, prune_every=2)
    assert 0 < pairs.kept_distance(exact, apart) < 1.5


def test_the_artefact_holds_nine_pairs():
    lasem_runs = [spec for spec in plan(["speed"], "quick") if spec.method == "lasem"]
    lasem_runs = [spec for spec in lasem_runs if spec.dataset == "cifar100"]
    assert len(lasem_runs) == 18 and {spec.em.prune for spec in lasem_runs} == {"off", "refreshed"}
    assert {(spec.stream.n_tasks, spec.schedule.epochs) for spec in lasem_runs} == {(3, 100)}
