"""Did EM pick the right layers? Planted tasks are the only data on which that question has an answer.

For each planted relatedness: how the static configurations rank, and LASEM's *regret*, the accuracy of the static
configuration chosen on VALIDATION minus LASEM's, trial by trial, beside its gain over transfer at all layers and over
a configuration drawn uniformly at random. Whether EM finds the planted answer is a result, not a requirement.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lasem_core.common.statistics import BETTER, UNDECIDED, WORSE, judged, paired, t_interval
from lasem_core.runs.record import RunRecord
from lasem_core.spec.command_line import unusual
from lasem_core.spec.configs import ConfigSpace
from lasem_core.spec.run_spec import RunSpec, build_spec
from lasem_core.views import canvas
from lasem_core.views.canvas import ALL, LASEM
from lasem_core.views.evidence import Evidence, place
from lasem_core.views.parameters import RECORDED
from lasem_core.views.words import BASE_NAMES, joined, p_value, plus_minus, spread, title

# what each relatedness is made for: a configuration that shares what is common, and a contrasting one
PLANTED = {
    "none": ("0000", "1111"),
    "low": ("1100", "1111"),
    "high": ("0111", "1111"),
    "both": ("1111", "0011"),
}
WORDS = {BETTER: "as planted", WORSE: "against it"}
COMPARISONS = {
    "regret": "regret",
    "behind_planted": "behind the planted configuration",
    "gain_over_all": "gain over all layers",
    "gain_over_random": "gain over random",
}
MEASURES = ("final_accuracy", "peak_at_best_valid")
PLACE = ["relatedness", "base"]
CONFIGS = [str(config) for config in ConfigSpace.full(4)][::-1]  # nothing transferred first
BASES = ("hps", "df-cnn")
VARIANTS = {"paper": (LASEM, "o", -0.12), "released": (ALL, "s", 0.12)}  # colour, marker, shift


def beside_truth(profile: str, relatedness: str, base: str, preset: str, seed: int) -> list[RunSpec]:
    """LASEM, transfer at all layers, and the configuration that the tasks were made for, on the same tasks."""
    stream = {"relatedness": relatedness, "n_tasks": 3}
    place = {"dataset": "planted", "base": base, "seed": seed, "profile": "quick" if profile == RECORDED else profile}
    lasem = build_spec(place | {"method": "lasem", "preset": preset, "stream": stream})
    static = [build_spec(place | {"method": "static", "preset": "paper", "stream": stream, "config": config})
              for config in ("1111", PLANTED[relatedness][0])]  # fmt: skip
    return list(dict.fromkeys([lasem, *static]))


def trial_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per run: where it stands, its mean best validation accuracy over tasks, its test accuracies."""
    columns = [*PLACE, "seed", "stream", "method", "variant", "config", "valid", *MEASURES]
    rows = [_trial(record) for record in records]
    return pd.DataFrame(rows, columns=columns)


def _trial(record: RunRecord) -> dict[str, object]:
    best_valid = record.history.groupby("position")["valid_accuracy"].max().mean()
    own = place(record) | {"relatedness": record.spec.stream.relatedness, "variant": variant(record.spec)}
    own["stream"] = record.summary.get("stream_hash", "")
    return own | {"valid": best_valid} | {name: record.summary[name] for name in MEASURES}


def variant(spec: RunSpec) -> str:
    """The preset's name, or what differs from it: `start=6, evidence=held-out`."""
    switches = {name[3:]: value for name, value in unusual(spec).items() if name.startswith("em.")}
    return ", ".join(map(spelled, switches, switches.values())) or spec.preset


def of_every_kind(runs: pd.DataFrame) -> bool:
    """Whether a trial's `runs` cover all four kinds of relatedness: only then may they be averaged."""
    return set(runs["relatedness"]) == set(PLANTED)


def spelled(name: str, value: object) -> str:
    """A field of `EMSpec` as it is written here: `roll-back off` or `start=6`."""
    return "roll-back off" if name == "rollback" and not value else f"{name}={value}"


def _static(trials: pd.DataFrame) -> pd.DataFrame:
    """The static configurations in canonical order, in which a tie goes to the first."""
    static = trials[trials["method"] == "static"]
    return static.sort_values("config", key=lambda bits: bits.str[::-1], ascending=False)


def ranking(trials: pd.DataFrame, measure: str = "final_accuracy") -> pd.DataFrame:
    """Static configurations, best first, per relatedness and base: mean over trials, half-width, n."""
    groups = _static(trials).groupby([*PLACE, "config"])[measure]
    table = groups.agg(accuracy="mean", ci=lambda values: t_interval(values)[1], n="size").reset_index()
    return table.sort_values([*PLACE, "accuracy"], ascending=[True, True, False], ignore_index=True)


