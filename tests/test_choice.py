"""What else the E-step may do: wait, be tempered, look at held-out images, forget, believe related tasks."""

import pytest
import torch
from small_stream import Memory, Stopped, environment, results, run, same, spec_of, stream

from lasem_core.common.errors import LasemError
from lasem_core.data.stream import Batch
from lasem_core.em import em_step
from lasem_core.learners import lasem, pruning
from lasem_core.runs.run import make_learner
from lasem_core.spec.run_spec import build_spec
from lasem_core.training import context_of, train_epoch

SWITCHES = {
    "start": {"start": 1},
    "temper": {"temper": 0.5},
    "held-out": {"evidence": "held-out"},
    "forget": {"forget": 0.05},
    "related": {"prior": "related"},
    "all": {"start": 1, "temper": 0.5, "evidence": "held-out", "forget": 0.05},
    "pruned": {"start": 1, "temper": 0.5, "evidence": "held-out", "prune": "refreshed", "prune_every": 2},
}


def trained(epochs=1, of=4, **em):
    """A learner `epochs` epochs into the first of its tasks, two mini-batches each."""
    env, tasks = environment(spec_of("lasem", "hps", epochs=of, em=em)), stream()
    learner, context = make_learner(env), context_of(env, tasks, 0)
    learner.begin_task(context)
    return learner, [train_epoch(learner, context, epoch) for epoch in range(1, epochs + 1)]


def test_before_the_start_every_configuration_is_trained_alike_and_none_is_judged():
    learner, (first, second, third) = trained(3, start=2)
    for report in (first, second):
        assert all(mass == pytest.approx(1 / 8) for _, row in report.weights for mass in row.values())
    assert learner.open.search.prior.votes.sum() == 8 + 2  # two mini-batches of the third epoch
    assert max(third.weights[-1][1].values()) > 1 / 8


def test_tempering_starts_flat_and_ends_exact(monkeypatch):
    betas = []
    monkeypatch.setattr(pruning, "em_step", lambda *given: (betas.append(given[7]), em_step(*given))[1])
    trained(4, of=4, temper=0.5)
    assert betas == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


def test_tempering_is_a_share_of_the_mini_batches_that_judge(monkeypatch):
    betas = []
    monkeypatch.setattr(pruning, "em_step", lambda *given: (betas.append(given[7:8]), em_step(*given))[1])
    trained(4, of=4, start=2, temper=1.0)
    assert betas == [()] * 4 + [(0.25,), (0.5,), (0.75,), (1,)]


def test_a_start_that_leaves_nothing_to_judge_is_refused():
    with pytest.raises(LasemError, match=r"em\.start 4: in a task of 4 epochs .* use less than 4"):
        trained(0, of=4, start=4)


def test_a_pruned_run_says_that_it_evaluates_all_before_it_judges():
    _, reports = trained(2, of=4, start=2, prune="refreshed", prune_every=2)
    assert [(report.extra["evaluated"], report.extra["updated"]) for report in reports] == [(8, 8)] * 2


def test_a_tempered_posterior_is_that_of_the_likelihood_to_the_power_beta():
    learner, _ = trained(0)
    batch = batch_of(learner)
    exact = learner.open.search.exact_posterior(batch)
    learner.open.search.beta = 0.3
    powered = exact**0.3 / (exact**0.3).sum()
    torch.testing.assert_close(learner.open.search.exact_posterior(batch), powered)


def batch_of(learner):
    images, labels = learner.open.context.task.train.batch(torch.arange(8))
    return Batch(images, labels, 0.01, (0, 0, 0))


def test_held_out_evidence_comes_from_validation_images_alone():
    """The posterior does not change with the mini-batch's labels, and does with those of the validation images."""
    learner, _ = trained(0, evidence="held-out")
    batch = batch_of(learner)
    before = learner.open.search.exact_posterior(batch)
    batch.labels.copy_(batch.labels.flip(0))
    assert torch.equal(learner.open.search.exact_posterior(batch), before)
    valid = learner.open.context.task.valid
    valid.labels.copy_((valid.labels + 1) % 3)
    assert not torch.equal(learner.open.search.exact_posterior(batch), before)


def test_a_step_on_held_out_evidence_uses_that_posterior_and_learns_from_the_mini_batch():
    learner, _ = trained(0, evidence="held-out")
    batch = batch_of(learner)
    expected = learner.open.search.exact_posterior(batch)
    learner.train_step(batch)
    torch.testing.assert_close(learner.open.trace.kept[-1], expected)


def test_related_tasks_are_remembered_and_others_are_not():
    learner, _ = run(spec_of("lasem", "hps", em={"prior": "related"}), stream())
    assert learner.counts.shape == learner.profiles.shape == (3, 8)
    assert learner.counts.sum(1).tolist() == [6, 6, 6]  # 3 epochs of 2 mini-batches
    other, _ = run(spec_of("lasem", "hps"), stream())
    assert len(other.counts) == 0


