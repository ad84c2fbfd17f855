"""Presets, profiles and data sets are independent; ids follow the numbers; mistakes read like sentences."""

import pytest
from pydantic import ValidationError

from lasem_core.common.errors import LasemError
from lasem_core.spec.command_line import command_line
from lasem_core.spec.parts import Dataset, DenSpec, ProgressiveSpec, choices
from lasem_core.spec.presets import seeds
from lasem_core.spec.run_spec import RunSpec, build_spec


def test_presets_are_the_table_of_switches():
    paper, released = (RunSpec(dataset="cifar100", preset=preset) for preset in ("paper", "released"))
    assert (paper.em.likelihood, paper.em.prior, paper.em.shared_init) == ("joint", "count", "once")
    assert (released.em.likelihood, released.em.prior) == ("mean", "running-mean")
    assert released.em.shared_init == "until-transferred"
    assert (paper.optim.lr_decay, released.optim.lr_decay) == (0, 1 / 4000)
    assert released.model.kb_channels == (16, 24, 32, 36) and paper.model.kb_channels is None
    assert (paper.stream.images, released.stream.images) == ("per-seed", "shared")
    assert RunSpec(dataset="planted", preset="released").stream.images == "per-seed"  # item 50 is about CIFAR-100
    assert (paper.stream.normalisation, released.stream.normalisation) == ("train", "split")


def test_released_baselines_follow_items_56_and_59():
    assert RunSpec(method="progressive", base="none").progressive.compression == 2
    assert RunSpec(method="progressive", base="none", preset="released").progressive.compression == 1
    cifar, office = (RunSpec(dataset=d, method="den", preset="released") for d in ("cifar100", "office-home"))
    assert (cifar.model.head, cifar.den.expansion, office.den.expansion) == ((128,), 16, 32)
    assert (office.den.l1, office.den.group_lasso, office.den.loss_threshold) == (1e-6, 0.8, 0.01)
    paper = RunSpec(dataset="cifar100", method="den")
    assert (paper.model.head, paper.den.expansion) == ((64,), 32)


def test_released_baselines_leave_other_methods_alone():
    spec = RunSpec(dataset="cifar100", preset="released")
    assert (spec.model.head, spec.den, spec.progressive) == ((64,), DenSpec(), ProgressiveSpec())


@pytest.mark.parametrize("dataset", choices(Dataset))
def test_a_profile_changes_scale_only(dataset):
    quick, paper = (RunSpec(dataset=dataset, profile=profile) for profile in ("quick", "paper"))
    same = {"profile", "schedule", "stream"}
    assert quick.model_dump(exclude=same) == paper.model_dump(exclude=same)
    assert quick.stream.model_dump(exclude={"n_tasks"}) == paper.stream.model_dump(exclude={"n_tasks"})


@pytest.mark.parametrize(
    ("dataset", "epochs", "tasks", "lr"),
    [("cifar100", 2000, 10, 1e-4), ("office-home", 1000, 10, 2e-5), ("stl10", 500, 20, 1e-4)],
)
def test_the_paper_profile_is_table_2(dataset, epochs, tasks, lr):
    spec = RunSpec(dataset=dataset, profile="paper")
    assert (spec.schedule.epochs, spec.stream.n_tasks, spec.optim.lr) == (epochs, tasks, lr)
    assert len(seeds("paper", dataset)) == 5


def test_what_is_given_wins_and_comes_back():
    spec = build_spec(
        {"dataset": "cifar100", "preset": "released"}, {"em.likelihood": "joint", "model.channels": "8,8,8,8"}
    )
    assert (spec.em.likelihood, spec.em.prior, spec.model.channels) == ("joint", "running-mean", (8, 8, 8, 8))
    assert RunSpec(**spec.model_dump()) == spec
    assert RunSpec(**spec.model_dump(mode="json")) == spec


