"""`lasem bench`: what a step costs here, beside its roofline."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer
from tqdm.auto import tqdm

from lasem_core.cli.words import DataFolder
from lasem_core.common.errors import LasemError

ROUNDS = 21


def bench(
    setting: Annotated[str, typer.Option(help="cifar100 (16 configurations), stl10 (64), stl10-9 (512)")] = "cifar100",
    threads: Annotated[int | None, typer.Option(min=1, help="torch threads; default: every core")] = None,
    rounds: Annotated[
        int | None, typer.Option(min=3, help=f"interleaved rounds, {ROUNDS} by default; medians are printed")
    ] = None,
    base: Annotated[list[str] | None, typer.Option(help="hps, tf or df-cnn; may be repeated; default: all")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32 (default) | bf16 (convolutions only) | fp64")] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="instead: so many epochs of one real task, static and pruned LASEM in turns"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="with --epochs: which task and start, 0 by default")] = None,
    data: DataFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Time the steps of every base on this machine. Read the ratios; let nothing else run meanwhile."""
    _refuse(epochs, {"--rounds": rounds, "--precision": precision}, {"--data": data, "--seed": seed})
    threads = threads or os.cpu_count() or 1
    if epochs:
        from lasem_core.bench import BASES
        from lasem_core.bench.whole_run import whole_run

        report = whole_run(setting, epochs, threads, base or BASES, data, seed or 0)
    else:
        report = _steps(setting, threads, rounds or ROUNDS, base, precision or "fp32")
    typer.echo(json.dumps(report) if as_json else describe(report))


def _refuse(epochs: int | None, of_steps: dict[str, object], of_tasks: dict[str, object]) -> None:
    """LasemError for an option of the measurement that is not made."""
    where = f"with --epochs {epochs}" if epochs else "without --epochs"
    for name, value in (of_steps if epochs else of_tasks).items():
        if value is not None:
            raise LasemError(f"{name} {value} changes nothing {where}; leave it out")


def _steps(setting: str, threads: int, rounds: int, base: list[str] | None, precision: str) -> dict[str, Any]:
    """`bench.steps.bench` base by base, so that a bar can tell how far it is."""
    from lasem_core.bench import BASES, spec_of
    from lasem_core.bench.steps import bench as measure
    from lasem_core.runs.progress import is_silent

    bases = dict.fromkeys(base or BASES)
    for name in bases:  # a wrong one is refused before minutes have gone by
        spec_of(setting, name, threads, precision=precision)
    with tqdm(bases, desc="timing", unit="base", file=sys.stderr, disable=is_silent()) as bar:
        reports = [measure(setting, threads, rounds, [name], precision) for name in bar]
    return reports[0] | {"bases": {name: row for report in reports for name, row in report["bases"].items()}}


def describe(report: dict) -> str:
    """Times in ms and their ratios, a column per base."""
    columns = {base: {**row, **row.get("ratios", {})} for base, row in report["bases"].items()}
    names = [name for name in next(iter(columns.values())) if name not in ("ratios", "intervals", "course")]
    kind = "{epochs} epochs of one task, seed {seed}" if "epochs" in report else "{precision}, medians of {rounds}"
    what = kind.format(**report)
    lines = [f"{report['setting']}, {report['threads']} threads, {what}", _units(report["isa"])]
    lines.append(f"{'':22}" + "".join(f"{base:>10}" for base in columns))
    lines += [f"{name:22}" + "".join(f"{row[name]:10.2f}" for row in columns.values()) for name in names]
    return "\n".join(lines)


def _units(isa: dict[str, bool] | None) -> str:
    """What the processor has for bf16, in words."""
    units = ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in (isa or {}).items())
    return f"bf16 units of this processor: {units or 'unknown'}"
