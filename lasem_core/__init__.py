"""LASEM: lifelong architecture search via expectation-maximization, reproduced.

A run specification goes in, a run record comes out; every figure, table and widget is a view of records.
"""

from typing import TYPE_CHECKING, Any

from lasem_core.common.errors import LasemError
from lasem_core.spec.run_spec import RunSpec

if TYPE_CHECKING:
    from lasem_core.runs.run import load_learner, train
    from lasem_core.runs.store import RunRecord, RunStore

__all__ = ["LasemError", "RunRecord", "RunSpec", "RunStore", "load_learner", "train"]

_LAZY = {"train": "run", "load_learner": "run", "RunStore": "store", "RunRecord": "store"}


def __getattr__(name: str) -> Any:
    """Import torch only when something needs it: `lasem --help` stays quick."""
    if name not in _LAZY:
        raise AttributeError(f"module 'lasem_core' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"lasem_core.runs.{_LAZY[name]}"), name)
