"""Which of the runs somebody asks for are stored."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial

from lasem_core import data as datasets
from lasem_core.common.errors import LasemError
from lasem_core.runs.record import RunRecord
from lasem_core.runs.run import run_id_of
from lasem_core.runs.store import LABELS, RunStore
from lasem_core.spec.run_spec import RunSpec

Ids = Callable[[], Mapping[str, Sequence[str]]]  # run ids by `key_of` their specification


def find(
    specs: Iterable[RunSpec],
    store: RunStore,
    data: str | None = None,
    older: bool = False,
    anywhere: bool = False,
) -> list[RunRecord]:
    """The stored records of `specs`.

    Where the data are at hand the record has to be of these data. A reader without them still sees what was
    measured: then records are matched by specification alone.

    Arguments:
        older: where this code has made no record, one that an older generation made counts.
        anywhere: whatever data are at hand.
    """
    specs = list(specs)
    ids = cache(partial(_ids, specs, store))
    found = (_matched(spec, store, ids) if anywhere else _find(spec, store, data, older, ids) for spec in specs)
    return [record for record in found if record is not None]


def _find(spec: RunSpec, store: RunStore, data: str | None, older: bool, ids: Ids) -> RunRecord | None:
    try:
        record, here = store.get(run_id_of(spec, data)), datasets.fingerprint(spec, data)
    except LasemError:
        return _matched(spec, store, ids)
    return record if record is not None or not older else _matched(spec, store, ids, here)


def _matched(spec: RunSpec, store: RunStore, ids: Ids, here: str | None = None) -> RunRecord | None:
    """A record of this specification and of the data `here`, None: of whatever data."""
    records = (store.get(run_id) for run_id in ids().get(key_of(spec), ()))
    return next((record for record in records if record and here in (None, record.fingerprint)), None)


def _ids(specs: Iterable[RunSpec], store: RunStore) -> Mapping[str, Sequence[str]]:
    """Those of the current code first."""
    table, kinds = defaultdict(list), {tuple(getattr(spec, name) for name in LABELS) for spec in specs}
    for run_id, spec, _ in sorted(store.specifications(kinds), key=lambda row: (row[2], row[0])):
        table[key_of(spec)].append(run_id)
    return table


def without(specs: Sequence[RunSpec], records: Sequence[RunRecord]) -> list[RunSpec]:
    """The specifications that none of the records belongs to."""
    there = {key_of(record.spec) for record in records}
    return [spec for spec in specs if key_of(spec) not in there]


def trials(spec: RunSpec, seeds: Iterable[int]) -> list[RunSpec]:
    """The run with each of the seeds."""
    return [spec.model_copy(update={"seed": seed}) for seed in seeds]


def key_of(spec: RunSpec) -> str:
    """What decides a run's numbers, on whatever data and device."""
    return json.dumps(spec.identity(), sort_keys=True)
