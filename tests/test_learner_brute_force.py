"""Brute force: the best candidate of independent trainings from one starting point."""

import pandas as pd
import pytest
import torch
from small_stream import environment, results, run, same, spec_of, stream

from lasem_core import RunSpec, RunStore, train
from lasem_core.learners.brute_force import Candidate, tie
from lasem_core.learners.protocol import VisitLog
from lasem_core.runs.process import ProcessMap
from lasem_core.runs.run import make_learner
from lasem_core.runs.sweep import _spare, run_sweep
from lasem_core.spec.configs import ConfigSpace, TransferConfig
from lasem_core.training import Visit, context_of

BASES = ("hps", "tf", "df-cnn")


@pytest.fixture(scope="module", params=BASES)
def searched(request):
    spec = spec_of("brute-force", request.param)
    return spec, *run(spec, stream())


def test_the_candidate_with_the_best_validation_accuracy_is_kept(searched):
    _, learner, life = searched
    for visit, log in enumerate(life.visits):
        scores = learner.scores[visit]
        assert list(scores) == [str(config) for config in ConfigSpace.full(3)]
        best = max(scores, key=scores.get)  # the first, lowest index, among equals
        assert (learner.configs[visit], log.best_valid) == (best, scores[best])
        assert log.history[-1]["config"] == best


def test_a_first_task_candidate_is_the_static_network(searched):
    spec, learner, life = searched
    config = learner.configs[0]
    static, alone = run(spec_of("static", spec.base, config=config), stream(n_tasks=1))
    rows = [{k: v for k, v in row.items() if k != "entropy"} for row in life.visits[0].history]
    assert same([{k: v for k, v in row.items() if k != "entropy"} for row in alone.visits[0].history], rows)
    assert same(static.state_dict()["tasks"][0], learner.state_dict()["tasks"][0])


def test_candidates_of_a_later_task_share_their_starting_point():
    spec = spec_of("brute-force", "hps")
    tasks, env = stream(n_tasks=2), environment(spec)
    learner, _ = run(spec, stream(n_tasks=1))
    context = context_of(env, tasks, 1)
    fit = Visit(context, VisitLog())
    before = [None if g is None else {k: t.clone() for k, t in g.items()} for g in learner.shared]
    learner.begin_task(context)
    start = learner.open.start
    learner.train_task(fit)
    for config in (TransferConfig.parse("110", 3), TransferConfig.parse("none", 3)):
        alone = Candidate(env, config)
        alone.load_state_dict(start | {"shared": [dict(g) if g else None for g in before]})
        alone.shared = [None if g is None else {k: t.clone() for k, t in g.items()} for g in before]
        alone.begin_task(context)
        assert fit(alone, VisitLog()).best_valid == learner.scores[1][str(config)]


def test_a_parallel_map_gives_the_same_run(searched):
    spec, learner, life = searched
    again, other = run(spec, stream(), map=ProcessMap(2, threads=1))
    assert same(results(life), results(other))
    assert same(learner.state_dict(), again.state_dict())


def test_idle_workers_of_a_sweep_train_candidates():
    assert [_spare("loky", 8, n) for n in (0, 1, 3, 8, 20)] == [8, 8, 2, 1, 1]
    assert _spare("dask", 8, 1) == 1


def test_a_sweep_of_one_run_on_two_workers_gives_the_same_record(tmp_path):
    short = {"stream": {"n_tasks": 2}, "schedule": {"epochs": 1, "test_every": 1}}
    spec = RunSpec(method="brute-force", base="hps", em={"groups": "1,2|3,4"}, **short)
    alone, store = train(spec), RunStore(tmp_path)
    assert run_sweep([spec], store, jobs=2, progress=False).failed == []
    record = store.get(alone.run_id)
    assert alone.measured["peak_rss_mb"] > 0 and record.measured["peak_rss_mb"] is None  # half of it was elsewhere
    assert train(RunSpec(method="static", **short), jobs=2).measured["peak_rss_mb"] > 0  # it has nothing for two
    assert record.summary == alone.summary
    pd.testing.assert_frame_equal(record.history, alone.history)


def test_seconds_are_those_of_all_candidates(searched):
    _, _, life = searched
    _, one = run(spec_of("static", "hps", config="all"), stream())
    assert sum(v.train_seconds for v in life.visits) > 2 * sum(v.train_seconds for v in one.visits)


@pytest.mark.parametrize("base", BASES)
def test_released_rules_for_the_first_two_tasks(base):
    spec = spec_of("brute-force", base, preset="released", brute_force={"first_task": "fixed", "tie_first_two": True})
    learner, _ = run(spec, stream())
    assert list(learner.scores[0]) == ["000" if base == "hps" else "111"]
    assert len(learner.scores[1]) == len(learner.scores[2]) == 8
    assert learner.configs[0] == learner.configs[1]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("config", ["000", "101", "111"])
def test_tying_changes_the_owner_of_filters_not_the_filters(base, config):
    first = TransferConfig.parse("none" if base == "hps" else "all", 3)
    spec, tasks = spec_of("brute-force", base, brute_force={"first_task": "fixed"}), stream(n_tasks=1)
    learner, _ = run(spec, tasks)
    candidate = Candidate(learner.env, first)
    candidate.load_state_dict(learner.state_dict())
    images = tasks.tasks[0].test.images
    before = candidate.predict(0, images)
    tie(candidate, 0, TransferConfig.parse(config, 3))
    assert torch.equal(candidate.predict(0, images), before)
    assert str(candidate.chosen[0]) == config


def test_a_revisited_task_is_not_searched_again():
    learner, _ = run(spec_of("brute-force", "hps"), stream(n_tasks=2, order=(0, 1, 0)))
    assert [len(scores) for scores in learner.scores.values()] == [8, 8, 1]
    assert make_learner(learner.env).scores == {}
