"""The benchmark measures what it says; how long things take is not tested."""

import json

import pytest

from lasem_core.bench import bench
from lasem_core.cli.bench import RATIOS, describe
from lasem_core.errors import LasemError

KEYS = {"static_ms", "exact_ms", "pruned_ms", "estep_ms", "roofline_static_ms", "roofline_exact_ms", "peak_mb"}


@pytest.fixture(scope="module")
def report():
    return bench("cifar100", threads=1, rounds=3, bases=("df-cnn",))


def test_the_report_is_complete_and_plain(report):
    again = json.loads(json.dumps(report))
    assert (again["setting"], again["threads"], again["precision"]) == ("cifar100", 1, "fp32")
    assert set(again["bases"]["df-cnn"]) >= KEYS
    assert all(value > 0 for value in again["bases"]["df-cnn"].values())


def test_sixteen_configurations_cost_more_than_one(report):
    row = report["bases"]["df-cnn"]
    assert row["exact_ms"] > 2 * row["static_ms"]
    assert row["roofline_exact_ms"] > 2 * row["roofline_static_ms"]


def test_every_ratio_is_printed(report):
    text = describe(report)
    assert all(title in text for title, _, _ in RATIOS)


def test_unknown_setting():
    with pytest.raises(LasemError, match="choose one of: cifar100, stl10, stl10-9"):
        bench("mnist", threads=1, rounds=3)
