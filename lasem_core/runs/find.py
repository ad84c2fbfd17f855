"""Which of the runs somebody asks for are stored."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from lasem_core import data as datasets
from lasem_core.common.errors import LasemError
from lasem_core.runs.record import RunRecord
from lasem_core.runs.run import run_id_of
from lasem_core.runs.store import RunStore
from lasem_core.spec.run_spec import RunSpec


def find(specs: Iterable[RunSpec], store: RunStore, data: str | None = None, older: bool = False) -> list[RunRecord]:
    """The stored records of `specs`.

    Where the data are at hand the record has to be of these data. A reader without them still sees what was
    measured: then records are matched by specification alone.

    Arguments:
        older: where this code has made no record, one that an older generation made counts.
    """
    table = cache(partial(_by_choice, store))
    return [record for spec in specs if (record := _find(spec, store, data, older, table)) is not None]


def _find(
    spec: RunSpec, store: RunStore, data: str | None, older: bool, table: Callable[[], Mapping[str, list[str]]]
) -> RunRecord | None:
    try:
        record, here = store.get(run_id_of(spec, data)), datasets.fingerprint(spec, data)
    except LasemError:
        record, here = None, None
    if record is not None or (here is not None and not older):
        return record
    same = _same_specification(spec, store, table().get(_choice(spec.model_dump(mode="json")), []))
    return next((record for record in same if here in (None, record.fingerprint)), None)


def _same_specification(spec: RunSpec, store: RunStore, ids: Iterable[str]) -> list[RunRecord]:
    """Those of the current code first."""
    records = (store.get(run_id) for run_id in ids)
    same = [record for record in records if record is not None and _key(record.spec) == _key(spec)]
    return sorted(same, key=lambda record: record.stale)


def _by_choice(store: RunStore) -> dict[str, list[str]]:
    table = defaultdict(list)
    for row in store.summaries().to_dict("records"):
        table[_choice(row)].append(row["run_id"])
    return table


def _choice(row: dict[str, Any]) -> str:
    """What narrows the records down before they are read."""
    names = ("dataset", "method", "base", "preset", "profile", "seed")
    config = row["config"] if isinstance(row["config"], str) else None
    return json.dumps([config, *(str(row[name]) for name in names)])


def without(specs: Sequence[RunSpec], records: Sequence[RunRecord]) -> list[RunSpec]:
    """The specifications that none of the records belongs to."""
    there = {_key(record.spec) for record in records}
    return [spec for spec in specs if _key(spec) not in there]


def _key(spec: RunSpec) -> str:
    return json.dumps(spec.identity(), sort_keys=True)
