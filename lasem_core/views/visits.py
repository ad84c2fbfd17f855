"""Tasks that are left before they have converged: the same epochs in short visits, in turns, and in one long one.

Section 3 of the paper lets a task be left early; its experiments visit every task once. A trial is one seed: its
planted streams of four relatednesses are averaged before anything is tested. What short visits do to any network they
do to transfer at all layers, too: LASEM's choice is judged by what is left beyond that.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lasem_core.common.statistics import judged, paired
from lasem_core.runs.record import RunRecord
from lasem_core.spec.command_line import unusual
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import canvas, gains
from lasem_core.views.canvas import COLOURS
from lasem_core.views.evidence import Evidence
from lasem_core.views.planted import of_every_kind, spelled
from lasem_core.views.words import spread, title

PLACE = ["dataset", "base"]
ONE, SHORT = "one visit", "short visits"
SEARCH, KEEP = f"{SHORT}, revisit=search", f"{SHORT}, roll-back off"
SCHEMES = (ONE, SHORT, SEARCH, KEEP)
METHODS = {"static": "all layers", "lasem": "LASEM"}
COMPARISONS = {
    "all layers: short visits minus one": {("static", SHORT): 1, ("static", ONE): -1},
    "LASEM: short visits minus one": {("lasem", SHORT): 1, ("lasem", ONE): -1},
    "LASEM's gain: short visits minus one": {
        ("lasem", SHORT): 1, ("static", SHORT): -1, ("lasem", ONE): -1, ("static", ONE): 1,
    },
    "LASEM: searching on minus a fixed choice": {("lasem", SEARCH): 1, ("lasem", SHORT): -1},
    "LASEM: roll-back off minus on": {("lasem", KEEP): 1, ("lasem", SHORT): -1},
}  # fmt: skip
PLACES = (("planted", "hps"), ("planted", "tf"), ("planted", "df-cnn"), ("cifar100", "hps"))


def scheme(spec: RunSpec) -> str:
    """One of `SCHEMES`: how a run visits its tasks, and what LASEM does at a revisit."""
    if not isinstance(spec.stream.order, tuple):
        return ONE
    switches = unusual(spec)
    at_revisits = [
        spelled(name, switches[f"em.{name}"]) for name in ("rollback", "revisit") if f"em.{name}" in switches
    ]
    return ", ".join([SHORT, *at_revisits])


def trial_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per data set, base, method, scheme and seed: `final_accuracy` and `forgetting_ratio`, of planted tasks
    the means over the four kinds, where all four are there."""
    columns = [*PLACE, "method", "scheme", "seed"]
    measures = ["final_accuracy", "forgetting_ratio"]
    rows = [
        {name: getattr(record.spec, name) for name in (*PLACE, "method", "seed")}
        | {"scheme": scheme(record.spec), "relatedness": record.spec.stream.relatedness}
        | {name: record.summary[name] for name in measures}
        for record in records
    ]
    runs = pd.DataFrame(rows, columns=[*columns, "relatedness", *measures]).groupby(columns, sort=False)
    whole = runs.filter(lambda kinds: kinds.name[0] != "planted" or of_every_kind(kinds))
    return whole.groupby(columns, sort=False)[measures].mean().reset_index()


def result_table(trials: pd.DataFrame) -> pd.DataFrame:
    """A `trial_table` for reading: percent, means over trials with 95 % t-intervals."""
    groups = dict(iter(trials.groupby([*PLACE, "scheme"])))
    rows = []
    for (dataset, base), name in product(PLACES, SCHEMES):
        if (runs := groups.get((dataset, base, name))) is None:
            continue
        row = {"dataset": dataset, "base": base, "visits": name}
        by_method = [(words, runs[runs["method"] == method]) for method, words in METHODS.items()]
        row |= {f"{words}, final (%)": spread(100 * here["final_accuracy"]) for words, here in by_method}
        rows.append(row | {f"{words}, forgetting": spread(here["forgetting_ratio"], 2) for words, here in by_method})
    return pd.DataFrame(rows)


def comparison_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Per place of `PLACES` and comparison that is recorded: the paired `gain` in final accuracy over the trials that
    have all its terms, `judged` among the comparisons of its place."""
    table = pd.concat([_compared(trials, *place) for place in PLACES])
    return table[table["pairs"] > 0].reset_index(drop=True)


def _compared(trials: pd.DataFrame, dataset: str, base: str) -> pd.DataFrame:
    here = trials[(trials["dataset"] == dataset) & (trials["base"] == base)]
    accuracy = here.pivot_table("final_accuracy", "seed", ["method", "scheme"])
    place = {"dataset": dataset, "base": base}
    rows = [place | {"comparison": name} | paired(_differences(accuracy, terms)) for name, terms in COMPARISONS.items()]
    return judged(pd.DataFrame(rows))


def _differences(accuracy: pd.DataFrame, terms: dict[tuple[str, str], int]) -> pd.Series:
    if not set(terms) <= set(accuracy.columns):
        return pd.Series(dtype=float)
    return sum(sign * accuracy[column] for column, sign in terms.items()).dropna()


def in_points(table: pd.DataFrame) -> pd.DataFrame:
    """A `comparison_table` for reading: points with 95 % intervals."""
    return table[[*PLACE, "comparison"]].join(gains.columns(table, "final accuracy (points)"))


def differences(table: pd.DataFrame, caption: str) -> Figure:
    """Every comparison of a `comparison_table` with its 95 % interval over trials."""
    names = list(COMPARISONS)

    def draw(axes: Axes, _: str, place: tuple[str, str]) -> bool:
        dataset, base = place
        axes.set_title(title(dataset, base))
        here = table[(table["dataset"] == dataset) & (table["base"] == base)]
        if here.empty:
            return False
        gains.draw(axes, here.set_index("comparison"), names, COLOURS[base])
        axes.set_xlabel("difference (points)")
        if place != PLACES[0]:
            axes.set_yticklabels([])
        return True

    words = f"{caption}; final accuracy; {gains.FILLED} in its panel"
    return canvas.caption(canvas.panel_grid([""], PLACES, draw, (3.7, 3.0)), words)


def sentence(evidence: Evidence) -> str:
    """What short visits cost, and whether it helps to search on."""
    table = comparison_table(trial_table(evidence.records))
    if table.empty:
        return "Short visits and a long one of the same tasks are not both recorded."
    dataset, base = table[PLACE].iloc[-1]  # real images where they are recorded
    rows = table[(table["dataset"] == dataset) & (table["base"] == base)].set_index("comparison")
    words = [f"{row.Index}: {gains.points(row)} ({row.verdict})" for row in rows.itertuples()]
    return f"Final accuracy on {title(dataset, base)} (n = {int(rows['pairs'].max())}): {'; '.join(words)}."
