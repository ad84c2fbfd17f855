"""Runs over the stages of a small ResNet and a small transformer: the promises of every method, kept there, too."""

import io
import random

import pytest
import torch
from small_stream import Memory, Stopped, environment, results, run, same, stream

from lasem_core import LasemError, LayerTransfer
from lasem_core.learners.staged import STAGED
from lasem_core.model.small_networks import NETWORKS
from lasem_core.runs.artefacts import plan
from lasem_core.runs.run import make_learner
from lasem_core.spec.consistency import STAGED_METHODS
from lasem_core.spec.parts import N_STAGES, Network, choices
from lasem_core.spec.run_spec import build_spec

SMALL = {"stream.n_tasks": "3", "schedule.epochs": "2", "optim.start": "0", "optim.lr": "0.001"}
CASES = [("lasem", "resnet", "hps"), ("lasem", "transformer", "hps"), ("lasem", "resnet", "df-cnn"),
         ("static", "transformer", "hps"), ("single-task", "resnet", "none")]  # fmt: skip


def spec_of(method, network, base="hps", **options):
    return build_spec(
        {"dataset": "cifar100", "method": method, "base": base} | options, SMALL | {"model.network": network}
    )


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request):
    spec, tasks, memory = spec_of(*request.param), stream(order=(0, 1, 2, 0)), Memory()
    learner, life = run(spec, tasks, memory)
    return spec, tasks, learner, life, memory.offers


def test_a_run_stopped_anywhere_goes_on_bit_for_bit(case):
    spec, tasks, learner, life, offers = case
    memory = Memory(stop_at=random.Random(f"{spec.method}{spec.model.network}").randrange(2, offers))
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
        assert torch.equal(logits, copy.predict(number, task.test.images))


def test_every_task_has_a_bit_for_each_stage(case):
    spec, _, learner, life, _ = case
    assert [len(config) for config in learner.configs] == ([] if spec.method == "single-task" else [5, 5, 5])
    layers = [name for name in life.visits[0].history[-1] if name.startswith("transfer_")]
    assert len(layers) == spec.model.depth == 5


@pytest.mark.parametrize("network", NETWORKS)
def test_no_stage_shared_is_a_network_for_each_task(network):
    """And so the same numbers."""
    ways = ("single-task", {"base": "none"}), ("static", {"config": "none"}), ("static", {"config": "all"})
    alone, none, shared = (
        [row["test_accuracy"] for row in run(spec_of(method, network, **how), stream())[1].accuracy]
        for method, how in ways
    )
    assert alone == none != shared


@pytest.mark.parametrize("network", NETWORKS)
def test_the_stages_are_those_a_user_would_give(network):
    factories = NETWORKS[network](3, 8)
    assert len(factories) == N_STAGES
    spec = spec_of("static", network)
    learner, search = make_learner(environment(spec)), LayerTransfer(factories, seed=spec.seed)
    assert [stage.trained for stage in learner.stages.layers] == [stage.trained for stage in search.stages.layers]


def test_names_of_networks_and_methods_are_those_there_are():
    assert choices(Network) == ("cnn", *NETWORKS)
    assert tuple(STAGED) == STAGED_METHODS


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        ("lasem", {"model.network": "resnet101"}, "'cnn', 'resnet' or 'transformer'"),
        ("brute-force", {"model.network": "resnet"}, "does not fit method 'brute-force'; use lasem, static"),
        ("lasem", {"model.network": "resnet", "precision": "bf16"}, "use fp32 or fp64"),
        ("lasem", {"model.network": "transformer", "model.channels": "8,8,8,8"}, "changes nothing"),
        ("lasem", {"model.network": "resnet", "em.groups": "1,2|3,4"}, "5"),
    ],
)
def test_what_a_network_cannot_do_is_one_line(method, settings, words):
    options = {"dataset": "cifar100", "method": method, "precision": settings.pop("precision", "fp32")}
    with pytest.raises(LasemError, match=words) as told:
        build_spec(options, settings)
    assert "\n" not in str(told.value)


def test_the_study_has_every_network_three_ways_and_a_short_rehearsal():
    quick, smoke = plan(["networks"], "quick"), plan(["networks"], "smoke")
    assert {(s.model.network, s.method, s.config, s.seed) for s in quick} == {
        (network, *way, seed)
        for network in NETWORKS
        for way in (("static", "11111"), ("static", "00000"), ("lasem", None))
        for seed in range(3)
    }
    assert {(s.dataset, s.model.network, s.schedule.epochs) for s in smoke} == {("planted", "resnet", 2)}
