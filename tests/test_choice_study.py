"""The study of other E-steps: what is compared with what, and what its verdicts need."""

import math

import pandas as pd
import pytest
from sample_records import record
from scipy import stats

from lasem_core.common.statistics import holm, paired_p
from lasem_core.runs.plan import plan
from lasem_core.spec.run_spec import build_spec
from lasem_core.views import canvas, choice, planted
from lasem_core.views.evidence import Evidence


def trials(gains, base="hps", name="start=6"):
    """What `by_trial` gives: preset paper at 50 %, the variant `gains` above it, seed by seed."""
    rows = [
        {"base": base, "variant": variant, "seed": seed, "streams": "", "accuracy": 0.5 + gain * (variant != "paper")}
        | dict.fromkeys(planted.COMPARISONS, 0.1 - gain * (variant != "paper"))
        for seed, gain in enumerate(gains)
        for variant in ("paper", name)
    ]
    return pd.DataFrame(rows)


def verdict(*gains):
    return choice.variant_table(trials(gains)).set_index("variant").loc["start=6"]


def test_a_gain_is_paired_and_judged():
    row = verdict(0.10, 0.12, 0.14)  # standard deviation 2 points: t = 0.12 / (0.02 / sqrt(3)) = 10.39, p = 0.0091
    assert row["gain"] == pytest.approx(0.12)
    assert row["gain_ci"] == pytest.approx(4.3027 * 0.02 / 3**0.5, rel=1e-4)
    assert row["p"] == row["corrected"] == pytest.approx(0.00914, rel=1e-2)
    assert row["verdict"] == "better"
    assert verdict(-0.10, -0.12, -0.14)["verdict"] == "worse"
    assert verdict(-0.10, 0.12, 0.14)["verdict"] == "undecided"


def test_the_same_seed_on_other_images_is_no_pair():
    table = trials((0.10, 0.12, 0.14))
    elsewhere = table.assign(streams=table["variant"])
    assert choice.variant_table(elsewhere).set_index("variant").loc["start=6", "pairs"] == 0


@pytest.mark.parametrize("gains", [(0.1,), (0.1, 0.1001)])
def test_fewer_than_three_trials_decide_nothing(gains):
    assert verdict(*gains)["verdict"] == "undecided"


def test_correction_is_for_every_comparison_of_the_table():
    many = pd.concat([trials((0.10, 0.12, 0.14), base) for base in choice.BASES])
    table = choice.variant_table(many)
    tested = table[table["variant"] == "start=6"]
    assert list(tested["corrected"]) == pytest.approx([3 * 0.00914] * 3, rel=1e-2)


def test_holm_is_a_step_down():
    corrected = holm([0.04, 0.01, float("nan"), 0.03])
    assert corrected == pytest.approx([0.06, 0.03, float("nan"), 0.06], nan_ok=True)


def test_p_values_are_those_of_scipy():
    gains = [0.1, -0.05, 0.2, 0.07]
    assert paired_p(gains) == pytest.approx(stats.ttest_1samp(gains, 0).pvalue)
    assert (paired_p([0.1, 0.1]), paired_p([0.0, 0.0])) == (0.0, 1.0)
    assert math.isnan(paired_p([0.1]))


def test_comparisons_stand_beside_the_static_configurations_of_the_same_trial():
    def run(method, config, valid, accuracy, seed=0):
        return {"relatedness": "low", "base": "hps", "seed": seed, "stream": "", "method": method, "variant": "paper",
                "config": config, "valid": valid, "final_accuracy": accuracy}  # fmt: skip

    table = planted.compared(
        pd.DataFrame(
            [
                run("static", "1111", 0.5, 0.40), run("static", "1100", 0.6, 0.80), run("static", "0000", 0.9, 0.60),
                run("lasem", "", 0.9, 0.65), run("lasem", "", 0.9, 0.65, seed=1),
            ]
        )
    )  # fmt: skip
    row = table.set_index("seed").loc[0]
    assert row["regret"] == pytest.approx(0.60 - 0.65)
    assert row["behind_planted"] == pytest.approx(0.80 - 0.65)
    assert row["gain_over_all"] == pytest.approx(0.65 - 0.40)
    assert row["gain_over_random"] == pytest.approx(0.65 - 0.60)
    assert table.set_index("seed").loc[1, list(planted.COMPARISONS)].isna().all()


def lasem(number, seed, configs, relatedness="low", fraction=1.0, **em):
    """A record whose tasks ended in `configs`."""
    settings = {"stream": {"relatedness": relatedness, "n_tasks": 3, "fraction": fraction}, "em": em}
    made = record(
        f"{number}", 0.5, dataset="planted", method="lasem", base="hps", profile="quick", seed=seed, **settings
    )
    made.summary["configs"] = ["0000", *configs]
    return made


def test_agreement_is_counted_by_layer_by_configuration_and_between_trials():
    records = [lasem(0, 0, ["1100", "1000"]), lasem(1, 1, ["1100", "0011"])]
    row = choice.agreement_table(records).loc[0]
    assert row["layers"] == pytest.approx(((1 + 0.75) / 2 + (1 + 0) / 2) / 2)
    assert row["exact"] == pytest.approx(0.5)
    assert row["seeds"] == pytest.approx(0.5)  # task 2 alike, task 3 not
    assert row["n"] == 2


def test_one_share_of_the_images_tells_no_growth():
    table = choice.agreement_table([lasem(0, 0, ["1100", "1000"])])
    assert choice.growth(table).empty
    assert len(choice.growth(pd.concat([table, table.assign(fraction=0.25)]))) == 2


