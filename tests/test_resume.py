"""A run that is killed or interrupted continues, and ends with the record it would have had."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from small_stream import Memory, Stopped, results, run, same, spec_of, stream

from lasem_core.cli import app
from lasem_core.runs.checkpoint import Checkpointer

SMALL = {"schedule.epochs": "10", "stream.fraction": "0.25"}

# One process pays for importing torch; each attempt is a fork of it, killed without warning.
KILLER = """
import json, os, random, signal, sys, time
import torch
from lasem_core.runs.run import run_id_of, train
from lasem_core.training import Progress
from lasem_core.spec.run_spec import build_spec
from lasem_core.runs.store import RunStore

torch.set_num_threads(1)
options, settings, roots, kills = json.loads(sys.argv[1])
SPEC = build_spec(options, settings)


class Eager(RunStore):
    def checkpoint(self, run_id, every_seconds=0):
        return super().checkpoint(run_id, 0)


class Report(Progress):
    def epoch(self, visit, row, report):
        os.write(self.pipe, b"%d %d;" % (visit, row["epoch"]))


def fork(root):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        watcher = Report(SPEC)
        watcher.pipe = writing
        train(SPEC, Eager(root), progress=watcher)
        os._exit(0)
    os.close(writing)
    return child, reading


def epochs(reading, enough):
    seen = ""
    while seen.count(";") < enough and (more := os.read(reading, 64)):
        seen += more.decode()
    return seen.split(";")[:-1]


def attempt(root, enough, nap):
    child, reading = fork(root)
    seen = epochs(reading, enough)
    time.sleep(nap)
    if enough < 1000:
        os.kill(child, signal.SIGKILL)
    seen += epochs(reading, 1000)
    os.close(reading)
    return seen, os.waitpid(child, 0)[1]


chance = random.Random(1)
start = time.monotonic()
whole, status = attempt(roots[0], 1000, 0)
epoch = (time.monotonic() - start) / len(whole)
attempts = [attempt(roots[1], chance.randint(1, 2), chance.uniform(0, 1.5 * epoch)) for _ in range(kills)]
attempts.append(attempt(roots[1], 1000, 0))
digests = [RunStore(root).get(run_id_of(SPEC)).digest() for root in roots]
print(json.dumps({"whole": whole, "attempts": attempts, "digests": digests}))
"""


def test_ten_kills_change_nothing(tmp_path):
    roots = [str(tmp_path / "whole"), str(tmp_path / "killed")]
    arguments = json.dumps([{"method": "lasem", "base": "df-cnn", "seed": 1}, SMALL, roots, 10])
    shown = subprocess.run(
        [sys.executable, "-c", KILLER, arguments], capture_output=True, text=True, env=_quiet(), check=True
    )
    report = json.loads(shown.stdout)
    killed = [status for _, status in report["attempts"]]
    assert killed == [signal.SIGKILL] * 10 + [0]
    assert report["attempts"][-1][0][0] != report["whole"][0]  # it went on, it did not begin again
    assert report["digests"][0] == report["digests"][1]
    assert not list((tmp_path / "killed" / ".checkpoints").glob("*.pt"))


def _quiet():
    return os.environ | {"OMP_NUM_THREADS": "1", "LASEM_PROGRESS": "none"}


def test_ctrl_c_saves_and_says_how_to_continue(tmp_path, capsys):
    words = ["--method", "static", "--base", "hps", "--set", "schedule.epochs=12", "--store", str(tmp_path / "runs")]
    command = [sys.executable, "-c", "from lasem_core.cli import main; main()", "train", *words]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=_quiet())
    checkpoints = tmp_path / "runs" / ".checkpoints"
    try:
        _wait_for(lambda: list(checkpoints.glob("*.pt")))  # the first task has ended
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=600)
    finally:
        first.kill()
    assert first.returncode == 130
    assert "run the same command again" in said and "Traceback" not in said
    state = next(checkpoints.glob("*.pt"))
    assert state.stat().st_size > 0
    app(args=["train", *words], standalone_mode=False)
    assert re.search(r"run [0-9a-f]{16}", capsys.readouterr().out)
    assert not list(checkpoints.iterdir())


def _wait_for(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpointer(tmp_path / "c" / "run.pt", every_seconds=3600)


def test_a_checkpoint_is_written_when_due_or_forced(checkpoint):
    checkpoint.offer(lambda: {"epoch": 1})
    assert checkpoint.load() is None
    checkpoint.offer(lambda: {"epoch": 2, "w": torch.ones(2)}, force=True)
    assert checkpoint.load()["epoch"] == 2
    checkpoint.every_seconds = 0
    checkpoint.offer(lambda: {"epoch": 3})
    assert checkpoint.load() == {"epoch": 3}
    checkpoint.clear()
    assert checkpoint.load() is None


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:10], lambda d: b"", lambda d: d[:-9] + b"x" + d[-8:]]
)
def test_a_damaged_checkpoint_starts_the_run_again(checkpoint, caplog, damage):
    checkpoint.offer(lambda: {"w": torch.ones(100)}, force=True)
    checkpoint.path.write_bytes(damage(checkpoint.path.read_bytes()))
    assert checkpoint.load() is None
    assert len(caplog.messages) == 1 and not checkpoint.path.exists()
    assert len(list(checkpoint.path.parent.glob("run-damaged-*"))) == 1


def test_a_write_that_dies_leaves_the_old_checkpoint(checkpoint, monkeypatch):
    checkpoint.offer(lambda: {"epoch": 1}, force=True)

    def die(descriptor):
        raise SystemExit

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(SystemExit):
        checkpoint.offer(lambda: {"epoch": 2}, force=True)
    assert checkpoint.load() == {"epoch": 1}


def test_ctrl_c_waits_for_the_end_of_the_epoch_and_twice_does_not(checkpoint, capsys):
    before = signal.getsignal(signal.SIGINT)
    with checkpoint:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.offer(lambda: {"epoch": 7})
        assert checkpoint.load() == {"epoch": 7}
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert "Ctrl-C again" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("is_saved", "said"), [(True, "continue from there"), (False, "from the last checkpoint")])
def test_the_last_words_say_whether_the_epoch_is_saved(checkpoint, capsys, is_saved, said):
    """Without a save: Ctrl-C twice, or a worker process that was stopped and passes its interrupt on."""
    with pytest.raises(KeyboardInterrupt), checkpoint:
        if is_saved:
            os.kill(os.getpid(), signal.SIGINT)
            checkpoint.offer(lambda: {"epoch": 7})
        raise KeyboardInterrupt
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_checkpoint_of_another_version_is_started_over(caplog):
    """Its run id may be today's, but what it holds is not what today's code goes on from."""
    spec, memory = spec_of("static", "hps"), Memory(stop_at=2)
    with pytest.raises(Stopped):
        run(spec, stream(), memory)
    del memory.state["shape"]
    _, life = run(spec, stream(), Memory(memory.state))
    assert "another version" in caplog.text
    assert same(results(life), results(run(spec, stream())[1]))
