"""`lasem bench`: what a step costs here, beside its roofline."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from lasem_core.cli.words import DataFolder


def bench(
    setting: Annotated[str, typer.Option(help="cifar100 (16 configurations), stl10 (64), stl10-9 (512)")] = "cifar100",
    threads: Annotated[int | None, typer.Option(min=1, help="torch threads; default: every core")] = None,
    rounds: Annotated[int, typer.Option(min=3, help="interleaved rounds; medians are printed")] = 21,
    base: Annotated[list[str] | None, typer.Option(help="hps, tf or df-cnn; may be repeated; default: all")] = None,
    precision: Annotated[str, typer.Option(help="fp32 | bf16 (convolutions only) | fp64")] = "fp32",
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="instead: so many epochs of one real task, static and pruned LASEM in turns"),
    ] = None,
    data: DataFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Time the steps of every base on this machine. Read the ratios; let nothing else run meanwhile."""
    from lasem_core.bench import BASES
    from lasem_core.bench.steps import bench as measure
    from lasem_core.bench.whole_run import whole_run

    threads, bases = threads or os.cpu_count() or 1, base or BASES
    if epochs:
        report = whole_run(setting, epochs, threads, bases, data)
    else:
        report = measure(setting, threads, rounds, bases, precision)
    typer.echo(json.dumps(report) if as_json else describe(report))


def describe(report: dict) -> str:
    """Times in ms and their ratios, a column per base."""
    columns = {base: {**row, **row.get("ratios", {})} for base, row in report["bases"].items()}
    names = [name for name in next(iter(columns.values())) if name not in ("ratios", "course")]
    kind = "{epochs} epochs of one task" if "epochs" in report else "{precision}, medians of {rounds}"
    what = kind.format(**report)
    lines = [f"{report['setting']}, {report['threads']} threads, {what}", _units(report["isa"])]
    lines.append(f"{'':22}" + "".join(f"{base:>10}" for base in columns))
    lines += [f"{name:22}" + "".join(f"{row[name]:10.2f}" for row in columns.values()) for name in names]
    return "\n".join(lines)


def _units(isa: dict[str, bool] | None) -> str:
    """What the processor has for bf16, in words."""
    units = ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in (isa or {}).items())
    return f"bf16 units of this processor: {units or 'unknown'}"
