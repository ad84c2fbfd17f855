"""Does what we measured bear the paper out? Four words, and the rules behind them.

A published number is *reproduced* if our 95 % t-interval over at least three trials overlaps the published one; a
published ordering if the paired difference over at least three trials has the claimed sign and its 95 % interval
excludes 0. That two things are the same is *reproduced* if an equivalence test (TOST) at the 5 % level excludes larger
differences than the claim allows. A claim is *not reproduced* if the interval excludes it, *undecided* otherwise, and
*not run* where there is no record at profile `quick` or above. `quick` runs, the nine-class STL-10 subset and
Caltech-101 can bear orderings out, never numbers; the embedded data sets neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd

from lasem_core.common.statistics import (
    DIFFERENT,
    EQUIVALENT,
    LEVEL,
    MIN_TRIALS,
    NOT_RUN,
    UNDECIDED,
    paired_p,
    t_interval,
    tost,
    trials_to_decide,
)
from lasem_core.views.words import DATASET_NAMES

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
ON_A_STAND_IN = ", on a stand-in"
STAND_INS = {"caltech101": "office-home"}  # same shape of experiment on other images: orderings only
EVIDENTIAL = ("cifar100", "office-home", "stl10", "stl10-group", *STAND_INS)
ACCURACIES = ("peak_at_best_valid", "peak_test", "final_accuracy")


@dataclass(frozen=True)
class Claim:
    """A published ordering, or that two things are the same.

    Attributes:
        text: what the paper says, in words.
        datasets: where it says so.
        margin: evidence's runs of one data set -> one number per trial (index: seed), above 0 if the claim holds.
        level: of the interval; higher where the claim picks the best of several.
        within: the claim is that there is no difference, and this is the largest one that does not matter (TOST).
        also: other data sets on which it is tried, as on a stand-in.
        statement: what the paper says, whatever the base.
        found: what was measured, `{by}` stands for `3.5 points above`.
        unit: of the margin: points of accuracy, a ratio, seconds, or a share.
        where: the paper's place, if it is not that of the figure or table whose runs tell.
    """

    text: str
    datasets: tuple[str, ...]
    margin: Callable[[pd.DataFrame], pd.Series]
    level: float = 0.95
    within: float | None = None
    also: tuple[str, ...] = ()
    statement: str = ""
    found: str = "{by}"
    unit: str = "points"
    where: str = ""


def judge_number(ours: Sequence[float], value: float, half_width: float, may_bear_numbers: bool) -> str:
    """The word for a published `value` +- `half_width` (NaN: a point), in the units of `ours`."""
    ours = np.asarray([v for v in ours if np.isfinite(v)])
    if not len(ours):
        return NOT_RUN
    if not may_bear_numbers or len(ours) < MIN_TRIALS:
        return UNDECIDED
    mean, half = t_interval(ours)
    reach = half + (half_width if np.isfinite(half_width) else 0.0)
    return REPRODUCED if abs(mean - value) <= reach else NOT_REPRODUCED


def judge_ordering(margins: Sequence[float], level: float = 0.95) -> str:
    """The word for a published ordering from one paired difference per trial, claimed to be above 0."""
    margins = np.asarray([m for m in margins if np.isfinite(m)])
    if not len(margins):
        return NOT_RUN
    mean, half = t_interval(margins, level)
    if len(margins) < MIN_TRIALS or abs(mean) <= half:
        return UNDECIDED
    return REPRODUCED if mean > 0 else NOT_REPRODUCED


def judge_sameness(differences: Sequence[float], within: float) -> str:
    """The word for a published 'no difference' from one paired difference per trial: a test that finds none is not
    enough, TOST has to exclude differences of `within`."""
    found = tost(differences, within).verdict
    return {EQUIVALENT: REPRODUCED, DIFFERENT: NOT_REPRODUCED}.get(found, found)


def counts(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that count for verdicts: profile `quick` or above, not the embedded data."""
    return runs[runs["profile"].isin(("quick", "paper")) & runs["dataset"].isin(EVIDENTIAL)]


