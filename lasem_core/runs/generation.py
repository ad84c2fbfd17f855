"""The generation of the code, which changes whenever the numbers that it produces change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Spec = Mapping[str, Any]  # a RunSpec as `model_dump` gives it


class Change(NamedTuple):
    """A change of the code that gave existing specifications other numbers: what it was, and which ones it touched."""

    what: str
    touches: Callable[[Spec], bool]


def _pruned(spec: Spec) -> bool:
    return spec["em"]["prune"] in ("refreshed", "sampled")


def _out_of_turn(spec: Spec) -> bool:
    order = spec["stream"]["order"]
    return order != "fixed" and tuple(order) != tuple(range(spec["stream"]["n_tasks"]))


def _comes_back(spec: Spec) -> bool:
    order = spec["stream"]["order"]
    return not isinstance(order, str) and len(set(order)) < len(order)


CHANGES = (
    Change(
        "filters of TF and DF-CNN are plain matrix products, which round differently from the einsum used before",
        lambda spec: spec["base"] in ("tf", "df-cnn"),
    ),
    Change(
        "the M-step of a full evaluation takes only the kept configurations, as in the rest of the window",
        lambda spec: spec["em"]["prune"] == "refreshed",
    ),
    Change(
        "TF's factors of layers outside the kept configurations are left alone, not fed zero gradients",
        lambda spec: spec["base"] == "tf" and _pruned(spec),
    ),
    Change(
        "earlier tasks' counts are a belief and no longer votes",
        lambda spec: spec["method"] == "lasem" and spec["em"]["prior"] == "history",
    ),
    Change(
        "DEN's proximal steps are shares of RMSProp's step, and its decision to grow reads the loss without dropout",
        lambda spec: spec["method"] == "den",
    ),
    Change("EWC's Fisher information is summed in chunks of images", lambda spec: spec["method"] == "ewc"),
    Change(
        "APD's penalties are summed over all tasks of a layer at once",
        lambda spec: spec["method"] == "apd" and spec["apd"]["variant"] == "original",
    ),
    Change("configurations come by task number; forward transfer counts first visits only", _out_of_turn),
    Change("the peaks of a task that comes back are over all its visits", _comes_back),
    Change(
        "the learning rate in DARTS' history is that of its weights",
        lambda spec: spec["method"] == "darts" and spec["darts"]["weight_optimizer"] == "sgd",
    ),
    Change(
        "em.temper counts the mini-batches after em.start, and a pruned run's counts those before",
        lambda spec: spec["em"].get("start", 0) and (spec["em"].get("temper", 0) or _pruned(spec)),
    ),
)
"""Added to whenever a change makes any existing specification produce other numbers (another order of random draws,
another summation order, a corrected formula). The number of changes that touch a specification is part of its run id:
records of an older generation stay readable and are marked stale, and nothing is mixed with them silently. A change
that leaves all numbers bit for bit as they were is not listed."""


def generation(spec: Spec) -> int:
    """1, and one more for every change that touched runs of `spec`."""
    return 1 + sum(change.touches(spec) for change in CHANGES)
