"""Regret and gains against numbers worked out by hand."""

import pandas as pd
import pytest

from lasem_core.selection import ranking, regret_table


def trial(method, config, seed, valid, accuracy, preset="paper"):
    return {"relatedness": "low", "base": "hps", "seed": seed, "method": method, "preset": preset,
            "config": config, "valid": valid, "final_accuracy": accuracy}  # fmt: skip


TRIALS = pd.DataFrame(
    [
        trial("static", "11", 0, 0.5, 0.40), trial("static", "01", 0, 0.9, 0.70), trial("static", "00", 0, 0.8, 0.80),
        trial("static", "11", 1, 0.9, 0.60), trial("static", "01", 1, 0.7, 0.50), trial("static", "00", 1, 0.8, 0.70),
        trial("lasem", "", 0, 0.9, 0.65), trial("lasem", "", 1, 0.9, 0.55), trial("lasem", "", 0, 0.9, 0.9, "released"),
    ]
)  # fmt: skip


def test_regret_is_against_the_configuration_chosen_on_validation():
    row = regret_table(TRIALS).set_index("preset").loc["paper"]
    assert row["n"] == 2
    assert row["regret"] == pytest.approx(((0.70 - 0.65) + (0.60 - 0.55)) / 2)
    assert row["gain_over_all"] == pytest.approx(((0.65 - 0.40) + (0.55 - 0.60)) / 2)
    assert row["gain_over_random"] == pytest.approx(((0.65 - 1.9 / 3) + (0.55 - 0.6)) / 2)
    assert regret_table(TRIALS).set_index("preset").loc["released", "regret"] == pytest.approx(0.70 - 0.9)


def test_ranking_is_best_first():
    table = ranking(TRIALS)
    assert list(table["config"]) == ["00", "01", "11"]
    assert table.loc[0, "accuracy"] == pytest.approx(0.75)
