"""Tables: our numbers, the paper's beside them, and how both reach a notebook and the README."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import display

from lasem_core.common.statistics import NOT_RUN, t_interval
from lasem_core.runs.artefacts import ARTEFACTS
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import verdicts
from lasem_core.views.evidence import TIMED, Evidence, layer_frequency, leading_table
from lasem_core.views.words import (
    BASE_NAMES,
    DATASET_NAMES,
    METHOD_NAMES,
    METRIC_NAMES,
    NETWORK_NAMES,
    NOTHING,
    UNITS,
    joined,
    method_name,
    plus_minus,
    run_name,
    spread,
)

COLUMNS = (
    "name", "dataset", "metric", "unit", "paper", "paper_ci", "ours", "ours_ci", "n", "profile", "scale", "verdict",
)  # fmt: skip


HEADINGS = METRIC_NAMES | {
    "dataset": "data", "base": "sharing", "config": "configuration", "claim": "what the paper says", "name": "",
    "margin": "paired difference", "lr": "learning rate", "scale": "tasks × epochs",
}  # fmt: skip
_YES, _NO, _OPEN = "#cce5f6", "#f9d5b5", "#e6e6e6"
BADGES = {
    "reproduced": _YES, "equivalent": _YES, "as planted": _YES, "better": _YES,
    "not reproduced": _NO, "different": _NO, "against it": _NO, "worse": _NO,
    "undecided": _OPEN, "not run": "#f4f4f4",
}  # fmt: skip


def summary_table(evidence: Evidence) -> pd.DataFrame:
    """Our numbers, one row per data set, method and configuration: both peaks, final accuracy, forgetting."""
    keys = ["dataset", "base", "method", "label"]
    keys += [k for k in ("fixed_mass", "groups") if evidence.runs[k].nunique() > 1]
    rows = []
    for place, runs in evidence.runs.groupby(keys, sort=False):
        own = dict(zip(keys, place, strict=True))
        named = {"dataset": own.pop("dataset"), "runs": run_name(own.pop("method"), own.pop("label"), own.pop("base"))}
        percent = {name: spread(100 * runs[name]) for name in verdicts.ACCURACIES}
        stride = {"tested every (epochs)": joined([*map(str, sorted(runs["test_every"].unique()))])}
        rows.append(named | own | percent | {"forgetting_ratio": spread(runs["forgetting_ratio"], 2)} | stride)
    return pd.DataFrame(rows)


def coverage(evidence: Evidence) -> pd.DataFrame:
    """What is recorded of every kind of run, and how long the rest would take."""
    rows = []
    missing = _by_kind(evidence.missing)
    for kind, specs in _by_kind(evidence.specs).items():
        left, (dataset, method, base, network) = missing.get(kind, []), kind
        name = run_name(method, "all" if len({spec.config for spec in specs}) == 1 else "configurations", base)
        name += f", {NETWORK_NAMES[network]}" if network in NETWORK_NAMES else ""
        row = {"dataset": dataset, "runs": name, "recorded": f"{len(specs) - len(left)} of {len(specs)}"}
        rows.append(row | {"the rest would take": evidence.duration(left) if left else ""})
    return pd.DataFrame(rows)


def _by_kind(specs: Iterable[RunSpec]) -> dict[tuple[str, ...], list[RunSpec]]:
    kinds: dict[tuple[str, ...], list[RunSpec]] = {}
    for spec in specs:
        kinds.setdefault((spec.dataset, spec.method, spec.base, spec.model.network), []).append(spec)
    return kinds


def frequency_table(evidence: Evidence) -> pd.DataFrame:
    """How often LASEM transfers each layer, mean over trials: percent of its final choices, and of the epochs in which
    a configuration that transfers it leads."""
    final, leading = evidence.choices, leading_table(r for r in evidence.records if r.spec.method == "lasem")
    views = {"final choices": final[final["method"] == "lasem"], "epochs": leading}
    rows = [
        {"dataset": dataset, "base": base, "of": name}
        | {f"layer {layer} (%)": spread(100 * runs["transferred"], 0) for layer, runs in here.groupby("layer")}
        for dataset, base in evidence.panels
        for name, choices in views.items()
        if len(here := layer_frequency(choices[(choices["dataset"] == dataset) & (choices["base"] == base)]))
    ]
    return pd.DataFrame(rows).fillna("")


def choice_table(evidence: Evidence, top: int = 8) -> pd.DataFrame:
    """The most chosen configurations by data set and base, and how often each was chosen."""
    rows = []
    for (dataset, base), choices in evidence.choices.groupby(["dataset", "base"], sort=False):
        counts = choices["config"].value_counts().head(top)
        chosen = ", ".join(f"{config} ({count})" for config, count in counts.items())
        rows.append({"dataset": dataset, "base": base, "chosen (times)": chosen, "of": len(choices)})
    return pd.DataFrame(rows)


def memory_table(evidence: Evidence) -> pd.DataFrame:
    """Kilobytes kept after the last task, by run."""
    names = {"shared_bytes": "shared (KB)", "task_bytes_max": "largest task (KB)", "stored_bytes": "kept (KB)"}
    rows = [
        {"dataset": run["dataset"], "runs": run_name(run["method"], run["label"], run["base"])}
        | {heading: round(run[name] / 1024, 1) for name, heading in names.items()}
        for run in evidence.runs.to_dict("records")
    ]
    return pd.DataFrame(rows)


def memory_ratios(evidence: Evidence) -> str:
    """LASEM's kept bytes over those of transfer at all layers, by base."""
    kept = evidence.runs.groupby(["base", "label"])["stored_bytes"].max().unstack()
    if not {"lasem", "all"} <= set(kept):
        return NOTHING
    ratios = (kept["lasem"] / kept["all"]).dropna()
    return ", ".join(f"{BASE_NAMES[base]} {ratio:.2f}" for base, ratio in ratios.items())


