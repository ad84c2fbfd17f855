"""`lasem train`: one run, from its choices to its record."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from lasem_core.cli.words import ADDRESS, DataFolder, StoreFolder, settings_of, store_of, with_classes
from lasem_core.common.errors import LasemError
from lasem_core.spec.parts import Base, Dataset, Method, Preset, Profile, choices
from lasem_core.spec.run_spec import RunSpec, build_spec

FLAGS = (*ADDRESS, "method", "base", "config", "device", "precision", "threads")


def _one_of(literal: object) -> str:
    return " | ".join(choices(literal))


def train(
    dataset: Annotated[str, typer.Option(help=_one_of(Dataset))] = "planted",
    method: Annotated[str, typer.Option(help=_one_of(Method))] = "lasem",
    base: Annotated[str | None, typer.Option(help=f"how a layer is shared: {_one_of(Base)}")] = None,
    preset: Annotated[str, typer.Option(help=f"algorithm switches: {_one_of(Preset)}")] = "paper",
    profile: Annotated[str, typer.Option(help=f"scale: {_one_of(Profile)}")] = "smoke",
    seed: Annotated[int, typer.Option(help="keys every random number of the run")] = 0,
    config: Annotated[
        str | None,
        typer.Option(help="of static and fixed-posterior: all, none, top2, bottom3, alternating, 0101 or {2,4}"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="any other field, e.g. --set em.likelihood=mean"),
    ] = None,
    classes_per_task: Annotated[int | None, typer.Option(help="for --dataset folder")] = None,
    data: DataFolder = None,
    store: StoreFolder = None,
    device: Annotated[str, typer.Option(help="auto | cpu | cuda")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32 | bf16 (convolutions only) | fp64")] = "fp32",
    threads: Annotated[int, typer.Option(help="torch threads of this run")] = 1,
    jobs: Annotated[int, typer.Option(min=1, max=1024, help="of brute-force: configurations trained at a time")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="print the record's row as one JSON line")] = False,
) -> None:
    """Train one run and store its record; a finished run is not trained again.

    A run that was stopped (Ctrl-C, a crash) continues from its last checkpoint when the same command is given.

    Example: lasem train --dataset cifar100 --method lasem --base hps --profile quick --seed 0
    """
    options = {
        "dataset": dataset, "method": method, "base": base, "preset": preset, "profile": profile, "seed": seed,
        "config": config, "device": device, "precision": precision, "threads": threads,
    }  # fmt: skip
    if jobs > 1 and method != "brute-force":
        raise LasemError(f"--jobs {jobs}: method {method} trains one network at a time; leave it out")
    dotted = settings_of(settings, FLAGS)
    _run(build_spec(options, with_classes(dotted, classes_per_task)), store, data, jobs, as_json)


def _run(spec: RunSpec, store: Path | None, data: Path | None, jobs: int, as_json: bool) -> None:
    from lasem_core.data import notes
    from lasem_core.runs import run as api

    runs = store_of(store)
    known = runs.get(api.run_id_of(spec, data))
    finished = known is not None and not known.stale
    for note in notes(spec, data):
        logging.getLogger("lasem").warning("%s", note)
    record = api.train(spec, runs, data, jobs=jobs)
    if finished:
        print(f"lasem: run {record.run_id} was finished before; nothing to train", file=sys.stderr)
    print(json.dumps(record.row) if as_json else describe(record.row))


def describe(row: dict) -> str:
    """A record's row for people: accuracies in percent."""
    percent = ("peak_at_best_valid", "peak_test", "final_accuracy")
    lines = [f"{name:20}{100 * row[name]:.1f} %" for name in percent]
    ratio = row["forgetting_ratio"]
    lines.append(f"{'forgetting_ratio':20}" + ("not defined (one task)" if ratio is None else f"{ratio:.3f}"))
    lines.append(f"{'configurations':20}" + (" ".join(row["configs"]) or "none"))
    lines.append(f"{'training':20}{row['train_seconds']:.1f} s, evaluation {row['eval_seconds']:.1f} s")
    return "\n".join([f"run {row['run_id']}", *lines])