def contrast_table(trials: pd.DataFrame, measure: str = "final_accuracy") -> pd.DataFrame:
    """Whether the configuration a relatedness was made for beats a contrasting one, in points, paired over trials, with
    Holm's correction for all of them; and its rank among all static configurations, the best mean first."""
    rank, static = ranks(ranking(trials, measure)), _static(trials).pivot_table(measure, [*PLACE, "seed"], "config")
    rows = [
        {"relatedness": related, "base": base, "made for": own, "rank": rank[related, base], "contrast": other}
        | {"margin (points)": spread(100 * (runs[own] - runs[other]))}
        | paired((runs[own] - runs[other]).dropna())
        for (related, base), runs in static.groupby(PLACE)
        for own, other in [PLANTED[related]]
    ]
    columns = [*PLACE, "made for", "rank", "contrast", "margin (points)"]
    table = judged(pd.DataFrame(rows, columns=[*columns, "gain", "gain_ci", "pairs", "p"]))
    shown = table[columns].assign(**{"corrected p": table["corrected"].map(p_value)})
    return shown.assign(verdict=table["verdict"].replace(WORDS))


def ranks(table: pd.DataFrame) -> dict[tuple[str, str], int]:
    """By relatedness and base: the place of the configuration that the tasks were made for in a `ranking`, 1 the best;
    places where it was not trained are left out."""
    found = {place: np.flatnonzero(rows["config"] == PLANTED[place[0]][0]) for place, rows in table.groupby(PLACE)}
    return {place: int(at[0]) + 1 for place, at in found.items() if len(at)}


def rank_sentence(trials: pd.DataFrame) -> str:
    """Where the configurations that the tasks were made for stand among all static ones."""
    table = ranking(trials)
    rank = ranks(table)
    words = [f"{joined([str(rank[kind, base]) for kind in PLANTED if (kind, base) in rank])} with {BASE_NAMES[base]}"
             for base in BASES]  # fmt: skip
    among = f"Among all {table['config'].nunique()} static configurations the planted one ranks {joined(words)}"
    found = contrast_table(trials)["verdict"]
    beats = f"It beats a contrasting one in {(found == WORDS[BETTER]).sum()} of {len(found)} comparisons"
    return (
        f"{among} (in common: {', '.join(PLANTED)}; final accuracy, n = {int(table['n'].max())}). {beats}; "
        f"{(found == UNDECIDED).sum()} are undecided (paired t-tests, Holm-corrected)."
    )


def compared(trials: pd.DataFrame, measure: str = "final_accuracy") -> pd.DataFrame:
    """One row per LASEM run, with the comparisons of `COMPARISONS` that its own trial has on the same images, as
    fractions.

    Regret is the accuracy of the static configuration with the best VALIDATION accuracy minus LASEM's: below 0,
    LASEM beats the search it replaces.
    """
    groups = _static(trials).groupby([*PLACE, "seed", "stream"])
    whole = groups.size().max()  # a trial whose search is not finished has no best configuration yet
    static = {place: group.set_index("config") for place, group in groups if len(group) == whole}
    lasem = trials[trials["method"] == "lasem"]
    rows = [
        {name: getattr(run, name) for name in [*PLACE, "variant", "seed", "stream"]}
        | {"accuracy": getattr(run, measure)}
        | _against(getattr(run, measure), static.get(run[1:5]), run.relatedness, measure)
        for run in lasem[[*PLACE, "seed", "stream", "variant", measure]].itertuples()
    ]
    table = pd.DataFrame(rows, columns=[*PLACE, "variant", "seed", "stream", "accuracy", *COMPARISONS])
    return table.astype(dict.fromkeys(COMPARISONS, float))


def _against(ours: float, static: pd.DataFrame | None, relatedness: str, measure: str) -> dict[str, float]:
    everything = None if static is None else next((c for c in static.index if set(c) == {"1"}), None)
    if static is None or everything is None:
        return {}
    theirs, planted = static[measure], PLANTED[relatedness][0]
    return {
        "regret": theirs[static["valid"].idxmax()] - ours,
        "behind_planted": theirs.get(planted, np.nan) - ours,
        "gain_over_all": ours - theirs[everything],
        "gain_over_random": ours - theirs.mean(),
    }


def regret_table(trials: pd.DataFrame, measure: str = "final_accuracy") -> pd.DataFrame:
    """`compared` as means over trials: n of them, half-widths of 95 % t-intervals in the columns `*_ci`."""
    rows = [
        dict(zip([*PLACE, "variant"], place, strict=True)) | _means(runs)
        for place, runs in compared(trials, measure).groupby([*PLACE, "variant"])
    ]
    columns = [*PLACE, "variant", "accuracy", "n", *COMPARISONS, *(f"{name}_ci" for name in COMPARISONS)]
    return pd.DataFrame(rows, columns=columns)


