"""The benchmark measures what it says; how long things take is not tested."""

import json

import numpy as np
import pytest
import torch

from lasem_core.bench import spec_of, steps
from lasem_core.bench.rooflines import bare
from lasem_core.bench.steps import RATIOS, _learner, bench
from lasem_core.bench.whole_run import whole_run
from lasem_core.cli.bench import describe
from lasem_core.common.errors import LasemError
from lasem_core.runs import machine

KEYS = {"static_ms", "exact_ms", "pruned_ms", "estep_ms", "roofline_static_ms", "roofline_exact_ms", "peak_mb"}


@pytest.fixture(scope="module")
def report():
    return bench("cifar100", threads=1, rounds=3, bases=("df-cnn",))


def test_the_report_is_complete_and_plain(report):
    again = json.loads(json.dumps(report))
    assert (again["setting"], again["threads"], again["precision"]) == ("cifar100", 1, "fp32")
    row = again["bases"]["df-cnn"]
    ratios, intervals = row.pop("ratios"), row.pop("intervals")
    assert set(row) >= KEYS and set(ratios) == set(RATIOS) == set(intervals)
    assert all(value > 0 for value in (*row.values(), *ratios.values()))
    assert set(intervals.values()) == {None}  # three rounds bound no median


def test_a_ratio_is_taken_round_by_round(monkeypatch):
    """A machine that is twice as slow in one round changes no ratio of that round."""
    slow = [1, 1, 2, 1, 1, 1, 1, 2]
    times = {"static": [2 * s for s in slow], "exact": [10 * s for s in slow], "pruned": [2 * s for s in slow]}
    times |= {"estep": [s + 0.1 * i for i, s in enumerate(slow)]}
    times |= {"roofline_static": slow, "roofline_exact": slow}
    monkeypatch.setattr(steps, "_interleaved", lambda calls, rounds: dict(times))
    monkeypatch.setattr(steps, "_peak_memory", lambda *options: 1.0)
    row = bench("cifar100", threads=1, rounds=8, bases=("hps",))["bases"]["hps"]
    assert row["ratios"]["exact / static"] == 5 and row["intervals"]["exact / static"] == (5, 5)
    low, high = row["intervals"]["estep / mstep"]
    shares = sorted(e / (x - e) for e, x in zip(times["estep"], times["exact"], strict=True))
    assert (low, high) == pytest.approx((shares[0], shares[-1])) and low < row["ratios"]["estep / mstep"] < high


def test_sixteen_configurations_cost_more_than_one(report):
    row = report["bases"]["df-cnn"]
    assert row["exact_ms"] > 2 * row["static_ms"]
    assert row["roofline_exact_ms"] > 2 * row["roofline_static_ms"]


def test_operations_of_a_step(report):
    """2 x 3 passes x 10 images x 9 weights x channels x pixels; layer 1 needs no gradient of its images."""
    layers = (2 * 3 * 32 * 32**2, 3 * 32 * 32 * 32**2, 3 * 32 * 64 * 16**2, 3 * 64 * 64 * 16**2)
    per_prefix = [2e-9 * 10 * 9 * layer for layer in layers]
    row = report["bases"]["df-cnn"]
    assert row["static_gflop"] == pytest.approx(sum(per_prefix))
    assert row["exact_gflop"] == pytest.approx(sum(2**n * gflop for n, gflop in enumerate(per_prefix, 1)))


def test_every_ratio_is_printed(report):
    text = describe(report)
    assert all(line in text for line in (*RATIOS, *KEYS))


def test_a_whole_task_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("lasem_core.bench.whole_run.STATIC_EVERY", 2)
    images = np.random.default_rng(0).integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
    labels = np.tile(np.arange(100), 20)
    names = np.array([str(n) for n in range(100)])
    np.savez(tmp_path / "cifar100.npz", x_train=images, y_train=labels, x_test=images, y_test=labels, class_names=names)
    report = whole_run("cifar100", 4, 1, ("hps",), tmp_path)
    row = json.loads(json.dumps(report))["bases"]["hps"]
    assert len(row["course"]) == 2 and all(part["static_ms"] > 0 for part in row["course"])
    assert row["ratio"] == pytest.approx(row["lasem_ms"] / row["static_ms"])
    assert report["isa"] == machine.bf16_units() and report["seed"] == 0
    assert row["course"][0]["evaluated"] > 10  # the first window is full
    assert "4 epochs of one task" in describe(report)


@pytest.mark.parametrize(
    "flags, units, words",
    [
        ("flags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\n", (True, True), "amx_bf16 yes, avx512_bf16 yes"),
        ("flags\t\t: fpu avx512_bf16\n", (False, True), "amx_bf16 no, avx512_bf16 yes"),
        ("flags\t\t: fpu amx_bf16_new\n", (False, False), "amx_bf16 no, avx512_bf16 no"),
        ("Features\t: fp asimd\n", None, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_bf16_units_are_read_from_the_processors_flags(flags, units, words, tmp_path, report, monkeypatch):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    if flags is not None:
        (tmp_path / "cpuinfo").write_text("processor\t: 0\n" + flags)
    found = machine.bf16_units()
    assert found == (None if units is None else dict(zip(("amx_bf16", "avx512_bf16"), units, strict=True)))
    assert f"bf16 units of this processor: {words}\n" in describe(report | {"isa": found})


def test_the_report_has_this_processors_units(report):
    assert report["isa"] == machine.bf16_units()


def test_unknown_names():
    with pytest.raises(LasemError, match="choose one of: cifar100, stl10, stl10-9"):
        whole_run("mnist", 1, 1)
    with pytest.raises(LasemError, match="choose one of: cifar100, stl10, stl10-9"):
        bench("mnist", threads=1, rounds=3)
    with pytest.raises(LasemError, match="precision = 'fp8'"):
        bench("cifar100", threads=1, rounds=3, precision="fp8")
    with pytest.raises(LasemError, match="base = 'hsp'"):
        bench("cifar100", threads=1, rounds=3, bases=("hsp",))


@pytest.mark.parametrize("setting, n, depth", [("cifar100", 16, 4), ("stl10", 64, 6), ("stl10-9", 512, 9)])
def test_settings_are_the_issues_configuration_spaces(setting, n, depth):
    spec = spec_of(setting, "hps", 1, method="lasem")
    assert (len(spec.space), spec.model.depth) == (n, depth)


def test_the_roofline_computes_in_the_runs_precision():
    spec = spec_of("cifar100", "hps", 1, method="static", precision="bf16")
    learner = _learner("cifar100", spec)
    gradients = [gradient for layer in bare(learner)() for gradient in layer]
    assert {gradient.dtype for gradient in gradients} == {torch.bfloat16}
