"""ProgNN: the lateral arithmetic of released-code item 56, a cost that grows, nothing forgotten."""

import pytest
import torch
import torch.nn.functional as F
from small_stream import MODEL, environment, run, spec_of, stream

from lasem_core.learners import TaskContext
from lasem_core.runs.run import make_learner


class ThreeWay:
    n_classes = 3


def context(number):
    return TaskContext(number, number, ThreeWay, 1, lambda epoch: 0.01)


def test_office_home_example_of_lateral_width():
    """Third task, layer 2: 64 -> 10 channels at compression 2."""
    spec = spec_of("progressive", model=MODEL | {"channels": (64, 5, 6)})
    learner = make_learner(environment(spec))
    for number in range(3):
        learner.begin_task(context(number))
        learner.end_task()
    assert [tuple(g["reduce"].shape) for g in learner.laterals[2][1].values()] == [(10, 64, 1, 1)] * 2
    assert learner.laterals[2][0] == {}
    assert [g["reduce"].shape[0] for g in learner.laterals[2][2].values()] == [1, 1]  # at least one of int(5 / 6)


def test_features_are_the_paper_s_sum():
    tasks = stream(n_tasks=2)
    learner, _ = run(spec_of("progressive"), tasks)
    images = tasks.tasks[1].test.images
    x0 = x1 = images
    for position, (own0, own1) in enumerate(zip(learner.columns[0], learner.columns[1], strict=True)):
        z0 = F.conv2d(x0, own0["weight"], own0["bias"], padding=1)
        z1 = F.conv2d(x1, own1["weight"], own1["bias"], padding=1)
        for lateral in learner.laterals[1][position].values():
            reduced = F.relu(F.conv2d(lateral["alpha"] * x0, lateral["reduce"], lateral["reduce_bias"]))
            z1 = z1 + F.conv2d(reduced, lateral["weight"], padding=1)
        pool = (1, 2, 2)[position]
        x0, x1 = (F.max_pool2d(F.relu(z), pool) for z in (z0, z1))
    torch.testing.assert_close(learner.features(1, images), x1.permute(0, 2, 3, 1).flatten(1))


def test_old_columns_are_frozen():
    first, _ = run(spec_of("progressive"), stream(n_tasks=1))
    last, _ = run(spec_of("progressive"), stream(n_tasks=3))
    for a, b in zip(first.columns[0], last.columns[0], strict=True):
        assert torch.equal(a["weight"], b["weight"])


@pytest.mark.parametrize("compression", [1, 2])
def test_memory_grows_with_the_number_of_earlier_tasks(compression):
    model = MODEL | {"channels": (12, 12, 12)}
    learner, _ = run(spec_of("progressive", model=model, progressive={"compression": compression}), stream())
    sizes = [sum(t.numel() for t in learner.stored_tensors()[f"task{n}"]) for n in range(3)]
    assert sizes[0] < min(sizes[1:])
