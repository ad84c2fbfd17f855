"""Run records on disk: one folder per run, written whole or not at all, verified whenever it is read.

    <root>/<run id>/record.json         specification, summary, measurements, checksums of the other files
                    history.parquet     metrics per epoch
                    posterior.parquet   posterior over configurations
                    accuracy.parquet    test accuracies
                    model.pt            the trained model; not in git, comes back from the specification
    <root>/.checkpoints/<run id>.pt     where an unfinished run continues
    <root>/.aside/<run id>-<n>          damaged records
    <root>/.tmp/                        records being written

There are no locks: a record is written beside its place and renamed into it, and of two writers the first wins.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from lasem_core.common.disk import free_name, one_line_errors, remove, require_writable, sync_folder
from lasem_core.common.errors import LasemError
from lasem_core.runs.checkpoint import Checkpointer
from lasem_core.runs.record import ROW, RunRecord, flat_row
from lasem_core.runs.record_files import (
    Damaged,
    Foreign,
    add_model,
    is_stale,
    read_model,
    read_record,
    remembered_document,
    verify_model,
    write_files,
)
from lasem_core.spec.command_line import CHOICES, command_line, flatten
from lasem_core.spec.configs import TransferConfig
from lasem_core.spec.run_spec import RunSpec

__all__ = ["LABELS", "RunRecord", "RunStore"]

log = logging.getLogger("lasem")

LABELS = ("dataset", "method", "base", "seed")
_DAY = 24 * 3600
_ORDER = (*CHOICES[:5], "config", "seed", "run_id")


class RunStore:
    """The run records below one folder."""

    def __init__(self, root: str | Path):
        self.root = Path(root)

    def get(self, run_id: str) -> RunRecord | None:
        """The record, or None with one warning: a damaged one is moved to `.aside`, one of another version stays."""
        folder = self.root / run_id
        if folder.parent != self.root or run_id.startswith("."):
            return None
        return self._read(folder)

    def _read(self, folder: Path, in_the_way: bool = False) -> RunRecord | None:
        """What `get` returns; a record of another version that is `in_the_way` is moved to `.aside`, too."""
        try:
            return read_record(folder)
        except FileNotFoundError:
            return None
        except Damaged as problem:
            if isinstance(problem, Foreign) and not in_the_way:
                log.warning("run %s is left out: %s", folder.name, problem)
            else:
                self._set_aside(folder, problem)
            return None
        except OSError as error:
            raise LasemError(f"cannot read {folder}: {error.strerror or error}") from error

    def put(self, record: RunRecord, model_state: dict[str, Any] | None = None) -> RunRecord:
        """Store a finished run; where another writer was first, theirs stays and is returned."""
        if record.stale:
            raise ValueError("a stale record belongs to older code and is not stored again")
        folder = self.root / record.run_id
        with one_line_errors("write", folder):
            self._tidy()
            temporary = self.root / ".tmp" / f"{record.run_id}-{uuid.uuid4().hex}"
            temporary.mkdir(parents=True)
            try:
                write_files(temporary, record, model_state)
                return self._move_in(temporary, record.run_id)
            finally:
                remove(temporary)

    def model_state(self, run_id: str) -> dict[str, Any]:
        """The trained model's tensors, ready for `load_state_dict`."""
        import torch

        folder = self.root / run_id
        try:
            data = read_model(folder)
        except FileNotFoundError:
            raise LasemError(self._model_help(run_id, "has no model.pt (models are not kept in git)")) from None
        except Damaged as problem:
            raise LasemError(self._model_help(run_id, f"is damaged ({problem})")) from None
        return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")

    def summaries(self, /, **where: object) -> pd.DataFrame:
        """One row per run: results, measurements and every setting under its dotted name.

        Arguments: where, e.g. dataset="cifar100", seed=[0, 1] or **{"em.likelihood": "mean"}.
        """
        rows = _chosen(list(map(_summary_row, self._documents())), where)
        frame = pd.DataFrame(rows, columns=None if rows else [*ROW, "config", "stale"])
        return frame.sort_values([*_ORDER], ignore_index=True, kind="stable") if rows else frame

    def records(self, /, **where: object) -> Iterator[RunRecord]:
        """The full records of the same runs, in the same order."""
        for run_id in self.summaries(**where)["run_id"]:
            if (record := self.get(run_id)) is not None:
                yield record

    def check(self) -> list[tuple[str, str]]:
        """Read every file of every record and say what is wrong where; nothing is moved."""
        problems = []
        for folder in self._folders():
            try:
                read_record(folder)
                verify_model(folder)
            except (Damaged, OSError) as problem:
                problems.append((folder.name, str(problem)))
        return problems

    def checkpoint(self, run_id: str, every_seconds: float = 300) -> Checkpointer:
        """Where run `run_id` saves its state; raises LasemError at once if nothing can be written here."""
        return Checkpointer(self.root / ".checkpoints" / f"{run_id}.pt", every_seconds)

    def require_writable(self) -> None:
        """Raise LasemError now rather than after hours of training."""
        require_writable(self.root / ".tmp")

    def _folders(self) -> list[Path]:
        try:
            with os.scandir(self.root) as entries:
                names = sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_dir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LasemError(f"cannot read the store {self.root}: {error.strerror or error}") from error
        return [self.root / name for name in names]

    def specifications(self, kinds: Collection[tuple[Any, ...]]) -> Iterator[tuple[str, RunSpec, bool]]:
        """Run id, specification and whether it is stale, of the records whose specification this version knows.

        Arguments:
            kinds: the values of `LABELS` that are asked for; the rest of a specification takes time to be read.
        """
        for document in self._documents():
            if tuple(document["spec"][name] for name in LABELS) not in kinds:
                continue
            with suppress(ValidationError):
                yield document["run_id"], RunSpec(**document["spec"]), is_stale(document)

    def _documents(self) -> Iterator[dict[str, Any]]:
        for folder in self._folders():
            try:
                yield remembered_document(folder)
            except FileNotFoundError:  # moved aside by another reader
                continue
            except (Damaged, OSError) as problem:
                log.warning("run %s is damaged and left out: %s", folder.name, problem)

    def _move_in(self, temporary: Path, run_id: str) -> RunRecord:
        folder = self.root / run_id
        for attempts_left in reversed(range(10)):
            try:
                temporary.rename(folder)
                sync_folder(self.root)
                return read_record(folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not attempts_left:
                    raise  # at last: what is there is damaged and cannot be set aside
            if (theirs := self._read(folder, in_the_way=True)) is not None:  # set aside what is not, then ours moves in
                add_model(temporary / "model.pt", folder)
                return theirs

    def _set_aside(self, folder: Path, problem: Damaged) -> None:
        aside = self.root / ".aside"
        try:
            aside.mkdir(exist_ok=True)
            folder.rename(target := free_name(aside, folder.name))
        except FileNotFoundError:  # another reader was faster
            return
        except OSError as error:
            log.warning("run %s is damaged (%s) and cannot be moved: %s", folder.name, problem, error.strerror)
            return
        log.warning("run %s is damaged (%s): moved to %s, it will be computed again", folder.name, problem, target)

    def _tidy(self) -> None:
        """Remove what writers that were killed left behind, and checkpoints of runs that are stored."""
        for left in (self.root / ".checkpoints").glob("[!.]*.pt"):
            if (self.root / left.stem / "record.json").exists():
                left.unlink(missing_ok=True)
        for left in [*(self.root / ".tmp").glob("*"), *(self.root / ".checkpoints").glob(".*")]:
            with suppress(FileNotFoundError):  # its writer has just finished
                if time.time() - left.stat().st_mtime > _DAY:
                    remove(left)

    def _model_help(self, run_id: str, problem: str) -> str:
        record = self.get(run_id)
        if record is None:
            return f"there is no run {run_id} in {self.root}"
        return f"run {run_id} {problem}; train it again: {command_line(record.spec)} --store outputs/again"


_NEUTRAL = dict(flatten(RunSpec.model_construct().model_dump(mode="json")))  # where a record is older than a setting


def _summary_row(document: dict[str, Any]) -> dict[str, Any]:
    spec, summary = document["spec"], document["summary"]
    row = flat_row(document["run_id"], spec, summary, document["measured"])
    row |= {"config": spec["config"], "stale": is_stale(document)}
    return {**row, **summary, **_NEUTRAL, **dict(flatten(spec)), **row}  # `row` says it last, and comes first


def _chosen(rows: list[dict[str, Any]], where: dict[str, object]) -> list[dict[str, Any]]:
    known = {key for row in rows for key in row}
    if rows and (unknown := set(where) - known):
        raise LasemError(f"unknown key '{min(unknown)}'; choose from: {', '.join(sorted(known))}")
    return [row for row in rows if all(_matches(key, row.get(key), wanted) for key, wanted in where.items())]


def _matches(name: str, value: object, wanted: object) -> bool:
    """Equality that takes the command line's strings: seed 0 is "0", 0.90 is "0.9", configuration 0011 is "top2"; a
    list means any of its members, or itself where the setting is a list."""
    if isinstance(wanted, list | tuple | set | range):
        return value == list(wanted) or any(_matches(name, value, one) for one in wanted)
    if name == "config" and isinstance(value, str):
        return _same_config(value, str(wanted))
    try:
        return float(value) == float(wanted)
    except (TypeError, ValueError):
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        return str(wanted) in (str(value), text) or (isinstance(value, bool) and str(wanted) == text.lower())


def _same_config(bits: str, wanted: str) -> bool:
    try:
        return str(TransferConfig.parse(wanted, len(bits))) == bits
    except ValueError:  # another number of layers
        return False
