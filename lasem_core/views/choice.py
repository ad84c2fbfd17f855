"""Is another E-step a better one? LASEM with its switches changed, where the right layers are known.

A trial is one seed. Its four streams, one per relatedness, share starting values, so they are averaged before anything
is tested: n counts seeds. Every variant is compared with preset `paper` on the same seeds; p-values are
corrected for the number of variants and bases (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lasem_core.common.statistics import (
    BETTER,
    MIN_TRIALS,
    UNDECIDED,
    WORSE,
    judged,
    paired,
    t_interval,
)
from lasem_core.runs.artefacts import E_STEPS
from lasem_core.runs.record import RunRecord
from lasem_core.views import canvas, gains
from lasem_core.views.canvas import COLOURS
from lasem_core.views.evidence import Evidence, alike
from lasem_core.views.planted import COMPARISONS, PLANTED, compared, of_every_kind, spelled, trial_table, variant
from lasem_core.views.words import plus_minus, title

PAPER = "paper"


def _named(em: Mapping[str, object]) -> str:
    return ", ".join(map(spelled, em, em.values()))


VARIANTS = (PAPER, "released", *map(_named, E_STEPS))
BASES = ("hps", "tf", "df-cnn")
AGREEMENTS = {
    "layers": "layers as planted",
    "exact": "configurations as planted",
    "seeds": "two trials choose alike",
}


def whole(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs on all training images: the others have no static configurations beside them."""
    return [record for record in records if record.spec.stream.fraction == 1]


def by_trial(records: Iterable[RunRecord], measure: str = "final_accuracy") -> pd.DataFrame:
    """One row per base, variant and seed that has all four kinds of tasks: means of `planted.compared` over them, and
    what names their images in the column `streams`."""
    runs = compared(trial_table(whole(records)), measure)
    groups = runs.groupby(["base", "variant", "seed"])
    complete = groups.filter(of_every_kind)
    trials = complete.groupby(["base", "variant", "seed"])
    means = trials[["accuracy", *COMPARISONS]].agg(lambda kinds: kinds.mean(skipna=False))
    return means.assign(streams=trials["stream"].agg(lambda kinds: " ".join(sorted(kinds)))).reset_index()


def variant_table(trials: pd.DataFrame) -> pd.DataFrame:
    """One row per base and variant in `by_trial`: means over trials, 95 % t-intervals' half-widths in `*_ci`.

    `gain` is the accuracy minus that of preset `paper` with the same seeds on the same images, `paired` and `judged`.
    """
    accuracy = trials.pivot_table("accuracy", ["base", "seed", "streams"], "variant")
    rows = [_row(base, name, trials, accuracy) for base in BASES for name in VARIANTS]
    return judged(pd.DataFrame([row for row in rows if row["n"]], columns=list(rows[0])))


def _row(base: str, name: str, trials: pd.DataFrame, accuracy: pd.DataFrame) -> dict[str, object]:
    here = trials[(trials["base"] == base) & (trials["variant"] == name)]
    row: dict[str, object] = {"base": base, "variant": name, "n": len(here)}
    over_paper = pd.Series(dtype=float)
    if len(here) and name != PAPER and PAPER in accuracy:
        pairs = accuracy.loc[base]
        over_paper = (pairs[name] - pairs[PAPER]).dropna()
    for column in ("accuracy", *COMPARISONS):
        row[column], row[f"{column}_ci"] = t_interval(here[column].dropna())
    return row | {"compared": int(here["regret"].count())} | paired(over_paper)


def in_points(table: pd.DataFrame) -> pd.DataFrame:
    """The gains of a `variant_table` for reading: percent and points with 95 % intervals."""
    shown = table[["base", "variant"]].assign(**{"final accuracy (%)": (100 * table["accuracy"]).round(1)})
    return shown.join(gains.columns(table, "gain over paper (points)"))


def beside_static(table: pd.DataFrame) -> pd.DataFrame:
    """Where a `variant_table` stands among the static configurations of the same trials, in points."""
    shown = table[["base", "variant"]].copy()
    for name, words in COMPARISONS.items():
        rows = zip(100 * table[name], 100 * table[f"{name}_ci"], strict=True)
        shown[f"{words} (points)"] = [plus_minus(mean, half, 1, sign="+") for mean, half in rows]
    return shown.assign(n=table["compared"])


def agreement_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Per base, variant and share of the training images, as fractions over later tasks, averaged over trials (`seeds`:
    over pairs of trials): layers and whole configurations as planted, and how often two trials choose alike.

    By chance one layer in two is as planted, one configuration in 2^d, and two trials agree once in 2^d.
    """
    rows = [_agreement(*group) for group in _lasem(records).groupby(["base", "variant", "fraction"])]
    columns = ["base", "variant", "fraction", "n", *(f"{name}{end}" for name in AGREEMENTS for end in ("", "_ci"))]
    return pd.DataFrame(rows, columns=columns)


def _lasem(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per LASEM run and later task: the configuration it ended in."""
    rows = [
        {"base": r.spec.base, "variant": variant(r.spec), "fraction": r.spec.stream.fraction, "seed": r.spec.seed,
         "relatedness": r.spec.stream.relatedness, "task": task, "config": config}
        for r in records
        if r.spec.method == "lasem"
        for task, config in enumerate(r.configs[1:], start=2)  # the first task has nothing to transfer from
    ]  # fmt: skip
    columns = ["base", "variant", "fraction", "seed", "relatedness", "task", "config"]
    table = pd.DataFrame(rows, columns=columns)
    planted = table["relatedness"].map(lambda related: PLANTED[related][0])
    bits = [
        np.mean([a == b for a, b in zip(*pair, strict=True)]) for pair in zip(table["config"], planted, strict=True)
    ]
    return table.assign(layers=bits, exact=(table["config"] == planted).astype(float))


