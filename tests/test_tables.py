"""Verdicts by the rules, numbers beside the paper's, and the README's table."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from sample_records import record

from lasem_core.common.statistics import NOT_RUN, UNDECIDED
from lasem_core.runs import artefacts
from lasem_core.runs.store import RunStore
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import claims, readme, tables, verdicts, words
from lasem_core.views.evidence import Evidence
from lasem_core.views.verdicts import NOT_REPRODUCED, REPRODUCED

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("ours", "may", "word"),
    [
        ([39.0, 39.4, 39.2], True, REPRODUCED),
        ([30.0, 30.2, 30.1], True, NOT_REPRODUCED),
        ([39.0, 39.4], True, UNDECIDED),
        ([39.0, 39.4, 39.2], False, UNDECIDED),
        ([], True, NOT_RUN),
        ([float("nan")], True, NOT_RUN),
    ],
)
def test_published_numbers(ours, may, word):
    assert verdicts.judge_number(ours, 39.3, 0.1, may) == word


def test_a_published_point_has_no_width():
    assert verdicts.judge_number([1.0, 1.1, 0.9], 1.05, float("nan"), True) == REPRODUCED
    assert verdicts.judge_number([1.0, 1.001, 0.999], 1.05, float("nan"), True) == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("margins", "word"),
    [
        ([0.02, 0.03, 0.025], REPRODUCED),
        ([-0.02, -0.03, -0.025], NOT_REPRODUCED),
        ([0.02, -0.03, 0.01], UNDECIDED),
        ([0.02, 0.0201], UNDECIDED),
        ([0.02], UNDECIDED),
        ([], NOT_RUN),
    ],
)
def test_published_orderings(margins, word):
    assert verdicts.judge_ordering(margins) == word


SETTLED = ("0111", "0101", "0111")


def _pairs(dataset="cifar100", profile="quick", title=None, lasem=0.41, static=0.38, configs=SETTLED, base="hps"):
    made = []
    for seed in range(3):
        place = {"dataset": dataset, "profile": profile, "seed": seed, "title": title, "configs": configs, "base": base}
        made.append(record(f"l{base}{seed}", lasem + 0.001 * seed, **place))
        made.append(
            record(f"s{base}{seed}", static + 0.002 * seed, method="static", config="all", seconds=5.0, **place)
        )
    return Evidence("table3", profile, [r.spec for r in made], made)


def _verdict(evidence, claim="LASEM HPS beats all layers"):
    table = claims.verdicts(evidence)
    return table[(table["claim"] == claim)].set_index("dataset")["verdict"].to_dict()


def test_darts_as_the_released_code_trains_it_is_a_comparison_of_its_own():
    place = {"dataset": "office-home", "profile": "quick"}
    made = [record(f"l{seed}", 0.5 + 0.001 * seed, base="df-cnn", seed=seed, **place) for seed in range(3)]
    for seed, (way, peak) in product(range(3), (({}, 0.1), (artefacts.RELEASED_DARTS, 0.6))):
        made.append(record(f"d{seed}{peak}", peak, method="darts", base="hps", seed=seed, **place, **way))
    evidence = Evidence("table1", "quick", [r.spec for r in made], made)
    assert _verdict(evidence, "LASEM DF-CNN beats DARTS HPS")["office-home"] == REPRODUCED
    assert _verdict(evidence, "LASEM DF-CNN beats DARTS HPS, as released")["office-home"] == NOT_REPRODUCED
    numbers = tables.comparison(evidence).set_index(["name", "metric"])
    row = numbers.loc["DARTS HPS Office-Home", "peak_accuracy"]  # the paper says: hyper-parameters of the original
    assert (row["n"], row["ours"]) == (3, pytest.approx(10))
    assert {"DARTS HPS", "DARTS HPS, as released"} <= set(tables.summary_table(evidence)["runs"])


def test_quick_bears_orderings_but_not_numbers():
    evidence = _pairs()
    assert _verdict(evidence)["cifar100"] == REPRODUCED
    numbers = tables.comparison(evidence).set_index("name")
    row = numbers.loc["LASEM HPS CIFAR-100"]
    assert (row["n"], row["verdict"]) == (3, UNDECIDED)
    assert row["ours"] == pytest.approx(41.1)


def test_full_schedule_bears_numbers():
    numbers = tables.comparison(_pairs(profile="paper", lasem=0.392)).set_index("name")
    assert numbers.loc["LASEM HPS CIFAR-100", "verdict"] == REPRODUCED
    assert (numbers.query("metric == 'peak_accuracy'")["verdict"] == REPRODUCED).sum() == 1


def test_published_seconds_are_judged_where_evaluation_is_timed_as_in_the_paper():
    """Its timer counts the evaluation after every epoch; a lazy run's seconds are of training."""
    lazy = _pairs(profile="paper")
    evaluation = {"schedule": lazy.specs[0].schedule.model_copy(update={"evaluation": "every-epoch"})}
    records = [replace(made, spec=made.spec.model_copy(update=evaluation)) for made in lazy.records]
    every = Evidence("table3", "paper", [made.spec for made in records], records)
    for evidence, ratio, word in ((lazy, 5 / 10, UNDECIDED), (every, (5 + 1) / (10 + 1), NOT_REPRODUCED)):
        (row,) = tables.comparison(evidence).query("metric == 'relative_time' and n > 0").itertuples()
        assert (row.ours, row.verdict) == (pytest.approx(ratio), word)


