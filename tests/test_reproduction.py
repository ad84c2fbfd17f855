"""The table of all claims follows from the records: change them, and the verdicts change."""

import shutil

import pandas as pd
import pytest
from sample_records import record

from lasem_core.common.statistics import NOT_RUN
from lasem_core.runs.store import RunStore
from lasem_core.views import reproduction
from lasem_core.views.parameters import Options
from lasem_core.views.verdicts import ON_A_STAND_IN, REPRODUCED

QUICK = {"dataset": "cifar100", "profile": "quick"}


def store_of(tmp_path, lasem, seeds=3, **options):
    """LASEM and transfer at all layers with HPS, and one run with another learning-rate decay."""
    store, kind = RunStore(tmp_path), QUICK | options
    if kind["dataset"] == "stl10":
        kind["configs"] = ("011111",) * 3
    for seed in range(seeds):
        store.put(record(f"l{seed}", lasem + 0.001 * seed, seed=seed, em={"prune": "refreshed"}, **kind))
        store.put(record(f"s{seed}", 0.38 + 0.002 * seed, method="static", config="all", seed=seed, **kind))
    store.put(record("d", 0.25, method="static", config="all", seed=0, optim={"lr_decay": 1 / 4000}, **kind))
    return Options(store=str(tmp_path))


@pytest.mark.parametrize(("lasem", "verdict"), [(0.41, "reproduced"), (0.35, "not reproduced"), (0.382, "undecided")])
def test_a_claim_is_judged_once_with_its_place_and_its_trials(tmp_path, lasem, verdict):
    table = reproduction.ledger(store_of(tmp_path, lasem))
    row = table[(table["claim"] == "LASEM HPS beats all layers") & (table["dataset"] == "cifar100")]
    assert row[["place", "n", "verdict"]].values.tolist() == [["Figure 3, Sec. 4.1", 3, verdict]]
    shown = reproduction.decided(table)
    found = shown[shown["the paper says"] == "LASEM beats transfer at all layers"]
    assert found["verdict"].tolist() == [verdict] and found["trials"].tolist() == [3]
    assert ("above" if lasem > 0.38 else "below") in found["found"].item()
    assert (found["n to decide"].item() == "") == (verdict != "undecided")
    assert f"1 {verdict}" in reproduction.tally(row) and "0 were not run" in reproduction.tally(row)


def test_verdicts_are_counted_apart_for_stand_ins_and_corrected_for_each_other():
    rows = [(REPRODUCED, 3, 0.001), (REPRODUCED, 3, 0.04), (f"{REPRODUCED}{ON_A_STAND_IN}", 3, 0.02)]
    rows += [("undecided", 3, 0.3), ("undecided", 2, 0.0001), (NOT_RUN, 0, float("nan"))]
    words = reproduction.tally(pd.DataFrame(rows, columns=["verdict", "n", "p"]))
    assert "make 6 comparisons; 1 were not run" in words
    assert "Of the others 2 reproduced, 1 reproduced on a stand-in, 0 not reproduced and 2 undecided" in words
    assert "for the 4 comparisons with at least 3 trials, 1 of the 3 decided ones is left" in words


def test_a_claim_knows_its_own_place_and_its_runs_their_data(tmp_path):
    table = reproduction.ledger(store_of(tmp_path, 0.41))
    forgets = table[table["claim"] == "LASEM HPS forgets less than the best static configuration"]
    assert set(forgets["place"]) == {"Figure 7, Appendix B"}
    subset = store_of(tmp_path / "subset", 0.41, title="STL-10 (9-class subset)", dataset="stl10", base="df-cnn")
    shown = reproduction.decided(reproduction.ledger(subset))
    assert set(shown["data"]) == {"STL-10 (9-class subset)"}


def test_of_a_claim_that_two_artefacts_make_the_judged_row_is_kept(tmp_path):
    """STL-10 at `quick` is trained by `larger_images` alone, and Figure 3 makes the same claim."""
    store, stl10 = RunStore(tmp_path), {"dataset": "stl10", "profile": "quick", "base": "df-cnn"}
    scale = {"stream": {"n_tasks": 3}, "schedule": {"epochs": 10}}
    six = {"configs": ("011111",) * 3, **stl10, **scale}
    store.put(record("l", 0.5, em={"prune": "refreshed", "prune_every": 20}, **six))
    store.put(record("s", 0.4, method="static", config="all", **six))
    table = reproduction.ledger(Options(store=str(tmp_path)))
    row = table[(table["claim"] == "LASEM DF-CNN beats all layers") & (table["dataset"] == "stl10")]
    assert row[["n", "scale", "verdict"]].values.tolist() == [[1, "3 × 10", "undecided"]]


def test_on_another_scale_a_claim_is_judged_again(tmp_path):
    """Table 3's runs are shorter than Figure 3's: what they say is not left out."""
    short = {"stream": {"n_tasks": 5}, "schedule": {"epochs": 100}}
    store_of(tmp_path, 0.41)
    for seed in range(3):
        kind = QUICK | short | {"seed": seed}
        RunStore(tmp_path).put(record(f"sl{seed}", 0.40 + 0.001 * seed, **kind))
        RunStore(tmp_path).put(record(f"ss{seed}", 0.43 + 0.002 * seed, method="static", config="all", **kind))
    table = reproduction.ledger(Options(store=str(tmp_path)))
    rows = table[(table["claim"] == "LASEM HPS beats all layers") & (table["dataset"] == "cifar100")]
    assert dict(zip(rows["scale"], rows["verdict"], strict=True)) == {
        "10 × 200": "reproduced",
        "5 × 100": "not reproduced",
    }


def test_verdicts_that_the_other_peak_would_change_are_named(tmp_path):
    options = store_of(tmp_path, 0.41)
    assert "none would be different." in reproduction.other_measure(reproduction.ledger(options))
    for seed in range(3):
        made = record(f"l{seed}", 0.41 + 0.001 * seed, seed=seed, em={"prune": "refreshed"}, **QUICK)
        made.summary["peak_test"] = 0.30 + 0.001 * seed
        shutil.rmtree(tmp_path / f"l{seed}")
        RunStore(tmp_path).put(made)
    words = reproduction.other_measure(reproduction.ledger(options))
    assert "1 would be different: LASEM HPS is " in words and "below transfer at all layers (not reproduced)" in words


def test_decided_claims_come_first(tmp_path):
    shown = reproduction.decided(reproduction.ledger(store_of(tmp_path, 0.41)))
    opened = shown["verdict"].str.startswith("undecided").tolist()
    assert opened == sorted(opened) and not opened[0]


def test_the_headline_has_three_measures_and_a_row_per_changed_switch(tmp_path):
    table = reproduction.headline(store_of(tmp_path, 0.41)).set_index("runs")
    assert table.loc["LASEM HPS, em.prune = refreshed", "paper"] == "39.3"
    assert table.loc["transfer at all layers HPS", "peak_at_best_valid"].startswith("38.2 ± ")
    assert table.loc["transfer at all layers HPS, optim.lr_decay = 0.00025", "peak_at_best_valid"] == "25.0 (n=1)"
    assert len(table) == 3


def test_what_remains_shrinks_with_every_record(tmp_path):
    def recorded(options):
        table = reproduction.remaining(options).set_index(["dataset", "profile", "runs"])["recorded"]
        return table["cifar100", "quick", "static HPS"]

    nothing = recorded(Options(store=str(tmp_path / "none")))
    n = int(nothing.split()[-1])
    assert nothing == f"0 of {n}"
    assert recorded(store_of(tmp_path, 0.41)) == f"4 of {n}"