def _agreement(place: tuple[str, str, float], choices: pd.DataFrame) -> dict[str, object]:
    trials = choices.groupby("seed")[["layers", "exact"]].mean()
    row: dict[str, object] = dict(zip(["base", "variant", "fraction"], place, strict=True)) | {"n": len(trials)}
    for name, values in {**trials, "seeds": pd.Series(alike(choices, "relatedness", "task"), dtype=float)}.items():
        row[name], row[f"{name}_ci"] = t_interval(values)
    row["seeds_ci"] = np.nan  # pairs of trials are not independent of each other
    return row


def agreement_in_percent(table: pd.DataFrame) -> pd.DataFrame:
    """An `agreement_table` for reading."""
    shown = table[["base", "variant"]].assign(images=[f"{share:.0%}" for share in table["fraction"]])
    for name, words in AGREEMENTS.items():
        rows = zip(100 * table[name], 100 * table[f"{name}_ci"], strict=True)
        shown[f"{words} (%)"] = [plus_minus(mean, half, 0) if np.isfinite(mean) else "-" for mean, half in rows]
    return shown.assign(trials=table["n"])


def picture(table: pd.DataFrame, caption: str) -> Figure:
    """Gain of every variant in a `variant_table` over preset `paper`, with 95 % intervals over trials."""
    names = [name for name in dict.fromkeys(table["variant"]) if name != PAPER]

    def draw(axes: Axes, _: str, base: str) -> bool:
        here = table[(table["base"] == base) & (table["pairs"] > 0)]
        if here.empty:
            return False
        gains.draw(axes, here.set_index("variant"), names, COLOURS[base])
        axes.set(xlabel="gain over preset paper (points)", title=title("", base))
        return True

    return canvas.caption(canvas.panel_grid([""], BASES, draw, (5.2, 2.9)), f"{caption}; {gains.FILLED}")


def regrets(runs: pd.DataFrame, caption: str) -> Figure:
    """Mean regret of every variant in `compared` runs by what the tasks have in common: 0 is as good as a search on
    validation data."""
    means = (100 * runs.pivot_table("regret", ["base", "variant"], "relatedness")).round() + 0.0  # no cell reads -0

    def draw(axes: Axes, _: str, base: str) -> bool:
        if base not in means.index:
            return False
        grid = means.loc[base].reindex(VARIANTS, columns=PLANTED)
        sns.heatmap(grid, annot=True, fmt=".0f", cmap="cividis_r", ax=axes, vmin=means.min(axis=None),
                    vmax=means.max(axis=None), cbar_kws={"label": "regret (points)"})  # fmt: skip
        axes.set(xlabel="what the tasks have in common", ylabel="", title=title("", base))
        return True

    return canvas.caption(canvas.panel_grid([""], BASES, draw, (4.6, 3.4)), caption)


def growth(agreement: pd.DataFrame) -> pd.DataFrame:
    """The rows of an `agreement_table` that tell preset `paper` with less data from that with more; none where only one
    share of the images is recorded."""
    table = agreement[agreement["variant"] == PAPER]
    return table if table["fraction"].nunique() > 1 else table[:0]


def growth_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Layers that preset `paper` chooses as planted with all training images, minus those with fewer, in points: paired
    over trials, corrected for the ways of sharing (Holm)."""
    runs = _lasem(records)
    shares = runs[runs["variant"] == PAPER].pivot_table("layers", ["base", "seed"], "fraction")
    if shares.shape[1] < 2:
        return pd.DataFrame()
    more = (shares[shares.columns.max()] - shares[shares.columns.min()]).dropna()
    table = judged(pd.DataFrame([{"base": base} | paired(trials) for base, trials in more.groupby("base")]))
    return table[["base"]].join(gains.columns(table, "more layers as planted (points)"))


def agreement_by_data(table: pd.DataFrame, caption: str) -> Figure:
    """How many layers preset `paper` chooses as planted, by the share of the training images (`growth`)."""

    def draw(axes: Axes, _: str, __: str) -> bool:
        axes.set_title("")
        if table.empty:
            return False
        for shift, base in zip((0.98, 1.0, 1.02), BASES, strict=True):
            rows = table[table["base"] == base]
            axes.errorbar(100 * rows["fraction"] * shift, 100 * rows["layers"], yerr=100 * rows["layers_ci"],
                          fmt="o-", capsize=3, color=COLOURS[base], label=base)  # fmt: skip
        axes.axhline(50, color="0.6", lw=0.8, ls=":")
        axes.set(xlabel="training images used (%)", ylabel="layers as planted (%)", xscale="log")
        axes.set_xticks([25, 100], ["25", "100"])
        axes.minorticks_off()
        canvas.legend_of_bases(axes, set(table["base"]))
        return True

    return canvas.caption(canvas.panel_grid([""], [""], draw, (4.6, 3.2)), f"{caption}; dotted: by chance")


def sentence(evidence: Evidence) -> str:
    """Which variants are better or worse than preset `paper`, and by how much the best is."""
    table = variant_table(by_trial(evidence.records))
    tested = table[table["pairs"] >= MIN_TRIALS]
    if tested.empty:
        return "Too few trials to compare another E-step with the paper's."
    counts = tested["verdict"].value_counts()
    words = f"Of {len(tested)} comparisons with preset paper, {counts.get(BETTER, 0)} are better, "
    words += f"{counts.get(WORSE, 0)} worse and {counts.get(UNDECIDED, 0)} undecided after Holm's correction"
    best = tested.loc[tested["gain"].idxmax()]
    where = f"{title('', best['base'])} with {best['variant']}, n = {int(best['pairs'])}"
    return f"{words}; the largest gain is {gains.points(best)} ({where})."
