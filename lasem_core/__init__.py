"""LASEM: lifelong architecture search via expectation-maximization, reproduced.

A run specification goes in, a run record comes out; every figure, table and widget is a view of records.
Imports run one way: each entry may use the ones above it (`tests/test_rooms.py`). In reading order:

    __init__     the public names
    common       errors, files written whole, random numbers by key, statistics
    spec         what a run is: specifications, configurations, presets, network geometry
    data         data sets, one file each, as streams of tasks
    model        the task network: layers, three ways of sharing them, all configurations in one pass, RMSProp
    em.py        Algorithm 1: likelihood, priors, posterior, the EM step
    learners     lifelong learners: the protocol, one file per method, pruning and sampling
    training.py  the lifelong loop
    runs         what becomes of a run: trained, recorded, stored, found, swept
    bench        what a step and a whole task cost on this machine
    views        what a person looks at: figures, tables, verdicts, notebooks' parameters, explorers
    cli          the `lasem` command
"""

from typing import TYPE_CHECKING, Any

from lasem_core.common.errors import LasemError
from lasem_core.spec.run_spec import RunSpec

if TYPE_CHECKING:
    from lasem_core.model.resnet import resnet18_stages
    from lasem_core.runs.layer_transfer import LayerTransfer
    from lasem_core.runs.run import load_learner, train
    from lasem_core.runs.store import RunRecord, RunStore

__all__ = [
    "LasemError",
    "LayerTransfer",
    "RunRecord",
    "RunSpec",
    "RunStore",
    "load_learner",
    "resnet18_stages",
    "train",
]

_LAZY = {
    "train": "runs.run",
    "load_learner": "runs.run",
    "RunStore": "runs.store",
    "RunRecord": "runs.store",
    "LayerTransfer": "runs.layer_transfer",
    "resnet18_stages": "model.resnet",
}


def __getattr__(name: str) -> Any:
    """Import torch only when something needs it: `lasem --help` stays quick."""
    if name not in _LAZY:
        raise AttributeError(f"module 'lasem_core' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"lasem_core.{_LAZY[name]}"), name)
