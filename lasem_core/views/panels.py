"""What figures of evidence have in common: a panel per data set and base, one legend, the paper's numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lasem_core.views import canvas, verdicts
from lasem_core.views.evidence import Evidence
from lasem_core.views.words import BASE_NAMES

PAPER = {"marker": "D", "mfc": "white", "ls": "", "zorder": 4}


def grid(
    evidence: Evidence, rows: Sequence[str], draw: Callable[..., bool], size: tuple[float, float], words_above: str = ""
) -> Figure:
    """One panel per data set and row, with what the runs are above them: `words_above`, or the usual caption."""
    there = set(bases(evidence))  # rows may be measures, too

    def words(dataset: str, row: str) -> str:
        return evidence.not_run(dataset, row if row in there else "")

    figure = canvas.panel_grid(evidence.datasets, rows, draw, size, words)
    return canvas.caption(figure, words_above or evidence.caption)


def legend(figure: Figure, entries: dict[str, str], places: Sequence[tuple[str, str]] = ()) -> None:
    """One legend for all panels, below them; the paper's mark too if it prints a number for one of `places`."""
    with canvas.style():
        handles = [Patch(color=colour, label=name) for name, colour in entries.items()]
        if any(np.isfinite(published(dataset, base, "static")) for dataset, base in places):
            handles.append(Line2D([], [], label="paper, full schedule", mec=canvas.BEST, **PAPER))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def published(dataset: str, base: str, method: str) -> float:
    """Table 3's accuracy as a fraction; NaN where the paper prints none."""
    return verdicts.published(dataset, base, method)[0] / 100


def at(table: pd.DataFrame, dataset: str, base: str) -> pd.DataFrame:
    """The rows of one panel."""
    return table[(table["dataset"] == dataset) & (table["base"] == base)]


def values(runs: pd.DataFrame, label: str, metric: str) -> np.ndarray:
    """One number per trial of what is labelled `label`."""
    return runs.loc[runs["label"] == label, metric].dropna().to_numpy()


def bases(evidence: Evidence) -> list[str]:
    """The bases that have a panel, in the paper's order."""
    return sorted({base for _, base in evidence.panels}, key=list(BASE_NAMES).index)
