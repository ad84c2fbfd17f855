"""Task ends, roll-back, revisits, pruning and the fixed posterior, on networks small enough to count."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lasem_core.data.stream import Batch
from lasem_core.learners import Environment, TaskContext, subset
from lasem_core.runs.run import make_learner
from lasem_core.spec.configs import TransferConfig
from lasem_core.spec.run_spec import RunSpec

CPU = torch.device("cpu")
MODEL = {"channels": (4, 5, 6, 7), "pools": (1, 2, 1, 2), "head": (9,)}


class ThreeWay:
    n_classes, train, valid = 3, (), ()


def learner_for(device=CPU, **options):
    settings = {"dataset": "cifar100", "model": MODEL, "precision": "fp64"} | options
    return make_learner(Environment(RunSpec(**settings), (3, 8, 8), device))


def context(number, visit):
    return TaskContext(number, visit, ThreeWay, 1, lambda epoch: 0.01)


def batches(visit, n, device=CPU):
    images = torch.randn(n, 5, 3, 8, 8, generator=torch.Generator().manual_seed(visit), dtype=torch.float64)
    labels = torch.arange(5).remainder(3)
    return [Batch(x.to(device), labels.to(device), 0.01, (0, visit, i)) for i, x in enumerate(images)]


def run_task(learner, number, visit=None, steps=6):
    visit = number if visit is None else visit
    learner.begin_task(context(number, visit))
    for batch in batches(visit, steps):
        learner.train_step(batch)
    report = learner.end_epoch()
    learner.end_task()
    return report


def copies(learner):
    return [{name: t.detach().clone() for name, t in group.items()} for group in learner.shared]


def changed(before, after):
    return [any(not torch.equal(b[name], a[name]) for name in b) for b, a in zip(before, after, strict=True)]


@pytest.mark.parametrize("rollback", [True, False])
@pytest.mark.parametrize("base", ["hps", "tf", "df-cnn"])
def test_layers_not_chosen_return_to_their_old_value(base, rollback):
    learner = learner_for(method="fixed-posterior", base=base, config="0110", em={"rollback": rollback})
    learner.begin_task(context(0, 0))
    before = copies(learner)
    learner.train_step(batches(0, 1)[0])
    assert changed(before, copies(learner)) == [True] * 4
    learner.end_epoch()
    learner.end_task()
    assert changed(before, copies(learner)) == ([False, True, True, False] if rollback else [True] * 4)
    task = learner.tasks[0]
    assert [a is None for a in task.adapters] == [True, False, False, True]
    assert [s is None for s in task.specific] == [False, True, True, False]


def test_released_makes_shared_layers_anew_until_one_is_transferred():
    options = {"method": "fixed-posterior", "config": "0110", "em": {"shared_init": "until-transferred"}}
    learner = learner_for(**options)
    run_task(learner, 0)
    after_first = copies(learner)
    learner.begin_task(context(1, 1))
    assert changed(after_first, copies(learner)) == [True, False, False, True]


def test_paper_makes_shared_layers_once():
    learner = learner_for(method="fixed-posterior", config="0110")
    run_task(learner, 0)
    after_first = copies(learner)
    learner.begin_task(context(1, 1))
    assert changed(after_first, copies(learner)) == [False] * 4


def test_old_tasks_are_frozen_but_feel_shared_layers():
    learner = learner_for(method="static", config="0110")
    run_task(learner, 0)
    own = [t.clone() for t in learner.tasks[0].tensors()]
    images = batches(0, 1)[0].images
    old = learner.predict(0, images)
    run_task(learner, 1)
    assert all(torch.equal(a, b) for a, b in zip(own, learner.tasks[0].tensors(), strict=True))
    assert not torch.equal(old, learner.predict(0, images))


def test_single_task_networks_never_forget():
    learner = learner_for(method="single-task", base="none")
    run_task(learner, 0)
    images = batches(0, 1)[0].images
    old = learner.predict(0, images)
    run_task(learner, 1)
    assert torch.equal(old, learner.predict(0, images))
    assert learner.configs == []


def test_a_revisited_task_trains_its_fixed_configuration():
    learner = learner_for(method="lasem")
    run_task(learner, 0)
    chosen = learner.configs[0]
    head = learner.tasks[0].head[0]["weight"].clone()
    run_task(learner, 1)
    report = run_task(learner, 0, visit=2)
    assert (report.config, learner.configs[0], list(report.weights[-1][1])) == (chosen, chosen, [chosen])
    assert not torch.equal(head, learner.tasks[0].head[0]["weight"])


def test_lasem_chooses_the_most_counted_configuration():
    learner = learner_for(method="lasem")
    learner.begin_task(context(0, 0))
    assert str(learner.open.in_use) == "1111"  # a uniform belief leans to transfer
    for batch in batches(0, 8):
        learner.train_step(batch)
    learner.end_epoch()
    winner = int(learner.open.search.prior.votes.argmax())
    assert learner.open.in_use == TransferConfig.from_index(winner, 4)


def test_prior_starts_anew_for_each_task_unless_it_is_the_history():
    for prior, is_uniform in (("count", True), ("history", False)):
        learner = learner_for(method="lasem", em={"prior": prior})
        run_task(learner, 0)
        learner.begin_task(context(1, 1))
        believed = learner.open.search.prior.probabilities()
        assert bool((believed == believed[0]).all()) == is_uniform
        assert float(learner.open.search.prior.votes.sum()) == 16  # no vote has been cast yet


def test_fixed_posterior_weights():
    learner = learner_for(method="fixed-posterior", config="0011", em={"fixed_mass": 0.7})
    report = run_task(learner, 0)
    masses = report.weights[-1][1]
    assert masses["0011"] == pytest.approx(0.7)
    assert {round(m, 9) for c, m in masses.items() if c != "0011"} == {round(0.3 / 15, 9)}
    assert learner.configs == ["0011"]


def test_groups_search_only_their_configurations():
    learner = learner_for(method="lasem", em={"groups": "1,2|3,4"})
    report = run_task(learner, 0)
    assert set(report.weights[-1][1]) == {"1111", "0011", "1100", "0000"}


def trajectory(rule, **em):
    learner = learner_for(method="lasem", em={"prune": rule} | em)
    learner.begin_task(context(0, 0))
    for batch in batches(0, 40):
        learner.train_step(batch)
    return learner, learner.end_epoch()


def test_nothing_is_skipped_when_pruning_never_finds_anything_to_skip():
    """With an epsilon no set can meet `refreshed` equals `off` bit for bit."""
    exact, _ = trajectory("off")
    pruned, report = trajectory("refreshed", prune_every=2, prune_eps=1e-12)
    assert report.extra["evaluated"] == report.extra["updated"] == 16
    for one, other in zip(exact.open.network.parameters(), pruned.open.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_refreshed_skips_measures_and_widens_again():
    learner, report = trajectory("refreshed", prune_every=5, prune_eps=0.3)
    assert 1 <= report.extra["updated"] < report.extra["evaluated"] < 16
    rule = learner.open.rule
    rule.window.kept, rule.window.left = (0,), 1  # a full evaluation that finds everything but 1111 outside
    learner.open.search.exact_posterior = lambda batch: torch.tensor([0.1] + [0.06] * 15, dtype=torch.float64)
    learner.train_step(batches(0, 1)[0])
    assert rule.window.kept is None and rule.report()["pruned_mass"] == pytest.approx(0.9)


def test_a_full_evaluation_trains_the_kept_configurations_only():
    """Where every mini-batch is one, the layers that 1111 does not use stay as they are, and the others move."""
    learner, _ = trajectory("refreshed", prune_every=1, prune_eps=0.3)
    learner.open.rule.window.kept = (0,)  # 1111, and no further choice in the one step below
    specific, shared = copies_of(learner.tasks[0].specific), copies_of(learner.shared)
    learner.train_step(batches(0, 1)[0])
    assert specific and all(map(torch.equal, specific, copies_of(learner.tasks[0].specific)))
    assert not any(map(torch.equal, shared, copies_of(learner.shared)))
    assert learner.open.rule.report()["evaluated"] > 1


def copies_of(groups):
    return [t.detach().clone() for group in groups if group for t in group.values()]


def test_one_configuration_needs_no_e_step(monkeypatch):
    """Its posterior is 1 whatever the data say."""
    monkeypatch.setattr(subset, "e_step", None)
    learner = learner_for(method="lasem", em={"prune": "refreshed"})
    learner.begin_task(context(0, 0))
    learner.open.rule.window.kept, learner.open.rule.window.left = (0,), 9
    learner.train_step(batches(0, 1)[0])
    assert learner.open.trace.kept[-1].tolist() == [1] + [0] * 15


def test_a_pruned_layer_is_left_alone():
    """RMSProp forgets nothing of tensors that no evaluated configuration uses, TF's factors included."""
    learner = learner_for(method="lasem", base="tf", em={"prune": "refreshed"})
    learner.begin_task(context(0, 0))
    window = learner.open.rule.window
    window.kept, window.left = (learner.space.positions[TransferConfig.parse("none", 4)],), 9
    learner.train_step(batches(0, 1)[0])
    adapters = {id(t) for group in learner.tasks[0].adapters for t in group.values()}
    squares = zip(learner.open.search.optimizer.parameters, learner.open.search.optimizer.mean_squares, strict=True)
    left = [square for tensor, square in squares if id(tensor) in adapters]
    assert left and all(bool((square == learner.spec.optim.start).all()) for square in left)


