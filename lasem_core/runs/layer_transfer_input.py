"""What a user gives to `LayerTransfer`, a saved file among it, checked.

A mistake is a LasemError of one line in that class's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lasem_core.common.disk import one_line_errors
from lasem_core.common.errors import LasemError
from lasem_core.data.loader import Loader
from lasem_core.learners.staged import OverStages
from lasem_core.model.staged import Stages
from lasem_core.runs import sealed
from lasem_core.runs.artefacts import SHARED
from lasem_core.spec.consistency import MOST_CONFIGURATIONS
from lasem_core.spec.run_spec import RunSpec, build_spec

MOST_CLASSES = 100_000  # of a task: a head of 512 features has 51 million weights then
MOST_EPOCHS = 10**9
PIXELS = (torch.bool, torch.uint8, torch.int8, torch.int16)  # of images; tokens are int32 or int64
EXAMPLES = {"em": '{"prune": "refreshed"}', "optim": '{"lr": 0.001}'}
LOADERS = "a DataLoader, a Dataset or a list of batches"
SHAPE = 1  # of a saved search, raised with what it holds


def check_factories(stages: Any, head: Any) -> None:
    """Raise LasemError for what is no list of factories, and no factory of heads; `Stage` tries each."""
    if not isinstance(stages, Iterable):
        raise LasemError(f"stages is {_kind(stages)}; give a list of factories, such as [stem, block]")
    if isinstance(head, nn.Module) or not callable(head):
        raise LasemError(f"head is {_kind(head)}, not a factory; give a function of the numbers of features and "
                         "classes, such as torch.nn.Linear")  # fmt: skip


def mapping(name: str, given: Any) -> dict[str, Any]:
    """The switches of `em` or `optim`, which may be a dict, a specification or None."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) and not hasattr(given, "model_dump"):
        raise LasemError(f"{name} is {_kind(given)} ({given!r}); give a dict such as {EXAMPLES[name]}")
    return dict(given)


def make_spec(depth: int, sharing: str, dropout: float, **options: Any) -> RunSpec:
    """A run's specification for the switches' sake; the shape of its CNN only says how many stages there are."""
    if not depth:
        raise LasemError("stages is empty; give at least one factory of a module")
    if sharing not in SHARED:
        raise LasemError(f"sharing {sharing!r}: use {', '.join(SHARED)}")
    if options["precision"] not in ("fp32", "fp64"):
        raise LasemError(f"precision '{options['precision']}': use fp32 or fp64")
    _check_size(depth, options["em"])
    if options["em"].get("revisit") == "search":  # `fit(task=...)` comes back to a task, which the spec has to foresee
        options |= {"stream": {"n_tasks": 1, "order": (0, 0)}}
    model = dict.fromkeys(("channels", "kernels", "pools"), (1,) * depth) | {"dropout": dropout}
    try:
        return build_spec({"dataset": "folder", "method": "lasem", "base": sharing, "model": model} | options)
    except LasemError as error:
        raise LasemError(str(error).replace("model.dropout", "dropout")) from error


def _check_size(depth: int, em: Mapping[str, Any]) -> None:
    groups = em.get("groups")
    free = groups.count("|") + 1 if groups and isinstance(groups, str) else depth
    if 2**free > MOST_CONFIGURATIONS:
        raise LasemError(
            f"{free} stages or groups of stages have 2^{free} configurations, at most {MOST_CONFIGURATIONS} can be "
            "searched; tie stages together, such as em={'groups': '1,2,3|4,5,6'}, or give fewer"
        )


def count(name: str, value: Any, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    if not isinstance(value, Integral) or not least <= value <= most:
        raise LasemError(f"{name} {value!r}: use a whole number from {least} to {most:,}")
    return int(value)


def check_reusable(given: Any, name: str) -> None:
    """Raise LasemError where an epoch would use the images up."""
    for iterated in (given, getattr(given, "dataset", None)):
        if isinstance(iterated, Iterator):
            raise LasemError(f"{name} is iterated once only ({_kind(iterated)}), and every epoch starts anew; give "
                             "a DataLoader or a list of batches")  # fmt: skip


def as_loader(given: Any, name: str, size: int, shuffle: bool) -> Loader:
    """A Dataset in batches of `size`, an IterableDataset in its own order; what gives batches as it is."""
    if not isinstance(given, Dataset):
        if not hasattr(given, "__iter__") and not hasattr(given, "__getitem__"):
            raise LasemError(f"{name} is {_kind(given)}; give {LOADERS}")
        return given
    if isinstance(given, IterableDataset):
        return DataLoader(given, size)
    try:
        n = len(given)
    except (TypeError, NotImplementedError):
        raise LasemError(f"the {name} Dataset has no length; give it __len__, or give a DataLoader") from None
    if not n:
        raise LasemError(f"the {name} Dataset is empty; it needs images")
    return DataLoader(given, size, shuffle)


def as_images(x: Any, dtype: torch.dtype, name: str = "x") -> Tensor:
    """Images (B, ...) as a tensor; whole numbers of 8 or 16 bits, such as pixels, in `dtype` and not rescaled."""
    try:
        x = torch.as_tensor(x)
    except Exception as error:
        raise LasemError(f"{name} is {_kind(x)}; give a tensor of images (B, ...)") from error
    if not x.dim():
        raise LasemError(f"{name} is one number; give a tensor of images (B, ...)")
    return x.to(dtype) if x.dtype in PIXELS else x


def check_finite(images: Tensor, name: str) -> None:
    """Raise LasemError where images (B, ...) hold NaN or infinite numbers."""
    if images.is_floating_point() and not bool(images.isfinite().all()):
        raise LasemError(f"the {name} loader's images hold NaN or infinite numbers; replace them first")


def write_search(path: Path, state: dict[str, Any]) -> None:
    """Write `state`; raises LasemError where `path` cannot be written."""
    sealed.write(path, {"shape": SHAPE} | state)


def read_search(path: Path) -> dict[str, Any]:
    """What `write_search` wrote; raises LasemError where a bit of it is not as it was."""
    if not path.is_file():
        raise LasemError(f"there is no file {path}")
    with one_line_errors("read", path):
        state = sealed.read(path)
    if state is None:
        raise LasemError(f"{path} is not a saved LayerTransfer, or it is damaged, or from before there was a checksum; "
                         "fit and save it again")  # fmt: skip
    if state["shape"] != SHAPE:
        raise LasemError(f"{path} was saved by another version of LASEM")
    return state


def check_heads(path: str | Path, stages: Stages, learner: OverStages) -> None:
    """Raise LasemError where the head's tensors are not those of the tasks that `learner` has read from `path`."""
    for number, task in learner.tasks.items():
        here = stages.head(learner.n_classes[number]).trained
        there = {name: list(tensor.shape) for name, tensor in task.head[0].items()}
        if here != there:
            raise LasemError(
                f"head: its tensors are {here}, those of task {number} in {path} {there}; give the head it had"
            )


def _kind(value: Any) -> str:
    if value is None or isinstance(value, type):
        return "None" if value is None else f"the class {value.__name__}"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