def test_layers_are_counted_over_final_choices_and_over_epochs():
    made = [record(f"r{seed}", seed=seed, dataset="cifar100", profile="quick", configs=SETTLED) for seed in range(2)]
    for one in made:  # in the epoch of the second task another configuration leads on the mean
        mean = (one.posterior["position"] == 1) & (one.posterior["step"] == -1)
        one.posterior.loc[mean & (one.posterior["config"] == "1111"), "mass"] = 0.9
    table = tables.frequency_table(Evidence("figure4", "quick", [r.spec for r in made], made)).set_index("of")
    shares = table.filter(like="layer").map(lambda cell: cell.split(" ")[0])
    assert shares.loc["final choices"].tolist() == ["0", "100", "67", "100"]
    assert shares.loc["epochs"].tolist() == ["33", "100", "100", "100"]


def test_relative_time_is_paired():
    numbers = tables.comparison(_pairs(profile="paper")).query("metric == 'relative_time' and n > 0")
    assert numbers["ours"].tolist() == pytest.approx([0.5])


def test_a_machine_that_did_other_work_bears_no_claim_about_time():
    busy = _pairs(profile="paper")
    for made in busy.records:
        made.measured["other_cores"] = 0.5
    assert not (tables.comparison(busy).query("metric == 'relative_time'")["n"] > 0).any()
    assert busy.runs["train_seconds"].isna().all() and busy.runs["peak_at_best_valid"].notna().all()


@pytest.mark.parametrize(("dataset", "profile"), [("cifar100", "smoke"), ("planted", "quick"), ("digits", "paper")])
def test_smoke_and_embedded_data_say_nothing(dataset, profile):
    evidence = _pairs(dataset, profile)
    assert set(claims.verdicts(evidence)["verdict"]) == {NOT_RUN}
    assert set(tables.comparison(evidence)["verdict"]) == {NOT_RUN}


def test_caltech_stands_in_for_orderings_under_its_own_name():
    found = _verdict(_pairs("caltech101"))
    assert found == {"cifar100": NOT_RUN, "office-home": NOT_RUN, "caltech101": f"{REPRODUCED}, on a stand-in"}


def test_the_nine_class_subset_bears_no_numbers():
    subset = _pairs("stl10", "paper", "STL-10 (9-class subset, not the official split)", configs=("011101",) * 3)
    assert not verdicts.bears_numbers(subset.runs)
    assert verdicts.bears_numbers(_pairs("stl10", "paper", "STL-10", configs=("011101",) * 3).runs)


def test_one_static_configuration_is_no_range():
    claim = "LASEM HPS is above the middle of the static range"
    alone = _pairs()
    assert _verdict(Evidence("figure3", "quick", alone.specs, alone.records), claim)["cifar100"] == NOT_RUN
    place = {"dataset": "cifar100", "profile": "quick", "method": "static"}
    others = [
        record(f"{name}{seed}", 0.37, config=name, seed=seed, **place)
        for name in ("top1", "top2", "top3", "bottom1", "bottom2", "bottom3", "alternating")
        for seed in range(3)
    ]
    whole = Evidence("figure3", "quick", alone.specs, [*alone.records, *others])
    assert _verdict(whole, claim)["cifar100"] == REPRODUCED


