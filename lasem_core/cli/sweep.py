"""`lasem sweep`: run what figures and tables still need."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lasem_core.cli.words import ADDRESS, DataFolder, StoreFolder, settings_of, store_of
from lasem_core.common.errors import LasemError
from lasem_core.spec.command_line import title

if TYPE_CHECKING:
    from lasem_core.runs.store import RunStore
    from lasem_core.spec.run_spec import RunSpec

MOST_SEEDS = 1000
DECIDED = (*ADDRESS, "method", "base", "config")  # by flags or by the artefact


def sweep(
    artefacts: Annotated[list[str], typer.Argument(help="figure1, table3, ... or all.")],
    profile: Annotated[str | None, typer.Option(help="smoke, quick or paper; default: smoke.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper or released; default: paper.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds such as 0-4 or 0,2; default: the profile's.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Use this data set in place of the paper's.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE for every run.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=1024, help="Runs at a time; default: one per core.")] = None,
    engine: Annotated[str, typer.Option(help="loky (processes here) or dask.")] = "loky",
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run, and for how long.")] = False,
    data: DataFolder = None,
    store: StoreFolder = None,
) -> None:
    """Compute the runs that ARTEFACTS need and the store does not hold; shared runs are computed once."""
    from lasem_core.runs.sweep import check_engine, plan, run_sweep

    check_engine(engine, scheduler, jobs)
    options = parse_seeds(seeds), dataset, preset or "paper", settings_of(settings, DECIDED)
    specs = plan(artefacts, profile or "smoke", *options)
    refuse_ignored(artefacts, {"profile": profile, "seeds": seeds, "dataset": dataset, "preset": preset})
    if dry_run:
        _announce(specs, store_of(store), data, jobs)
        return
    report = run_sweep(specs, store_of(store), data, jobs, engine, scheduler)
    typer.echo(str(report))
    if report.failed:
        raise typer.Exit(1)


def refuse_ignored(artefacts: Sequence[str], given: Mapping[str, str | None]) -> None:
    """LasemError for an option that an artefact, named by itself, would ignore."""
    from lasem_core.runs.plan import ARTEFACTS, EVIDENCE, takes_other_data, takes_preset

    for name in artefacts:
        own = [*given] if name == EVIDENCE else []
        if ARTEFACTS.get(name):
            takes = {"dataset": takes_other_data(name), "preset": takes_preset(name)}
            own = [option for option in takes if not takes[option]]
        for option in own:
            if given.get(option) is not None:
                raise LasemError(f"--{option} {given[option]}: {name} has its own {option}; leave the option out")


def parse_seeds(text: str | None) -> list[int] | None:
    """`0-4`, `0,2` or `0-2,7` as numbers."""
    if text is None:
        return None
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise LasemError(f"--seeds {text}: write seeds as 0-4 or 0,2,7")
    ranges = [[int(end) for end in part.split("-")] for part in text.split(",")]
    if any(not 0 <= ends[-1] - ends[0] < MOST_SEEDS for ends in ranges):
        raise LasemError(f"--seeds {text}: a range goes upwards and holds at most {MOST_SEEDS} seeds")
    return list(dict.fromkeys(seed for ends in ranges for seed in range(ends[0], ends[-1] + 1)))


def _announce(specs: list[RunSpec], store: RunStore, data: Path | None, jobs: int | None) -> None:
    from lasem_core.bench.estimate import seconds_of
    from lasem_core.common.duration import spell
    from lasem_core.runs.sweep import split_stored

    stored, missing, impossible = split_stored(specs, store, data)
    expected = dict(zip(missing, seconds_of(missing, data), strict=True))
    for spec in stored:
        typer.echo(f"stored      {title(spec)}")
    for spec, seconds in expected.items():
        typer.echo(f"{spell(seconds):11} {title(spec)}")
    for spec, reason in impossible:
        typer.echo(f"impossible  {title(spec)}: {reason}")
    typer.echo(_total(len(specs), len(stored), len(impossible), list(expected.values()), jobs))


def _total(n: int, stored: int, impossible: int, expected: list[float | None], jobs: int | None) -> str:
    import joblib

    from lasem_core.common.duration import spell

    workers = jobs or joblib.cpu_count()
    known = [seconds for seconds in expected if seconds is not None]
    seconds = max(sum(known) / workers, max(known, default=0)) if known or not expected else None
    unknown = f" ({len(expected) - len(known)} of unknown length)" if len(known) < len(expected) else ""
    cannot = f", {impossible} impossible" if impossible else ""
    about = "at least" if unknown and known else "about"
    time = f"{about} {spell(seconds)}" if seconds is not None else "time unknown"
    return f"{n} runs: {stored} stored, {len(expected)} to do{unknown}{cannot}; {time} on {workers} workers"
