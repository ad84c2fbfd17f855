"""The Dask side of a sweep: a cluster of processes on this machine, or a scheduler that runs elsewhere."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from lasem_core.common.errors import LasemError

try:
    import dask
    from distributed import Client, LocalCluster
    from distributed.scheduler import NoWorkerError
    from joblib._dask import DaskDistributedBackend
except ImportError as missing:
    raise LasemError("--engine dask needs Dask: pip install 'lasem[cluster]'") from missing

SECONDS_TO_CONNECT = 20
SECONDS_WITHOUT_WORKERS = 300
POLICY = {
    "distributed.scheduler.allowed-failures": 0,  # a sweep itself gives a run that lost its worker a second try
    # a process killed while it starts is not replaced
    "distributed.scheduler.no-workers-timeout": f"{SECONDS_WITHOUT_WORKERS} seconds",
}


class Backend(DaskDistributedBackend):
    """joblib's Dask engine waits for ever for a task that Dask has given up; this one reports it. And where the cluster
    has one core, joblib would do the work in the process that asks: at two it always hands it over."""

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """What joblib takes for the number of tasks at a time; the cluster itself decides."""
        return max(2, super().effective_n_jobs(n_jobs))

    def submit(self, func: Callable[..., Any], callback: Callable[[Any], None] | None = None) -> Future:
        """Hand a task over; `callback` gets its result, or the exception that stands for it."""
        future = super().submit(func, callback)
        future.add_done_callback(lambda done: done.exception() and callback(done.exception()))
        return future


@contextlib.contextmanager
def dask_backend(jobs: int, scheduler: str | None) -> Iterator[tuple[int, Backend]]:
    """The number of runs that go at once and a joblib backend on that cluster."""
    with contextlib.ExitStack() as stack:
        address = scheduler or stack.enter_context(_local_cluster(jobs))
        client = stack.enter_context(_connect(address))
        backend = Backend(client=client, wait_for_workers_timeout=SECONDS_WITHOUT_WORKERS)
        try:
            yield (sum(client.ncores().values()) or jobs), backend
        except (NoWorkerError, TimeoutError) as error:  # the latter: none came to a scheduler that runs elsewhere
            left = f"no worker is left at {client.scheduler.address}"
            raise LasemError(f"{left}: run the same command again, what is done is stored") from error


def _local_cluster(jobs: int) -> LocalCluster:
    """Processes with one thread each; any free port, and no memory limit that would kill a run half-way."""
    with dask.config.set(POLICY):
        return LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )


def _connect(address: str | LocalCluster) -> Client:
    try:
        return Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise LasemError(f"no Dask scheduler answers at {address}: {error}") from error
