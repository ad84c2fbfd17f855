"""`lasem bench`: what a step costs here, beside its roofline."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

RATIOS = (
    ("static step / roofline", "static_ms", "roofline_static_ms"),
    ("exact EM step / roofline", "exact_ms", "roofline_exact_ms"),
    ("exact EM step / static step", "exact_ms", "static_ms"),
    ("pruned EM step / static step", "pruned_ms", "static_ms"),
    ("E-step / exact EM step", "estep_ms", "exact_ms"),
)


def bench(
    setting: Annotated[str, typer.Option(help="cifar100 (16 configurations), stl10 (64), stl10-9 (512)")] = "cifar100",
    threads: Annotated[int | None, typer.Option(min=1, help="torch threads; default: every core")] = None,
    rounds: Annotated[int, typer.Option(min=3, help="interleaved rounds; medians are printed")] = 21,
    precision: Annotated[str, typer.Option(help="fp32 or bf16")] = "fp32",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Time the steps of every base on this machine. Read the ratios; let nothing else run meanwhile."""
    from lasem_core.bench import bench as measure

    report = measure(setting, threads or os.cpu_count() or 1, rounds, precision=precision)
    typer.echo(json.dumps(report) if as_json else describe(report))


def describe(report: dict) -> str:
    """Times in ms and their ratios, a column per base."""
    bases = report["bases"]
    names = list(next(iter(bases.values())))
    lines = [f"{report['setting']}, {report['threads']} threads, {report['precision']}, medians of {report['rounds']}"]
    lines.append(f"{'':30}" + "".join(f"{base:>10}" for base in bases))
    lines += [f"{name:30}" + "".join(f"{row[name]:10.2f}" for row in bases.values()) for name in names]
    lines += [f"{title:30}" + "".join(f"{row[a] / row[b]:10.2f}" for row in bases.values()) for title, a, b in RATIOS]
    return "\n".join(lines)