def test_an_unpaired_seed_is_left_out():
    evidence = _pairs()
    fewer = Evidence("table3", "quick", evidence.specs, evidence.records[:-1])
    table = claims.verdicts(fewer)
    assert table.query("claim == 'LASEM HPS beats all layers' and dataset == 'cifar100'")["n"].tolist() == [2]


@pytest.mark.parametrize("artefact", sorted(claims.CLAIMS))
def test_every_claim_can_be_judged_with_and_without_records(artefact):
    evidence = _pairs()
    for records in (evidence.records, []):
        table = claims.verdicts(Evidence(artefact, "quick", evidence.specs, records))
        words = table["verdict"].str.removesuffix(", on a stand-in")
        assert set(words) <= {REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN}
        assert tables.readable(table)["verdict"].iloc[-1] == NOT_RUN


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([0.001, -0.001, 0.0005], REPRODUCED),
        ([0.05, 0.051, 0.049], NOT_REPRODUCED),
        ([0.02, -0.03, 0.01], UNDECIDED),  # no significant difference, but sameness has not been shown
        ([0.0], UNDECIDED),
        ([], NOT_RUN),
    ],
)
def test_no_difference_has_to_be_shown(differences, word):
    assert verdicts.judge_sameness(differences, 0.01) == word


def _runs(accuracies, artefact, **place):
    """One record per (label or method, seed)."""
    made = []
    for name, values in accuracies.items():
        for seed, value in enumerate(values):
            made.append(record(f"{name}{seed}", value, dataset="cifar100", profile="quick", seed=seed, **place[name]))
    return Evidence(artefact, "quick", [r.spec for r in made], made)


def test_brute_force_is_the_same_only_within_a_point():
    place = {"lasem": {"method": "lasem"}, "brute": {"method": "brute-force"}}
    claim = "brute force HPS is the same as LASEM"
    close = _runs({"lasem": (0.40, 0.41, 0.42), "brute": (0.401, 0.411, 0.419)}, "table3", **place)
    assert _verdict(close, claim)["cifar100"] == REPRODUCED
    far = _runs({"lasem": (0.40, 0.41, 0.42), "brute": (0.45, 0.46, 0.47)}, "table3", **place)
    assert _verdict(far, claim)["cifar100"] == NOT_REPRODUCED


def test_each_base_has_its_own_best_configuration():
    best = {("hps", "top1"): 0.40, ("hps", "top3"): 0.35, ("df-cnn", "top1"): 0.36, ("df-cnn", "top3"): 0.41}
    place = {f"{b} {c}": {"method": "static", "base": b, "config": c} for b, c in best}
    values = {f"{b} {c}": [v, v + 0.001, v + 0.0015] for (b, c), v in best.items()}
    found = claims.verdicts(_runs(values, "figure1", **place)).set_index("claim")["verdict"]
    assert set(found.filter(like="best static")) >= {REPRODUCED}
    assert (found.filter(like="best static") == REPRODUCED).sum() == 2


def test_interference_and_the_table_of_methods_are_tried_on_cifar_as_a_stand_in():
    place = {
        f"P{mass}": {"method": "fixed-posterior", "base": "df-cnn", "em": {"fixed_mass": mass}} for mass in (0.5, 1.0)
    }
    runs = _runs({"P0.5": (0.40, 0.41, 0.42), "P1.0": (0.401, 0.409, 0.42)}, "figure5", **place)
    claim = "wrong configurations interfere little (P = 0.5 is the same as P = 1)"
    assert _verdict(runs, claim) == {"office-home": NOT_RUN, "cifar100": f"{REPRODUCED}, on a stand-in"}


def test_targets_are_the_papers():
    targets = verdicts.targets()
    lasem = targets.query("artefact == 'table3' and dataset == 'cifar100' and method == 'lasem'")
    assert lasem["value"].tolist() == [39.3, 38.4, 42.0]


