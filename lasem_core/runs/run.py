"""The two main functions: `train` a specification, `load_learner` of a record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lasem_core import data as datasets
from lasem_core.common.errors import Diverged, LasemError
from lasem_core.data.stream import TaskStream
from lasem_core.learners import METHODS, Environment, Learner
from lasem_core.learners.protocol import Map
from lasem_core.learners.staged import STAGED
from lasem_core.runs import results
from lasem_core.runs.generation import generation
from lasem_core.runs.machine import Watch, restart_peak
from lasem_core.runs.process import ProcessMap, no_denormals, settings
from lasem_core.runs.progress import choose
from lasem_core.runs.store import RunRecord, RunStore
from lasem_core.spec.run_spec import RunSpec
from lasem_core.spec.size import check_size
from lasem_core.training import Checkpoint, Progress, lifelong, to_device


@no_denormals()  # from the first: torch starts its worker threads with the data
def train(
    spec: RunSpec,
    store: RunStore | None = None,
    data: str | Path | None = None,
    progress: Progress | None = None,
    jobs: int = 1,
) -> RunRecord:
    """Train `spec`, or return its record at once if `store` has it.

    Arguments:
        spec: what to run.
        store: where records and checkpoints live; None keeps nothing on disk.
        data: the data folder; None: the environment's LASEM_DATA.
        progress: who watches; None: a bar or log lines.
        jobs: trainings at a time where a method has several that do not depend on each other (brute force).

    Raises LasemError for what the user can correct (no data, no such device, an unwritable store).
    """
    jobs = jobs if spec.method == "brute-force" else min(jobs, 1)  # no other method has anything for more
    device, fingerprint = resolve_device(spec), datasets.fingerprint(spec, data)
    run_id = _run_id(spec, fingerprint)
    if store is not None and (record := store.get(run_id)) is not None and not record.stale:
        return record
    restart_peak()
    watch = Watch()
    stream = datasets.load_stream(spec, data)
    learner = make_learner(Environment(spec, stream.image_shape, device, _map(spec, jobs)))
    with settings(spec), _checkpoint(store, run_id) as checkpoint:
        watcher = progress or choose(spec)
        try:
            life = lifelong(learner, stream.to(device), checkpoint, watcher)
        except Diverged:
            checkpoint.clear()
            raise
        finally:
            watcher.close()
    machine = watch.seen() | ({} if jobs == 1 else {"peak_rss_mb": None})  # the workers' memory is not seen
    record = _record(spec, run_id, fingerprint, stream, learner, life, machine)
    if store is None:
        return record
    record = store.put(record, _model_state(stream, learner))
    checkpoint.clear()
    return record


def _map(spec: RunSpec, jobs: int) -> Map:
    if jobs < 1:
        raise LasemError(f"jobs {jobs}: at least one training at a time")
    return map if jobs == 1 else ProcessMap(jobs, spec.threads)


def run_id_of(spec: RunSpec, data: str | Path | None = None) -> str:
    """The id of `spec` on these data, on this kind of device, by this generation of the code."""
    return _run_id(spec, datasets.fingerprint(spec, data))


def _run_id(spec: RunSpec, fingerprint: str) -> str:
    return spec.run_id(fingerprint, resolve_device(spec).type, generation(spec.model_dump()))


def load_learner(record: RunRecord) -> Learner:
    """The trained learner of a stored record; `learner.predict(task, images)` gives logits (B, K).

    Raises LasemError for a record that was not stored; so does `predict` for a task that the run does not have.
    """
    if record.path is None:
        raise LasemError(f"run {record.run_id} was not stored; train it with a store to load its learner")
    state = RunStore(record.path.parent).model_state(record.run_id)
    env = Environment(record.spec, tuple(state["image_shape"]), resolve_device(record.spec))
    learner = make_learner(env)
    learner.load_state_dict(to_device(state["learner"], env.device))
    learner.predict = partial(_predict, learner.predict, sorted(set(record.accuracy["task"].tolist())))
    return learner


def _predict(predict: Callable[[int, Tensor], Tensor], known: Sequence[int], task: int, images: Tensor) -> Tensor:
    if task not in known:
        raise LasemError(f"unknown task {task!r}; tasks of this run: {', '.join(map(str, known))}")
    return predict(task, images)


def make_learner(env: Environment) -> Learner:
    """The learner that `env.spec.method` names."""
    if env.spec.method not in METHODS:
        raise LasemError(f"method '{env.spec.method}' is not here yet; choose one of: {', '.join(METHODS)}")
    if env.spec.model.network != "cnn":
        return STAGED[env.spec.method](env)
    check_size(env.spec, env.arch)
    return METHODS[env.spec.method](env)


def resolve_device(spec: RunSpec) -> torch.device:
    """`auto` is CUDA where there is a device, the CPU otherwise."""
    available = torch.cuda.is_available()
    if spec.device == "cuda" and not available:
        raise LasemError("device 'cuda': no CUDA device here; use cpu or auto")
    return torch.device("cuda" if available and spec.device != "cpu" else "cpu")


def _record(
    spec: RunSpec, run_id: str, fingerprint: str, stream: TaskStream, learner: Learner, life: Any,
    machine: dict[str, Any],
) -> RunRecord:  # fmt: skip
    return RunRecord(
        run_id=run_id,
        spec=spec,
        fingerprint=fingerprint,
        summary=results.summary(spec, stream, learner, life),
        measured=results.measured(life, machine),
        tables=results.tables(life),
    )


def _model_state(stream: TaskStream, learner: Learner) -> dict[str, Any]:
    return {"image_shape": list(stream.image_shape), "learner": learner.state_dict()}


def _checkpoint(store: RunStore | None, run_id: str) -> contextlib.AbstractContextManager[Checkpoint]:
    return contextlib.nullcontext(Checkpoint()) if store is None else store.checkpoint(run_id)
