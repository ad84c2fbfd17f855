"""What the paper says of LASEM's cost beside what `lasem bench` measured: ratios of times on one CPU core.

A claim is *reproduced* if the 95 % interval of the ratio reaches no higher than the paper's bound, *not reproduced* if
it lies above, *undecided* otherwise; where pruning, which the paper does not have, keeps within the bound, the verdict
says so. Of a step the interval is that of the median over rounds, of a whole task the
t-interval over tasks. Other machines have other ratios: these verdicts are not among the comparisons of the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lasem_core.bench import BASES
from lasem_core.bench.tables import reports
from lasem_core.common.statistics import MIN_TRIALS, NOT_RUN, UNDECIDED, t_interval
from lasem_core.views.verdicts import NOT_REPRODUCED, REPRODUCED, targets
from lasem_core.views.words import BASE_NAMES

BENCH = Path(__file__).parents[2] / "outputs/bench"  # what `lasem bench --json` printed
BY_PRUNING = "met by pruning (ours)"
Measured = tuple[float, float, float, int]  # a ratio, its interval (NaN: none), rounds or tasks


@dataclass(frozen=True)
class Cost:
    """A bound that the paper states, and the ratio of times that is held against it.

    Attributes:
        setting: of `lasem bench`.
        ratio: one of `bench.steps.RATIOS`; empty: that of whole tasks under pruning.
    """

    statement: str
    where: str
    bound: float
    measured: str
    setting: str
    ratio: str = ""


def paper_costs() -> list[Cost]:
    """The paper's statements; that on 16 configurations is tried on a step and on a whole task."""
    table = targets().set_index(["artefact", "metric"])
    extra = table.loc[("section4.1", "extra_time_over_static")]
    four, six = (extra[column].dropna().item() for column in ("high", "value"))
    step = "exact EM step / step of transfer at all layers"
    more = f"16 configurations take at most {four:.0%} more time than a static one", "Sec. 3 and 4.1", 1 + four
    double = "64 configurations take twice the time of a static one", "Sec. 4.1", 1 + six
    share = table.loc[("section3", "e_step_over_m_step_time"), "high"].item()
    return [
        Cost(*more, step, "cifar100", "exact / static"),
        Cost(*more, "training a whole task, LASEM pruned / transfer at all layers", "cifar100"),
        Cost(*double, step, "stl10", "exact / static"),
        Cost(f"the E-step takes at most {share:.0%} of the M-step's time", "Sec. 3", share,
             "E-step / the rest of the exact step, 16 configurations", "cifar100", "estep / mstep"),
    ]  # fmt: skip


def cost_table(folder: Path = BENCH) -> pd.DataFrame:
    """One row per statement and base: the paper's bound, our ratio with its interval, n, verdict."""
    return pd.DataFrame([_row(cost, base, folder) for cost in paper_costs() for base in BASES])


def _row(cost: Cost, base: str, folder: Path) -> dict[str, object]:
    ratio, low, high, n = _step(cost, base, folder) if cost.ratio else _whole(cost, base, folder)
    shown = f"{ratio:.2f}" + (f" ({low:.2f} to {high:.2f})" if np.isfinite(low) else "") if n else "-"
    unit = "rounds" if cost.ratio else "tasks"
    verdict = judge_bound(low, high, cost.bound) if n else NOT_RUN
    return {
        "the paper says": cost.statement, "where": cost.where, "measured": cost.measured, "sharing": BASE_NAMES[base],
        "at most": f"{cost.bound:g}", "ratio": shown, "n": f"{n} {unit}" if n else "-",
        "verdict": BY_PRUNING if verdict == REPRODUCED and not cost.ratio else verdict,
    }  # fmt: skip


def judge_bound(low: float, high: float, bound: float) -> str:
    """The word for a published upper bound from the interval of what is bounded; NaN: there is none."""
    if high <= bound:
        return REPRODUCED
    return NOT_REPRODUCED if low > bound else UNDECIDED


def _step(cost: Cost, base: str, folder: Path) -> Measured:
    for report in reports(folder, f"{cost.setting}.json", base):
        row = report["bases"][base]
        low, high = row["intervals"][cost.ratio] or (np.nan, np.nan)
        return row["ratios"][cost.ratio], low, high, report["rounds"]
    return np.nan, np.nan, np.nan, 0


def _whole(cost: Cost, base: str, folder: Path) -> Measured:
    ratios = [report["bases"][base]["ratio"] for report in reports(folder, f"whole-{cost.setting}-*.json", base)]
    mean, half = t_interval(ratios)
    half = half if len(ratios) >= MIN_TRIALS else np.nan
    return mean, mean - half, mean + half, len(ratios)