@pytest.mark.parametrize("em", SWITCHES.values(), ids=SWITCHES)
def test_every_switch_changes_a_run_and_resumes_exactly(em):
    spec = spec_of("lasem", "hps", epochs=4, em=em)
    whole = run(spec, stream())
    usual = {name: value for name, value in em.items() if name.startswith("prune")}
    assert not same(results(whole[1]), results(run(spec_of("lasem", "hps", epochs=4, em=usual), stream())[1]))
    memory = Memory(stop_at=8)
    with pytest.raises(Stopped):
        run(spec, stream(), memory)
    again = run(spec, stream(), Memory(memory.state))
    assert same(results(whole[1]), results(again[1])) and same(whole[0].state_dict(), again[0].state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"em.start": "-1"}, "em.start = '-1'"),
        ({"em.temper": "1.5"}, "em.temper = '1.5'"),
        ({"em.forget": "1"}, "em.forget = '1'"),
        ({"em.evidence": "test"}, "em.evidence = 'test'"),
        ({"em.forget": "0.1", "em.prior": "uniform"}, "changes nothing where em.prior is 'uniform'"),
    ],
)
def test_wrong_values_are_one_line(options, message):
    with pytest.raises(LasemError, match=message):
        build_spec({"dataset": "planted", "method": "lasem", "base": "hps"}, options)


def test_other_methods_have_no_such_switch():
    with pytest.raises(LasemError, match=r"em\.start = 1 changes nothing where method is 'static'"):
        build_spec({"dataset": "planted", "method": "static", "base": "hps"}, {"em.start": "1"})


SHORT = {"n_tasks": 2, "order": (0, 1, 0, 1)}


def visits(certain, monkeypatch, memory=None, **em):
    """Two tasks, two visits each of one epoch; above `certain` a task is decided."""
    monkeypatch.setattr(lasem, "CERTAIN", certain)
    spec = spec_of("lasem", "df-cnn", epochs=1, stream=SHORT, em={"revisit": "search"} | em)
    return run(spec, stream(2, SHORT["order"]), memory)


def weighed(visit):
    """The posterior of a visit's last mini-batch, by configuration."""
    return visit.posterior[-1]["weights"]


def test_a_task_that_is_unclear_is_searched_on_at_its_next_visit(monkeypatch):
    learner, life = visits(1.0, monkeypatch)
    assert [len(weighed(visit)) for visit in life.visits] == [8, 8, 8, 8]
    assert set(learner.undecided) == {0, 1}
    votes = [learner.undecided[task]["votes"].sum() for task in (0, 1)]
    assert votes == [pytest.approx(8 + 2 * 2)] * 2  # both visits' two mini-batches are counted together
    images = stream(2).tasks[0].test.batch(torch.arange(3))[0]
    assert learner.predict(0, images).shape == (3, 3)


def test_a_task_that_is_clear_is_fixed(monkeypatch):
    learner, life = visits(0.0, monkeypatch)
    fixed, _ = run(spec_of("lasem", "df-cnn", epochs=1, stream=SHORT), stream(2, SHORT["order"]))
    assert learner.undecided == {} and learner.configs == fixed.configs
    assert same(learner.state_dict(), fixed.state_dict())
    assert [len(weighed(visit)) for visit in life.visits] == [8, 8, 1, 1]


def test_an_undecided_task_keeps_every_filter_and_is_resumed(monkeypatch):
    whole, life = visits(1.0, monkeypatch, start=1)
    decided, _ = visits(0.0, monkeypatch, start=1)
    assert sum(t.numel() for t in whole.stored_tensors()["task0"]) > sum(
        t.numel() for t in decided.stored_tensors()["task0"]
    )
    for stop in range(1, 9):
        memory = Memory(stop_at=stop)
        try:
            visits(1.0, monkeypatch, memory, start=1)
        except Stopped:
            learner, again = visits(1.0, monkeypatch, Memory(memory.state), start=1)
            assert same(results(again), results(life)) and same(learner.state_dict(), whole.state_dict())


def test_only_a_tasks_first_visit_waits_before_it_judges(monkeypatch):
    _, life = visits(1.0, monkeypatch, start=1)
    largest = [max(weighed(visit).values()) for visit in life.visits]
    assert largest[0] == largest[1] == pytest.approx(1 / 8, rel=1e-3)
    assert min(largest[2:]) > 1 / 8


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stream": {"order": "fixed"}}, "no task is revisited"),
        ({"stream": {"order": (1, 0)}}, "no task is revisited"),
        ({"em": {"prior": "related"}}, "does not fit em.prior 'related'"),
    ],
)
def test_searching_on_is_refused_where_it_cannot_be(settings, told):
    given = {"stream": SHORT | settings.get("stream", {}), "em": {"revisit": "search"} | settings.get("em", {})}
    with pytest.raises((LasemError, ValueError), match=told):
        spec_of("lasem", "df-cnn", **given)
