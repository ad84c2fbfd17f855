"""How long missing runs would take at the pace of the recorded ones: a guess at no cost.

Unlike `bench.estimate` nothing is timed here, and records were made on other machines, some of them busy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from lasem_core.spec.run_spec import RunSpec

KIND = ["dataset", "method", "base", "model.network", "em.prune"]

Pace = Mapping[tuple[str, ...], float]  # seconds of an epoch, by kind of run


def pace_of(table: pd.DataFrame) -> Pace:
    """The median over the stored runs of every kind, from `RunStore.summaries`."""
    if table.empty:
        return {}
    orders = zip(table["stream.order"], table["n_tasks"], strict=True)
    visits = [n_tasks if isinstance(order, str) else len(order) for order, n_tasks in orders]
    seconds = table["train_seconds"].astype(float) / (visits * table["epochs"].astype(float).clip(lower=1))
    return seconds.groupby([table[name] for name in KIND]).median().dropna().to_dict()


def expected(specs: Iterable[RunSpec], pace: Pace) -> tuple[float, int]:
    """Seconds that `specs` would take one after the other, and how many of them no stored run tells about."""
    seconds = [_seconds(spec, pace) for spec in specs]
    known = [value for value in seconds if value is not None]
    return sum(known), len(seconds) - len(known)


def _seconds(spec: RunSpec, pace: Pace) -> float | None:
    per_epoch = pace.get((spec.dataset, spec.method, spec.base, spec.model.network, spec.em.prune))
    return per_epoch and per_epoch * spec.stream.n_visits * spec.schedule.epochs
