"""The files of one run record: how they are written, verified and read."""

from __future__ import annotations

import hashlib
import io
import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from lasem_core.common.disk import sync_folder, write_synced
from lasem_core.runs.generation import generation
from lasem_core.runs.record import TABLES, RunRecord, plain
from lasem_core.spec.run_spec import RunSpec, explain

RETIRED = {  # settings that specifications had once, at the value that is now the only one
    "darts.order": "first",
    "optim.kind": "rmsprop-tf",
    "apd.consolidate_every": 0,
    "apd.clusters": 2,
    "apd.consolidate_tolerance": 0.01,
}


class Damaged(Exception):
    """A record that is not what was written."""


class Foreign(Damaged):
    """A whole record whose specification only another version of LASEM knows."""


class _Outline(BaseModel):
    """A part of record.json that needs no RunSpec to be read: only the named keys are checked."""

    model_config = ConfigDict(strict=True)


class _Switches(_Outline):
    prune: str
    prior: str


class _Stream(_Outline):
    n_tasks: int
    order: str | list[int]


class _Apd(_Outline):
    variant: str


class _Darts(_Outline):
    weight_optimizer: str


class _Schedule(_Outline):
    epochs: int


class _Spec(_Outline):
    dataset: str
    method: str
    base: str
    preset: str
    profile: str
    seed: int
    config: str | None
    stream: _Stream
    schedule: _Schedule
    em: _Switches
    apd: _Apd
    darts: _Darts


class _Summary(_Outline):
    peak_at_best_valid: float | None = None
    peak_test: float | None = None
    final_accuracy: float | None = None
    forgetting_ratio: float | None = None
    configs: list[str] | None = None
    n_tasks: int | None = None
    epochs: int | None = None


class _Measured(_Outline):
    train_seconds: float | None = None
    eval_seconds: float | None = None
    peak_rss_mb: float | None = None


class _Document(_Outline):
    """What a list of runs and `generation` rely on; the whole specification is validated where one record is read."""

    run_id: str
    numerics_version: int
    fingerprint: str
    digest: str
    spec: _Spec
    summary: _Summary
    measured: _Measured
    sha256: dict[str, str]


def write_files(folder: Path, record: RunRecord, model_state: dict[str, Any] | None) -> None:
    """Write a whole record into an empty folder and wait until it is on the disk."""
    files = {f"{name}.parquet": _parquet(record.tables[name]) for name in TABLES}
    if model_state is not None:
        files["model.pt"] = _torch_bytes(model_state)
    for name, data in files.items():
        write_synced(folder / name, data)
    write_synced(folder / "record.json", _document_bytes(record, files))
    sync_folder(folder)


def _document_bytes(record: RunRecord, files: dict[str, bytes]) -> bytes:
    spec = record.spec.model_dump(mode="json")
    document = {
        "run_id": record.run_id,
        "numerics_version": generation(spec),
        "fingerprint": record.fingerprint,
        "digest": record.digest(),
        "spec": spec,
        "summary": plain(record.summary),
        "measured": plain(record.measured),
        "sha256": {name: _sha256(data) for name, data in files.items()},
    }
    body = _in_lines(document, 2).removesuffix("\n}").encode()
    return body + _seal(body)


def _in_lines(value: Any, levels: int) -> str:
    """JSON with the entries of its first `levels` levels on lines of their own: as readable as indentation, and a
    fifth smaller."""
    if not isinstance(value, dict) or not levels:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    entries = (f"{json.dumps(name)}: {_in_lines(entry, levels - 1)}" for name, entry in value.items())
    return "{\n" + ",\n".join(entries) + "\n}"


def _seal(body: bytes) -> bytes:
    """The end of record.json, which vouches for every byte before it."""
    return f',\n "checksum": "{_sha256(body)}"\n}}\n'.encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    """Without schema metadata, statistics and dictionaries, which are most of a small run's file; of half precision
    first all high bytes, then all low ones, which compress better. pandas reads the same table."""
    table, buffer = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None), io.BytesIO()
    halves = [field.name for field in table.schema if field.type == pa.float16()]
    lean = {"write_statistics": False, "store_schema": False, "use_dictionary": False, "use_byte_stream_split": halves}
    pq.write_table(table, buffer, compression="zstd", compression_level=19, **lean)
    return buffer.getvalue()


