"""The record store: whole or not at all, verified when read, several writers, full disks, 5,000 records."""

import errno
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lasem_core.runs.store as store_module
from lasem_core.common.errors import LasemError
from lasem_core.runs import generation as version
from lasem_core.runs.record_files import RETIRED, _document_bytes, _seal
from lasem_core.runs.store import RunRecord, RunStore
from lasem_core.spec.command_line import command_line
from lasem_core.spec.run_spec import RunSpec, build_spec

FILES = ("record.json", "history.parquet", "posterior.parquet", "accuracy.parquet")
MODEL = {"weights": torch.arange(3.0)}


RUN_ID = "0123456789abcdef"


def make_record(run_id=RUN_ID, seed=0, **summary):
    place = {"position": [0, 0], "task": [0, 0]}
    return RunRecord(
        run_id=run_id,
        spec=RunSpec(seed=seed),
        fingerprint="f00d",
        summary={"peak_at_best_valid": np.float32(0.5), "forgetting_ratio": float("nan"), "configs": ["0101"]}
        | summary,
        measured={"train_seconds": 1.5, "libraries": {"torch": "2"}},
        tables={
            "history": pd.DataFrame({"epoch": [0, 1], "loss": [np.nan, 0.1], "config": ["0101", None]}),
            "posterior": pd.DataFrame(
                place | {"epoch": [1, 1], "step": [0, 0], "config": ["1", "0"], "mass": np.float16([0.3, 0.7])}
            ),
            "accuracy": pd.DataFrame(place | {"when": ["epoch", "after"], "test_accuracy": [0.1, 0.2]}),
        },
    )


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "deep" / "runs")


def test_a_stored_record_is_the_record(store):
    record = make_record()
    stored = store.put(record, MODEL)
    assert stored.digest() == record.digest()
    assert stored.row == record.row == store.get(record.run_id).row
    assert stored.spec == record.spec
    assert stored.posterior["mass"].dtype == np.float16
    assert torch.equal(store.model_state(record.run_id)["weights"], MODEL["weights"])
    assert not list((store.root / ".tmp").iterdir())


def test_plain_pandas_and_json_read_a_record(store):
    path = store.put(make_record()).path
    assert pd.read_parquet(path / "posterior.parquet")["mass"].sum() == pytest.approx(1, abs=1e-2)
    document = json.loads((path / "record.json").read_text())
    assert document["summary"]["forgetting_ratio"] is None
    assert document["spec"]["em"]["likelihood"] == "joint"


def test_digest_sees_every_part_of_the_identical_part():
    record = make_record()
    other = record.accuracy.assign(test_accuracy=[0.1, np.nextafter(0.2, 1)])
    assert replace(record, measured={}).digest() == record.digest()
    assert replace(record, tables={**record.tables, "accuracy": other}).digest() != record.digest()
    assert make_record(peak_at_best_valid=0.6).digest() != record.digest()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_record_is_set_aside_and_computed_again(store, caplog, file, damage):
    record = make_record()
    path = store.put(record).path / file
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes({"truncate": data[:middle], "flip": _flipped(data, middle), "remove": b""}[damage])
    if damage == "remove":
        path.unlink()
    assert [run_id for run_id, _ in store.check()] == [record.run_id]
    with caplog.at_level(logging.WARNING):
        assert store.get(record.run_id) is None
    assert len(caplog.messages) == 1 and "\n" not in caplog.messages[0]
    assert (store.root / ".aside" / f"{record.run_id}-0").is_dir()
    assert store.put(record).digest() == record.digest()
    assert store.check() == []


def _flipped(data, position, bit=0):
    return data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_record_json_is_noticed(store, place, bit):
    record = make_record()
    path = store.put(record).path / "record.json"
    data = path.read_bytes()
    path.write_bytes(_flipped(data, int(place * len(data)), bit))
    assert store.get(record.run_id) is None


def test_a_damaged_record_is_replaced_by_a_writer(store):
    record = make_record()
    (store.put(record).path / "record.json").unlink()
    assert store.put(record).digest() == record.digest()


def test_summaries_leave_damaged_records_out(store, caplog):
    store.put(make_record("aa"))
    (store.put(make_record("bb")).path / "record.json").write_text("{")
    assert list(store.summaries()["run_id"]) == ["aa"]
    assert "bb" in caplog.text


def test_of_two_writers_the_first_wins(store, monkeypatch):
    first, second = make_record(), replace(make_record(), measured={"train_seconds": 9.0})
    write = store_module.write_files

    def slow_write(*arguments):
        write(*arguments)
        monkeypatch.setattr(store_module, "write_files", write)
        store.put(first)  # the other writer finishes between our writing and our renaming

    monkeypatch.setattr(store_module, "write_files", slow_write)
    assert store.put(second).measured["train_seconds"] == 1.5
    assert store.check() == [] and not list((store.root / ".tmp").iterdir())


