"""What a record says about the machine it was made on; its peak memory is its own, not its process's."""

import os
import resource
import shlex
import signal
import subprocess
import sys
import time

import pytest
import torch

from lasem_core.runs import machine
from lasem_core.runs.machine import Watch, is_quiet, peak_mb, processor, restart_peak
from lasem_core.runs.run import train
from lasem_core.spec.run_spec import build_spec
from lasem_core.training import Progress


def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_own_work_is_not_other_work(monkeypatch):
    """The rest of the machine stands still: what this process does is not held against it."""
    monkeypatch.setattr(machine, "_busy_seconds", machine._own_seconds)
    watch = Watch()
    burn(0.3)
    assert watch.seen()["other_cores"] < 0.05


BUSY = "import time; until = time.process_time() + 60\nwhile time.process_time() < until: pass"


def test_other_work_is_seen():
    watch = Watch()
    nobodys_child = f"{shlex.quote(sys.executable)} -c {shlex.quote(BUSY)} > /dev/null & echo $!"
    pid = int(subprocess.run(["sh", "-c", nobodys_child], stdout=subprocess.PIPE, text=True, check=True).stdout)
    time.sleep(1.5)
    seen = watch.seen()
    os.kill(pid, signal.SIGKILL)
    assert seen["other_cores"] > machine.QUIET and not is_quiet(seen)
    assert seen["cores"] >= 1 and seen["processor"]


def test_what_living_children_do_is_own_work():
    """Brute force trains its candidates in processes that stay alive."""
    before = machine._own_seconds()
    child = subprocess.Popen([sys.executable, "-c", BUSY])
    time.sleep(1.5)
    own = machine._own_seconds() - before
    child.kill()
    child.wait()
    assert own > 0.5


def test_a_record_that_does_not_tell_is_not_quiet():
    assert not is_quiet({"train_seconds": 3.0})
    assert is_quiet({"other_cores": 0.02})


def test_a_processor_has_a_name_everywhere(monkeypatch, tmp_path):
    assert processor()
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "missing")
    assert processor()


TINY = {"stream.n_tasks": "1", "schedule.epochs": "1"}


def highest_of_the_process():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def restarts_here():
    try:
        (machine.PROC / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


needs_restart = pytest.mark.skipif(not restarts_here(), reason="this system does not let a process reset its peak")


def hold_and_free(mb):
    torch.ones(mb, 2**18).sum()


@needs_restart
def test_the_peak_begins_anew():
    restart_peak()
    before = peak_mb()
    hold_and_free(300)
    assert peak_mb() > before + 290
    restart_peak()
    assert peak_mb() < before + 100


@needs_restart
def test_a_record_does_not_remember_what_its_process_did_before():
    hold_and_free(2000)
    highest = peak_mb()
    record = train(build_spec({"dataset": "digits"}, TINY), progress=Progress())
    assert 50 < record.measured["peak_rss_mb"] < highest - 1000


@pytest.mark.parametrize("status", [None, "Name: python\n"])
def test_elsewhere_it_is_the_peak_of_the_process(monkeypatch, tmp_path, status):
    if status is not None:
        (tmp_path / "status").write_text(status)
    monkeypatch.setattr(machine, "PROC", tmp_path if status else tmp_path / "nowhere")
    restart_peak()
    assert peak_mb() == highest_of_the_process()
