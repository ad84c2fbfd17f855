"""`lasem reproduce`: train, execute and report everything, or what is missing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lasem_core.cli.words import DataFolder, path_option


def reproduce(
    artefacts: Annotated[list[str] | None, typer.Argument(help="figure1, table3, quickstart, ... or all.")] = None,
    profile: Annotated[
        str, typer.Option(help="recorded (what is stored), or what to train first: smoke, quick or paper.")
    ] = "recorded",
    dataset: Annotated[str | None, typer.Option(help="Use this data set in place of the paper's.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper or released; default: paper.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds such as 0-4 or 0,2; default: the profile's.")] = None,
    out: Annotated[
        Path | None,
        path_option("For notebooks, figures, report; default: outputs, outputs/smoke, outputs/quick-cifar100, ..."),
    ] = None,
    store: Annotated[
        Path | None, path_option("The folder with the records; default: OUT/runs, without OUT outputs/runs.")
    ] = None,
    data: DataFolder = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=1024, help="Runs at a time; default: one per core.")] = None,
    train: Annotated[bool, typer.Option(help="Train what is missing, or show only what is stored.")] = True,
) -> None:
    """Execute the notebooks of ARTEFACTS, write figures and OUT/report.html; at a profile, train what is missing first.

    What is up to date is left alone. Example: lasem reproduce figure4 --profile quick --dataset cifar100
    """
    from lasem_core.cli.sweep import parse_seeds, refuse_ignored
    from lasem_core.data.npz import expanded
    from lasem_core.views.parameters import Options
    from lasem_core.views.reproduce import reproduce as run

    options = Options.check(
        profile=profile, dataset=dataset or "", preset=preset or "paper", seeds=parse_seeds(seeds) or (),
        out=str(out.resolve() if out else ""), data=str(expanded(data).resolve()) if data else "",
        store=str((store or out / "runs").resolve() if store or out else "outputs/runs"), train_missing=train,
    )  # fmt: skip
    refuse_ignored(artefacts or [], {"preset": preset})
    made = run(artefacts or ["all"], options, jobs, typer.echo)
    shown = f"{out or options.out}/notebooks; {out or options.out}/report.html"
    lacking = f"; {len(made.failed_runs)} of the runs they show failed" if made.failed_runs else ""
    typer.echo(f"{len(made.notebooks) - len(made.failed)} of {len(made.notebooks)} notebooks in {shown}{lacking}")
    if made.failed or made.failed_runs:
        raise typer.Exit(1)