def rollback_pairs(evidence: Evidence) -> pd.DataFrame:
    """Runs that differ only in whether layers that were not chosen are rolled back."""
    keys = ["base", "likelihood", "prior", "m_steps"]
    pairs = evidence.runs.groupby(keys).filter(lambda runs: runs["rollback"].nunique() > 1)
    rows = [
        {"base": BASE_NAMES[base], "likelihood": likelihood, "prior": prior, "roll-back": "yes" if rollback else "no",
         "forgetting": spread(runs["forgetting_ratio"], 2), "final accuracy": spread(100 * runs["final_accuracy"])}
        for (base, likelihood, prior, _, rollback), runs in pairs.groupby([*keys, "rollback"], sort=False)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def comparison(evidence: Evidence, accuracy: str = "peak_at_best_valid") -> pd.DataFrame:
    """One row per published number of the artefact: the paper's, ours, n, verdict.

    Arguments: accuracy, which of our three measures stands beside the paper's 'peak per-task accuracy'.
    """
    targets = verdicts.targets()
    wanted = targets[(targets["artefact"] == _source(evidence.artefact)) & targets["metric"].isin(UNITS)]
    wanted = wanted[wanted["method"].isin({family.method for family in ARTEFACTS[evidence.artefact]})]
    rows = [_comparison_row(evidence, target, accuracy) for target in wanted.dropna(subset=["value"]).itertuples()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _source(artefact: str) -> str:
    return {"appendix_c": "table3", "figure3": "table3"}.get(artefact, artefact)


def _comparison_row(evidence: Evidence, target: tuple, accuracy: str) -> dict[str, object]:
    runs = verdicts.counts(evidence.judged.runs)
    base = target.base if isinstance(target.base, str) else "none"
    here = runs[(runs["dataset"] == target.dataset) & (runs["base"] == base) & (runs["method"] == target.method)]
    here = here[here["label"] == (target.config if isinstance(target.config, str) else target.method)]
    if evidence.artefact == "appendix_e" and target.method == "lasem":
        here = here[here["groups"] != ""]
    here = verdicts.longest(here)
    values = _measure(here, runs, target, accuracy)
    mean, half = t_interval(values)
    return {
        "name": f"{method_name(target.method, base)} {DATASET_NAMES[target.dataset]}",
        "dataset": target.dataset,
        "metric": target.metric,
        "unit": UNITS[target.metric],
        "paper": target.value,
        "paper_ci": target.ci95,
        "ours": mean,
        "ours_ci": half,
        "n": len(values),
        "profile": ", ".join(sorted(set(here["profile"]))),
        "scale": verdicts.scale(here),
        "verdict": verdicts.judge_number(values, target.value, target.ci95, _bears(target.metric, here)),
    }


def _bears(metric: str, runs: pd.DataFrame) -> bool:
    """Published seconds are only for runs that evaluate as often."""
    return verdicts.bears_numbers(runs) and (metric != "relative_time" or bool(runs["every_epoch"].all()))


def _measure(here: pd.DataFrame, runs: pd.DataFrame, target: tuple, accuracy: str) -> np.ndarray:
    """Our values in the published unit, one per trial."""
    if target.metric == "peak_accuracy":
        return 100 * here[accuracy].dropna().to_numpy()
    if target.metric == "forgetting_ratio":
        return here["forgetting_ratio"].dropna().to_numpy()
    same = runs[runs["profile"].isin(here["profile"])]
    lasem = same[(same["dataset"] == target.dataset) & (same["base"] == target.base) & (same["method"] == "lasem")]
    ratio = here.set_index("seed")[TIMED] / lasem.set_index("seed")[TIMED]
    return ratio.dropna().to_numpy()


def show(table: pd.DataFrame) -> None:
    """Show a table for reading: as HTML, verdicts in colour, and as text where there is no browser."""
    shown = readable(table)
    if shown.empty:
        return print(NOTHING)
    html = shown.map(lambda cell: escape(str(cell)))
    if "verdict" in html:
        html["verdict"] = html["verdict"].map(_badge)
    page = html.to_html(index=False, escape=False, border=0, justify="left")
    for cell in ("<td>", "<th>"):  # JupyterLab's style is for numbers
        page = page.replace(cell, cell[:-1] + ' style="text-align: left">')
    display({"text/html": page, "text/plain": shown.to_string(index=False)}, raw=True)


def _badge(word: str) -> str:
    colour = BADGES.get(word.removesuffix(", on a stand-in"), _OPEN)
    return f'<span style="background: {colour}; color: #222; padding: 0 0.4em; border-radius: 0.3em">{word}</span>'


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Full names in place of the code's; value, interval and unit in one cell."""
    shown = table.copy()
    if {"paper", "paper_ci"} <= set(table):
        shown["paper"] = [published(v, ci) for v, ci in zip(table["paper"], table["paper_ci"], strict=True)]
        shown["ours"] = [plus_minus(r.ours, r.ours_ci, 1 + ("%" not in r.unit), r.n) for r in table.itertuples()]
        shown = shown[["name", "unit", "paper", "ours", "profile", "scale", "verdict"]]
    if {"margin", "margin_ci"} <= set(table):
        shown["margin"] = [_margin(row) for row in table.itertuples()]
        shown = _without_idle(shown[["claim", "dataset", "margin", "profile", "scale", "verdict"]])
    words = {"dataset": DATASET_NAMES, "base": BASE_NAMES, "method": METHOD_NAMES, "accuracy": METRIC_NAMES}
    for column, names in words.items():
        if column in shown:
            shown[column] = [names.get(value, value) for value in shown[column]]
    return shown.rename(columns=HEADINGS | DATASET_NAMES)


def _without_idle(claims: pd.DataFrame) -> pd.DataFrame:
    """Claims that no run tells about are counted in one row."""
    idle = claims["verdict"] == NOT_RUN
    places = ", ".join(DATASET_NAMES[name] for name in claims[idle]["dataset"].unique())
    words = f"{idle.sum()} claim{'s'[: idle.sum() - 1]} on {places}"
    row = {"claim": words, "dataset": "", "margin": "-", "profile": "", "scale": "", "verdict": NOT_RUN}
    return pd.concat([claims[~idle], pd.DataFrame([row] * bool(idle.any()), columns=claims.columns)])


def _margin(row: Any) -> str:
    """Points of accuracy and of shares of layers, seconds, or a difference of ratios."""
    scale, digits, unit = {"ratio": (1, 2, ""), "seconds": (1, 0, " s")}.get(row.unit, (100, 1, " points"))
    return plus_minus(scale * row.margin, scale * row.margin_ci, digits, row.n, "+", unit)


def published(value: float, half: float) -> str:
    """As many digits as the paper prints."""
    digits = 1 if round(value, 1) == value and not (np.isfinite(half) and round(half, 1) != half) else 2
    return plus_minus(value, half, digits)


def markdown(table: pd.DataFrame) -> str:
    """A table for reading, as a page of text has it."""
    shown = readable(table).astype(str)
    rows = [list(shown.columns), ["---"] * len(shown.columns), *shown.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def write(table: pd.DataFrame, name: str, out: Path) -> None:
    """Keep a table as CSV beside the figures."""
    (out / "figures").mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "figures" / f"{name}.csv", index=False)
