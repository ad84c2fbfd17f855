"""Data sets: one file each, all returning a `TaskStream`; the splits, image folders and prepared files they share.

Must not know models or learners.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from lasem_core.common.errors import LasemError
from lasem_core.data.npz import one_line_reading
from lasem_core.data.stream import Split, Task, TaskStream
from lasem_core.spec.run_spec import RunSpec

__all__ = ["Split", "Task", "TaskStream", "fingerprint", "load_stream", "notes"]

# data set -> module with `load` and `fingerprint`, each called with (spec, root)
MODULES = {
    "planted": "planted",
    "digits": "digits",
    "cifar100": "cifar100",
    "stl10": "stl10",
    "stl10-group": "stl10",
    "office-home": "office_home",
    "office-home-incremental": "office_home",
    "caltech101": "folder",
    "folder": "folder",
}


def _module(spec: RunSpec) -> ModuleType:
    if spec.dataset not in MODULES:
        raise LasemError(f"unknown data set '{spec.dataset}'; known: {', '.join(MODULES)}")
    return import_module(f"lasem_core.data.{MODULES[spec.dataset]}")


def load_stream(spec: RunSpec, root: Path | str | None = None) -> TaskStream:
    """The tasks of a run, a pure function of the spec and the files under `root`.

    Arguments:
        spec: `spec.dataset` and `spec.stream` decide, `spec.seed` where trials draw their own images.
        root: the data folder; None: the environment's LASEM_DATA. The embedded data sets need neither.

    Raises LasemError where data are missing, damaged or too few for the spec.
    """
    with one_line_reading():
        return _module(spec).load(spec, Path(root) if root else None)


def fingerprint(spec: RunSpec, root: Path | str | None = None) -> str:
    """A short hash of the data behind `spec`, part of its run id; fast, it reads no images."""
    with one_line_reading():
        return _module(spec).fingerprint(spec, Path(root) if root else None)


def notes(spec: RunSpec, root: Path | str | None = None) -> tuple[str, ...]:
    """What the user should know about these data, e.g. files that could not be read; often empty."""
    found = getattr(_module(spec), "notes", None)
    with one_line_reading():
        return found(spec, Path(root) if root else None) if found else ()
