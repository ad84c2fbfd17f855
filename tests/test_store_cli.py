"""`lasem runs`."""

import json

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from lasem_core.cli import main
from lasem_core.cli.runs import runs
from lasem_core.common.errors import LasemError
from lasem_core.runs.record import ROW, TABLES
from lasem_core.runs.store import RunRecord, RunStore
from lasem_core.spec.run_spec import RunSpec

APP = typer.Typer()
APP.command()(runs)


@pytest.fixture
def folder(tmp_path):
    store, empty = RunStore(tmp_path / "runs"), pd.DataFrame({"epoch": [1]})
    for seed in range(2):
        summary = {"peak_at_best_valid": 0.25 + seed / 2, "forgetting_ratio": None, "configs": ["0101"]}
        measured = {"train_seconds": 30.0, "eval_seconds": 1.0}
        store.put(RunRecord(f"{seed}abc", RunSpec(seed=seed), "f", summary, measured, dict.fromkeys(TABLES, empty)))
    return store.root


def call(folder, *words):
    result = CliRunner().invoke(APP, [*words, "--store", str(folder)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_list(folder):
    text = call(folder).output
    assert "25.0" in text and "75.0" in text and "2 runs in" in text


def test_json_is_the_rows_of_the_records(folder):
    rows = json.loads(call(folder, "--json", "--where", "seed=1").output)
    assert rows == [RunStore(folder).get("1abc").row]
    assert tuple(rows[0]) == ROW
    assert isinstance(rows[0]["seed"], int) and rows[0]["forgetting_ratio"] is None


def test_an_empty_store(tmp_path):
    assert "no runs" in call(tmp_path / "none").output
    assert json.loads(call(tmp_path / "none", "--json").output) == []


def test_show_one(folder):
    text = call(folder, "1a").output
    assert "lasem train --dataset planted" in text and "1abc" in text
    assert json.loads(call(folder, "1a", "--json").output)["spec"]["seed"] == 1


@pytest.mark.parametrize("start, message", [("9", "no runs"), ("", "2 runs")])
def test_show_needs_one_run(folder, start, message):
    with pytest.raises(LasemError, match=message):
        call(folder, start)


def test_check(folder):
    assert call(folder, "--check").exit_code == 0
    (folder / "0abc" / "history.parquet").write_bytes(b"")
    result = call(folder, "--check")
    assert result.exit_code == 1 and "0abc: history.parquet does not match its checksum" in result.output
    assert json.loads(call(folder, "--check", "--json").output)[0]["run_id"] == "0abc"


def test_check_of_a_store_that_is_not_there(tmp_path):
    with pytest.raises(LasemError, match=f"there is no folder {tmp_path / 'none'}"):
        call(tmp_path / "none", "--check")


@pytest.fixture
def varied(tmp_path):
    """Two runs: one as it comes, one with a setting of every kind."""
    store, empty = RunStore(tmp_path / "varied"), pd.DataFrame({"epoch": [1]})
    order = {"n_tasks": 2, "order": (0, 1)}
    network = {"channels": (4, 4), "kernels": (3, 3), "pools": (1, 2)}
    other = RunSpec(method="fixed-posterior", config="10", em={"rollback": False}, stream=order, model=network)
    for run_id, spec in (("0abc", RunSpec()), ("1abc", other)):
        summary = {"peak_at_best_valid": 0.5, "configs": ["10"]}
        store.put(RunRecord(run_id, spec, "f", summary, {}, dict.fromkeys(TABLES, empty)))
    return store.root


@pytest.mark.parametrize(
    "where",
    [
        "stream.order=0,1", "model.channels=4,4", "config=bottom1", "config={1}", "config=10", "em.rollback=false",
        "em.rollback=0", "stream.n_tasks=2", "run_id=1abc", "method=fixed-posterior",
    ],
)  # fmt: skip
def test_where_reads_a_value_as_set_does(varied, where):
    rows = json.loads(call(varied, "--json", "--where", where).output)
    assert [row["run_id"] for row in rows] == ["1abc"]


def test_where_of_a_switch_that_is_on_and_of_what_both_have(varied):
    for where, found in (("em.rollback=true", 1), ("configs=10", 2), ("stale=false", 2)):
        assert len(json.loads(call(varied, "--json", "--where", where).output)) == found


def test_a_filter_that_lets_nothing_through_is_no_empty_store(folder):
    assert (
        f"none of the 2 runs in {folder} has dataset=digits and seed=1"
        in call(folder, "--where", "dataset=digits", "--where", "seed=1").output
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--where dataset=nope", r"--where dataset=nope: .*'planted', 'digits'"),
        ("--where em.prior=x", r"--where em.prior=x: .*'running-mean'"),
        ("--where den.phases=1,1", "--where den.phases=1,1: it needs 4 entries"),
        ("--where em=1", "unknown key 'em'"),
        ("--where self=1", "unknown key 'self'"),
        ("--where seed=0 --where seed=1", "--where seed=0 and --where seed=1: give one of them"),
        ("0abc --where seed=0", "the run 0abc and --where ask for different things"),
        ("0abc --check", "the run 0abc and --check ask for different things"),
        ("--check --where seed=0", "--where and --check ask for different things"),
    ],
)
def test_what_would_be_ignored_is_refused(folder, words, told):
    with pytest.raises(LasemError, match=told):
        call(folder, *words.split())


def test_where_needs_a_value(folder):
    with pytest.raises(LasemError, match="KEY=VALUE"):
        call(folder, "--where", "seed")


@pytest.mark.parametrize("command", ["runs", "sweep figure2", "train --set schedule.epochs=1 --set stream.n_tasks=1"])
def test_the_store_is_the_repositorys_wherever_the_command_is_given(tmp_path, monkeypatch, capsys, command):
    monkeypatch.setenv("LASEM_OUTPUTS", str(tmp_path / "elsewhere"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(SystemExit) as stop:
        main(command.split())
    assert stop.value.code in (0, None)
    assert list((tmp_path / "work").iterdir()) == []
    if command.startswith("train"):
        assert len(list((tmp_path / "elsewhere" / "runs").glob("*/record.json"))) == 1
