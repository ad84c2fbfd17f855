"""Paired margins: from the runs of one data set to one number per trial (seed), above 0 where a claim holds."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from lasem_core.spec.configs import static_set

PEAK, FORGETTING = "peak_at_best_valid", "forgetting_ratio"

Margin = Callable[[pd.DataFrame], pd.Series]


def by_seed(runs: pd.DataFrame, base: str, label: str, metric: str = PEAK) -> pd.Series:
    """One value per trial of the runs called `label` (a static configuration or a method)."""
    chosen = runs[(runs["base"] == base) & (runs["label"] == label)]
    return chosen.groupby("seed")[metric].mean()


def over(base: str, better: str, worse: str, metric: str = PEAK) -> Margin:
    """`better` minus `worse` on one base."""
    return lambda runs: by_seed(runs, base, better, metric) - by_seed(runs, base, worse, metric)


def over_median_static(base: str) -> Margin:
    """LASEM minus the median static configuration of the same trial: 'toward the top of the range'.

    Only trials that have the whole static set: a part of it is no range.
    """

    return lambda runs: by_seed(runs, base, "lasem") - _whole_set(runs, base).groupby("seed")[PEAK].median()


def over_best_restricted(base: str, metric: str) -> Margin:
    """LASEM minus the restricted static configuration of highest mean accuracy; trials as in `over_median_static`."""

    def margin(runs: pd.DataFrame) -> pd.Series:
        best = _best_restricted(_whole_set(runs, base))
        return over(base, "lasem", best, metric)(runs)

    return margin


def _whole_set(runs: pd.DataFrame, base: str) -> pd.DataFrame:
    static = runs[(runs["base"] == base) & (runs["method"] == "static")]
    return static.groupby("seed").filter(_has_the_static_set)


def _best_restricted(static: pd.DataFrame) -> str:
    """The configuration of highest mean accuracy, transfer at all layers aside; empty if there is none."""
    means = static[static["label"] != "all"].groupby("label")[PEAK].mean()
    return means.idxmax() if len(means) else ""


def _has_the_static_set(runs: pd.DataFrame) -> bool:
    return set(runs["config"]) >= {str(config) for config in static_set(len(runs["config"].iloc[0])).values()}


def best_restricted_over_all(base: str) -> Margin:
    """The restricted static configuration of highest mean minus transfer at all layers."""

    def margin(runs: pd.DataFrame) -> pd.Series:
        best = _best_restricted(runs[(runs["base"] == base) & (runs["method"] == "static")])
        return over(base, best, "all")(runs)

    return margin


def best_of_own(base: str, other: str) -> Margin:
    """The best static configuration of `base` minus the best one of `other`, both on `base`."""

    def margin(runs: pd.DataFrame) -> pd.Series:
        means = runs[runs["method"] == "static"].groupby(["base", "label"])[PEAK].mean()
        if any((means.index.get_level_values("base") == name).sum() < 2 for name in (base, other)):
            return pd.Series(dtype=float)
        return over(base, means[base].idxmax(), means[other].idxmax())(runs)

    return margin


def transferred(base: str, layers: str = "all") -> Margin:
    """Share of transferred layers minus one half, or the upper half's share minus the lower half's."""

    def margin(shares: pd.DataFrame) -> pd.Series:
        here = shares[shares["base"] == base]
        upper = here["layer"] > here["layer"].max() / 2
        mean = here.groupby("seed")["transferred"].mean()
        if layers == "all":
            return mean - 0.5
        return here[upper].groupby("seed")["transferred"].mean() - here[~upper].groupby("seed")["transferred"].mean()

    return margin


def negative(margin: Margin) -> Margin:
    """The opposite ordering."""
    return lambda runs: -margin(runs)


def difference(first: Margin, second: Margin) -> Margin:
    """One margin minus another, trial by trial."""
    return lambda runs: first(runs) - second(runs)


def between(first: tuple[str, str], second: tuple[str, str], metric: str = PEAK) -> Margin:
    """(base, label) minus (base, label)."""
    return lambda runs: by_seed(runs, *first, metric) - by_seed(runs, *second, metric)


def known_with(mass: float) -> Margin:
    """Accuracy where the configuration is known with probability `mass` (Section 4.3)."""
    return lambda runs: by_seed(runs[(runs["label"] != "lasem") & (runs["fixed_mass"] == mass)], "df-cnn", "top 2")
