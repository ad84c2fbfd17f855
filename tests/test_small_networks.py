"""Runs over the stages of a small ResNet and a small transformer; what every method promises the loop is tested beside
the others in `test_learners_protocol.py`."""

import pytest
from sample_records import record
from small_stream import environment, run, spec_of, stream

from lasem_core import LasemError, LayerTransfer
from lasem_core.learners.staged import STAGED
from lasem_core.model.small_networks import NETWORKS
from lasem_core.runs.pace import expected, pace_of
from lasem_core.runs.plan import plan
from lasem_core.runs.run import make_learner
from lasem_core.runs.store import RunStore
from lasem_core.spec.consistency import STAGED_METHODS
from lasem_core.spec.parts import N_STAGES, Dataset, Network, choices
from lasem_core.spec.run_spec import build_spec
from lasem_core.views import networks, tables
from lasem_core.views.evidence import Evidence


@pytest.mark.parametrize("network", NETWORKS)
def test_no_stage_shared_is_a_network_for_each_task(network):
    """And so the same numbers."""
    ways = (
        ("single-task", {"base": "none"}),
        ("static", {"base": "hps", "config": "none"}),
        ("static", {"base": "hps", "config": "all"}),
    )
    alone, none, shared = (
        [row["test_accuracy"] for row in run(spec_of(method, network=network, **how), stream())[1].accuracy]
        for method, how in ways
    )
    assert alone == none != shared


@pytest.mark.parametrize("network", NETWORKS)
def test_the_stages_are_those_a_user_would_give(network):
    factories = NETWORKS[network](3, 8)
    assert len(factories) == N_STAGES
    spec = spec_of("static", "hps", network=network)
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


def lasem_and_static(network="resnet", gains=(0.10, 0.12, 0.14)):
    """Records of three trials, LASEM `gains` above both static configurations."""
    chosen = ("00000", "11000", "10000")
    for seed, gain in enumerate(gains):
        options = {"dataset": "cifar100", "profile": "quick", "seed": seed, "model": {"network": network}}
        for config in ("11111", "00000"):
            name = f"{network}{config}{seed}"
            yield record(name, 0.3, 1.0, chosen, method="static", config=config, **options)
        yield record(f"{network}{seed}", 0.3 + gain, 1.0, chosen, method="lasem", **options)


def test_a_gain_is_paired_with_its_seed_and_judged():
    gains = networks.gain_table(networks.trial_table(lasem_and_static()))
    assert gains["gain"].tolist() == pytest.approx([0.12, 0.12])
    assert gains["gain_ci"].tolist() == pytest.approx([4.3027 * 0.02 / 3**0.5] * 2, rel=1e-4)
    assert gains["corrected"].tolist() == pytest.approx([2 * 0.00914] * 2, rel=1e-2)  # Holm over both comparisons
    assert gains["verdict"].tolist() == ["better", "better"]
    few = networks.gain_table(networks.trial_table(lasem_and_static(gains=(0.1, 0.1001))))
    assert few["verdict"].tolist() == ["undecided", "undecided"]


def test_the_first_task_has_nobody_to_share_with():
    table = networks.stage_table(lasem_and_static(gains=(0.1,)))
    assert table["shared"].tolist() == [1.0, 0.5, 0.0, 0.0, 0.0]


def test_tables_picture_and_sentence():
    records = [*lasem_and_static(), *lasem_and_static("transformer", (-0.1, 0.2, 0.0))]
    evidence = Evidence("networks", "quick", [r.spec for r in records], records)
    shown = networks.result_table(networks.trial_table(records))
    assert shown["stages"].tolist() == ["all stages shared", "no stage shared", "LASEM"] * 2
    assert networks.in_points(networks.gain_table(networks.trial_table(records)))["verdict"].tolist()[2] == "undecided"
    axes = networks.stages(networks.stage_table(records), evidence.caption).axes[0]
    assert [bar.get_height() for bar in axes.patches][:5] == [1.0, 0.5, 0.0, 0.0, 0.0]
    words = networks.sentence(evidence)
    assert "ResNet +12.0 ± 5.0 points against all stages shared (better)" in words
    assert words.endswith("(n = 3; verdicts after Holm's correction).")


def test_of_nothing_nothing_is_said():
    nothing = Evidence("networks", "quick", [], [])
    assert "not both recorded" in networks.sentence(nothing)
    axes = networks.stages(networks.stage_table([]), "").axes[0]
    assert "not run" in [text.get_text() for text in axes.texts]


def test_a_network_has_a_pace_of_its_own(tmp_path):
    store = RunStore(tmp_path)
    kinds = (("a", 20.0, "cnn", "0111"), ("b", 90.0, "resnet", "01110"))
    made = [record(name, configs=[config] * 3, seconds=seconds, profile="quick", model={"network": network})
            for name, seconds, network, config in kinds]  # fmt: skip
    for one in made:
        store.put(one)
    pace = pace_of(store.summaries())
    seconds = [expected([one.spec], pace)[0] for one in made]
    assert seconds == pytest.approx([20.0, 90.0])


@pytest.mark.parametrize("dataset", choices(Dataset))
def test_any_data_set_may_take_the_place(dataset):
    """Also one whose own network has groups of layers."""
    specs = plan(["networks"], "quick", seeds=[0], dataset=dataset)
    assert {(spec.dataset, spec.em.groups, len(spec.space)) for spec in specs} == {(dataset, "", 32)}


def test_coverage_tells_networks_apart():
    table = tables.coverage(Evidence("networks", "quick", plan(["networks"], "quick", seeds=[0]), []))
    assert dict(zip(table["runs"], table["recorded"], strict=True)) == {
        "static configurations HPS, ResNet": "0 of 2", "static configurations HPS, transformer": "0 of 2",
        "LASEM HPS, ResNet": "0 of 1", "LASEM HPS, transformer": "0 of 1",
    }  # fmt: skip