def test_ids():
    spec = RunSpec(dataset="cifar100", method="static", config="all")
    assert spec.run_id("data", "cpu", 1) == RunSpec(dataset="cifar100", method="static", config="1111").run_id(
        "data", "cpu", 1
    )
    others = [spec.run_id("other", "cpu", 1), spec.run_id("data", "cuda", 1), spec.run_id("data", "cpu", 2)]
    changed = [RunSpec(dataset="cifar100", method="static", config="all", **change).run_id("data", "cpu", 1)
               for change in ({"seed": 1}, {"threads": 2}, {"precision": "bf16"}, {"preset": "released"})]  # fmt: skip
    assert len({spec.run_id("data", "cpu", 1), *others, *changed}) == 8
    asked = RunSpec(dataset="cifar100", method="static", config="all", device="cpu")
    assert asked.run_id("data", "cpu", 1) == spec.run_id("data", "cpu", 1)


def test_ids_of_stored_runs_do_not_move():
    """If this fails, every stored record would be computed again: undo the change of a default or a table."""
    golden = {
        "static": "8b5bf3e77a8ccaf2",
    }
    fingerprint = CIFAR_SUBSET_FINGERPRINT
    for method, run_id in golden.items():
        spec = RunSpec(dataset="cifar100", method=method, base="hps", profile="quick", seed=0)
        assert spec.run_id(fingerprint, "cpu", 1) == run_id


CIFAR_SUBSET_FINGERPRINT = "5a18a3a3cea46084"


@pytest.mark.parametrize(
    ("options", "settings", "words"),
    [
        ({"dataset": "cifar"}, {}, ["dataset", "cifar", "cifar100"]),
        ({"method": "lasm"}, {}, ["method", "lasm", "lasem"]),
        ({"method": "static", "config": "01"}, {}, ["config '01'", "4 layers"]),
        ({"config": "0101"}, {}, ["config '0101'", "lasem", "leave it out"]),
        ({"method": "den", "base": "hps"}, {}, ["base 'hps'", "den", "none"]),
        ({"base": "none"}, {}, ["base 'none'", "hps, tf, df-cnn"]),
        ({}, {"schedule.epochs": "-1"}, ["schedule.epochs", "-1"]),
        ({}, {"em.likelyhood": "mean"}, ["em.likelyhood", "likelihood"]),
        ({}, {"emm.likelihood": "mean"}, ["emm", "em"]),
        ({}, {"model.channels": "8,8"}, ["model.kernels", "2 entries"]),
        ({}, {"em.groups": "1,2|3"}, ["groups", "1..4"]),
        ({}, {"stream.order": "0,9"}, ["stream.order", "(0, 9)", "0..2"]),
        ({}, {"em.prune": "certified"}, ["em.prune", "certified", "refreshed"]),
        ({"method": "static"}, {"em.prune": "refreshed"}, ["em.prune", "static", "off"]),
        ({}, {"threads": "0"}, ["threads", "0"]),
    ],
)
def test_mistakes_name_the_field_the_value_and_the_way_out(options, settings, words):
    with pytest.raises(LasemError) as caught:
        build_spec(options, settings)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_spec_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        RunSpec().seed = 1


def test_the_released_fixed_posterior_is_on_top_1():
    chosen = {p: RunSpec(method="fixed-posterior", dataset="cifar100", preset=p).config for p in ("paper", "released")}
    assert chosen == {"paper": "0011", "released": "0001"}


def test_what_a_preset_gives_can_be_taken_back_on_the_command_line():
    spec = RunSpec(dataset="cifar100", preset="released", base="df-cnn", model={"kb_channels": None})
    assert "--set model.kb_channels=None" in command_line(spec)
    options = {"dataset": "cifar100", "preset": "released", "base": "df-cnn"}
    assert build_spec(options, {"model.kb_channels": "None"}) == spec


@pytest.mark.parametrize("method", ["static", "fixed-posterior"])
def test_a_method_with_a_configuration_needs_one(method):
    with pytest.raises(ValidationError, match="needs a config"):
        RunSpec(method=method, config=None)


def test_visits_are_counted_by_the_order():
    assert RunSpec(stream={"n_tasks": 3}).stream.n_visits == 3
    assert RunSpec(stream={"n_tasks": 3, "order": (0, 1, 0, 2)}).stream.n_visits == 4
