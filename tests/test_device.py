"""What a run on another device than the CPU relies on, shown on `meta`, whose tensors have a device and no values."""

import contextlib

import pytest
import torch
from small_stream import CASES, Memory, Stopped, environment, flat, run, spec_of, stream
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lasem_core import RunSpec, RunStore, load_learner, train
from lasem_core.data.pixels import Noise, Pixels
from lasem_core.data.stream import Batch, Split, Task, TaskStream
from lasem_core.learners.sampling import Proposal
from lasem_core.runs import run as api
from lasem_core.training import context_of, to_device

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

    def loop(learner, stream, *_):
        contexts.extend(context_of(learner.env, stream, visit) for visit in range(len(stream.order)))
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


class Meetings(TorchDispatchMode):
    """Notes where tensors of the host meet those of the device; a scalar may: it is a kernel's argument."""

    def __init__(self, noted):
        super().__init__()
        self.noted = noted

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        places = {tensor.device.type for tensor in tensors if tensor.dim() or name in ("_to_copy", "copy_")}
        self.noted += [name] if len(places) > 1 else []
        return result


class FromPython(TorchFunctionMode):
    """Notes tensors that are made on the device from Python's numbers."""

    def __init__(self, noted):
        super().__init__()
        self.noted = noted

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result, name = function(*args, **(kwargs or {})), function.__name__
        makes = name in ("tensor", "as_tensor", "new_tensor")
        indexes = name in ("__getitem__", "__setitem__") and any(isinstance(leaf, list) for leaf in _indices(args[1]))
        here = args[0] if indexes else result
        self.noted += [name] if (makes or indexes) and here.device == META else []
        return result


def _indices(index):
    return index if isinstance(index, tuple) else [index]


@contextlib.contextmanager
def crossings():
    """What comes from the host meanwhile; what the host would have to wait for raises, `meta` having no values."""
    noted = []
    with FromPython(noted), Meetings(noted):
        yield noted


@pytest.mark.parametrize(
    "crossing, name",
    [
        (lambda x: torch.tensor([1.0, 2.0], device=META), "tensor"),
        (lambda x: x.new_tensor([1.0, 2.0]), "new_tensor"),
        (lambda x: torch.tensor([1.0, 2.0]).to(META), "_to_copy"),
        (lambda x: torch.tensor(1.0).to(META), "_to_copy"),
        (lambda x: x.copy_(torch.ones(2)), "copy_"),
        (lambda x: x[torch.tensor([0])], "index"),
        (lambda x: x[[0, 1]], "__getitem__"),
    ],
)
def test_what_comes_from_the_host_is_noted(crossing, name):
    with crossings() as noted:
        crossing(torch.empty(2, device=META))
    assert noted == [name]


@pytest.mark.parametrize(
    "wait",
    [float, torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.nonzero, lambda x: x[x > 0], lambda x: bool(x > 0),
     torch.Tensor.unique, lambda x: torch.equal(x, x), lambda x: x.repeat_interleave(x.long())],
)  # fmt: skip
def test_what_waits_for_the_device_raises(wait):
    with crossings(), pytest.raises((RuntimeError, NotImplementedError)):
        wait(torch.empty(1, device=META))


def opened(method, base, **options):
    """A learner on `meta` in its third task, and that task's mini-batch by step."""
    options |= {"config": "101"} if method in ("static", "fixed-posterior") else {}
    spec = spec_of(method, base, epochs=1, **options)
    before, _ = run(spec, stream(order=(0, 1)))
    env, tasks = environment(spec, META), stream().to(META)
    learner = api.make_learner(env)
    learner.load_state_dict(to_device(before.state_dict(), META))
    learner.begin_task(context_of(env, tasks, 2))
    images, labels = tasks.tasks[2].train.batch(torch.arange(8, device=META))
    return learner, lambda step: Batch(images, labels, 0.01, (0, 2, step))


@pytest.mark.parametrize(("method", "base"), CASES, ids=lambda value: value)
def test_a_run_resumed_within_a_task_trains_leaves(method, base):
    memory = Memory(stop_at=2)
    spec = spec_of(method, base, **({"config": "101"} if method in ("static", "fixed-posterior") else {}))
    with pytest.raises(Stopped):
        run(spec, stream(), memory)
    state = to_device(memory.state["learner"], META)
    tensors = [value for value in flat(state) if isinstance(value, torch.Tensor)]
    assert memory.state["log"] and tensors and "training" in state
    assert all(tensor.is_leaf and tensor.device == META for tensor in tensors)


