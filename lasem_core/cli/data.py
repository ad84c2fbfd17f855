"""`lasem data`: which data sets are available, what their tasks contain, how to prepare them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lasem_core.cli.words import ADDRESS, DataFolder, path_option, settings_of, with_classes
from lasem_core.common.disk import one_line_errors
from lasem_core.common.errors import LasemError
from lasem_core.spec.parts import Dataset, Preset, Profile, choices
from lasem_core.spec.run_spec import build_spec

app = typer.Typer(help="Data sets: status, show, prepare.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def status(data: DataFolder = None) -> None:
    """Say which data sets are there."""
    from lasem_core.data.npz import expanded
    from lasem_core.data.overview import status as find

    home = _named(data)
    if home and not expanded(home).is_dir():
        raise LasemError(f"{home}: there is no such data folder; `lasem data prepare NAME --data {home}` makes it")
    for name, state in find(data):
        typer.echo(f"{name:12} {state}")
    typer.echo(f"{'folder':12} any <class>/<image> tree: lasem train --dataset folder --data PATH --classes-per-task K")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help=" | ".join(choices(Dataset)))],
    out: Annotated[Path | None, path_option("write a contact sheet per task into this folder")] = None,
    preset: Annotated[str, typer.Option(help=" | ".join(choices(Preset)))] = "paper",
    profile: Annotated[str, typer.Option(help=" | ".join(choices(Profile)))] = "paper",
    seed: int = 0,
    classes_per_task: Annotated[int | None, typer.Option(help="for `folder`")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="e.g. --set stream.order=shuffled")
    ] = None,
    data: DataFolder = None,
) -> None:
    """Show the tasks of a stream: classes and images per task, and a contact sheet of each.

    Example: lasem data show cifar100 --out outputs/data
    """
    dotted = with_classes(settings_of(settings, ADDRESS), classes_per_task)
    spec = build_spec({"dataset": name, "preset": preset, "profile": profile, "seed": seed}, dotted)
    _show(spec, out, data)


def _show(spec: object, out: Path | None, data: Path | None) -> None:
    from lasem_core.data import fingerprint, load_stream, notes, overview

    if out is not None and out.exists() and not out.is_dir():
        raise LasemError(f"--out {out} is a file; name a folder for the contact sheets")
    stream = load_stream(spec, data)
    lines = [*overview.table(stream), *notes(spec, data), f"fingerprint {fingerprint(spec, data)}"]
    typer.echo("\n".join(lines))
    if out is not None:
        with one_line_errors("write", out):
            paths = overview.write_sheets(stream, spec.dataset, out)
        typer.echo(f"{len(paths)} contact sheets in {out}")


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="cifar100 | stl10 | office-home | caltech101")],
    source: Annotated[
        Path | None, path_option("a folder or archive with the official release, instead of a download", "--from")
    ] = None,
    data: DataFolder = None,
) -> None:
    """Make the prepared file of a data set in the data folder and print its checksum.

    Example: lasem data prepare office-home --from OfficeHomeDataset_10072016.zip --data ~/data
    """
    from lasem_core.data.npz import how_to_prepare
    from lasem_core.data.prepare import check_name
    from lasem_core.data.prepare import prepare as make

    check_name(name)
    home = _named(data)
    if not home:
        raise LasemError(f"where to? {how_to_prepare(name, 'DIR')}, or set LASEM_DATA")
    made = make(name, home, source)
    typer.echo("\n".join([*made.notes, f"{made.path}", f"sha256 {made.sha256}"]))


def _named(data: Path | None) -> Path | None:
    """The data folder of the option, else of the environment."""
    home = data or os.environ.get("LASEM_DATA")
    return Path(home) if home else None
