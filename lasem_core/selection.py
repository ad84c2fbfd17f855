"""Did EM pick the right layers? Planted tasks are the only data on which that question has an answer.

For each planted relatedness: how the static configurations rank, and LASEM's *regret*, the accuracy of the static
configuration chosen on VALIDATION minus LASEM's, trial by trial, beside its gain over transfer at all layers and over
a configuration drawn uniformly at random. Whether EM finds the planted answer is a result, not a requirement.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lasem_core.metrics import t_interval
from lasem_core.record import RunRecord

MEASURES = ("final_accuracy", "peak_at_best_valid")
PLACE = ["relatedness", "base"]


def trial_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per run: where it stands, its mean best validation accuracy over tasks, its test accuracies."""
    return pd.DataFrame([_trial(record) for record in records])


def _trial(record: RunRecord) -> dict[str, object]:
    spec = record.spec
    best_valid = record.history.groupby("position")["valid_accuracy"].max().mean()
    place = {"relatedness": spec.stream.relatedness, "base": spec.base, "seed": spec.seed}
    who = {"method": spec.method, "preset": spec.preset, "config": spec.config or ""}
    return place | who | {"valid": best_valid} | {name: record.summary[name] for name in MEASURES}


def ranking(trials: pd.DataFrame, measure: str = "final_accuracy") -> pd.DataFrame:
    """Static configurations, best first, per relatedness and base: mean over trials, half-width, n."""
    static = trials[(trials["method"] == "static") & (trials["preset"] == "paper")]
    groups = static.groupby([*PLACE, "config"])[measure]
    table = groups.agg(accuracy="mean", ci=lambda values: t_interval(values)[1], n="size").reset_index()
    return table.sort_values([*PLACE, "accuracy"], ascending=[True, True, False], ignore_index=True)


def regret_table(trials: pd.DataFrame, measure: str = "final_accuracy") -> pd.DataFrame:
    """LASEM against statics of the same trial: regret, gain over all layers, gain over a random configuration."""
    static = trials[(trials["method"] == "static") & (trials["preset"] == "paper")]
    lasem = trials[trials["method"] == "lasem"]
    rows = [
        dict(zip([*PLACE, "preset"], place, strict=True)) | _against(runs, static, measure)
        for place, runs in lasem.groupby([*PLACE, "preset"])
    ]
    return pd.DataFrame(rows)


def _against(lasem: pd.DataFrame, static: pd.DataFrame, measure: str) -> dict[str, float]:
    """Paired differences over the trials both have."""
    differences: dict[str, list[float]] = {"regret": [], "gain_over_all": [], "gain_over_random": []}
    for run in lasem.itertuples():
        here = static[(static[PLACE] == [run.relatedness, run.base]).all(axis=1) & (static["seed"] == run.seed)]
        everything = here.loc[here["config"].str.fullmatch("1+"), measure]
        if here.empty or everything.empty:
            continue
        ours = getattr(run, measure)
        differences["regret"].append(here.loc[here["valid"].idxmax(), measure] - ours)
        differences["gain_over_all"].append(ours - everything.item())
        differences["gain_over_random"].append(ours - here[measure].mean())
    row: dict[str, float] = {"accuracy": lasem[measure].mean(), "n": len(differences["regret"])}
    for name, values in differences.items():
        row[name], row[f"{name}_ci"] = t_interval(values) if values else (np.nan, np.nan)
    return row


def transfer_share(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Per relatedness, base, preset and layer: the share of LASEM's final choices that transfer the layer."""
    rows = [
        {"relatedness": r.spec.stream.relatedness, "base": r.spec.base, "preset": r.spec.preset}
        | {f"layer {layer}": float(bit == "1") for layer, bit in enumerate(config, start=1)}
        for r in records
        if r.spec.method == "lasem"
        for config in r.configs[1:]  # the first task has nothing to transfer from
    ]
    return pd.DataFrame(rows).groupby([*PLACE, "preset"]).mean().reset_index()
