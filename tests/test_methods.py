"""The table of all methods, against records with known numbers."""

import math

import pytest
from sample_records import record

from lasem_core.runs.plan import plan
from lasem_core.views import canvas
from lasem_core.views.evidence import Evidence
from lasem_core.views.methods import den_table, growth, method_table, seconds_by_task


def run(number, method, tasks, seconds, **spec):
    kept = record(f"{number}", 0.3 + 0.1 * number, method=method, dataset="cifar100", profile="quick",
                  stream={"n_tasks": tasks}, **spec)  # fmt: skip
    kept.measured["task_train_seconds"] = seconds
    return kept


@pytest.fixture
def records():
    return [
        run(0, "progressive", 3, [1, 2, 3], base="none"),
        run(1, "lasem", 3, [1, 1, 1], base="df-cnn"),
        run(2, "progressive", 4, [2.0, 3.0, 4.0, 5.0], base="none"),
        run(3, "single-task", 4, [2.0, 2.0, 2.0, 1.0], base="none"),
    ]


def evidence(records):
    return Evidence("methods", "quick", [r.spec for r in records], records)


def test_table_holds_the_runs_of_the_shorter_stream_best_first(records):
    table = method_table(records)
    assert list(table["method"]) == ["LASEM DF-CNN", "ProgNN"]
    assert table.loc[1, "final (%)"] == 27.0
    assert table.loc[1, "training (s)"] == "10"
    assert table.loc[1, "numbers kept"] == 625
    assert table.loc[1, "kept (KB)"] == 2


def test_time_by_task_is_relative_to_the_first_of_the_longest_stream(records):
    table = seconds_by_task(records).set_index(["method", "task"])["over the first"]
    assert table["ProgNN"].tolist() == [1, 1.5, 2, 2.5]
    assert table["single-task networks"].tolist() == [1, 1, 1, 0.5]
    assert canvas.png(growth(evidence(records)))


def test_seconds_of_a_busy_machine_are_marked(records):
    records[0].measured["other_cores"] = 0.7
    assert method_table(records)["training (s)"].tolist() == ["10", "10*"]
    assert "did other work" in growth(evidence(records)).texts[0].get_text()


def test_what_den_did_is_shown_task_by_task():
    den = run(0, "den", 3, [1, 2, 3], base="none")
    den.history["units_1"], den.history["units_2"] = 8 + den.history["task"], 4
    den.history["reached"] = [math.nan] * 5 + [9.0] * 10
    den.history["added"], den.history["split"], den.history["fit_loss"] = 2, 1, 0.1234
    table = den_table([den])
    assert table["reached"].tolist() == ["-", "9", "9"] and table["units"].tolist() == ["12", "13", "14"]
    assert table["loss before growing"].tolist() == ["0.123"] * 3


def test_nothing_run():
    assert method_table([]).empty and den_table([]).empty
    assert "not run" in [text.get_text() for text in growth(evidence([])).axes[0].texts]


def test_every_method_of_the_registry_takes_part():
    from lasem_core.learners import METHODS

    assert {spec.method for spec in plan(["methods"], "quick")} == set(METHODS) - {"fixed-posterior"}
    assert {spec.profile for spec in plan(["methods"], "paper")} == {"paper"}
    assert all(spec.schedule.epochs == 2000 for spec in plan(["methods"], "paper"))