def _means(runs: pd.DataFrame) -> dict[str, float]:
    row = {"accuracy": runs["accuracy"].mean(), "n": int(runs["regret"].count())}
    for name in COMPARISONS:
        values = runs[name].dropna()
        row[name], row[f"{name}_ci"] = t_interval(values)
    return row


def in_points(table: pd.DataFrame) -> pd.DataFrame:
    """A regret table for reading: percent, and points with 95 % intervals."""
    shown = table[[*PLACE, "variant"]].assign(**{"LASEM (%)": (100 * table["accuracy"]).round(1)})
    for name, words in COMPARISONS.items():
        rows = zip(100 * table[name], 100 * table[f"{name}_ci"], table["n"], strict=True)
        shown[f"{words} (points)"] = [plus_minus(mean, half, 1, n, "+") for mean, half, n in rows]
    return shown


def transfer_share(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Per relatedness, base, variant and layer: the share of LASEM's final choices that transfer the layer."""
    rows = [
        {"relatedness": r.spec.stream.relatedness, "base": r.spec.base, "variant": variant(r.spec)}
        | {f"layer {layer}": float(bit == "1") for layer, bit in enumerate(config, start=1)}
        for r in records
        if r.spec.method == "lasem"
        for config in r.configs[1:]  # the first task has nothing to transfer from
    ]
    table = pd.DataFrame(rows, columns=None if rows else [*PLACE, "variant"])
    return table.groupby([*PLACE, "variant"], as_index=False).mean()


def accuracies(evidence: Evidence) -> Figure:
    """Mean accuracy after the last task of every static configuration; a frame marks what the tasks are made for."""
    table = ranking(trial_table(evidence.records))

    def draw(axes: Axes, _: str, base: str) -> bool:
        here = table[table["base"] == base]
        if here.empty:
            return False
        grid = 100 * here.pivot(index="config", columns="relatedness", values="accuracy").reindex(
            CONFIGS, columns=PLANTED
        )
        sns.heatmap(grid, annot=True, fmt=".0f", cmap="cividis", ax=axes, annot_kws={"fontsize": 8},
                    cbar_kws={"label": "final accuracy (%)"})  # fmt: skip
        for column, (made_for, _) in enumerate(PLANTED.values()):
            place = (column, grid.index.get_loc(made_for))
            axes.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=LASEM, lw=2.5, clip_on=False))
        axes.set(xlabel="what the tasks have in common", ylabel="transferred layers, layer 1 first")
        axes.tick_params(axis="y", rotation=0)
        return True

    return canvas.caption(canvas.panel_grid([""], BASES, draw, (4.0, 4.8)), evidence.plain_caption)


def comparisons(evidence: Evidence) -> Figure:
    """LASEM's regret and gains with 95 % intervals over trials, for both presets."""
    table = regret_table(trial_table(evidence.records))

    def draw(axes: Axes, measure: str, base: str) -> bool:
        here = table[table["base"] == base]
        for name, (colour, marker, shift) in VARIANTS.items():
            rows = here[here["variant"] == name].set_index("relatedness").reindex(PLANTED)
            places = [place + shift for place in range(len(PLANTED))]
            axes.errorbar(100 * rows[measure], places, xerr=100 * rows[f"{measure}_ci"], fmt=marker, color=colour,
                          capsize=3, label=name)  # fmt: skip
        axes.axvline(0, color="0.6", lw=0.8, ls=":")
        axes.set_yticks(range(len(PLANTED)), PLANTED)
        axes.invert_yaxis()
        axes.set(xlabel=f"{COMPARISONS[measure]} (points)", title=title("", base))
        if (measure, base) == ("gain_over_random", BASES[0]):
            axes.legend(frameon=False, title="preset", loc="upper left", bbox_to_anchor=(1, 1))
        return not here.empty

    return canvas.caption(canvas.panel_grid(list(COMPARISONS), BASES, draw, (3.6, 2.9)), evidence.caption)


def choices(evidence: Evidence) -> Figure:
    """How often LASEM's later tasks transfer each layer, by what the tasks have in common."""
    table = transfer_share(evidence.records)

    def draw(axes: Axes, name: str, base: str) -> bool:
        here = table[(table["variant"] == name) & (table["base"] == base)]
        if here.empty:
            return False
        grid = 100 * here.set_index("relatedness").reindex(PLANTED).filter(like="layer")
        sns.heatmap(grid, annot=True, fmt=".0f", cmap="cividis", vmin=0, vmax=100, ax=axes,
                    cbar_kws={"label": "transferred (%)"})  # fmt: skip
        axes.set(ylabel="what the tasks have in common", title=f"{title('', base)} · {name}")
        return True

    return canvas.caption(canvas.panel_grid(list(VARIANTS), BASES, draw, (4.0, 2.8)), evidence.plain_caption)
