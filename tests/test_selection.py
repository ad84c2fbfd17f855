"""Regret and gains against numbers worked out by hand."""

import pandas as pd
import pytest
from sample_records import record

from lasem_core.runs.plan import plan
from lasem_core.views import canvas, planted
from lasem_core.views.evidence import Evidence
from lasem_core.views.planted import (
    COMPARISONS,
    PLANTED,
    contrast_table,
    in_points,
    ranking,
    regret_table,
    transfer_share,
    trial_table,
)


def trial(method, config, seed, valid, accuracy, preset="paper"):
    return {"relatedness": "low", "base": "hps", "seed": seed, "stream": "", "method": method, "variant": preset,
            "config": config, "valid": valid, "final_accuracy": accuracy}  # fmt: skip


TRIALS = pd.DataFrame(
    [
        trial("static", "11", 0, 0.5, 0.40), trial("static", "01", 0, 0.9, 0.70), trial("static", "00", 0, 0.8, 0.80),
        trial("static", "11", 1, 0.9, 0.60), trial("static", "01", 1, 0.7, 0.50), trial("static", "00", 1, 0.8, 0.70),
        trial("lasem", "", 0, 0.9, 0.65), trial("lasem", "", 1, 0.9, 0.55), trial("lasem", "", 0, 0.9, 0.9, "released"),
    ]
)  # fmt: skip


def test_regret_is_against_the_configuration_chosen_on_validation():
    row = regret_table(TRIALS).set_index("variant").loc["paper"]
    assert row["n"] == 2
    assert row["regret"] == pytest.approx(((0.70 - 0.65) + (0.60 - 0.55)) / 2)
    assert row["gain_over_all"] == pytest.approx(((0.65 - 0.40) + (0.55 - 0.60)) / 2)
    assert row["gain_over_random"] == pytest.approx(((0.65 - 1.9 / 3) + (0.55 - 0.6)) / 2)
    assert regret_table(TRIALS).set_index("variant").loc["released", "regret"] == pytest.approx(0.70 - 0.9)


def test_runs_on_other_images_are_not_compared():
    elsewhere = TRIALS.assign(stream=TRIALS["variant"])
    table = planted.compared(elsewhere).set_index("variant")["regret"]
    assert table["paper"].notna().all() and table[["released"]].isna().all()


def test_ties_on_validation_go_to_the_lowest_index_whatever_the_order():
    tied = TRIALS[TRIALS["seed"] == 0].assign(valid=0.9)
    for trials in (tied, tied[::-1]):
        row = regret_table(trials).set_index("variant").loc["paper"]
        assert row["regret"] == pytest.approx(0.40 - 0.65)


def test_ranking_is_best_first():
    table = ranking(TRIALS)
    assert list(table["config"]) == ["00", "01", "11"]
    assert table.loc[0, "accuracy"] == pytest.approx(0.75)


def planted_ahead_by(margins):
    return pd.DataFrame(
        trial("static", config, seed, 0.5, 0.5 + (margin if config == PLANTED["low"][0] else 0))
        for seed, margin in enumerate(margins)
        for config in PLANTED["low"]
    )


def contrasts(margins):
    return contrast_table(planted_ahead_by(margins)).loc[0]


def test_contrast_is_paired_over_trials_and_judged_by_its_interval():
    row = contrasts([0.10, 0.12, 0.14])  # standard deviation 2 points: 4.303 * 2 / sqrt(3)
    assert row["margin (points)"] == "12.0 ± 5.0 (n=3)"
    assert row["verdict"] == "as planted"
    assert contrasts([-0.10, -0.12, -0.14])["verdict"] == "against it"
    assert contrasts([-0.10, 0.12, 0.14])["verdict"] == "undecided"
    assert contrasts([0.12])["verdict"] == "undecided"
    assert (contrasts([0.12])["rank"], contrasts([-0.12])["rank"]) == (1, 2)


def test_contrasts_are_corrected_for_each_other():
    """Alone the margins are significant (p = 0.03); of two such comparisons neither is."""
    trials = planted_ahead_by([0.06, 0.12, 0.14])
    assert contrast_table(trials)["verdict"].tolist() == ["as planted"]
    assert contrast_table(pd.concat([trials, trials.assign(base="df-cnn")]))["verdict"].tolist() == ["undecided"] * 2


def test_the_planted_configuration_is_ranked_among_all():
    four = TRIALS.replace({"config": {"11": "1111", "01": "1100", "00": "0000"}})
    assert planted.ranks(ranking(four)) == {("low", "hps"): 2}
    words = planted.rank_sentence(pd.concat([four, four.assign(base="df-cnn", final_accuracy=-four["final_accuracy"])]))
    assert "Among all 3 static configurations the planted one ranks 2 with HPS and 2 with DF-CNN" in words
    assert planted.ranks(ranking(TRIALS)) == {}  # it was not trained


def test_points_are_printed_with_sign_and_interval():
    row = in_points(regret_table(TRIALS)).set_index("variant").loc["released"]
    assert row["regret (points)"] == "-20.0 (n=1)"
    assert row["LASEM (%)"] == 90.0


@pytest.fixture(scope="module")
def records():
    configs = (None, "1111", "0000", "1100")  # LASEM has none
    specs = [s for s in plan(["planted"], "quick", seeds=[0]) if s.config in configs]
    return [
        record(f"{number}", 0.4 + 0.001 * number, **spec.model_dump(include={*spec.model_fields_set, "stream"}))
        for number, spec in enumerate(specs)
    ]


def evidence(records):
    return Evidence("planted", "smoke", [r.spec for r in records], records)


def test_no_other_data_set_takes_the_place_of_planted_tasks():
    specs = plan(["planted"], "quick", dataset="cifar100", preset="released", seeds=[0])
    assert {spec.dataset for spec in specs} == {"planted"}
    assert len(specs) == 4 * 2 * (16 + 2)
    assert {spec.preset for spec in specs if spec.method == "static"} == {"paper"}


def test_share_of_transferred_layers_leaves_the_first_task_out(records):
    table = transfer_share(records)
    chosen = next(r for r in records if r.spec.method == "lasem").configs[1:]
    assert len(table) == 4 * 2 * 2
    assert table.loc[0, "layer 1"] == pytest.approx(sum(config[0] == "1" for config in chosen) / len(chosen))


@pytest.mark.parametrize("view", [planted.accuracies, planted.comparisons])
def test_pictures_of_trials(view, records):
    assert canvas.png(view(evidence(records)))
    assert all(_says_not_run(axes) for axes in view(evidence([])).axes)


def test_picture_of_choices(records):
    words = [text.get_text() for axes in planted.choices(evidence(records)).axes for text in axes.texts]
    assert "not run" not in words
    assert all(_says_not_run(axes) for axes in planted.choices(evidence([])).axes)


def _says_not_run(axes):
    return "not run" in [text.get_text() for text in axes.texts]


def test_tables_of_nothing_are_empty():
    nothing = trial_table([])
    assert all(table(nothing).empty for table in (ranking, contrast_table, regret_table))
    assert set(COMPARISONS) < set(regret_table(nothing))
