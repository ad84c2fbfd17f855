"""The table of all claims follows from the records: change them, and the verdicts change."""

import pytest
from sample_records import record

from lasem_core.runs.store import RunStore
from lasem_core.views import reproduction
from lasem_core.views.parameters import Options

QUICK = {"dataset": "cifar100", "profile": "quick"}


def store_of(tmp_path, lasem, seeds=3):
    """LASEM and transfer at all layers with HPS, and one run with another learning-rate decay."""
    store = RunStore(tmp_path)
    for seed in range(seeds):
        store.put(record(f"l{seed}", lasem + 0.001 * seed, seed=seed, **QUICK))
        store.put(record(f"s{seed}", 0.38 + 0.002 * seed, method="static", config="all", seed=seed, **QUICK))
    store.put(record("d", 0.25, method="static", config="all", seed=0, optim={"lr_decay": 1 / 4000}, **QUICK))
    return Options(store=str(tmp_path))


@pytest.mark.parametrize(("lasem", "verdict"), [(0.41, "reproduced"), (0.35, "not reproduced"), (0.382, "undecided")])
def test_a_claim_is_judged_once_with_its_place_and_its_trials(tmp_path, lasem, verdict):
    table = reproduction.ledger(store_of(tmp_path, lasem))
    row = table[(table["claim"] == "LASEM HPS beats all layers") & (table["dataset"] == "cifar100")]
    assert row[["place", "n", "verdict"]].values.tolist() == [["Figure 3, Sec. 4.2", 3, verdict]]
    shown = reproduction.decided(table)
    found = shown[shown["the paper says"] == "LASEM beats transfer at all layers"]
    assert found["verdict"].tolist() == [verdict] and found["trials"].tolist() == [3]
    assert ("above" if lasem > 0.38 else "below") in found["found"].item()
    assert f"1 {verdict}" in reproduction.tally(row) and "0 not run" in reproduction.tally(row)


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


def test_decided_claims_come_first(tmp_path):
    shown = reproduction.decided(reproduction.ledger(store_of(tmp_path, 0.41)))
    opened = shown["verdict"].str.startswith("undecided").tolist()
    assert opened == sorted(opened) and not opened[0]


def test_the_headline_has_three_measures_and_a_row_per_changed_switch(tmp_path):
    table = reproduction.headline(store_of(tmp_path, 0.41)).set_index("runs")
    assert table.loc["LASEM HPS", "paper"] == "39.3"
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
