"""What a run on another device than the CPU relies on, shown on `meta`, whose tensors have a device and no values."""

import pytest
import torch
from small_stream import flat

from lasem_core import RunSpec, RunStore, api, load_learner, train
from lasem_core.data.stream import Split, Task, TaskStream
from lasem_core.training import context_of

META = torch.device("meta")


def pooled_stream(n_tasks=5):
    """Tasks that are rows of one pool, as STL-10's are."""
    pool = torch.zeros(40, 3, 8, 8)
    parts = [Split(pool, torch.arange(8) % 2, rows=torch.arange(8) + i) for i in range(3 * n_tasks)]
    tasks = [Task(f"t{t}", ("a", "b"), *parts[3 * t : 3 * t + 3]) for t in range(n_tasks)]
    return TaskStream(tasks, tuple(range(n_tasks)), "one pool")


class Seen(Exception):
    pass


def test_a_run_moves_a_pool_once_and_no_visit_copies_it(monkeypatch):
    contexts = []

    def loop(env, learner, stream, *_):
        contexts.extend(context_of(env, stream, visit) for visit in range(len(stream.order)))
        raise Seen

    monkeypatch.setattr(api, "resolve_device", lambda spec: META)
    monkeypatch.setattr(api.datasets, "load_stream", lambda *_: pooled_stream())
    monkeypatch.setattr(api, "lifelong", loop)
    with pytest.raises(Seen):
        train(RunSpec(dataset="digits"))
    splits = [s for c in contexts for task in c.seen.values() for s in (task.train, task.valid, task.test)]
    assert len(splits) == 3 * (1 + 2 + 3 + 4 + 5)
    assert {s.images.device for s in splits} == {s.labels.device for s in splits} == {META}
    assert len({id(s.images) for s in splits}) == 1
    assert len({id(s.labels) for s in splits}) == len({id(s.rows) for s in splits}) == 15


@pytest.mark.parametrize("method", ["lasem", "darts", "progressive", "den", "apd", "ewc"])
def test_a_loaded_learner_is_on_the_run_s_device(method, monkeypatch, tmp_path):
    options = {"stream": {"n_tasks": 2}, "schedule": {"epochs": 1}}
    record = train(RunSpec(dataset="digits", method=method, profile="smoke", **options), RunStore(tmp_path))
    monkeypatch.setattr(api, "resolve_device", lambda spec: META)
    learner = load_learner(record)
    tensors = [leaf for leaf in flat(learner.state_dict()) if isinstance(leaf, torch.Tensor)]
    assert tensors and {tensor.device for tensor in tensors} == {META}
    assert learner.predict(1, torch.empty(2, *learner.env.image_shape, device=META)).device == META
