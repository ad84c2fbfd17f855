"""Short visits against a long one: which runs are compared, and what each comparison subtracts."""

import math

import pandas as pd
import pytest
from sample_records import record

from lasem_core.runs.artefacts import SHORT_VISITS
from lasem_core.runs.plan import plan
from lasem_core.views import canvas, gains, visits
from lasem_core.views.evidence import Evidence
from lasem_core.views.planted import PLANTED
from lasem_core.views.visits import KEEP, ONE, SEARCH, SHORT


def run(spec, accuracy):
    given = spec.model_dump(include={*spec.model_fields_set, "stream", "schedule", "em"})
    return record(f"{hash(spec)}", accuracy, 1.0, **given)


@pytest.fixture(scope="module")
def planned():
    return plan(["visits"], "quick")


def trials(differences, dataset="cifar100"):
    """What `trial_table` gives: 50 % but for the `differences` of a method under a scheme, seed by seed."""
    rows = [
        {"dataset": dataset, "base": "hps", "method": method, "scheme": scheme, "seed": seed,
         "final_accuracy": 0.5 + differences.get((method, scheme), (0, 0, 0))[seed], "forgetting_ratio": 1.0}
        for method, schemes in (("static", (ONE, SHORT)), ("lasem", visits.SCHEMES))
        for scheme in schemes
        for seed in range(3)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def compared(differences):
    table = visits.comparison_table(trials(differences))
    return table[table["dataset"] == "cifar100"].set_index("comparison")


def test_every_place_has_both_methods_and_every_scheme(planned):
    found = {(s.dataset, s.base, s.method, visits.scheme(s)) for s in planned}
    ways = [("static", ONE), ("static", SHORT), *(("lasem", name) for name in (ONE, SHORT, SEARCH, KEEP))]
    assert found == {(d, b, *way) for d, b in visits.PLACES for way in ways}
    assert len({SHORT, SEARCH, KEEP}) == len(SHORT_VISITS)


def test_all_schemes_train_every_task_for_the_same_epochs(planned):
    def epochs(spec):
        order = spec.stream.order if isinstance(spec.stream.order, tuple) else range(spec.stream.n_tasks)
        return {task: list(order).count(task) * spec.schedule.epochs for task in range(spec.stream.n_tasks)}

    assert {s.dataset: epochs(s) for s in planned} == {
        "planted": dict.fromkeys(range(3), 30), "cifar100": dict.fromkeys(range(5), 120),
    }  # fmt: skip
    assert all(epochs(s) == epochs(next(t for t in planned if t.dataset == s.dataset)) for s in planned)
    assert {s.seed for s in planned} == {0, 1, 2}


def test_the_full_schedule_asks_for_the_same_runs(planned):
    assert plan(["visits"], "paper") == planned


def test_the_rehearsal_is_small():
    smoke = plan(["visits"], "smoke")
    assert {(s.method, visits.scheme(s)) for s in smoke} == {(m, w) for m in ("static", "lasem") for w in (ONE, SHORT)}
    assert {(s.base, s.dataset, s.profile) for s in smoke} == {("hps", "planted", "smoke")}


EFFECTS = {
    "all layers: short visits minus one": -0.2,
    "LASEM: short visits minus one": -0.1,
    "LASEM's gain: short visits minus one": 0.1,
    "LASEM: searching on minus a fixed choice": 0.05,
    "LASEM: roll-back off minus on": -0.03,
}


def test_each_comparison_subtracts_what_its_name_says():
    assert set(EFFECTS) == set(visits.COMPARISONS)
    table = compared({
        ("static", SHORT): (-0.19, -0.20, -0.21), ("lasem", SHORT): (-0.1, -0.1, -0.1),
        ("lasem", SEARCH): (-0.05, -0.05, -0.05), ("lasem", KEEP): (-0.13, -0.13, -0.13),
    })  # fmt: skip
    assert table["gain"].to_dict() == pytest.approx(EFFECTS)
    assert set(table["pairs"]) == {3}


def test_verdicts_are_paired_and_corrected_within_a_place():
    table = compared({("static", SHORT): (-0.19, -0.20, -0.21)})  # t = 34.6, p = 0.00083
    row = table.loc["all layers: short visits minus one"]
    assert row["p"] == pytest.approx(0.000832, rel=1e-2)
    assert row["corrected"] == pytest.approx(5 * row["p"])
    assert table["verdict"].tolist() == ["worse", "undecided", "better", "undecided", "undecided"]


def test_a_p_value_is_printed_on_its_side_of_the_level():
    table = pd.DataFrame({"gain": 0.0, "gain_ci": 0.1, "pairs": 3, "corrected": [0.04997, 0.05, 0.0004, math.nan]})
    shown = gains.columns(table.assign(verdict="-"), "gain")["corrected p"]
    assert shown.tolist() == ["< 0.050", "0.050", "< 0.001", "-"]


def test_a_comparison_without_one_of_its_terms_is_not_made():
    part = trials({})
    table = visits.comparison_table(part[part["method"] == "lasem"])
    assert list(table["comparison"]) == [name for name in visits.COMPARISONS if name.startswith("LASEM: ")]
    assert set(table["dataset"]) == {"cifar100"}
    assert len(visits.in_points(table)) == 3


def test_planted_trials_average_the_four_kinds_and_need_all(planned):
    one = [s for s in planned if (s.dataset, s.base, s.method, s.seed, visits.scheme(s))
           == ("planted", "hps", "static", 0, ONE)]  # fmt: skip
    assert {s.stream.relatedness for s in one} == set(PLANTED)
    made = [run(spec, 0.1 * number) for number, spec in enumerate(one, start=1)]
    (accuracy,) = visits.trial_table(made)["final_accuracy"]
    assert accuracy == pytest.approx(0.25)
    assert visits.trial_table(made[1:]).empty


@pytest.fixture(scope="module")
def evidence(planned):
    return Evidence("visits", "quick", planned, [run(s, 0.4 + 0.0001 * n) for n, s in enumerate(planned)])


def test_the_picture_shows_every_comparison(evidence):
    table = visits.comparison_table(visits.trial_table(evidence.records))
    figure = visits.differences(table, evidence.caption)
    assert [len(axes.containers) for axes in figure.axes] == [len(visits.COMPARISONS)] * 4
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(visits.COMPARISONS)
    assert canvas.png(figure)
    nothing = visits.differences(visits.comparison_table(visits.trial_table([])), "nothing")
    assert all("not run" in [text.get_text() for text in axes.texts] for axes in nothing.axes)


def test_tables_have_one_row_per_scheme(evidence):
    table = visits.result_table(visits.trial_table(evidence.records))
    assert list(table["visits"]) == 4 * list(visits.SCHEMES)
    assert set(table.filter(like="LASEM").iloc[0]) & {"-"} == set()
    assert table.loc[table["visits"] == KEEP, "all layers, final (%)"].tolist() == ["-"] * 4


def test_the_sentence_speaks_of_real_images_where_they_are_recorded(evidence):
    words = visits.sentence(evidence)
    assert words.startswith("Final accuracy on CIFAR-100 · HPS (n = 3): all layers: short visits minus one: +")
    assert words.count(" points (") == len(visits.COMPARISONS)
    planted = [r for r in evidence.records if r.spec.dataset == "planted"]
    assert visits.sentence(Evidence("visits", "quick", evidence.specs, planted)).startswith(
        "Final accuracy on Planted tasks · DF-CNN"
    )
    assert "not both recorded" in visits.sentence(Evidence("visits", "quick", evidence.specs, planted[:1]))
