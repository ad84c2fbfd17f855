"""Independent trainings inside one run, spread over processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import joblib
import torch

from lasem_core.runs.process import arithmetic


@dataclass(frozen=True)
class ProcessMap:
    """Python's `map` with `jobs` calls at a time, each in a process of its own; results come in order.

    Attributes:
        threads: torch threads of each process, which the last bits of a result depend on.
    """

    jobs: int
    threads: int

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        with joblib.parallel_config("loky", n_jobs=self.jobs, inner_max_num_threads=self.threads):
            # no more than a few items are made ahead: a candidate of a large network takes hundreds of megabytes
            parallel = joblib.Parallel(return_as="generator", batch_size=1, pre_dispatch="2*n_jobs")
            yield from parallel(joblib.delayed(_call)(function, item, self.threads) for item in items)


def _call(function: Callable[[Any], Any], item: Any, threads: int) -> Any:
    torch.set_num_threads(threads)
    with arithmetic():
        return function(item)