def test_a_damaged_record_that_cannot_be_set_aside_is_one_line_after_the_training(store):
    path = store.put(make_record()).path
    (path / "record.json").write_bytes(b"")
    (store.root / ".aside").write_text("a file, not a folder")
    with pytest.raises(LasemError, match="cannot write"):
        store.put(make_record())


def test_checkpoints_of_stored_runs_are_tidied(store):
    done, open_ = (store.root / ".checkpoints" / f"{name}.pt" for name in (RUN_ID, "1" * 16))
    store.put(make_record())
    done.parent.mkdir()
    done.touch(), open_.touch()
    store.put(make_record("f" * 16))
    assert not done.exists() and open_.exists()


def test_a_model_is_missing_in_a_clone_and_comes_back_from_a_repetition(store):
    record = make_record()
    path = store.put(record, MODEL).path
    (path / "model.pt").unlink()
    with pytest.raises(LasemError, match=r"lasem train --dataset planted .*--seed 0"):
        store.model_state(record.run_id)
    store.put(record, MODEL)
    assert store.check() == [] and "weights" in store.model_state(record.run_id)


def test_a_damaged_model_is_noticed_and_replaced(store):
    record = make_record()
    model = store.put(record, MODEL).path / "model.pt"
    model.write_bytes(_flipped(model.read_bytes(), 200))
    assert store.get(record.run_id) is not None
    assert store.check() == [(record.run_id, "model.pt does not match its checksum")]
    with pytest.raises(LasemError, match="damaged"):
        store.model_state(record.run_id)
    store.put(record, MODEL)
    assert store.check() == []


def test_where(store):
    for seed in range(3):
        store.put(make_record(f"a{seed}", seed))
    assert list(store.summaries(seed="1")["run_id"]) == ["a1"]
    assert list(store.summaries(seed=[0, 2])["run_id"]) == ["a0", "a2"]
    assert len(store.summaries(**{"em.likelihood": "joint", "optim.lr": str(RunSpec().optim.lr)})) == 3
    assert store.summaries(seed=1, method="static").empty
    assert [record.run_id for record in store.records(seed=2)] == ["a2"]
    with pytest.raises(LasemError, match="unknown key 'sed'"):
        store.summaries(sed=1)


def test_an_empty_store_has_an_empty_table(tmp_path):
    store = RunStore(tmp_path / "nothing")
    assert store.summaries(dataset="cifar100").empty and store.check() == [] and store.get("x") is None
    assert "peak_at_best_valid" in store.summaries()


@pytest.mark.parametrize("odd", ["", ".", "..", ".aside", "../runs"])
def test_only_run_ids_name_records(store, odd):
    store.put(make_record())
    assert store.get(odd) is None
    assert store.check() == []


