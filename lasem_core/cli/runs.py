"""`lasem runs`: list, filter, show and verify run records."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lasem_core.cli.words import StoreFolder, key_values, store_of
from lasem_core.common.errors import LasemError
from lasem_core.spec.command_line import command_line, value_of

if TYPE_CHECKING:
    import pandas as pd

    from lasem_core.runs.record import RunRecord
    from lasem_core.runs.store import RunStore

COLUMNS = ("run_id", "dataset", "method", "base", "config", "preset", "profile", "seed")
PERCENT = {"peak_at_best_valid": "peak %", "final_accuracy": "final %"}


def runs(
    run_id: Annotated[str | None, typer.Argument(help="Show this run only; the first digits are enough.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Only runs with KEY=VALUE, e.g. dataset=cifar100 or em.prior=count.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Verify every file of every record.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    store: StoreFolder = None,
) -> None:
    """List the recorded runs, show one, or verify them all."""
    _one_of({f"the run {run_id}": run_id is not None, "--where": bool(where), "--check": check})
    stored = store_of(store)
    if check:
        raise typer.Exit(_check(stored, as_json))
    if run_id is not None:
        _show(_find(stored, run_id), as_json)
    else:
        _list(stored, key_values("--where", where, "dataset=cifar100"), as_json)


def _one_of(given: dict[str, bool]) -> None:
    """LasemError where several ask for different things: all but one would be ignored."""
    names = [name for name, there in given.items() if there]
    if len(names) > 1:
        raise LasemError(f"{' and '.join(names)} ask for different things; give one of them")


def _check(store: RunStore, as_json: bool) -> int:
    if not store.root.exists():
        raise LasemError(
            f"--check: there is no folder {store.root}; the first `lasem train` makes it, --store names another"
        )
    problems = store.check()
    if as_json:
        typer.echo(json.dumps([{"run_id": run_id, "problem": problem} for run_id, problem in problems]))
    else:
        for run_id, problem in problems:
            typer.echo(f"{run_id}: {problem}")
        typer.echo(f"{store.root}: {len(problems)} damaged" if problems else f"{store.root}: every record is sound")
    return 1 if problems else 0


def _find(store: RunStore, start: str) -> RunRecord:
    found = [run_id for run_id in store.summaries()["run_id"] if run_id.startswith(start)]
    if len(found) != 1:
        raise LasemError(f"{len(found) or 'no'} runs in {store.root} begin with '{start}'; see: lasem runs")
    record = store.get(found[0])
    if record is None:
        raise LasemError(f"run {found[0]} is damaged; it will be computed again when it is needed")
    return record


def _show(record: RunRecord, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(record.row | {"spec": record.spec.model_dump(mode="json")} | _parts(record)))
        return
    for name, value in {**record.row, **record.summary, **record.measured}.items():
        typer.echo(f"{name:20} {' '.join(map(str, value)) if isinstance(value, list) else value}")
    typer.echo(f"{'digest':20} {record.digest()}\n{'folder':20} {record.path}")
    typer.echo(f"{'again':20} {command_line(record.spec)}")


def _parts(record: RunRecord) -> dict[str, Any]:
    from lasem_core.runs.record import plain

    parts = {"summary": record.summary, "measured": record.measured, "fingerprint": record.fingerprint}
    return plain(parts | {"digest": record.digest(), "stale": record.stale, "path": record.path})


def _list(store: RunStore, where: dict[str, str], as_json: bool) -> None:
    from lasem_core.runs.record import ROW

    frame = store.summaries(**{name: value_of("--where", name, text) for name, text in where.items()})
    if as_json:
        typer.echo(json.dumps([plain_row(row) for row in frame[list(ROW)].to_dict("records")]))
    elif frame.empty:
        typer.echo(_none(store, [f"{name}={text}" for name, text in where.items()]))
    else:
        typer.echo(_table(frame).to_string(index=False))
        typer.echo(f"{len(frame)} runs in {store.root}")


def _none(store: RunStore, where: Collection[str]) -> str:
    """Why there is nothing to list: no folder, no run in it, or none that the filter lets through."""
    if not store.root.exists():
        return f"no runs in {store.root}: there is no such folder"
    n_runs = len(store.summaries()) if where else 0
    return (
        f"none of the {n_runs} runs in {store.root} has {' and '.join(where)}" if n_runs else f"no runs in {store.root}"
    )


def plain_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `RunStore.summaries` as JSON; pandas has turned integers beside gaps into floats."""
    from lasem_core.runs.record import plain

    whole = {name: int(row[name]) for name in ("seed", "n_tasks", "epochs") if row[name] is not None}
    return plain(row | whole)


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    from lasem_core.common.duration import spell

    table = frame[list(COLUMNS)].copy()
    table["config"] = table["config"].fillna("")
    for name, heading in PERCENT.items():
        table[heading] = (100 * frame[name].astype(float)).round(1)
    table["forgetting"] = frame["forgetting_ratio"].astype(float).round(2)
    table["time"] = [spell(seconds if seconds == seconds else None) for seconds in frame["train_seconds"].astype(float)]
    table["stale"] = frame["stale"].map({True: "stale", False: ""})
    return table.rename(columns={"stale": ""})
