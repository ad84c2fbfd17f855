"""The lifelong loop through the front door: schedules, tables, records, repetition, bad requests."""

import time

import numpy as np
import pytest
import torch

from lasem_core import LasemError, RunSpec, RunStore, load_learner, train
from lasem_core.data import load_stream
from lasem_core.learners import Environment
from lasem_core.learners.ewc import Ewc
from lasem_core.learners.protocol import VisitLog
from lasem_core.runs import results
from lasem_core.runs.run import make_learner
from lasem_core.spec.configs import TransferConfig
from lasem_core.views.evidence import choice_table
from lasem_core.views.one_run import choices

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


def test_peaks_of_a_task_that_comes_back_are_over_all_its_visits():
    visits = [VisitLog(best_valid=0.5, peak_at_best_valid=0.4, peak_test=0.45),
              VisitLog(best_valid=0.3, peak_at_best_valid=0.2, peak_test=0.2),
              VisitLog(best_valid=0.6, peak_at_best_valid=0.5, peak_test=0.7),
              VisitLog(best_valid=0.3, peak_at_best_valid=0.1, peak_test=0.1)]  # fmt: skip
    assert results.peaks((0, 1, 0, 1), visits) == pytest.approx({"peak_at_best_valid": 0.35, "peak_test": 0.45})


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


def test_what_is_recorded_briefly_is_the_beginning_of_what_is_recorded_at_length(record):
    brief = train(spec(schedule=SMALL["schedule"] | {"recorded": 3}))
    whole, kept = record.posterior, brief.posterior
    assert set(kept["step"]) == {-1, 0, 1, 2} < set(whole["step"])
    assert kept.equals(whole[whole["step"] < 3].reset_index(drop=True))
    assert brief.history.equals(record.history) and brief.summary == record.summary
    assert brief.run_id != record.run_id


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
    assert [bool(config) for config in revisited.configs] == [task in order for task in range(3)]
    assert len(choice_table([revisited])) == len(set(order))
    choices(revisited)


def test_configurations_stand_at_their_tasks_number():
    """Whatever the order of the stream: figures look them up by number."""
    record = train(spec(stream={"n_tasks": 3, "order": (2, 0, 1)}))
    assert record.configs == record.history.groupby("task")["config"].last().tolist()
    learner = make_learner(Environment(record.spec, (1, 8, 8), torch.device("cpu")))
    learner.chosen = {2: TransferConfig.parse("10", 2), 0: TransferConfig.parse("01", 2)}
    assert learner.configs == ["01", "10"]


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


@pytest.mark.parametrize("base", ["hps", "df-cnn"])
def test_flushing_denormals_changes_no_record(base, monkeypatch):
    """Losing configurations have weights far below float32's smallest number, and gradients among them."""
    slow = spec(base=base, stream={"n_tasks": 1}, schedule={"epochs": 30})
    flushed = train(slow)
    monkeypatch.setattr(torch, "set_flush_denormal", lambda on: True)
    assert train(slow).digest() == flushed.digest()


@pytest.mark.parametrize("moment", ["begin_task", "end_task"])
def test_all_of_a_methods_own_work_is_training(monkeypatch, moment):
    """Choosing, consolidating, EWC's Fisher pass: none of it is evaluation."""
    work = getattr(Ewc, moment)
    monkeypatch.setattr(Ewc, moment, lambda *args: (time.sleep(0.5), work(*args)))
    record = train(spec(method="ewc", base="none", stream={"n_tasks": 1}, schedule={"epochs": 1}))
    assert record.measured["train_seconds"] > 0.5 > record.measured["eval_seconds"]
    assert record.measured["task_train_seconds"] == [record.measured["train_seconds"]]
