"""A run's peak memory is its own, not that of what its process did before."""

import resource

import pytest
import torch

from lasem_core.runs import peak_memory
from lasem_core.runs.progress import Silent
from lasem_core.runs.run import train
from lasem_core.spec.run_spec import build_spec

TINY = {"stream.n_tasks": "1", "schedule.epochs": "1"}


def highest_of_the_process():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def restarts_here():
    try:
        (peak_memory.PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


needs_restart = pytest.mark.skipif(not restarts_here(), reason="this system does not let a process reset its peak")


def hold_and_free(mb):
    torch.ones(mb, 2**18).sum()


@needs_restart
def test_the_peak_begins_anew():
    peak_memory.restart()
    before = peak_memory.peak_mb()
    hold_and_free(300)
    assert peak_memory.peak_mb() > before + 290
    peak_memory.restart()
    assert peak_memory.peak_mb() < before + 100


@needs_restart
def test_a_record_does_not_remember_what_its_process_did_before():
    hold_and_free(2000)
    highest = peak_memory.peak_mb()
    record = train(build_spec({"dataset": "digits"}, TINY), progress=Silent())
    assert 50 < record.measured["peak_rss_mb"] < highest - 1000


@pytest.mark.parametrize("status", [None, "Name: python\n"])
def test_elsewhere_it_is_the_peak_of_the_process(monkeypatch, tmp_path, status):
    if status is not None:
        (tmp_path / "status").write_text(status)
    monkeypatch.setattr(peak_memory, "PROC", tmp_path if status else tmp_path / "nowhere")
    peak_memory.restart()
    assert peak_memory.peak_mb() == highest_of_the_process()
