"""How long runs will take, from the recorded seconds of similar ones."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lasem_core.spec.command_line import flatten
from lasem_core.spec.run_spec import RunSpec

# what the seconds of an epoch of a task depend on; a setting that this version does not have is skipped
SIMILAR = ("dataset", "method", "base", "precision", "threads", "schedule.evaluation", "em.groups", "em.prune")


def seconds_of(specs: Sequence[RunSpec], recorded: pd.DataFrame) -> list[float | None]:
    """Expected seconds of each run, None where nothing similar is recorded.

    Arguments: recorded, `RunStore.summaries()`. Similar runs agree in `SIMILAR`; their median seconds for an
    epoch of a task are scaled by epochs and tasks.
    """
    keys = [key for key in SIMILAR if key in recorded]
    if not keys or recorded.empty:
        return [None] * len(specs)
    spent = recorded["train_seconds"].astype(float) + recorded["eval_seconds"].astype(float)
    rates = spent / (recorded["epochs"] * recorded["n_tasks"]).where(lambda work: work > 0)
    medians = rates.dropna().groupby([recorded[key].astype(str) for key in keys]).median().to_dict()
    return [_scaled(spec, keys, medians) for spec in specs]


def _scaled(spec: RunSpec, keys: list[str], medians: dict[tuple[str, ...], float]) -> float | None:
    values = dict(flatten(spec.model_dump(mode="json")))
    rate = medians.get(tuple(str(values[key]) for key in keys))
    return None if rate is None else rate * spec.schedule.epochs * spec.stream.n_tasks


def spell(seconds: float | None) -> str:
    """`40 s`, `12 min`, `3.5 h` or `unknown`."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
