"""The lifelong loop through the front door: schedules, tables, records, repetition, bad requests."""

import numpy as np
import pytest
import torch

from lasem_core import LasemError, RunSpec, RunStore, load_learner, train
from lasem_core.data import load_stream

SMALL = {
    "dataset": "digits",
    "model": {"channels": (4, 4), "kernels": (3, 3), "pools": (2, 2), "head": (8,), "weight_init": "glorot"},
    "stream": {"n_tasks": 3},
    "schedule": {"epochs": 4, "test_every": 3},
}


def spec(**options):
    return RunSpec(**(SMALL | options))


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return train(spec(), RunStore(tmp_path_factory.mktemp("runs")))


def test_lazy_evaluation_finds_the_same_peak_as_every_epoch(record):
    every = train(spec(schedule={"epochs": 4, "evaluation": "every-epoch"}))
    assert every.summary["peak_at_best_valid"] == record.summary["peak_at_best_valid"]
    assert every.summary["final_accuracy"] == record.summary["final_accuracy"]
    assert every.summary["configs"] == record.summary["configs"]
    assert every.summary["peak_test"] >= record.summary["peak_test"]
    assert every.history["test_accuracy"].notna().all() and every.history["train_accuracy"].notna().all()
    skipped = record.history["test_accuracy"].isna()
    assert skipped.any()
    seen = every.history["test_accuracy"][~skipped.to_numpy()]
    np.testing.assert_array_equal(seen, record.history["test_accuracy"].dropna())
    assert len(every.accuracy[every.accuracy["when"] == "epoch"]) == (1 + 2) * 5


def test_peaks_can_be_recomputed_from_the_history(record):
    best, peak = [], []
    for _, task in record.history.groupby("task"):
        row = task.loc[task["valid_accuracy"].idxmax()]
        best.append(row["test_accuracy"])
        peak.append(task["test_accuracy"].max())
    assert record.summary["peak_at_best_valid"] == pytest.approx(np.mean(best))
    assert record.summary["peak_test"] == pytest.approx(np.mean(peak))


def test_final_accuracy_is_that_of_the_loaded_learner(record):
    learner = load_learner(record)
    stream = load_stream(record.spec)
    accuracies = []
    for number, task in enumerate(stream.tasks):
        images, labels = task.test.batch(torch.arange(len(task.test)))
        logits = learner.predict(task=number, images=images)
        assert logits.shape == (len(labels), task.n_classes)
        accuracies.append(float((logits.argmax(-1) == labels).double().mean()))
    assert record.summary["final_accuracy"] == pytest.approx(np.mean(accuracies))


def test_posterior_table_is_tidy_and_sums_to_one(record):
    table = record.posterior
    assert list(table.columns) == ["position", "task", "epoch", "step", "config", "mass"]
    sums = table.astype({"mass": float}).groupby(["position", "epoch", "step"])["mass"].sum()
    np.testing.assert_allclose(sums, 1, atol=2e-3)
    assert table["mass"].dtype == np.float16
    assert table["config"].nunique() == 4
    assert (record.history.filter(like="transfer_").dropna().to_numpy() <= 1).all()


def test_repetition_gives_the_same_record(record):
    assert train(spec()).digest() == record.digest()
    assert train(spec(seed=1)).digest() != record.digest()


def test_a_finished_spec_returns_at_once(record):
    class Refuse:
        def epoch(self, *_):
            raise AssertionError("trained again")

    again = train(spec(), RunStore(record.path.parent), progress=Refuse())
    assert again.digest() == record.digest()


def test_released_also_measures_before_the_roll_back():
    released = train(spec(preset="released"))
    assert set(released.accuracy["when"]) == {"before", "unrolled", "after"}


@pytest.mark.parametrize("order", [(0, 1, 0), (2, 2)])
def test_tasks_may_come_back(order):
    revisited = train(spec(stream={"n_tasks": 3, "order": order}))
    assert revisited.history["position"].nunique() == len(order)
    assert len(revisited.configs) == len(set(order))


def test_a_batch_larger_than_the_task_still_trains():
    big = train(spec(stream={"n_tasks": 1}, optim={"batch_size": 10_000}, method="static"))
    assert big.history["loss"].notna().sum() == 4


def test_zero_epochs_measure_the_untrained_networks():
    untrained = train(spec(schedule={"epochs": 0}))
    assert list(untrained.history["epoch"].unique()) == [0]


def test_bf16_runs_and_is_another_run(record):
    other = train(spec(precision="bf16", stream={"n_tasks": 1}))
    assert other.run_id != record.run_id
    assert 0 <= other.summary["final_accuracy"] <= 1


def test_a_missing_device_is_one_line():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(LasemError, match="no CUDA device here"):
        train(spec(device="cuda"))


def test_a_learner_that_was_not_stored_says_so():
    with pytest.raises(LasemError, match="was not stored"):
        load_learner(train(spec(stream={"n_tasks": 1}, schedule={"epochs": 0})))


@pytest.mark.parametrize("base", ["hps", "tf", "df-cnn"])
def test_flushing_denormals_changes_no_record(base, monkeypatch):
    """Losing configurations have weights far below float32's smallest number, and gradients among them."""
    slow = spec(base=base, stream={"n_tasks": 1}, schedule={"epochs": 30})
    flushed = train(slow)
    monkeypatch.setattr(torch, "set_flush_denormal", lambda on: True)
    assert train(slow).digest() == flushed.digest()
