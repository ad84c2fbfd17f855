"""What is planted decides which layers are worth sharing: accuracy on all tasks after the last one."""

from functools import cache

import pytest

from lasem_core import RunSpec, train


@cache
def final_accuracy(relatedness, config):
    spec = RunSpec(
        dataset="planted", method="static", config=config, profile="quick",
        stream={"relatedness": relatedness, "n_tasks": 3}, schedule={"epochs": 30, "test_every": 30},
    )  # fmt: skip
    return train(spec).summary["final_accuracy"]


# measured margins are 0.15 to 0.4 (four tasks, two seeds); a few points are left to chance
@pytest.mark.parametrize(
    ("relatedness", "better", "worse"),
    [
        ("low", "1100", "1111"),
        ("both", "1111", "0011"),
    ],
)
def test_the_planted_sharing_beats_another(relatedness, better, worse):
    assert final_accuracy(relatedness, better) > final_accuracy(relatedness, worse) + 0.03
