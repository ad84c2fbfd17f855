"""What every method promises the loop: repeatable, resumable anywhere, never waiting within a step."""

import io
import random

import pytest
import torch
from small_stream import CASES, CPU, STAGED, Memory, Stopped, environment, results, run, same, spec_of, stream
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from lasem_core.data.stream import Batch
from lasem_core.learners import TaskContext
from lasem_core.runs.results import memory as stored_bytes
from lasem_core.runs.run import make_learner

FROZEN = ("single-task", "progressive")


def settings(method, network="cnn"):
    config = "101" if network == "cnn" else "10100"
    return {"config": config} if method in ("static", "fixed-posterior") else {}


@pytest.fixture(scope="module", params=[*((*case, "cnn") for case in CASES), *STAGED], ids="-".join)
def case(request):
    method, base, network = request.param
    spec = spec_of(method, base, network=network, **settings(method, network))
    tasks = stream(order=(0, 1, 2, 0))
    memory = Memory()
    learner, life = run(spec, tasks, memory)
    return spec, tasks, learner, life, memory.offers


def test_a_run_stopped_anywhere_goes_on_bit_for_bit(case):
    spec, tasks, learner, life, offers = case
    memory = Memory(stop_at=random.Random(f"{spec.method}{spec.base}").randrange(2, offers))
    with pytest.raises(Stopped):
        run(spec, tasks, memory)
    buffer = io.BytesIO()
    torch.save(memory.state, buffer)
    saved = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    resumed, again = run(spec, tasks, Memory(saved))
    assert same(results(life), results(again))
    assert same(learner.state_dict(), resumed.state_dict())


def test_a_loaded_learner_predicts_the_same(case):
    spec, tasks, learner, _, _ = case
    copy = make_learner(environment(spec))
    copy.load_state_dict(learner.state_dict())
    for number, task in enumerate(tasks.tasks):
        logits = learner.predict(number, task.test.images)
        assert logits.shape == (12, 3)
        assert not logits.requires_grad
        assert torch.equal(logits, copy.predict(number, task.test.images))


def test_what_stays_in_memory_is_counted_by_owner(case):
    _, _, learner, _, _ = case
    stored = learner.stored_tensors()
    assert set(stored) == {"shared", "task0", "task1", "task2"}
    unique = {t.data_ptr() for tensors in stored.values() for t in tensors if t.numel()}
    assert len(unique) == sum(1 for tensors in stored.values() for t in tensors if t.numel())
    assert stored_bytes(learner)["stored_bytes"] > 0


def test_configurations_are_reported_where_there_are_any(case):
    spec, _, learner, life, _ = case
    with_configs = spec.base != "none"
    assert len(learner.configs) == (3 if with_configs else 0)
    assert (life.visits[0].history[-1]["config"] != "") == (with_configs or spec.method == "single-task")


@pytest.mark.parametrize("method", FROZEN)
def test_frozen_methods_forget_nothing(method):
    spec, tasks = spec_of(method), stream()
    _, life = run(spec, tasks)
    ends = {row["task"]: row["test_accuracy"] for row in life.accuracy if row["position"] == row["task"]}
    assert all(row["test_accuracy"] == ends[row["task"]] for row in life.accuracy)


class ThreeWay:
    n_classes = 3
    train = None


def two_fake_steps(method, base, device):
    """Under FakeTensorMode tensors have a device and no values: a mismatch raises, and so does waiting for one."""
    with FakeTensorMode():
        darts = {"darts": {"alpha_data": "train", "weight_optimizer": "rmsprop"}} if method == "darts" else {}
        options = settings(method) | darts
        learner = make_learner(environment(spec_of(method, base, **options), device))
        learner.begin_task(TaskContext(0, 0, ThreeWay, 1, lambda epoch: 0.01))
        images, labels = torch.zeros(4, 3, 8, 8, device=device), torch.zeros(4, dtype=torch.int64, device=device)
        for step in range(2):
            learner.train_step(Batch(images, labels, 0.01, (0, 0, step)))


@pytest.mark.parametrize("device", ["meta", "cuda"])
def test_fake_tensors_raise_where_a_device_would_wait_or_differ(device):
    with FakeTensorMode():
        there = torch.ones(2, device=device)
        with pytest.raises(DataDependentOutputException):
            float(there.sum())
        with pytest.raises(RuntimeError, match="device"):
            there + torch.ones(2)


@pytest.mark.parametrize(("method", "base"), CASES, ids=lambda value: value)
def test_a_step_never_waits_for_the_device(method, base):
    two_fake_steps(method, base, torch.device("meta"))


@pytest.mark.parametrize(("method", "base"), CASES, ids=lambda value: value)
def test_a_forward_pass_stays_on_a_cuda_device(method, base, monkeypatch):
    """All of a step but the backward pass, which asks for a real GPU even of fake tensors."""
    asked = []

    def no_gradients(outputs, inputs, **options):
        asked.append(outputs.device.type)
        return tuple(torch.zeros_like(tensor) for tensor in inputs)

    monkeypatch.setattr(torch.autograd, "grad", no_gradients)
    two_fake_steps(method, base, torch.device("cuda"))
    assert set(asked) == {"cuda"}


@pytest.mark.parametrize("method", ["progressive", "apd", "den", "ewc", "joint"])
def test_other_precisions_run(method):
    for precision in ("bf16", "fp64"):
        tasks = stream(n_tasks=2)
        if precision == "fp64":
            for task in tasks.tasks:
                for part in (task.train, task.valid, task.test):
                    object.__setattr__(part, "images", part.images.double())
        learner, _ = run(spec_of(method, epochs=1, precision=precision, stream={"n_tasks": 2}), tasks)
        assert learner.predict(0, tasks.tasks[0].test.images.to(CPU)).isfinite().all()
