"""What a notebook says in words follows from its records: change them, and it says something else."""

import pytest
from sample_records import record

from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import findings, one_run
from lasem_core.views.evidence import Evidence


def _evidence(lasem, seeds=3, missing=(), pace=None, profile="quick", others=()):
    place = {"dataset": "cifar100", "profile": profile}
    runs = [record(f"l{n}", lasem + 0.001 * n, seed=n, **place) for n in range(seeds)]
    runs += [record(f"s{n}", 0.38 + 0.002 * n, method="static", config="all", seed=n, **place) for n in range(seeds)]
    return Evidence("table3", "recorded", [*(r.spec for r in runs), *missing], runs, (), others, pace or {})


@pytest.mark.parametrize(
    ("lasem", "seeds", "words"),
    [
        (0.41, 3, "2.9 ± 0.2 points above transfer at all layers on CIFAR-100 (profile quick, n = 3): reproduced."),
        (0.35, 3, "3.1 ± 0.2 points below transfer at all layers on CIFAR-100 (profile quick, n = 3): not reproduced."),
        (0.41, 1, "3.0 points above transfer at all layers on CIFAR-100 (profile quick, n = 1): undecided."),
    ],
)
def test_the_first_sentence_follows_from_the_records(lasem, seeds, words):
    assert findings.sentence(_evidence(lasem, seeds)) == f"LASEM HPS is {words}"


def test_without_records_nothing_is_claimed():
    nothing = Evidence("table3", "recorded", [RunSpec(dataset="cifar100", profile="quick")], [])
    assert findings.sentence(nothing) == "Nothing is recorded here yet."
    assert "Not at all: no run that counts is recorded." in findings.paragraph(nothing)


def test_what_is_missing_and_for_how_long_at_the_pace_of_records():
    spec = RunSpec(dataset="cifar100", profile="quick", base="tf")
    pace = {("cifar100", "lasem", "tf", "cnn", "off"): 3.6}
    missing = _evidence(0.41, missing=[spec], pace=pace)
    assert findings.missing(missing) == "1 of 7 runs are missing (estimated time: about 2.0 h)."
    assert "1 more runs (about 2.0 h)" in findings.paragraph(missing)
    assert findings.missing(_evidence(0.41)) == "All 6 runs are recorded."


def test_the_paragraph_says_what_held_and_how_sure_that_is():
    sure, unsure = findings.paragraph(_evidence(0.41)), findings.paragraph(_evidence(0.41, seeds=1))
    assert sure.startswith(
        "*The paper says:* LASEM beats transfer at all layers. *Here:* LASEM HPS is 2.9 ± 0.2 points"
    )
    assert "1 reproduced" in sure and "At most 3 trials per comparison" in sure
    assert "1 undecided" in unsure and "with one trial there is no interval" in unsure
    assert "(not tested here):* brute-force search is as accurate as LASEM" in sure


def test_runs_on_different_schedules_are_not_compared():
    long = _evidence(0.5, profile="paper").records
    mixed = _evidence(0.41, others=long)
    assert "11.9 ± 0.2 points above" in findings.sentence(mixed) and "profile paper" in findings.sentence(mixed)
    lone = [made for made in long if made.spec.method == "lasem"]
    assert findings.sentence(_evidence(0.41, others=lone)) == findings.sentence(_evidence(0.41))


def test_when_the_choice_locks_in():
    records = [record(f"{seed}", dataset="cifar100", method="lasem", profile="quick", seed=seed) for seed in range(2)]
    late = record("late", dataset="cifar100", method="lasem", profile="quick", base="tf")
    early = (late.posterior["task"] == 1) & (late.posterior["step"].between(0, 15))
    late.posterior.loc[early, "mass"] = (late.posterior.loc[early, "config"] == "1000").astype("float16")
    late.posterior.loc[early & (late.posterior["step"] < 5), "mass"] = 0.0625  # all alike: the first one in order
    (hps, tf) = one_run.locking_table([*records, late]).to_dict("records")
    assert (hps["tasks"], hps["median last switch"], hps["latest"], hps["kept to the end (%)"]) == (6, 0, 0, "100")
    assert (tf["tasks"], tf["runs"], tf["latest"], tf["recorded"]) == (3, 1, 10, 20)
    assert (hps["two trials alike (%)"], tf["two trials alike (%)"]) == ("100", "-")
    assert tf["kept to the end (%)"] == "67"  # 1000 won most mini-batches of task 2, which ends in 0101
