"""Figures 1, 3, 4, 5, 7 and 8, and those of the appendices: tidy tables in, pictures out; nothing is trained here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lasem_core.views import canvas, panels
from lasem_core.views.canvas import (
    ALL,
    BEST,
    COLOURS,
    LASEM,
    RANGE,
    SPECIFIC,
    TRANSFERRED,
    interval,
    percent,
    share_interval,
)
from lasem_core.views.evidence import Evidence, label, layer_frequency
from lasem_core.views.words import BASE_NAMES, run_name

ACCURACY = "peak per-task accuracy"
BESIDE = 0.15  # LASEM to the right of transfer at all layers, so that neither hides the other
FORGETTING = "forgetting ratio (1 = no loss)"


def static_configurations(evidence: Evidence, metric: str = "peak_at_best_valid") -> Figure:
    """Figure 1: accuracy of every static configuration, one panel per base and data set."""
    runs = evidence.runs[evidence.runs["method"] == "static"]

    def draw(axes: Axes, dataset: str, base: str) -> bool:
        here = panels.at(runs, dataset, base)
        if here.empty:
            return False
        names = _configurations(evidence, dataset, base)
        for place, name in enumerate(names):
            _draw_mean(axes, place, panels.values(here, name, metric), ALL if name == "all" else BEST)
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
        axes.grid(axis="x", color="0.9")
        percent(axes, ACCURACY, "x")
        if "all" in names:
            axes.plot(panels.published(dataset, base, "static"), names.index("all"), mec=ALL, **panels.PAPER)
        return True

    figure = panels.grid(evidence, panels.bases(evidence), draw, (4.0, 3.0))
    panels.legend(figure, {"all layers": ALL, "other configurations": BEST}, evidence.panels)
    return figure


def lasem_against_static(evidence: Evidence) -> Figure:
    """Figure 3: the range of static configurations, transfer at all layers, and LASEM."""
    metrics = {"peak_at_best_valid": ACCURACY, "forgetting_ratio": FORGETTING}

    def draw(axes: Axes, dataset: str, metric: str) -> bool:
        here = evidence.runs[evidence.runs["dataset"] == dataset]
        if here[metric].dropna().empty:
            return False
        bases = [base for data, base in evidence.panels if data == dataset]
        axes.use_sticky_edges = False
        for place, base in enumerate(bases):
            _range_box(axes, place, here[here["base"] == base], metric)
            shown = (("static", ALL, -BESIDE), ("lasem", LASEM, BESIDE)) if metric != "forgetting_ratio" else ()
            for method, colour, shift in shown:
                axes.plot(place + shift, panels.published(dataset, base, method), mec=colour, **panels.PAPER)
        axes.set_xticks(range(len(bases)), [BASE_NAMES[base] for base in bases])
        axes.set_xlim(-0.6, len(bases) - 0.4)
        percent(axes, ACCURACY) if metric != "forgetting_ratio" else axes.set_ylabel(FORGETTING)
        axes.autoscale_view(scalex=False)
        return True

    figure = panels.grid(evidence, list(metrics), draw, (3.6, 3.2))
    there = evidence.runs[evidence.runs["method"] == "static"].groupby(["dataset", "base"])["label"].nunique()
    entries = {"static: range": RANGE} if (there > 1).any() else {}
    panels.legend(figure, entries | {"static: all layers": ALL, "LASEM": LASEM}, evidence.panels)
    return figure


def _draw_mean(axes: Axes, place: int, values: np.ndarray, colour: str) -> None:
    if len(values):
        mean, ends = _mean_and_ends(values)
        axes.errorbar(mean, place, xerr=ends, fmt="o", color=colour, zorder=3)
    else:
        axes.text(0.02, place, "not run", transform=axes.get_yaxis_transform(), va="center", color="0.45")


def _mean_and_ends(values: np.ndarray) -> tuple[float, list[list[float]]]:
    mean, (low, high) = np.mean(values), interval(values)
    return mean, [[mean - low], [high - mean]]


def _range_box(axes: Axes, place: int, runs: pd.DataFrame, metric: str) -> None:
    if runs.empty:
        transform = axes.get_xaxis_transform()
        axes.text(place, 0.01, "not run", transform=transform, ha="center", va="bottom", color="0.45")
    static = runs[runs["method"] == "static"].groupby("label")[metric].mean().dropna()
    if len(static) > 1:
        axes.bar(place, static.max() - static.min(), 0.6, static.min(), color=RANGE, edgecolor="0.3")
    for name, colour, shift in (("all", ALL, -BESIDE), ("lasem", LASEM, BESIDE)):
        values = panels.values(runs, name, metric)
        if len(values):
            mean, ends = _mean_and_ends(values)
            axes.errorbar(place + shift, mean, ends, color=colour, marker="o", capsize=3, zorder=3)


def layer_frequencies(evidence: Evidence) -> Figure:
    """Figure 4: how often each layer is transferred, by base."""
    share = layer_frequency(evidence.choices[evidence.choices["method"] == "lasem"])

    def draw(axes: Axes, dataset: str, _: str) -> bool:
        here = share[share["dataset"] == dataset]
        if here.empty:
            return False
        sns.barplot(here, x="layer", y="transferred", hue="base", hue_order=panels.bases(evidence), palette=COLOURS,
                    dodge=True, errorbar=share_interval, capsize=0.1, err_kws={"linewidth": 1}, ax=axes)  # fmt: skip
        axes.axhline(0.5, color="0.6", lw=0.8, ls=":")
        axes.set_ylim(0, 1.02)
        percent(axes, "transferred")
        place = {"ncols": 3, "loc": "lower center", "bbox_to_anchor": (0.5, 1.08)}
        canvas.legend_of_bases(axes, set(here["base"]), **place)
        return True

    return panels.grid(evidence, [""], draw, (4.6, 3.3))


def fixed_posterior(evidence: Evidence) -> Figure:
    """Figure 5: accuracy against the fixed weight P of one configuration, beside full LASEM."""

    def draw(axes: Axes, dataset: str, base: str) -> bool:
        here = panels.at(evidence.runs, dataset, base)
        fixed = here[here["method"] == "fixed-posterior"]
        if here.empty:
            return False
        if len(fixed):
            sns.lineplot(fixed, x="fixed_mass", y="peak_at_best_valid", marker="o", errorbar=interval, color=ALL,
                         ax=axes)  # fmt: skip
        values = panels.values(here, "lasem", "peak_at_best_valid")
        if len(values):
            axes.axhline(np.mean(values), color=LASEM)
            axes.axhspan(*interval(values), color=LASEM, alpha=0.15, lw=0)
        axes.set_xlabel("P, posterior weight of the chosen configuration")
        percent(axes, ACCURACY)
        return True

    figure = panels.grid(evidence, panels.bases(evidence), draw, (5.2, 3.4))
    panels.legend(figure, {"fixed posterior": ALL, "LASEM": LASEM})
    return figure


def forgetting_curves(evidence: Evidence) -> Figure:
    """Figure 7: mean forgetting ratio of earlier tasks against the number of tasks trained."""
    best = best_restricted(evidence.runs)
    curves = evidence.forgetting
    legend = {"all layers": ALL} | ({"best restricted configuration": BEST} if best else {}) | {"LASEM": LASEM}

    def draw(axes: Axes, dataset: str, base: str) -> bool:
        here = panels.at(curves, dataset, base).dropna(subset=["forgetting_ratio"])
        chosen = {"all": ALL, best.get((dataset, base), ""): BEST, "lasem": LASEM}
        shown = here[here["label"].isin(chosen)]
        if shown.empty:
            return False
        sns.lineplot(shown, x="trained", y="forgetting_ratio", hue="label", palette=chosen, errorbar=interval,
                     marker="o", ax=axes, legend=False)  # fmt: skip
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.9), max(high, 1.02))  # a change of a thousandth is to look like none
        axes.axhline(1, color="0.6", lw=0.8, ls=":")
        axes.set(xlabel="tasks trained", ylabel="forgetting ratio")
        axes.xaxis.get_major_locator().set_params(integer=True)
        return True

    figure = panels.grid(evidence, panels.bases(evidence), draw, (3.8, 2.6))
    panels.legend(figure, legend)
    return figure


def best_restricted(runs: pd.DataFrame) -> dict[tuple[str, str], str]:
    """The static configuration of highest mean accuracy, transfer at all layers aside, by (data set, base)."""
    static = runs[(runs["method"] == "static") & (runs["label"] != "all")]
    means = static.groupby(["dataset", "base", "label"])["peak_at_best_valid"].mean()
    return {place: group.idxmax()[2] for place, group in means.groupby(level=[0, 1])}


def chosen_configurations(evidence: Evidence, top: int = 8) -> Figure:
    """Figure 8, top: the most chosen configurations, one bit per layer, layer 1 first."""

    def draw(axes: Axes, dataset: str, base: str) -> bool:
        here = panels.at(evidence.choices, dataset, base)
        if here.empty:
            return False
        share = here["config"].value_counts(normalize=True).head(top)
        sns.barplot(x=share.index, y=share.to_numpy(), color=COLOURS[base], ax=axes)
        axes.tick_params(axis="x", rotation=90 if len(share.index[0]) > 4 else 45)
        axes.set_xlabel("configuration, layer 1 first, 1 = transferred")
        percent(axes, "chosen")
        return True

    return panels.grid(evidence, panels.bases(evidence), draw, (3.6, 2.6), evidence.plain_caption)


def layer_shares(evidence: Evidence) -> Figure:
    """Figure 8, bottom: per layer, how often LASEM transfers it and how often it stays task-specific."""
    choices = evidence.choices[evidence.choices["method"] == "lasem"]

    def draw(axes: Axes, dataset: str, base: str) -> bool:
        return _draw_shares(axes, panels.at(choices, dataset, base))

    figure = panels.grid(evidence, panels.bases(evidence), draw, (3.2, 2.5), evidence.plain_caption)
    panels.legend(figure, {"transferred": TRANSFERRED, "task-specific": SPECIFIC})
    return figure


def searches(evidence: Evidence) -> Figure:
    """Appendix E: the same for the search over groups of layers and for the one layer by layer."""
    choices = evidence.choices[evidence.choices["method"] == "lasem"]
    names = {True: "groups of layers", False: "layer by layer"}

    def draw(axes: Axes, grouped: bool, _: str) -> bool:
        axes.set_title(names[grouped])
        return _draw_shares(axes, choices[(choices["groups"] != "") == grouped])

    figure = canvas.caption(canvas.panel_grid(list(names), [""], draw, (3.2, 2.5)), evidence.plain_caption)
    panels.legend(figure, {"transferred": TRANSFERRED, "task-specific": SPECIFIC})
    return figure


def _draw_shares(axes: Axes, choices: pd.DataFrame) -> bool:
    mean = layer_frequency(choices).groupby("layer")["transferred"].mean()
    if mean.empty:
        return False
    axes.bar(mean.index, mean, color=TRANSFERRED)
    axes.bar(mean.index, 1 - mean, bottom=mean, color=SPECIFIC, hatch="//", edgecolor="white")
    axes.set(xticks=mean.index, xlabel="layer", ylim=(0, 1))
    percent(axes, "share of choices")
    return True


def memory(evidence: Evidence) -> Figure:
    """Appendix F: bytes kept after the last task, shared and task-specific."""
    names = [run_name(run["method"], run["label"], run["base"]) for run in evidence.runs.to_dict("records")]
    runs = evidence.runs.assign(name=names)

    def draw(axes: Axes, dataset: str, _: str) -> bool:
        here = runs[runs["dataset"] == dataset].sort_values("stored_bytes")
        if here.empty:
            return False
        shared = here["shared_bytes"] / 2**20
        axes.barh(here["name"], shared, color=TRANSFERRED)
        axes.barh(here["name"], here["stored_bytes"] / 2**20 - shared, left=shared, color=SPECIFIC)
        axes.set_xlabel("kept after the last task (MB)")
        return True

    figure = panels.grid(evidence, [""], draw, (6.0, 4.2), evidence.plain_caption)
    panels.legend(figure, {"shared": TRANSFERRED, "task-specific": SPECIFIC})
    return figure


def beside_paper(table: pd.DataFrame) -> Figure:
    """Ours beside the paper's, one panel per unit; `table` as `tables.comparison` makes it."""

    def draw(axes: Axes, unit: str, _: str) -> bool:
        here = table[table["unit"] == unit].reset_index(drop=True)
        places = -np.arange(len(here))
        axes.errorbar(here["paper"], places + 0.15, xerr=here["paper_ci"].fillna(0), fmt="D", mfc="white", color=BEST)
        if not here["ours"].isna().all():
            axes.errorbar(here["ours"], places - 0.15, xerr=here["ours_ci"].fillna(0), fmt="o", color=LASEM)
        axes.set_yticks(places, here["name"])
        axes.set(xlabel=unit, title="", ylim=(places[-1] - 0.6, 0.6))
        return True

    height = 1.4 + 0.32 * table.groupby("unit").size().max()
    figure = canvas.panel_grid(list(dict.fromkeys(table["unit"])), [""], draw, (5.2, height))
    panels.legend(figure, {"ours": LASEM} if table["n"].any() else {"ours: not run": LASEM}, [("cifar100", "hps")])
    return canvas.caption(figure, f"paper: 95 % intervals; ours: {_counted(table[table['n'] > 0])}")


def _counted(table: pd.DataFrame) -> str:
    """What our numbers in a comparison stand for."""
    if table.empty:
        return "no run that counts"
    profiles, scales = (", ".join(sorted(set(table[name]))) for name in ("profile", "scale"))
    most = int(table["n"].max())
    trials = f"up to {most} trials, 95 % t-intervals" if most > 1 else "one trial, no interval"
    return f"profile {profiles} ({scales} tasks × epochs), {trials}"


def _configurations(evidence: Evidence, dataset: str, base: str) -> list[str]:
    here = (spec for spec in evidence.specs if (spec.dataset, spec.base, spec.method) == (dataset, base, "static"))
    return list(dict.fromkeys(label(spec) for spec in here))