def bears_numbers(runs: pd.DataFrame) -> bool:
    """Whether published numbers may be judged by these runs: full schedule, the paper's own data."""
    official = ~runs["title"].str.contains("subset|not the official") & ~runs["dataset"].isin(STAND_INS)
    return bool(len(runs)) and bool((official & (runs["profile"] == "paper")).all())


def judge_claims(claims: Sequence[Claim], runs: pd.DataFrame) -> pd.DataFrame:
    """One row per published ordering and data set: claim, mean margin with its interval, n, verdict."""
    counted = counts(runs)
    rows = []
    for claim in claims:
        elsewhere = [*(name for name, of in STAND_INS.items() if of in claim.datasets), *claim.also]
        tried = (name for name in elsewhere if name in set(counted["dataset"]))
        places = dict.fromkeys([*claim.datasets, *tried])
        rows += [_claim_row(claim, place, counted[counted["dataset"] == place]) for place in places]
    words = ["claim", "statement", "where", "dataset", "data", "found", "unit", "same"]
    numbers = ["margin", "margin_ci", "n", "needed", "p"]
    return pd.DataFrame(rows, columns=[*words, *numbers, "profile", "scale", "verdict"])


def scale(runs: pd.DataFrame) -> str:
    """Tasks and epochs of a task, `10 × 200`."""
    pairs = runs[["tasks", "epochs"]].drop_duplicates().sort_values(["tasks", "epochs"])
    return ", ".join(f"{row.tasks} × {row.epochs}" for row in pairs.itertuples())


def data(runs: pd.DataFrame, dataset: str) -> str:
    """What the runs were made on, as their records call it; † where the current code gives other numbers."""
    names = ", ".join(runs["title"].unique()) or DATASET_NAMES[dataset]
    return names + " †" * bool(runs["stale"].any())


def longest(runs: pd.DataFrame) -> pd.DataFrame:
    """Those on the longest schedule: runs on different ones are not compared."""
    return runs[runs["profile"] == "paper"] if "paper" in set(runs["profile"]) else runs


def _margins(claim: Claim, runs: pd.DataFrame) -> tuple[pd.Series, str]:
    """The claim's margins on the longest schedule that has any, and that schedule."""
    for profile in sorted(set(runs["profile"])):  # paper before quick
        margins = claim.margin(runs[runs["profile"] == profile]).dropna()
        if len(margins):
            return margins, profile
    return pd.Series(dtype=float), ""


def _claim_row(claim: Claim, dataset: str, runs: pd.DataFrame) -> dict[str, object]:
    margins, profile = _margins(claim, runs)
    shown, same = runs[runs["profile"] == profile], claim.within is not None
    mean, half = t_interval(margins, claim.level)
    own = {"claim": claim.text, "dataset": dataset, "margin": mean, "margin_ci": half, "n": len(margins)}
    own |= {"profile": profile, "scale": scale(shown), "data": data(shown, dataset), "same": same}
    own |= {name: getattr(claim, name) for name in ("statement", "found", "unit", "where")}
    own["needed"] = trials_to_decide(margins, 1 - 2 * LEVEL if same else claim.level, claim.within or 0.0)
    own["p"] = tost(margins, claim.within).p if same else paired_p(margins) * LEVEL / (1 - claim.level)
    verdict = judge_sameness(margins, claim.within) if same else judge_ordering(margins, claim.level)
    decided = verdict in (REPRODUCED, NOT_REPRODUCED) and dataset not in claim.datasets
    return own | {"verdict": verdict + ON_A_STAND_IN * decided}


def published(dataset: str, base: str, method: str) -> tuple[float, float]:
    """Table 3's peak accuracy in percent and its interval's half-width; NaN where the paper prints none."""
    table = targets().query("artefact == 'table3' and metric == 'peak_accuracy'")
    here = table[(table["dataset"] == dataset) & (table["base"] == base) & (table["method"] == method)]
    return (here["value"].item(), here["ci95"].item()) if len(here) else (float("nan"), float("nan"))


def targets() -> pd.DataFrame:
    """The paper's published numbers (tables 1 and 3, appendices, statements in the text)."""
    with files("lasem_core.views").joinpath("targets.csv").open() as stream:
        return pd.read_csv(stream, comment="#")
