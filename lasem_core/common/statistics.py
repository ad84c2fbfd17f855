"""t-intervals over trials, and whether two ways of training give the same within a margin.

With few trials, a difference that is not significant shows nothing. Two one-sided t-tests on paired differences (TOST;
Schuirmann 1987) turn the question round: they call two ways equivalent only if a difference as large as the margin
would have been detected, in either direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

BETTER, WORSE = "better", "worse"
EQUIVALENT, DIFFERENT, UNDECIDED, NOT_RUN = "equivalent", "different", "undecided", "not run"
MIN_TRIALS = 3  # below, every verdict is `undecided`
MOST_TRIALS = 100  # that anybody is told to make
LEVEL = 0.05  # of each of the two tests


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Mean and half-width of the two-sided t-interval; the half-width is NaN below two values, both are for none."""
    values = np.asarray(values, dtype=float)
    if not len(values):
        return float("nan"), float("nan")
    if len(values) < 2:
        return float(values.mean()), float("nan")
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the median between order statistics (at least 95 %, whatever the distribution); None below
    six values, which bound none."""
    found = stats.quantile_test(np.asarray(values, dtype=float), p=0.5).confidence_interval(0.95)
    return (float(found.low), float(found.high)) if np.isfinite([found.low, found.high]).all() else None


def paired_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of a paired t-test; NaN below two differences."""
    values = np.asarray(differences, dtype=float)
    if len(values) < 2:
        return float("nan")
    error = values.std(ddof=1) / np.sqrt(len(values))
    if error == 0:
        return float(values.mean() == 0)
    return float(2 * stats.t.sf(abs(values.mean()) / error, len(values) - 1))


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's (1979) step-down correction of the p-values that are there; NaN stays NaN."""
    values = np.asarray(p, dtype=float)
    there = np.flatnonzero(np.isfinite(values))
    order = there[np.argsort(values[there], kind="stable")]
    corrected = np.full(len(values), np.nan)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)).clip(max=1.0)
    return corrected


def direction(gain: float, n: int, corrected: float) -> str:
    """`better` or `worse` where `n` trials and their `corrected` p-value decide it, else `undecided`."""
    if n < MIN_TRIALS or not corrected < LEVEL:
        return UNDECIDED
    return BETTER if gain > 0 else WORSE


def paired(gains: Sequence[float]) -> dict[str, float]:
    """Paired differences as a row of a table: their mean `gain` with the half-width `gain_ci` of its 95 % t-interval,
    their number `pairs`, and the two-sided `p` of a paired t-test."""
    mean, half = t_interval(gains)
    return {"gain": mean, "gain_ci": half, "pairs": len(gains), "p": paired_p(gains)}


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `paired` rows with Holm's `corrected` p-values over all of them, and the `verdict` of every row that
    has pairs."""
    table = table.assign(corrected=holm(table["p"]))
    words = [direction(row.gain, row.pairs, row.corrected) if row.pairs else "" for row in table.itertuples()]
    return table.assign(verdict=words)


@dataclass(frozen=True)
class Equivalence:
    """What paired differences say about a margin.

    Attributes:
        mean: of the differences.
        half: half-width of their 90 % t-interval, NaN below two.
        p: the larger of the two one-sided p-values; NaN below two.
        n: differences.
        margin: the largest difference that does not matter.
    """

    mean: float
    half: float
    p: float
    n: int
    margin: float

    @property
    def verdict(self) -> str:
        """`equivalent` if the 90 % interval lies within the margin (p < 0.05), `different` if it lies outside."""
        if not self.n:
            return NOT_RUN
        if self.n < MIN_TRIALS:
            return UNDECIDED
        if self.p < LEVEL:
            return EQUIVALENT
        return DIFFERENT if abs(self.mean) - self.half > self.margin else UNDECIDED


def tost(differences: Sequence[float], margin: float) -> Equivalence:
    """Two one-sided paired t-tests of -margin < mean < margin; differences that are not finite are left out."""
    values = np.asarray([d for d in differences if np.isfinite(d)], dtype=float)
    n = len(values)
    if n < 2:
        return Equivalence(float(values.mean()) if n else np.nan, np.nan, np.nan, n, margin)
    mean, half = t_interval(values, 1 - 2 * LEVEL)
    return Equivalence(mean, half, _p_value(mean, values.std(ddof=1) / np.sqrt(n), n, margin), n, margin)


def trials_to_decide(differences: Sequence[float], level: float = 0.95, margin: float = 0.0) -> float:
    """At how many trials a t-interval around the mean of `differences`, with their spread, would not hold `margin` on
    either side of 0: an estimate, from few trials a rough one.

    NaN below two differences or without spread; infinity above MOST_TRIALS.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2 or not values.std():
        return float("nan")
    room, spread = abs(abs(values.mean()) - margin), values.std(ddof=1)
    n = np.arange(max(MIN_TRIALS, len(values)), MOST_TRIALS + 1)
    enough = n[stats.t.ppf((1 + level) / 2, n - 1) * spread / np.sqrt(n) < room]
    return float(enough[0]) if len(enough) else float("inf")


def _p_value(mean: float, error: float, n: int, margin: float) -> float:
    """The larger of the two one-sided p-values: that of the nearer margin."""
    room = margin - abs(mean)
    if error == 0:
        return 0.0 if room > 0 else 1.0
    return float(stats.t.sf(room / error, n - 1))
