"""DEN: the phases, and what time stamps protect."""

import pytest
import torch
from small_stream import environment, run, spec_of, stream

from lasem_core.api import make_learner
from lasem_core.em import Batch
from lasem_core.learners import den_surgery as surgery
from lasem_core.training import context_of

F64 = torch.float64


def in_second_task(**den):
    """A learner that has finished one task and begun another."""
    spec = spec_of("den", epochs=10, den=den)
    tasks = stream(n_tasks=2)
    learner, _ = run(spec, stream(n_tasks=1))
    learner.begin_task(context_of(environment(spec), tasks, 1))
    return learner, tasks


def train(learner, tasks, epochs):
    images, labels = tasks.tasks[1].train.batch(torch.arange(20))
    for _ in range(epochs):
        learner.train_step(Batch(images, labels, 0.01, (0, 1, learner.epoch)))
        learner.end_epoch()


def test_units_that_are_not_retrained_predict_as_before(monkeypatch):
    def nothing(layers, head, threshold):
        return [torch.zeros(len(layer["bias"]), dtype=torch.bool) for layer in layers]

    monkeypatch.setattr(surgery, "walk_back", nothing)
    learner, tasks = in_second_task()
    images = tasks.tasks[0].test.images
    before = learner.predict(0, images)
    train(learner, tasks, 10)
    assert torch.equal(learner.predict(0, images), before)
    learner.end_task()
    assert torch.equal(learner.predict(0, images), before)
    assert sum(learner.sizes[1]) > sum(learner.sizes[0])


def test_split_units_return_to_their_old_weights():
    learner, tasks = in_second_task(split_threshold=0.0)
    images = tasks.tasks[0].test.images
    before = learner.predict(0, images)
    train(learner, tasks, 4)  # head, then retraining: old predictions move
    assert not torch.equal(learner.predict(0, images), before)
    train(learner, tasks, 6)  # expansion, then every unit that moved is split
    learner.end_task()
    torch.testing.assert_close(learner.predict(0, images), before)


def test_phases_follow_their_shares():
    learner, tasks = in_second_task()
    phases = []
    for _ in range(10):
        phases.append(learner.phase)
        train(learner, tasks, 1)
    assert phases == ["head"] + ["retrain"] * 3 + ["expand"] * 3 + ["adapt"] * 3


def test_a_small_loss_needs_no_new_units():
    learner, tasks = in_second_task(loss_threshold=100.0, split_threshold=1e9)
    train(learner, tasks, 10)
    assert learner.units == learner.sizes[0]


def test_expansion_adds_units_that_the_group_lasso_can_take_back():
    learner, tasks = in_second_task(split_threshold=1e9, expansion=5)
    train(learner, tasks, 4)
    assert learner.units == [n + 5 for n in learner.sizes[0]]
    learner, tasks = in_second_task(split_threshold=1e9, expansion=5, group_lasso=1e6)
    train(learner, tasks, 10)
    assert learner.units == learner.sizes[0]


def test_only_connections_of_new_units_are_trained_after_expansion():
    learner, tasks = in_second_task()
    train(learner, tasks, 4)
    old = [layer["weight"].detach().clone() for layer in learner.layers]
    train(learner, tasks, 2)
    for layer, weight, n_out, before in zip(learner.layers, old, learner.sizes[0], learner.before, strict=True):
        n_in = before["weight"].shape[1]
        assert torch.equal(layer["weight"][:n_out, :n_in], weight[:n_out, :n_in])
        assert not torch.equal(layer["weight"][n_out:], weight[n_out:])


def tiny(n=(2, 3)):
    generator = torch.Generator().manual_seed(0)
    sizes = (1, *n)
    layers = [
        {"weight": torch.randn(o, i, 1, 1, generator=generator, dtype=F64), "bias": torch.zeros(o, dtype=F64)}
        for i, o in zip(sizes, n, strict=False)
    ]
    head = [{"weight": torch.randn(2, n[-1] * 4, generator=generator, dtype=F64), "bias": torch.zeros(2, dtype=F64)}]
    return layers, head


def test_walking_back_stops_at_zero_weights():
    layers, head = tiny()
    head[0]["weight"].view(2, 3, 4)[:, 1] = 0
    layers[1]["weight"][[0, 2], 1] = 0  # unit 1 of the first layer reaches the second's unit 1 only
    reached = surgery.walk_back(layers, head, 1e-3)
    assert [r.tolist() for r in reached] == [[True, False], [True, False, True]]


def forward(layers, head, x):
    for layer in layers:
        x = torch.conv2d(x, layer["weight"], layer["bias"]).relu()
    return x.flatten(1) @ head[0]["weight"].T


def test_splitting_everything_keeps_both_the_old_and_the_new_function():
    layers, head = tiny()
    before = [{name: t.clone() for name, t in layer.items()} for layer in layers]
    x = torch.randn(5, 1, 2, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
    old_features = [forward(layers, head, x)]
    for layer in layers:
        layer["weight"] = layer["weight"] + 0.3
    new = forward(layers, head, x)
    old_head = [{name: t.clone() for name, t in group.items()} for group in head]
    assert surgery.split_drifted(layers, head, before, 0.05) == [2, 3]
    torch.testing.assert_close(forward(layers, head, x), new)
    sliced = [
        {"weight": la["weight"][: len(b["bias"]), : b["weight"].shape[1]], "bias": la["bias"][: len(b["bias"])]}
        for la, b in zip(layers, before, strict=True)
    ]
    torch.testing.assert_close(forward(sliced, old_head, x), old_features[0])


def test_dropping_a_unit_that_carries_nothing_changes_nothing():
    layers, head = tiny((3, 4))
    before = [{"weight": la["weight"][:2, :1], "bias": la["bias"][:2]} for la in layers]
    layers[0]["weight"][2] = 0
    layers[1]["weight"][3] = 0
    x = torch.randn(5, 1, 2, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
    expected = forward(layers, head, x)
    surgery.drop_useless(layers, head, before, 0.0)
    assert [len(layer["bias"]) for layer in layers] == [2, 3]
    torch.testing.assert_close(forward(layers, head, x), expected)


def test_a_revisit_trains_the_head_only():
    spec = spec_of("den")
    once, _ = run(spec, stream(n_tasks=2))
    again, _ = run(spec, stream(n_tasks=2, order=(0, 1, 0)))
    for a, b in zip(once.layers, again.layers, strict=True):
        assert torch.equal(a["weight"], b["weight"])
    assert not torch.equal(once.heads[0][0]["weight"], again.heads[0][0]["weight"])
    assert make_learner(once.env).sizes == {}


@pytest.mark.parametrize("amount", [0.1, 10.0])
def test_shrinking_groups_is_the_proximal_step_of_their_norm(amount):
    weight = torch.randn(3, 2, 1, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    norms = weight.flatten(1).norm(dim=1)
    surgery.shrink_groups(weight, amount)
    torch.testing.assert_close(weight.flatten(1).norm(dim=1), (norms - amount).clamp(min=0))
