"""DEN: the phases, and what time stamps protect."""

import math

import pytest
import torch
import torch.nn.functional as F
from small_stream import Memory, Stopped, environment, results, run, same, spec_of, stream

from lasem_core.data.stream import Batch
from lasem_core.learners import den_surgery as surgery
from lasem_core.runs.run import make_learner
from lasem_core.training import context_of

F64 = torch.float64


def in_second_task(**den):
    """A learner that has finished one task and begun another."""
    spec = spec_of("den", epochs=10, den=den)
    tasks = stream(n_tasks=2)
    learner, _ = run(spec, stream(n_tasks=1))
    learner.begin_task(context_of(environment(spec), tasks, 1))
    return learner, tasks


def train(learner, tasks, epochs, steps=1):
    images, labels = tasks.tasks[1].train.batch(torch.arange(20))
    for _ in range(epochs):
        for step in range(steps):
            learner.train_step(Batch(images, labels, 0.01, (0, 1, learner.epoch, step)))
        report = learner.end_epoch()
    return report


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


@pytest.mark.parametrize(("above", "grows"), [(-1e-3, True), (1e-3, False)])
def test_growth_is_decided_once_by_the_training_loss_without_dropout(above, grows):
    learner, tasks = in_second_task()
    train(learner, tasks, 3)
    images, labels = tasks.tasks[1].train.batch(torch.arange(20))
    learner.train_step(Batch(images, labels, 0.01, (0, 1, 3)))
    expected = float(F.cross_entropy(learner.predict(1, images), labels))
    learner, tasks = in_second_task(loss_threshold=expected + above)
    extra = train(learner, tasks, 4).extra
    assert extra["fit_loss"] == pytest.approx(expected)
    assert (learner.phase == "expand") == grows
    assert train(learner, tasks, 2).extra["fit_loss"] == extra["fit_loss"]
    assert (learner.phase == "expand") == grows


def test_expansion_adds_units_that_the_group_lasso_can_take_back():
    learner, tasks = in_second_task(split_threshold=1e9, expansion=5, loss_threshold=0.0)
    assert train(learner, tasks, 4).extra["added"] == 15
    assert learner.units == [n + 5 for n in learner.sizes[0]]
    learner, tasks = in_second_task(split_threshold=1e9, expansion=5, group_lasso=1e6, loss_threshold=0.0)
    assert train(learner, tasks, 10).extra["added"] == 0
    assert learner.units == learner.sizes[0]


def last_row(l1):
    den = {"l1": l1, "group_lasso": 0.3, "loss_threshold": 0.0, "expansion": 8}
    model = {"channels": (12, 12, 12)}
    learner, life = run(spec_of("den", epochs=40, optim={"start": 1e-4}, den=den, model=model), stream(n_tasks=2))
    row = life.visits[1].history[-1]
    assert row["added"] + row["split"] == sum(learner.sizes[1]) - 36
    return row


def test_sparse_penalties_select_and_drop_within_a_task():
    row = last_row(l1=0.3)
    assert 0 < row["reached"] < 36
    assert 0 < row["added"] < 24
    assert row["split"] > 0
    assert last_row(l1=0.0)["reached"] > row["reached"]


def test_a_checkpoint_in_any_phase_gives_the_same_run():
    den = {"l1": 0.1, "loss_threshold": 0.0, "split_threshold": 0.0}
    spec, tasks = spec_of("den", epochs=10, optim={"start": 1e-4}, den=den), stream(n_tasks=2)
    memory = Memory()
    learner, life = run(spec, tasks, memory)
    assert life.visits[1].history[-1]["split"] > 0 < life.visits[1].history[5]["added"]
    for stop in range(13, memory.offers):
        cut = Memory(stop_at=stop)
        with pytest.raises(Stopped):
            run(spec, tasks, cut)
        resumed, again = run(spec, tasks, Memory(cut.state))
        assert same(results(life), results(again)) and same(learner.state_dict(), resumed.state_dict())


def test_a_first_task_reports_no_selection():
    _, life = run(spec_of("den"), stream(n_tasks=1))
    last = life.visits[0].history[-1]
    assert math.isnan(last["reached"]) and math.isnan(last["fit_loss"])
    assert last["added"] == last["split"] == 0


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
def test_shrinking_takes_the_amount_from_the_root_mean_square_of_a_group(amount):
    weight = torch.randn(3, 2, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    before, direction = weight.square().mean((2, 3)).sqrt(), F.normalize(weight.flatten(2), dim=2)
    surgery.shrink(weight, amount, (2, 3))
    torch.testing.assert_close(weight.square().mean((2, 3)).sqrt(), (before - amount).clamp(min=0))
    if amount < 1:
        torch.testing.assert_close(F.normalize(weight.flatten(2), dim=2), direction)


def test_shrinking_single_entries_is_the_proximal_step_of_the_l1_norm():
    weight = torch.tensor([[0.3], [-0.3], [0.05]], dtype=F64)[..., None, None]
    surgery.shrink(weight, 0.1, (2, 3))
    torch.testing.assert_close(weight.flatten(), torch.tensor([0.2, -0.2, 0.0], dtype=F64))


def test_connections_below_a_share_of_the_largest_count_as_zero():
    layers, head = tiny()
    head[0]["weight"].view(2, 3, 4)[:, 1] *= 1e-3
    layers[1]["weight"][[0, 2], 1] *= 1e-3
    assert [r.tolist() for r in surgery.walk_back(layers, head, 0.01)] == [[True, False], [True, False, True]]
    assert [int(r.sum()) for r in surgery.walk_back(layers, head, 1e-6)] == [2, 3]