def test_growth_is_paired_and_judged():
    scarce = [["0011", "0011"], ["0111", "0011"], ["1011", "0011"]]  # of eight layers 0, 1 and 1 are as planted
    records = [lasem(f"q{seed}", seed, configs, fraction=0.25) for seed, configs in enumerate(scarce)]
    records += [lasem(f"a{seed}", seed, ["1100", "1100"]) for seed in range(3)]
    row = choice.growth_table(records).iloc[0]
    assert row["more layers as planted (points)"] == "+91.7 ± 17.9 (n=3)"
    assert (row["corrected p"], row["verdict"]) == ("0.002", "better")
    assert choice.growth_table(records[:3]).empty


def test_variants_are_named_by_what_they_change():
    def name(**switches):
        return planted.variant(build_spec({"dataset": "planted", "method": "lasem", **switches}))

    assert name() == "paper"
    assert name(preset="released") == "released"
    assert tuple(name(em=dict(em)) for em in choice.E_STEPS) == choice.VARIANTS[2:]


def test_runs_on_less_data_are_not_compared_with_static_configurations():
    specs = [spec for spec in plan(["choice"], "quick", seeds=[0]) if spec.stream.fraction < 1]
    assert len(specs) == 4 * 3
    assert {(spec.method, spec.schedule.epochs, spec.preset) for spec in specs} == {("lasem", 120, "paper")}
    made = [record("0", 0.5, **specs[0].model_dump(include={*specs[0].model_fields_set, "stream", "schedule"}))]
    assert choice.whole(made) == []


def test_the_rehearsal_is_a_small_part_of_the_study():
    smoke, quick = plan(["choice"], "smoke"), plan(["choice"], "quick")
    assert set(smoke) <= set(plan(["planted"], "smoke"))
    assert {spec.seed for spec in quick} == set(range(10))
    assert {spec.base for spec in quick} == set(choice.BASES)


@pytest.fixture(scope="module")
def evidence():
    specs = [s for s in plan(["choice"], "quick", seeds=[0, 1]) if s.method == "lasem" or s.config in ("1111", "1100")]
    records = [
        record(f"{number}", 0.4 + 0.0001 * number, **spec.model_dump(include={*spec.model_fields_set, "stream", "em"}))
        for number, spec in enumerate(specs)
    ]
    return Evidence("choice", "quick", specs, records)


PICTURES = {
    choice.picture: lambda records: choice.variant_table(choice.by_trial(records)),
    choice.regrets: lambda records: choice.compared(choice.trial_table(choice.whole(records))),
    choice.agreement_by_data: lambda records: choice.growth(choice.agreement_table(records)),
}


@pytest.mark.parametrize("view", PICTURES)
def test_pictures(view, evidence):
    assert canvas.png(view(PICTURES[view](evidence.records), evidence.caption))
    nothing = view(PICTURES[view]([]), evidence.caption)
    assert all("not run" in [text.get_text() for text in axes.texts] for axes in nothing.axes)


def test_the_sentence_says_when_nothing_can_be_said(evidence):
    assert "Too few trials" in choice.sentence(evidence)
    assert "Too few trials" in choice.sentence(Evidence("choice", "quick", evidence.specs, []))


def test_the_sentence_counts_verdicts_and_names_the_largest_gain():
    seeds = range(3)
    gains = {"start=6": (0.10, 0.12, 0.14), "temper=0.5": (-0.1, 0.3, 0.0)}
    made = [
        lasem_run(seed, name, related, 0.5 + (gains[name][seed] if name in gains else 0))
        for seed in seeds
        for name in ("paper", *gains)
        for related in planted.PLANTED
    ]
    statics = [static_run(seed, related) for seed in seeds for related in planted.PLANTED]
    words = choice.sentence(Evidence("choice", "quick", [r.spec for r in made], [*made, *statics]))
    assert words.startswith("Of 2 comparisons with preset paper, 1 are better, 0 worse and 1 undecided")
    assert words.endswith("the largest gain is +12.0 ± 5.0 points (HPS with start=6, n = 3).")


def test_a_trial_is_compared_only_where_every_kind_of_tasks_is():
    kinds = list(planted.PLANTED)
    made = [lasem_run(0, "paper", related, 0.5) for related in kinds]
    whole = choice.by_trial([*made, *(static_run(0, related) for related in kinds)]).loc[0]
    part = choice.by_trial([*made, *(static_run(0, related) for related in kinds[1:])]).loc[0]
    assert (whole["accuracy"], whole["gain_over_all"]) == (pytest.approx(0.5), pytest.approx(0.1))
    assert part["accuracy"] == pytest.approx(0.5) and math.isnan(part["gain_over_all"])
    assert choice.by_trial(made[1:]).empty


def test_an_unfinished_search_is_no_comparison():
    both = [_run(f"{config}{seed}", 0.4, seed, "low", method="static", config=config)
            for config, seed in (("1111", 0), ("1100", 0), ("1111", 1))]  # fmt: skip
    made = [lasem_run(seed, "paper", "low", 0.5) for seed in (0, 1)]
    table = planted.compared(planted.trial_table([*both, *made])).set_index("seed")
    assert table["regret"].notna().tolist() == [True, False]


def lasem_run(seed, name, relatedness, accuracy):
    em = {"start=6": {"start": 6}, "temper=0.5": {"temper": 0.5}}.get(name, {})
    return _run(f"{name}{seed}{relatedness}", accuracy, seed, relatedness, method="lasem", em=em)


def static_run(seed, relatedness):
    return _run(f"static{seed}{relatedness}", 0.4, seed, relatedness, method="static", config="1111")


def _run(name, accuracy, seed, relatedness, **options):
    stream = {"relatedness": relatedness, "n_tasks": 3}
    return record(
        name, accuracy, 1.0, dataset="planted", base="hps", profile="quick", seed=seed, stream=stream, **options
    )
