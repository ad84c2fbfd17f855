"""The command line as a user meets it: one line for a mistake, status 2, never a traceback."""

import json
import subprocess
import sys

import pytest

from lasem_core.cli import main
from lasem_core.cli.words import settings_of
from lasem_core.spec.command_line import command_line
from lasem_core.spec.run_spec import build_spec

TINY = ["--dataset", "digits", "--set", "stream.n_tasks=1", "--set", "schedule.epochs=1"]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    streams = capsys.readouterr()
    return caught.value.code, streams.out, streams.err


def test_missing_data_says_what_to_run(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("LASEM_DATA", raising=False)
    status, _, err = run(capsys, "train", "--dataset", "cifar100", "--store", tmp_path)
    assert status == 2
    assert "lasem data prepare cifar100" in err


def test_a_store_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    status, _, err = run(capsys, "train", *TINY, "--store", tmp_path / "file" / "runs")
    assert status == 2
    assert err.count("\n") == 1


def test_train_prints_one_json_object_and_the_second_time_trains_nothing(capsys, tmp_path):
    status, out, _ = run(capsys, "train", *TINY, "--store", tmp_path, "--json")
    row = json.loads(out.splitlines()[-1])
    assert status == 0
    assert row["dataset"] == "digits" and 0 <= row["peak_at_best_valid"] <= 1
    assert row["forgetting_ratio"] is None and len(row["configs"]) == 1
    status, out, err = run(capsys, "train", *TINY, "--store", tmp_path, "--json")
    assert (status, json.loads(out)) == (0, row)
    assert "finished before" in err


def test_help_teaches(capsys):
    status, out, _ = run(capsys, "train", "--help")
    assert status == 0
    assert "Example: lasem train" in out and "df-cnn" in out


def test_help_is_quick():
    """Nothing heavy is imported for it: who presses Ctrl-C in the first seconds sees no traceback of an import."""
    code = (
        "import sys; from lasem_core.cli import app, exit_status\n"
        "for words in (['--help'], *([name, '--help'] for name in ('runs', 'sweep', 'train', 'bench', 'data'))):\n"
        "    exit_status(lambda: app(args=words, standalone_mode=False))\n"
        "heavy = {'torch', 'pandas', 'numpy', 'joblib', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_who_stops_a_run_reads_how_to_continue(capsys, monkeypatch, tmp_path):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lasem_core.runs.run.train", stop)
    assert run(capsys, "train", *TINY, "--store", tmp_path) == (
        130, "", "lasem: stopped; run the same command again to continue\n"
    )  # fmt: skip


def test_bench_shows_how_far_it_is_and_puts_the_bases_together(capsys, monkeypatch):
    def measure(setting, threads, rounds, bases, precision):
        measured.append((rounds, precision, *bases))
        return {"setting": setting, "bases": {name: {"static_ms": 1.0} for name in bases}}

    measured = []
    monkeypatch.setenv("LASEM_PROGRESS", "bar")
    monkeypatch.setattr("lasem_core.bench.steps.bench", measure)
    status, out, err = run(capsys, "bench", "--base", "hps", "--base", "tf", "--json")
    assert (status, list(json.loads(out)["bases"])) == (0, ["hps", "tf"])
    assert measured == [(21, "fp32", "hps"), (21, "fp32", "tf")]
    assert "timing" in err and "2/2" in err


def test_an_empty_value_is_a_value():
    """`em.groups` empty: nine layers one by one, where the data set's default is three groups."""
    given = {"dataset": "stl10-group", "base": "df-cnn"}
    spec = build_spec(given, settings_of(["em.groups=", "em.prune=sampled"]))
    assert (len(spec.space), len(build_spec(given).space)) == (512, 8)
    assert "--set em.groups= " in command_line(spec)
    assert settings_of(["a.b=c=d"]) == {"a.b": "c=d"} and settings_of(None) == {}
