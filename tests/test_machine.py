"""What a record says about the machine it was made on."""

import subprocess
import sys
import time

from lasem_core.runs import machine
from lasem_core.runs.machine import Watch, is_quiet, processor


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


def test_other_work_is_seen():
    watch = Watch()
    code = "import time; until = time.process_time() + 60\nwhile time.process_time() < until: pass"
    other = subprocess.Popen([sys.executable, "-c", code])
    time.sleep(1.5)
    seen = watch.seen()
    other.kill()
    other.wait()
    assert seen["other_cores"] > machine.QUIET and not is_quiet(seen)
    assert seen["cores"] >= 1 and seen["processor"]


def test_a_record_that_does_not_tell_is_not_quiet():
    assert not is_quiet({"train_seconds": 3.0})
    assert is_quiet({"other_cores": 0.02})


def test_a_processor_has_a_name_everywhere(monkeypatch, tmp_path):
    assert processor()
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "missing")
    assert processor()
