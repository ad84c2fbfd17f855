"""Records and checkpoints that are not what was written: each is one line, and never in the way of others."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from functools import partial

import pandas as pd
import pytest

from lasem_core.cli import app, exit_status
from lasem_core.common.disk import replacing
from lasem_core.common.errors import LasemError
from lasem_core.runs.record import TABLES
from lasem_core.runs.record_files import _seal
from lasem_core.runs.store import RunRecord, RunStore
from lasem_core.spec.run_spec import RunSpec

TINY = ("schedule.epochs=1", "stream.n_tasks=1", "stream.fraction=0.25")


def lasem(capsys, *words):
    status = exit_status(lambda: app(args=[*map(str, words)], standalone_mode=False))
    return status, capsys.readouterr()


def _record(run_id, seed):
    table = pd.DataFrame({"epoch": [1]})
    summary = {"peak_at_best_valid": 0.5, "final_accuracy": 0.5, "forgetting_ratio": 1.0, "configs": ["0101"]}
    measured = {"train_seconds": 1.0, "eval_seconds": 1.0}
    return RunRecord(run_id, RunSpec(seed=seed), "f", summary, measured, dict.fromkeys(TABLES, table))


@pytest.fixture
def store(tmp_path):
    store = RunStore(tmp_path / "runs")
    store.put(_record("good", 0))
    store.put(_record("odd0", 1))
    return store


def _rewritten(folder, change):
    document = json.loads((folder / "record.json").read_text())
    del document["checksum"]
    changed = change(document)
    document = document if changed is None else changed
    body = json.dumps(document, indent=1).removesuffix("\n}").encode()
    (folder / "record.json").write_bytes(body + _seal(body))


def _sealed(body):
    def damage(folder):
        (folder / "record.json").write_bytes(body + _seal(body))

    return damage


def _is(kind, name):
    def damage(folder):
        (folder / name).unlink(missing_ok=True)
        {"folder": (folder / name).mkdir, "pipe": partial(os.mkfifo, folder / name)}[kind]()

    return damage


def _garbage(folder):
    data = b"PAR1 no table PAR1"
    (folder / "history.parquet").write_bytes(data)
    _rewritten(folder, lambda d: d["sha256"].update({"history.parquet": hashlib.sha256(data).hexdigest()}))


def _without(*path):
    def change(document):
        for name in path[:-1]:
            document = document[name]
        del document[path[-1]]

    return lambda folder: _rewritten(folder, change)


def _with(value, *path):
    def change(document):
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return lambda folder: _rewritten(folder, change)


KEYS = ("run_id", "numerics_version", "fingerprint", "digest", "spec", "summary", "measured", "sha256")
OUTLINE = [  # what a list of runs looks at
    *(pytest.param(_without(key), id=f"without {key}") for key in KEYS),
    *(pytest.param(_with(value, key), id=f"{key} {value}") for key in KEYS for value in (None, [1], 7.5)),
    *(pytest.param(_without("spec", key), id=f"without spec.{key}") for key in ("base", "em", "seed", "stream")),
    *(pytest.param(_with([1], "spec", key), id=f"spec.{key}") for key in ("dataset", "em", "seed", "stream", "config")),
    pytest.param(_with("1", "spec", "stream", "n_tasks"), id="spec.stream.n_tasks"),
    pytest.param(_with("high", "summary", "peak_at_best_valid"), id="summary.peak_at_best_valid"),
    pytest.param(_with({}, "summary", "forgetting_ratio"), id="summary.forgetting_ratio"),
    pytest.param(_with("0101", "summary", "configs"), id="summary.configs"),
    pytest.param(_with("long", "measured", "train_seconds"), id="measured.train_seconds"),
    pytest.param(_without("spec", "em", "prior"), id="without spec.em.prior"),
    pytest.param(_without("spec", "stream", "order"), id="without spec.stream.order"),
    pytest.param(_sealed(b'{\n "run_id": "\xff\xfe"'), id="not UTF-8"),
    pytest.param(_sealed(b'[\n "run_id"'), id="not JSON"),
    pytest.param(_sealed(b'{\n "run_id": ' + b"[" * 100_000), id="deep JSON"),
    pytest.param(_is("folder", "record.json"), id="record.json is a folder"),
    pytest.param(_is("pipe", "record.json"), id="record.json is a pipe"),
]
REST = [
    pytest.param(_garbage, id="garbage instead of Parquet"),
    pytest.param(_without("sha256", "accuracy.parquet"), id="without a checksum"),
    pytest.param(_is("folder", "history.parquet"), id="history.parquet is a folder"),
    pytest.param(_is("pipe", "history.parquet"), id="history.parquet is a pipe"),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", OUTLINE + REST)
def test_the_others_are_listed_and_it_is_named(capsys, caplog, store, damage):
    damage(store.root / "odd0")
    seen = 1 if damage in [row.values[0] for row in OUTLINE] else 2
    with caplog.at_level(logging.WARNING):
        status, streams = lasem(capsys, "runs", "--json", "--store", store.root)
        assert status == 0 and len(json.loads(streams.out)) == seen
        assert len(caplog.messages) == 2 - seen and "\n" not in caplog.text.rstrip("\n")
        assert lasem(capsys, "runs", "--store", store.root)[0] == 0
        assert lasem(capsys, "runs", "good", "--store", store.root)[0] == 0
        status, streams = lasem(capsys, "runs", "--check", "--store", store.root)
        assert status == 1 and streams.out.startswith("odd0: ") and streams.out.count("\n") == 2
        status, streams = lasem(capsys, "runs", "odd0", "--store", store.root)
        assert status == 2 and streams.err.count("\n") == 1
        assert store.get("odd0") is None
    assert (store.root / ".aside" / "odd0-0").is_dir() and store.check() == []


@pytest.mark.parametrize(("value", "path"), [("long", ("spec", "colour")), ("second", ("spec", "darts", "order"))])
def test_a_record_of_another_version_stays_where_it_is(caplog, store, value, path):
    """An older checkout would put a newer one's records aside, and train them again."""
    _with(value, *path)(store.root / "odd0")
    with caplog.at_level(logging.WARNING):
        assert store.get("odd0") is None and len(list(store.records())) == 1
    assert "odd0 is left out: its specification is not one this version knows" in caplog.text
    assert (store.root / "odd0").is_dir() and not (store.root / ".aside").exists()


