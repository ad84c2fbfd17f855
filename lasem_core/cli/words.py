"""Options that several commands share, read in one place."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lasem_core.common.errors import LasemError
from lasem_core.common.repository import STORE, in_repository

if TYPE_CHECKING:
    from lasem_core.runs.store import RunStore

ADDRESS = ("dataset", "preset", "profile", "seed")  # flags of every command that names a run


def _path(text: str | Path) -> Path:
    """A path from the command line; an empty one, which Path takes for the working directory, is a mistake."""
    if not str(text):
        raise typer.BadParameter("the path is empty; name a folder, or . for this one")
    return Path(text)


def path_option(help: str, *names: str) -> Any:
    """A typer option whose value is a path and not empty."""
    return typer.Option(*names, help=help, parser=_path, metavar="PATH")


DataFolder = Annotated[Path | None, path_option("data folder (default: the environment's LASEM_DATA)")]
StoreFolder = Annotated[
    Path | None, path_option(f"the folder with the run records (default: {STORE} of the repository)")
]


def store_of(folder: Path | None) -> RunStore:
    """The store in `folder`; unless one is named the repository's, wherever the command is given."""
    from lasem_core.runs.store import RunStore

    return RunStore(in_repository(STORE) if folder is None else folder)


def key_values(option: str, words: list[str] | None, example: str) -> dict[str, str]:
    """KEY=VALUE words of `option` as a mapping; a value may be empty (`--set em.groups=`), a key may not.

    Raises LasemError, with the `example`, for a word of another form and for a key that is given twice.
    """
    values: dict[str, str] = {}
    for word in words or ():
        key, sign, value = word.partition("=")
        if not (key and sign):
            raise LasemError(f"{option} {word}: write it as KEY=VALUE, e.g. {example}")
        if key in values:
            raise LasemError(f"{option} {key}={values[key]} and {option} {word}: give one of them")
        values[key] = value
    return values


def settings_of(words: list[str] | None, flags: Collection[str] = ()) -> dict[str, str]:
    """`--set` words as dotted settings of a RunSpec.

    Raises LasemError for a name in `flags`: the command has a flag for it, and of two values one would be ignored.
    """
    settings = key_values("--set", words, "em.prior=count")
    for name in settings:
        if name in flags:
            raise LasemError(
                f"--set {name}={settings[name]}: {name} has a place of its own in this command; see --help"
            )
    return settings


def with_classes(settings: dict[str, str], classes_per_task: int | None) -> dict[str, str]:
    """`settings` with what --classes-per-task says; LasemError where both say it."""
    if classes_per_task is None:
        return settings
    if "stream.classes_per_task" in settings:
        raise LasemError(
            f"--classes-per-task {classes_per_task} and --set stream.classes_per_task="
            f"{settings['stream.classes_per_task']}: give one of them"
        )
    return settings | {"stream.classes_per_task": str(classes_per_task)}