def _torch_bytes(state: dict[str, Any]) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def read_document(folder: Path) -> dict[str, Any]:
    """record.json, verified against its own checksum; FileNotFoundError where there is no such run."""
    data = _read(folder, "record.json")
    body = data[: -len(_seal(b""))]
    if data != body + _seal(body):
        raise Damaged("record.json does not match its checksum")
    document = _parsed(data)
    if document["run_id"] != folder.name:
        raise Damaged(f"it belongs to run {document['run_id']}")
    _leave_out_retired(document["spec"])
    return document


def remembered_document(folder: Path) -> dict[str, Any]:
    """The same document, not to be changed, read again only when its file is another: a ledger of all claims lists
    one store forty times."""
    try:
        found = (folder / "record.json").stat()
    except OSError:
        return read_document(folder)
    return _remembered(folder, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))


@lru_cache(maxsize=10_000)
def _remembered(folder: Path, _file: tuple[int, ...]) -> dict[str, Any]:
    return read_document(folder)


def _leave_out_retired(spec: dict[str, Any]) -> None:
    """A retired setting at another value stays: the specification then says what this version cannot repeat."""
    for dotted, neutral in RETIRED.items():
        part, name = dotted.split(".")
        settings = spec.get(part)
        if isinstance(settings, dict) and settings.get(name) == neutral:
            del settings[name]


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
        _Document.model_validate(document)
    except ValidationError as error:
        raise Damaged(f"record.json: {explain(error)}") from None
    except (ValueError, RecursionError):  # not UTF-8, not JSON
        raise Damaged("record.json is not a JSON text") from None
    return document


def read_record(folder: Path) -> RunRecord:
    """The record in `folder`; raises Damaged, or FileNotFoundError where there is none."""
    document = read_document(folder)
    try:
        return RunRecord(
            run_id=document["run_id"],
            spec=RunSpec(**document["spec"]),
            fingerprint=document["fingerprint"],
            summary=document["summary"],
            measured=document["measured"],
            tables=_Tables({name: _read_table(folder, name, document["sha256"]) for name in TABLES}),
            path=folder,
            stale=is_stale(document),
        )
    except ValidationError as error:
        raise Foreign(f"its specification is not one this version knows: {explain(error)}") from None


def is_stale(document: dict[str, Any]) -> bool:
    """Was the record with this record.json made by an older generation of the code?"""
    return document["numerics_version"] != generation(document["spec"])


class _Tables(Mapping[str, pd.DataFrame]):
    """Verified Parquet files: decoding takes most of the time of reading a record, and who compares summaries needs no
    table."""

    def __init__(self, files: dict[str, bytes]):
        self._files, self._decoded = files, {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._decoded:
            self._decoded[name] = _parquet_file(self._files[name]).read(use_threads=False).to_pandas(use_threads=False)
        return self._decoded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _read_table(folder: Path, name: str, checksums: dict[str, str]) -> bytes:
    file = f"{name}.parquet"
    data = _read(folder, file)
    if _sha256(data) != checksums.get(file):
        raise Damaged(f"{file} does not match its checksum")
    try:
        _parquet_file(data)
    except Exception as error:  # whatever pyarrow makes of bytes that are not Parquet
        raise Damaged(f"{file} is not a Parquet file ({type(error).__name__})") from None
    return data


def _parquet_file(data: bytes) -> pq.ParquetFile:
    """Its tables are those of `pd.read_parquet` in half the time: a store has a thousand, too small for threads."""
    return pq.ParquetFile(pa.BufferReader(data))


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise Damaged(f"{name} is not a file")
        return path.read_bytes()
    except FileNotFoundError:
        if not folder.exists():  # no such run, or just set aside by another reader
            raise
        raise Damaged(f"{name} is missing") from None


def add_model(model: Path, folder: Path) -> None:
    """Give a record without a model that of the same run trained by another writer, if it is the same to the bit."""
    if model.exists() and _sha256(model.read_bytes()) == read_document(folder)["sha256"].get(model.name):
        model.replace(folder / model.name)


def read_model(folder: Path) -> bytes:
    """The model's file; raises Damaged where it is not the one of the record, FileNotFoundError where there is none."""
    path = folder / "model.pt"
    if not path.exists():
        raise FileNotFoundError(path)
    data = _read(folder, path.name)
    if _sha256(data) != read_document(folder)["sha256"].get(path.name):
        raise Damaged("model.pt does not match its checksum")
    return data


def verify_model(folder: Path) -> None:
    """Raise Damaged if there is a model that is not the one of the record."""
    with suppress(FileNotFoundError):
        read_model(folder)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
