"""Settings of a process while a run trains: threads, memory, arithmetic; independent trainings in processes."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import joblib
import torch

from lasem_core.spec.run_spec import RunSpec


@contextlib.contextmanager
def settings(spec: RunSpec) -> Iterator[None]:
    """For the length of a run: threads as the spec says, an allocator that keeps its pages, `arithmetic`."""
    threads = torch.get_num_threads()
    _keep_freed_memory()
    torch.set_num_threads(spec.threads)
    try:
        with arithmetic():
            yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def arithmetic() -> Iterator[None]:
    """The arithmetic of a run: no denormal numbers, and float32 is not rounded to TF32."""
    with no_denormals(), no_tf32():
        yield


@contextlib.contextmanager
def no_tf32() -> Iterator[None]:
    """CUDA multiplies float32 as it is; cuDNN would round a convolution's operands to ten bits of mantissa.

    Read through torch's newer names, which never raise. The older one of the matrix products also sets what
    `torch.set_float32_matmul_precision` has set; one without the other makes torch refuse both.
    """
    convolution, product = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = convolution.fp32_precision, product.fp32_precision
    convolution.fp32_precision, product.allow_tf32 = "ieee", False
    try:
        yield
    finally:
        convolution.fp32_precision, product.allow_tf32 = before[0], before[1] == "tf32"
        product.fp32_precision = before[1]


@contextlib.contextmanager
def no_denormals() -> Iterator[None]:
    """Zero in place of denormal numbers, in this thread and in those torch starts meanwhile; others stay as they are.

    A losing configuration's weight, 1e-40 or so, makes its gradients denormal: an EM step then takes 50 times as long.
    """
    flushed = flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


def flushes_denormals() -> bool:
    """Does this thread compute with zeros in place of numbers too small for a normalised mantissa?"""
    smallest = torch.tensor(torch.finfo(torch.float32).tiny)
    return float(smallest / 2 * 2) == 0


def _keep_freed_memory() -> None:
    """glibc gives large blocks back to the kernel at every step; faulting them in again costs a tenth of it."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD


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
    _keep_freed_memory()
    torch.set_num_threads(threads)
    with arithmetic():
        return function(item)