def test_spread():
    assert words.spread(pd.Series([40.0, 41.0, 42.0])) == "41.0 ± 2.5 (n=3)"
    assert words.spread(pd.Series([40.0])) == "40.0 (n=1)"
    assert words.spread(pd.Series([], dtype=float)) == "-"


def test_results_table_of_an_empty_store_names_the_paper(tmp_path):
    table = readme.results_table(RunStore(tmp_path))
    assert table.count("not run") == 24
    assert "24.7 ± 0.6" in table


QUICK = {"dataset": "cifar100", "profile": "quick"}
PRUNED = QUICK | {"em": {"prune": "refreshed"}}


def test_results_table_leaves_other_experiments_out(tmp_path):
    store = RunStore(tmp_path)
    store.put(record("planned", 0.4, **PRUNED))
    others = {"epochs": {"schedule": {"epochs": 40}}, "tasks": {"stream": {"n_tasks": 3}}, "threads": {"threads": 2}}
    others |= {"window": {"em": {"prune": "refreshed", "prune_every": 20}}, "exact": {"em": {}}}
    for number, (name, switches) in enumerate(others.items(), start=1):
        store.put(record(name, 0.9, seed=number, **PRUNED | switches))
    assert "| LASEM, HPS | 40.0 (n=1) |" in readme.results_table(store)
    store.put(record("again", 0.4, seed=4, **PRUNED))
    assert "| LASEM, HPS | 40.0 ± 0.0 (n=2) |" in readme.results_table(store)


def test_results_table_says_where_only_exact_runs_are_stored(tmp_path):
    store = RunStore(tmp_path)
    store.put(record("exact", 0.3, **QUICK))
    store.put(record("static", 0.2, method="static", config="all", **QUICK))
    table = readme.results_table(store)
    assert "| LASEM, HPS (exact EM) | 30.0 (n=1) |" in table
    assert "| transfer at all layers, HPS | 20.0 (n=1) |" in table
    store.put(record("pruned", 0.4, seed=1, **PRUNED))
    assert "| LASEM, HPS | 40.0 (n=1) |" in readme.results_table(store)


def test_choices_are_counted_by_data_and_sharing():
    table = tables.readable(tables.choice_table(_pairs()))
    assert table.to_dict("records") == [
        {"data": "CIFAR-100", "sharing": "HPS", "chosen (times)": "0111 (6), 0101 (3)", "of": 9}
    ]


def test_a_table_is_shown_under_readable_names_with_a_fixed_text(monkeypatch):
    shown = []
    monkeypatch.setattr(tables, "display", lambda bundle, raw: shown.append(bundle))
    records = [*_pairs().records, *_pairs(lasem=0.35, base="tf").records]
    tables.show(claims.verdicts(Evidence("table3", "quick", [r.spec for r in records], records)))
    tables.show(tables.summary_table(_pairs()))
    judged, summary = shown
    verdicts_shown = [
        line.partition("10 × 200 ")[2].strip() or "not run" for line in judged["text/plain"].splitlines()[1:]
    ]
    for word in ("reproduced", "not reproduced", "not run"):
        assert judged["text/html"].count(tables.BADGES[word]) == verdicts_shown.count(word) > 0
    assert "claims on" in judged["text/plain"].splitlines()[-1]  # what was not run is one row
    assert summary["text/plain"].splitlines()[1].split()[:3] == ["CIFAR-100", "LASEM", "HPS"]
    for raw in ("peak_at_best_valid", "cifar100", "df-cnn"):
        assert raw not in judged["text/html"] + summary["text/html"]


def test_what_is_recorded_and_what_is_not():
    evidence = _pairs()
    more = [RunSpec(dataset="cifar100", profile="quick", method="brute-force", base="tf")]
    table = tables.coverage(Evidence("table3", "quick", [*evidence.specs, *more], evidence.records))
    assert table["recorded"].tolist() == ["3 of 3", "3 of 3", "0 of 1"]
    assert table["the rest would take"].tolist() == ["", "", "duration unknown"]


def test_a_table_in_markdown():
    table = pd.DataFrame({"dataset": ["cifar100"], "base": ["hps"], "groups": ["1|2"]})
    lines = ["| data | sharing | groups |", "| --- | --- | --- |", "| CIFAR-100 | HPS | 1\\|2 |"]
    assert tables.markdown(table).splitlines() == lines