@pytest.mark.parametrize("place", ["file", "proc"])
def test_an_unwritable_store_is_one_line(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    store = RunStore({"file": tmp_path / "file", "proc": "/proc/lasem"}[place])
    with pytest.raises(LasemError, match="cannot write") as caught:
        store.put(make_record())
    assert "\n" not in str(caught.value)
    with pytest.raises(LasemError, match="cannot write"):
        store.checkpoint("x")


def test_a_full_disk_loses_nothing(store, monkeypatch):
    store.put(make_record("aa"))

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(LasemError, match="No space left on device"):
        store.put(make_record("bb"))
    monkeypatch.undo()
    assert store.check() == [] and list(store.summaries()["run_id"]) == ["aa"]
    assert not list((store.root / ".tmp").iterdir())


def test_a_file_size_limit_loses_nothing(store):
    store.put(make_record("aa"))
    checkpoint = store.checkpoint("cc")
    checkpoint.offer(lambda: {"epoch": 1}, force=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(LasemError, match="File too large"):
            store.put(make_record("bb"))
        with pytest.raises(LasemError, match="File too large"):
            checkpoint.offer(lambda: {"epoch": 2, "much": torch.rand(1000)}, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.check() == [] and store.get("bb") is None
    assert checkpoint.load() == {"epoch": 1}
    assert not list(checkpoint.path.parent.glob(".*"))


def test_what_killed_writers_left_is_tidied_after_a_day(store):
    store.put(make_record("aa"))
    checkpoint = store.checkpoint("cc").path
    checkpoint.write_bytes(b"an unfinished run waits as long as it likes")
    left = store.root / ".tmp" / "bb-1", checkpoint.with_name(f".{checkpoint.name}-1")
    left[0].mkdir(), left[1].write_bytes(b"half")
    young = store.root / ".tmp" / "bb-2"
    young.mkdir()
    for path in (*left, checkpoint):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    store.put(make_record("bb"))
    assert young.exists() and checkpoint.exists() and not any(path.exists() for path in left)


def test_records_of_older_code_are_stale(store, monkeypatch):
    store.put(make_record())
    record = store.get(make_record().run_id)
    assert not record.stale and not store.summaries()["stale"].any()
    monkeypatch.setattr(version, "CHANGES", (*version.CHANGES, version.Change("all", lambda spec: True)))
    record = store.get(make_record().run_id)
    assert record.stale and store.summaries()["stale"].all()
    with pytest.raises(ValueError, match="stale"):
        store.put(record)


def _with_settings(path, settings, without=()):
    """The record in `path` as a version wrote it that had more settings, by dotted name, and not those in `without`."""
    document = json.loads((path / "record.json").read_text())
    del document["checksum"]
    for dotted, value in settings.items():
        part, name = dotted.split(".")
        document["spec"][part][name] = value
    for dotted in without:
        part, name = dotted.split(".")
        del document["spec"][part][name]
    body = json.dumps(document, indent=1).removesuffix("\n}").encode()
    (path / "record.json").write_bytes(body + _seal(body))


def test_retired_settings_at_their_neutral_value_are_left_out(store):
    record = make_record()
    _with_settings(store.put(record).path, RETIRED)
    assert store.check() == [] and store.get(record.run_id).spec == record.spec
    assert not set(RETIRED) & set(store.summaries().columns)


def test_a_record_older_than_a_setting_has_its_neutral_value(store):
    """Else nobody who asks for it would find the record."""
    _with_settings(store.put(make_record()).path, {}, ["model.network", "em.revisit"])
    assert len(store.summaries(**{"model.network": "cnn", "em.revisit": "fixed"})) == 1
    assert store.check() == []


def test_a_retired_setting_at_another_value_is_named(store):
    record = make_record()
    _with_settings(store.put(record).path, {"darts.order": "second"})
    assert "unknown setting 'darts.order'" in store.check()[0][1]


def test_a_list_of_runs_opens_one_file_of_each_and_builds_no_specification(store, monkeypatch):
    for run_id in ("a" * 16, "b" * 16, "c" * 16):
        store.put(make_record(run_id))
    opened, read_bytes = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name) or read_bytes(path))
    monkeypatch.setattr(RunSpec, "__init__", None)
    assert len(store.summaries()) == 3
    assert opened == ["record.json"] * 3
    assert len(RunStore(store.root).summaries()) == 3
    assert opened == ["record.json"] * 3, "read again though no file has changed"


def test_a_record_that_has_changed_is_listed_as_it_is_now(store):
    path = store.put(make_record()).path
    assert store.summaries()["peak_at_best_valid"].tolist() == [0.5]
    shutil.rmtree(path)
    store.put(make_record(peak_at_best_valid=0.7))
    assert store.summaries()["peak_at_best_valid"].tolist() == [0.7]


def test_tables_are_decoded_once_and_only_when_asked_for(store, monkeypatch):
    store.put(make_record())
    decoded, read = [], pq.ParquetFile.read
    monkeypatch.setattr(pq.ParquetFile, "read", lambda file, **how: decoded.append(file) or read(file, **how))
    record = store.get(RUN_ID)
    assert record.row["peak_at_best_valid"] == 0.5 and decoded == []
    assert record.history is record.history and len(decoded) == 1


def test_five_thousand_records(tmp_path):
    """A list of them takes less than parsing their JSON eight times would; at most 1 GB."""
    body = _document_bytes(make_record(), {})[: -len(_seal(b""))]
    for number in range(5000):
        folder = tmp_path / f"{number:016x}"
        folder.mkdir()
        own = body.replace(RUN_ID.encode(), folder.name.encode())
        (folder / "record.json").write_bytes(document := own + _seal(own))
    code = f"""
import json, time
from lasem_core.runs.machine import peak_mb
from lasem_core.runs.store import RunStore
start = time.process_time()
assert len(RunStore({str(tmp_path)!r}).summaries(dataset="planted")) == 5000
listed = time.process_time()
[json.loads({document!r}) for _ in range(5000)]
print((listed - start) / (time.process_time() - listed), peak_mb())
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    ratio, megabytes = map(float, shown.split())
    assert ratio < 8 and megabytes < 1000


@pytest.mark.parametrize(
    "options, chosen",
    [
        ({"dataset": "cifar100", "method": "static", "base": "df-cnn", "config": "top2", "seed": 4}, {}),
        ({"preset": "released", "threads": 2}, {"em.m_steps": "3", "stream.order": "0,1,0"}),
        ({"method": "lasem"}, {"em.groups": "1,2|3,4", "model.channels": "4,4,8,8"}),
        ({"method": "single-task", "base": "none", "profile": "quick"}, {"em.m_steps": "2"}),
    ],
)
def test_the_command_of_a_run_gives_the_run(options, chosen):
    spec = build_spec(options, chosen)
    words = command_line(spec).replace("'", "").split()[2:]
    pairs = list(zip(words[::2], words[1::2], strict=True))
    again = build_spec(
        {name[2:]: value for name, value in pairs if name != "--set"},
        dict(value.split("=", 1) for name, value in pairs if name == "--set"),
    )
    assert again == spec
