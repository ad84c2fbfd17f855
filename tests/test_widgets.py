"""Explorers without a browser: a changed control changes the picture, quickly, and the bundle stands alone."""

import base64
import time

import numpy as np
import pytest
from sample_records import record

from lasem_core import RunSpec
from lasem_core.common.errors import LasemError
from lasem_core.learners.protocol import EpochReport
from lasem_core.views.evidence import Evidence
from lasem_core.views.replay import last_switch, recover_log_likelihoods, replay, rescale
from lasem_core.views.widgets import ConfigurationPicker, FrequencyExplorer, LiveMonitor, PosteriorLab, posterior
from lasem_core.views.widgets.base import VIEW

SEEDS = range(2)


@pytest.fixture(scope="module")
def records():
    lasem = [record(f"l{b}{s}", base=b, seed=s, configs=("0111", "0101", "0011")) for b in ("hps", "tf") for s in SEEDS]
    names = ("all", "top2", "bottom2", "alternating")
    return lasem + [record(f"s{n}{s}", 0.3, method="static", config=n, seed=s) for n in names for s in SEEDS]


@pytest.fixture
def explorers(records):
    evidence = Evidence("figure3", "smoke", [r.spec for r in records], records)
    return [FrequencyExplorer(records), PosteriorLab(records), ConfigurationPicker(evidence)]


CHANGES = [("epoch", 1), ("prior", "uniform"), ("layer 1", False)]


@pytest.mark.parametrize("number", range(3))
def test_a_changed_control_changes_the_picture(explorers, number):
    explorer, (control, value) = explorers[number], CHANGES[number]
    before = explorer.image.value
    explorer.controls[control].value = value
    assert explorer.image.value != before
    assert bytes(explorer.image.value).startswith(b"\x89PNG")


@pytest.mark.parametrize("number", range(3))
def test_the_same_controls_give_the_same_picture(explorers, number):
    explorer, (control, value) = explorers[number], CHANGES[number]
    before, old = explorer.image.value, explorer.value(control)
    explorer.controls[control].value = value
    explorer.controls[control].value = old
    assert explorer.image.value == before


@pytest.mark.parametrize("number", range(3))
def test_a_redraw_takes_less_than_100_ms(explorers, number):
    explorer = explorers[number]
    explorer.redraw()
    started = time.process_time()
    for _ in range(5):
        explorer.redraw()
    assert (time.process_time() - started) / 5 < 0.1


@pytest.mark.parametrize("number", range(3))
def test_the_bundle_stands_without_a_kernel(explorers, number):
    bundle = explorers[number].bundle()
    assert set(bundle) == {"text/plain", "image/png", VIEW}
    assert base64.b64decode(bundle["image/png"]) == explorers[number].image.value
    assert "0x" not in bundle["text/plain"]


def test_frequency_of_500_runs_redraws_from_arrays(records):
    many = [record(f"m{seed}", seed=seed) for seed in range(500)]
    explorer = FrequencyExplorer(many)
    started = time.process_time()
    explorer.controls["epoch"].value = 2
    assert time.process_time() - started < 0.1


def test_posterior_lab_of_500_runs_reads_only_what_it_shows(monkeypatch):
    asked = []
    read = posterior.recorded_posterior
    monkeypatch.setattr(posterior, "recorded_posterior", lambda *key: (asked.append(key), read(*key))[1])
    PosteriorLab([record(f"m{seed}", seed=seed) for seed in range(500)])
    assert len(asked) == 1


def test_frequency_explorer_adapts_to_other_runs(records):
    explorer = FrequencyExplorer(records)
    other = explorer.controls["runs"].options[1]
    explorer.controls["runs"].value = other
    explorer.controls["seed"].value = 1
    explorer.controls["task"].value = 3
    heat = np.asarray(explorer.heat.get_array())
    assert heat.shape == (3, 4)
    assert heat[2] == pytest.approx([0, 0, 1, 1])  # task 3 chose 0011


def test_play_buttons_start_where_the_slider_is(records):
    explorer = FrequencyExplorer(records)
    assert explorer.play.value == explorer.value("epoch") == 4


def test_frequency_explorer_counts_configurations(records):
    explorer = FrequencyExplorer(records)
    assert [bar.get_height() for bar in explorer.config_bars][:4] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize("prior", ["count", "running-mean", "uniform"])
def test_replay_of_recovered_likelihoods_is_the_record(prior):
    log_lik = np.random.default_rng(0).normal(size=(30, 8))
    posteriors, _ = replay(log_lik, prior)
    spec = RunSpec(em={"prior": prior})
    again, _ = replay(recover_log_likelihoods(posteriors, spec), prior)
    assert again == pytest.approx(posteriors)


def test_rescaling_goes_both_ways():
    log_lik = np.array([[-10.0, -20.0]])
    single = rescale(log_lik, "joint", "mean", 10)
    assert single == pytest.approx(np.array([[-1.0, -2.0]]))
    assert rescale(single, "mean", "joint", 10) == pytest.approx(log_lik)


def test_count_prior_locks_the_first_winner_in():
    log_lik = np.log(np.tile([0.30, 0.31, 0.29], (20, 1)))
    log_lik[0] = np.log([0.32, 0.31, 0.29])
    assert last_switch(replay(log_lik, "count")[1]) == 0
    assert last_switch(replay(log_lik, "uniform")[1]) > 0


def test_picker_names_what_was_not_run(records):
    evidence = Evidence("figure3", "smoke", [r.spec for r in records], records)
    picker = ConfigurationPicker(evidence)
    picker.controls["layer 1"].value = False
    assert picker.config == "0111"
    assert "not run" in picker.heading.get_text()
    picker.controls["layer 3"].value = False
    assert "30.0 %" in picker.heading.get_text()  # 0101, alternating


@pytest.mark.parametrize("kind", [FrequencyExplorer, PosteriorLab])
def test_nothing_to_explore_is_one_readable_line(kind):
    with pytest.raises(LasemError, match="lasem sweep"):
        kind([])


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


def test_monitor_shows_a_stored_run(monkeypatch):
    monkeypatch.setenv("LASEM_PROGRESS", "none")
    finished = record("r")
    monitor = LiveMonitor(finished.spec)
    before = monitor.image.value
    monitor.finish(finished)
    assert monitor.image.value != before
    assert monitor.label.value == "from the store"