def test_a_run_takes_the_place_of_another_versions_record(caplog, store):
    run = store.get("odd0")
    _with("long", "spec", "colour")(store.root / "odd0")
    assert store.put(run).run_id == store.get("odd0").run_id == "odd0"
    assert (store.root / ".aside" / "odd0-0").is_dir()


def test_a_model_that_is_no_file(capsys, store):
    os.mkfifo(store.root / "odd0" / "model.pt")
    assert lasem(capsys, "runs", "--check", "--store", store.root)[0] == 1
    with pytest.raises(LasemError, match="damaged"):
        store.model_state("odd0")


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_checkpoint_that_is_no_file(store, caplog, kind):
    checkpoint = store.checkpoint("abc")
    _is(kind, "abc.pt")(checkpoint.path.parent)
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load() is None
    assert "moved to abc-damaged-0" in caplog.text and not checkpoint.path.exists()


def test_what_a_killed_writer_left_is_swept_by_the_next_start(store):
    path = store.checkpoint("abc").path
    code = (
        "import os, signal, sys; from pathlib import Path; from lasem_core.common.disk import replacing\n"
        "with replacing(Path(sys.argv[1])) as half:\n"
        "    half.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert len(list(path.parent.glob(".abc.pt-*"))) == 1
    store.checkpoint("other")
    assert len(list(path.parent.glob(".abc.pt-*"))) == 1
    store.checkpoint("abc")
    assert list(path.parent.iterdir()) == []


def test_what_another_process_is_writing_is_left_alone(store, monkeypatch):
    path = store.checkpoint("abc").path
    monkeypatch.setattr(os, "getpid", lambda: 1)  # a process that is there
    with replacing(path) as half:
        half.write_bytes(b"half")
        monkeypatch.undo()
        store.checkpoint("abc")
        assert half.exists()
    assert path.read_bytes() == b"half"


def test_a_damaged_record_is_trained_again_and_says_so(capsys, tmp_path):
    words = ["train", "--store", tmp_path, *(word for setting in TINY for word in ("--set", setting))]
    assert "finished before" not in lasem(capsys, *words)[1].err
    assert "finished before" in lasem(capsys, *words)[1].err
    (run_id,) = (path.name for path in tmp_path.iterdir() if not path.name.startswith("."))
    (tmp_path / run_id / "history.parquet").write_bytes(b"")
    assert "finished before" not in lasem(capsys, *words)[1].err
    assert RunStore(tmp_path).check() == []