def test_history_is_a_belief_and_never_a_vote():
    """After two tasks that chose one configuration, a third that prefers another one gets it."""
    learner = learner_for(method="lasem", em={"prior": "history"})
    favourites = [3, 3, 5]
    for number, favourite in enumerate(favourites):
        learner.begin_task(context(number, number))
        believed = float(learner.open.search.prior.probabilities()[3])
        assert believed > 0.5 if number else believed == pytest.approx(1 / len(learner.space))
        for _ in range(20):
            seen = torch.nn.functional.one_hot(torch.tensor(favourite), len(learner.space)).double()
            learner.open.search.prior.update(seen)
        learner.end_epoch()
        learner.end_task()
    assert learner.configs == [str(learner.space[favourite]) for favourite in favourites]
    assert learner.counts.sum() == 60


@pytest.mark.parametrize("method", ["lasem", "static", "fixed-posterior"])
@pytest.mark.parametrize("base", ["hps", "tf", "df-cnn"])
def test_a_step_never_waits_for_the_host(method, base):
    """On `meta`, fake tensors have no values: any device mismatch and any synchronisation raises."""
    with FakeTensorMode():
        device = torch.device("meta")
        learner = learner_for(device, method=method, base=base, precision="fp32")
        learner.begin_task(context(0, 0))
        images = torch.empty(5, 3, 8, 8, device=device)
        labels = torch.empty(5, dtype=torch.int64, device=device)
        for step in range(2):
            learner.train_step(Batch(images, labels, 0.1, (0, 0, step)))