@pytest.mark.parametrize(("method", "base"), CASES, ids=lambda value: value)
def test_nothing_crosses_in_a_step(method, base):
    learner, batch = opened(method, base)
    learner.train_step(batch(0))  # DARTS draws its halves, once per pass
    with crossings() as noted:
        for step in (1, 2):
            learner.train_step(batch(step))
    assert noted == []


def test_nothing_crosses_with_the_mean_likelihood():
    learner, batch = opened("lasem", "tf", em={"likelihood": "mean", "prior": "running-mean"})
    learner.train_step(batch(0))
    with crossings() as noted:
        learner.train_step(batch(1))
    assert noted == []


def test_nothing_crosses_while_refreshed_pruning_stays_within_a_window():
    learner, batch = opened("lasem", "tf", em={"prune": "refreshed"})
    learner.open.rule.window.kept, learner.open.rule.window.left = (0, 3), 9
    learner.train_step(batch(0))  # plans the kept configurations
    with crossings() as noted:
        learner.train_step(batch(1))
    assert noted == []


def sampled():
    learner, batch = opened("lasem", "tf", em={"prune": "sampled", "prune_samples": 2})
    rule, here = learner.open.rule, torch.full((8,), 1 / 8)
    rule.window.kept, rule.window.left = (0, 3), 9
    rule.proposal = Proposal.build(here.to(META), (0, 3), rule.em, here)
    return learner, batch


def test_sampled_sends_what_it_drew_and_a_plan_that_is_new():
    """The draws are the host's: they decide which convolutions there are, so that a plan must be made of them."""
    learner, batch = sampled()
    for new in (True, False):
        with crossings() as noted:
            learner.train_step(batch(0))
        assert noted == ["_to_copy"] * (1 + new)


def test_a_full_e_step_of_sampled_waits():
    """Its M-step is drawn from this very mini-batch's posterior, so the host has to see it first."""
    learner, batch = sampled()
    learner.open.rule.window.left = 1
    with pytest.raises(NotImplementedError, match="no data"):
        learner.train_step(batch(0))


def test_plans_of_drawn_configurations_are_kept_up_to_a_number(monkeypatch):
    monkeypatch.setattr("lasem_core.learners.pruning.KEPT_PLANS", 2)
    learner, _ = opened("lasem", "hps")
    first, second = learner.open.search.subset((0,)), learner.open.search.subset((1,))
    assert learner.open.search.subset((0,)) is first
    learner.open.search.subset((2,))
    assert learner.open.search.subset((1,)) is second and learner.open.search.subset((0,)) is not first


def test_nothing_crosses_for_a_mini_batch_of_stored_pixels():
    pixels = Pixels(-0.5, Noise(0.1, 0.05, 7), (2, 0, 1), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    images, rows = torch.empty(20, 3, 8, 8, dtype=torch.uint8, device=META), torch.arange(20, device=META)
    split, index = Split(images, rows % 3, pixels, rows), torch.arange(8, device=META)
    split.batch(index)  # tables and statistics cross once
    with crossings() as noted:
        split.batch(index)
    assert noted == []


@pytest.mark.parametrize(("method", "base"), CASES, ids=lambda value: value)
def test_an_epoch_waits_once(method, base, monkeypatch):
    """Counted on the CPU, where nothing waits: what asks for numbers of a tensor."""
    asked = []

    def counting(name):
        ask = getattr(torch.Tensor, name)
        return lambda tensor: (asked.append(name), ask(tensor))[1]

    options = {"config": "101"} if method in ("static", "fixed-posterior") else {}
    env, tasks = environment(spec_of(method, base, epochs=4, **options)), stream()
    learner = api.make_learner(env)
    learner.begin_task(context_of(env, tasks, 0))
    images, labels = tasks.tasks[0].train.batch(torch.arange(8))
    for name in ("tolist", "__int__", "__float__", "__bool__", "__index__", "item", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, counting(name))
    for step in range(4):
        learner.train_step(Batch(images, labels, 0.01, (0, 0, step)))
    assert asked == []
    learner.end_epoch()
    assert len(asked) == 1
