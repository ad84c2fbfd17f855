"""The live monitor without a browser: a picture that follows the run, or lines where nobody looks."""

import numpy as np
from sample_records import record

from lasem_core import RunSpec
from lasem_core.learners.protocol import EpochReport
from lasem_core.views.widgets import LiveMonitor


def _row(epoch, valid=0.5):
    return {"epoch": epoch, "valid_accuracy": valid, "config": "0111"}


def test_monitor_follows_a_run(monkeypatch, capsys):
    monkeypatch.setenv("LASEM_PROGRESS", "none")
    monitor = LiveMonitor(RunSpec())
    before = monitor.image.value
    monitor.epoch(0, _row(0), EpochReport())
    monitor.epoch(0, _row(1), EpochReport(config="0111", transfer=[0, 1, 1, 1], weights=[(None, {"0111": 1.0})]))
    monitor.close()
    assert monitor.image.value != before
    assert monitor.bar.value == 1
    assert "0111" in monitor.label.value
    assert capsys.readouterr().err == ""


def test_monitor_writes_lines_where_nobody_looks(monkeypatch, capsys):
    monkeypatch.delenv("LASEM_PROGRESS", raising=False)
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VOILA_PREHEAT", "SERVER_SOFTWARE"):
        monkeypatch.delenv(name, raising=False)
    monitor = LiveMonitor(RunSpec())
    monitor.log.seconds = 0
    monitor.epoch(0, _row(1), EpochReport())
    assert f"task 1/3, epoch 1/{RunSpec().schedule.epochs}" in capsys.readouterr().err


def test_monitor_draws_while_training_where_somebody_looks(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "quickstart.ipynb")
    monkeypatch.delenv("LASEM_PROGRESS", raising=False)
    monitor = LiveMonitor(RunSpec())
    before = monitor.image.value
    monitor.epoch(0, _row(1), EpochReport(transfer=[0, 1, 1, 1]))
    assert monitor.image.value != before


def test_monitor_shows_a_run_that_was_resumed_and_one_that_trains_a_task_again(monkeypatch):
    monkeypatch.setenv("LASEM_PROGRESS", "none")
    monitor, epochs = LiveMonitor(RunSpec(method="brute-force")), RunSpec().schedule.epochs
    for _ in range(16):  # configurations
        for epoch in range(epochs + 1):
            monitor.epoch(2, _row(epoch), EpochReport(transfer=[0, 1, 1, 1]))
    monitor.close()
    shown = monitor.heat.get_array().filled(np.nan)
    assert np.isnan(shown[:, : 2 * (epochs + 1)]).all() and not np.isnan(shown[:, 2 * (epochs + 1) :]).any()


def test_monitor_shows_a_stored_run(monkeypatch):
    monkeypatch.setenv("LASEM_PROGRESS", "none")
    finished = record("r")
    monitor = LiveMonitor(finished.spec)
    before = monitor.image.value
    monitor.finish(finished)
    assert monitor.image.value != before
    assert monitor.label.value == "from the store"
