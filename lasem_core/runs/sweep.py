"""Many runs: stored ones are skipped, the rest is trained through joblib, failures are listed at the end.

run_sweep
└── _outcomes ── joblib.Parallel over _run_one, on loky or Dask
    └── _alone ── after a worker was killed: its suspects one by one, so that one bad run stops no other
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool
from tqdm.auto import tqdm

from lasem_core.common.errors import LasemError
from lasem_core.data.npz import expanded
from lasem_core.runs.artefacts import ARTEFACTS
from lasem_core.runs.plan import plan
from lasem_core.runs.store import RunStore
from lasem_core.spec.command_line import title
from lasem_core.spec.run_spec import RunSpec

__all__ = ["ARTEFACTS", "SweepReport", "check_engine", "plan", "run_sweep"]

ENGINES = ("loky", "dask")
KILLED = "its worker was killed twice (out of memory?)"

Outcome = tuple[RunSpec, str | None]  # a run and the one-line cause of its failure, if it failed
Parallel = Callable[[Sequence[RunSpec]], Iterator[Outcome]]


@dataclass(frozen=True)
class SweepReport:
    """What became of a sweep: specs in `done`, (spec, one-line cause) in `failed`; `stored` were there before."""

    done: list[RunSpec]
    failed: list[tuple[RunSpec, str]]
    stored: list[RunSpec]

    def __str__(self) -> str:
        lines = [f"{len(self.stored)} runs were there, {len(self.done)} done, {len(self.failed)} failed"]
        return "\n".join(lines + [f"failed: {title(spec)}: {cause}" for spec, cause in self.failed])


def run_sweep(
    specs: Sequence[RunSpec],
    store: RunStore,
    data: str | Path | None = None,
    jobs: int | None = None,
    engine: str = "loky",
    scheduler: str | None = None,
    progress: bool = True,
) -> SweepReport:
    """Run what `store` does not hold yet.

    Arguments:
        data: the data folder, seen by all workers.
        jobs: runs at a time, each on the threads of its spec; None: one per core.
        engine: `loky`, processes of this machine, or `dask`.
        scheduler: address of a Dask scheduler; None: a cluster of `jobs` processes on this machine.
        progress: show a bar on stderr.

    A failing run is reported and does not affect the others; raises LasemError only where nothing can run at all.
    """
    store = RunStore(store.root.resolve())
    data = expanded(Path(data)).resolve() if data else None
    stored, missing, failed = split_stored(specs, store, data)
    if missing:
        store.require_writable()
    done: list[RunSpec] = []
    with (
        _engine(engine, jobs or joblib.cpu_count(), scheduler, len(missing)) as (at_once, settings),
        tqdm(total=len(specs), initial=len(stored), unit="run", disable=not progress, file=sys.stderr) as bar,
    ):
        parallel = _parallel(store, data, settings, _spare(engine, at_once, len(missing)))
        for spec, cause in _outcomes(missing, parallel, at_once):
            done += [spec] if cause is None else []
            failed += [] if cause is None else [(spec, cause)]
            bar.update(cause is None)  # a bar that reached its end would hide what failed
            bar.set_postfix({"failed": len(failed)} if failed else None)
    return SweepReport(done, failed, stored)


def split_stored(
    specs: Sequence[RunSpec], store: RunStore, data: str | Path | None
) -> tuple[list[RunSpec], list[RunSpec], list[tuple[RunSpec, str]]]:
    """`specs` that the store holds, that are to be run, and that cannot be (no data), with the reason."""
    from lasem_core.runs.run import run_id_of

    stored, missing, impossible = [], [], []
    for spec in specs:
        try:
            run_id = run_id_of(spec, data)
        except LasemError as error:
            impossible.append((spec, str(error)))
            continue
        (stored if store.get(run_id) else missing).append(spec)
    return stored, missing, impossible


def _spare(engine: str, at_once: int, n_runs: int) -> int:
    """Trainings that a run may have at a time: workers that would stay idle on this machine."""
    return max(1, at_once // max(n_runs, 1)) if engine == "loky" else 1


def _run_one(spec: RunSpec, root: Path, data: Path | None, jobs: int) -> Outcome:
    """One run in a worker; whatever goes wrong in it comes back as one line."""
    from lasem_core.runs.run import train
    from lasem_core.training import Progress

    try:
        train(spec, RunStore(root), data, Progress(spec), jobs)
    except LasemError as error:
        return spec, str(error)
    except Exception as error:
        logging.getLogger("lasem").debug("%s", title(spec), exc_info=True)
        return spec, f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return spec, None


def _parallel(store: RunStore, data: Path | None, settings: dict[str, Any], jobs: int) -> Parallel:
    def run(specs: Sequence[RunSpec]) -> Iterator[Outcome]:
        with joblib.parallel_config(**settings), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
            # one run per message: a batch would hold finished runs back
            parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")
            yield from parallel(joblib.delayed(_run_one)(spec, store.root, data, jobs) for spec in specs)

    return run


def _outcomes(specs: Sequence[RunSpec], parallel: Parallel, at_once: int) -> Iterator[Outcome]:
    """The outcome of every spec, whatever is killed meanwhile."""
    remaining = list(specs)
    while remaining:
        try:
            for outcome in parallel(tuple(remaining)):  # with one job it is read while `remaining` shrinks
                remaining.remove(outcome[0])
                yield outcome
        except _killed():
            # runs start in their order, so the one that died is among the first that are not done
            suspects, remaining = remaining[:at_once], remaining[at_once:]
            for spec in suspects:
                yield _alone(spec, parallel)


def _alone(spec: RunSpec, parallel: Parallel) -> Outcome:
    try:
        return next(iter(list(parallel([spec]))))
    except _killed():
        return spec, KILLED


def _killed() -> tuple[type[Exception], ...]:
    """What the engines raise for a worker that died; Dask counts only if it was ever imported."""
    distributed = sys.modules.get("distributed")
    return (BrokenProcessPool, *([distributed.KilledWorker] if distributed else []))


def check_engine(name: str, scheduler: str | None, jobs: int | None = None) -> None:
    """Raise LasemError for an unknown engine, a scheduler that nobody would ask, and jobs that it would ignore."""
    if name not in ENGINES:
        raise LasemError(f"unknown engine '{name}'; choose from: {', '.join(ENGINES)}")
    if scheduler and name != "dask":
        raise LasemError(f"the scheduler {scheduler} needs --engine dask")
    if scheduler and jobs:
        raise LasemError(f"--jobs {jobs}: the workers of {scheduler} decide how many runs go at a time; leave it out")


@contextlib.contextmanager
def _engine(name: str, jobs: int, scheduler: str | None, n_runs: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """How many runs go at once, and joblib's settings for it."""
    check_engine(name, scheduler)
    if name == "loky":
        yield jobs, {"backend": "loky", "n_jobs": jobs, "inner_max_num_threads": 1}
    elif n_runs == 0:
        yield jobs, {}
    else:
        from lasem_core.runs.dask_engine import dask_backend

        with dask_backend(jobs, scheduler) as (at_once, backend):
            yield at_once, {"backend": backend, "n_jobs": at_once}
