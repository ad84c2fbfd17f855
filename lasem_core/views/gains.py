"""Paired gains (`statistics.paired`, `judged`) as tables, sentences and pictures show them: in points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from lasem_core.common.statistics import BETTER, LEVEL, WORSE
from lasem_core.views.words import p_value, plus_minus

FILLED = f"filled: p < {LEVEL:g} after Holm's correction"


def columns(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The gains under `name` with their 95 % intervals, corrected p-values and verdicts; `-` where there is none."""
    gains = zip(100 * table["gain"], 100 * table["gain_ci"], table["pairs"], strict=True)
    shown = pd.DataFrame({name: [plus_minus(mean, half, 1, n, "+") for mean, half, n in gains]}, index=table.index)
    shown["corrected p"] = table["corrected"].map(p_value)
    return shown.assign(verdict=table["verdict"])


def points(row: Any) -> str:
    """`+8.9 ± 9.9 points`."""
    return f"{plus_minus(100 * row.gain, 100 * row.gain_ci, 1, sign='+')} points"


def draw(axes: Axes, table: pd.DataFrame, names: Sequence[str], colour: str) -> None:
    """One gain per name with its interval, the first on top; `table` has a row with pairs per index, a name."""
    for row in table.itertuples():
        filled = colour if row.verdict in (BETTER, WORSE) else "white"
        axes.errorbar(100 * row.gain, names.index(row.Index), xerr=100 * row.gain_ci, fmt="o", capsize=3, color=colour,
                      markerfacecolor=filled)  # fmt: skip
    axes.axvline(0, color="0.6", lw=0.8, ls=":")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
