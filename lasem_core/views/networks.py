"""LASEM over networks that are not the paper's: which stages it shares, and whether that is better than all or none.

A trial is one seed. LASEM is compared with each static configuration on the same seeds; p-values are corrected for the
number of networks and comparisons (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lasem_core.common.statistics import judged, paired
from lasem_core.runs.record import RunRecord
from lasem_core.views import canvas
from lasem_core.views.canvas import COLOURS, percent, share_interval
from lasem_core.views.evidence import Evidence
from lasem_core.views.gains import columns, points
from lasem_core.views.words import NETWORK_NAMES, joined, spread

WAYS = {"lasem": "LASEM", "11111": "all stages shared", "00000": "no stage shared"}
MEASURES = {"peak_at_best_valid": "peak at best validation (%)", "final_accuracy": "final (%)"}
_PALETTE = {NETWORK_NAMES["resnet"]: COLOURS["hps"], NETWORK_NAMES["transformer"]: COLOURS["tf"]}


def trial_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per run: `network`, `way` (a key of `WAYS`), `seed` and its results as fractions."""
    rows = [
        {"network": record.spec.model.network, "way": record.spec.config or "lasem", "seed": record.spec.seed}
        | {name: record.summary[name] for name in (*MEASURES, "forgetting_ratio")}
        for record in records
    ]
    return pd.DataFrame(rows, columns=["network", "way", "seed", *MEASURES, "forgetting_ratio"])


def result_table(trials: pd.DataFrame) -> pd.DataFrame:
    """A `trial_table` for reading: percent, means over trials with 95 % t-intervals."""
    rows = []
    for (network, way), runs in trials.groupby(["network", "way"], sort=False):
        percents = {words: spread(100 * runs[name]) for name, words in MEASURES.items()}
        row = {"network": NETWORK_NAMES[network], "stages": WAYS[way]} | percents
        rows.append(row | {"forgetting": spread(runs["forgetting_ratio"], 2)})
    return pd.DataFrame(rows)


def gain_table(trials: pd.DataFrame, measure: str = "final_accuracy") -> pd.DataFrame:
    """Per network and static configuration: LASEM's accuracy minus its on the same seeds, `paired` and `judged`."""
    rows = []
    for network, runs in trials.groupby("network", sort=False):
        ways = runs.pivot_table(measure, "seed", "way").reindex(columns=list(WAYS))
        for way in list(WAYS)[1:]:
            rows.append({"network": network, "way": way} | paired((ways["lasem"] - ways[way]).dropna()))
    return judged(pd.DataFrame(rows, columns=["network", "way", *paired([])]))


def in_points(gains: pd.DataFrame) -> pd.DataFrame:
    """A `gain_table` for reading."""
    names = {"network": gains["network"].map(NETWORK_NAMES), "LASEM minus": gains["way"].map(WAYS)}
    return pd.DataFrame(names).join(columns(gains, "final accuracy (points)"))


def stage_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per LASEM run and stage: the share of later tasks (the first has no earlier one) that share it."""
    rows = [
        {
            "run_id": r.run_id,
            "network": NETWORK_NAMES[r.spec.model.network],
            "seed": r.spec.seed,
            "stage": stage,
            "shared": share,
        }
        for r in records
        if r.spec.method == "lasem"
        for stage, share in enumerate(np.mean([[int(bit) for bit in c] for c in r.configs[1:]], 0), start=1)
    ]
    return pd.DataFrame(rows, columns=["run_id", "network", "seed", "stage", "shared"])


def stages(table: pd.DataFrame, caption: str) -> Figure:
    """How often later tasks share each stage of a `stage_table`."""

    def draw(axes: Axes, _: str, __: str) -> bool:
        axes.set_title("")
        if table.empty:
            return False
        sns.barplot(table, x="stage", y="shared", hue="network", palette=_PALETTE, errorbar=share_interval, capsize=0.1,
                    err_kws={"linewidth": 1}, ax=axes)  # fmt: skip
        axes.axhline(0.5, color="0.6", lw=0.8, ls=":")
        axes.set_ylim(0, 1.02)
        percent(axes, "later tasks that share it")
        axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return True

    return canvas.caption(canvas.panel_grid([""], [""], draw, (5.0, 3.2)), f"{caption}; dotted: by chance")


def sentence(evidence: Evidence) -> str:
    """LASEM beside sharing all stages and none, by network."""
    gains = gain_table(trial_table(evidence.records))
    tried = gains[gains["pairs"] > 0]
    if tried.empty:
        return "LASEM and a static configuration of the same network are not both recorded."
    words = [f"{NETWORK_NAMES[network]} {joined([_gain(row) for row in rows.itertuples()])}"
             for network, rows in tried.groupby("network", sort=False)]  # fmt: skip
    n = int(tried["pairs"].max())
    return f"LASEM's final accuracy: {'; '.join(words)} (n = {n}; verdicts after Holm's correction)."


def _gain(row: object) -> str:
    return f"{points(row)} against {WAYS[row.way]} ({row.verdict})"
