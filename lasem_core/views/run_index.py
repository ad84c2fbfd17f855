"""Every recorded run in one table, by the names that people read, those with a known answer first."""

from __future__ import annotations

import pandas as pd
from IPython.display import display

from lasem_core.runs.store import RunStore
from lasem_core.spec.configs import static_set
from lasem_core.views.words import BASE_NAMES, DATASET_NAMES, METHOD_NAMES, METRIC_NAMES


def run_index(store: RunStore) -> pd.DataFrame:
    """One row per record: what was trained on what, how, for how long, and what came of it (percent); by run id."""
    rows = store.summaries()
    if rows.empty:
        return pd.DataFrame()
    table = pd.DataFrame(
        {
            "data": rows["dataset"].map(DATASET_NAMES),
            "tasks have in common": rows["stream.relatedness"].where(rows["dataset"] == "planted", ""),
            "method": rows["method"].replace(METHOD_NAMES | {"static": "static configuration"}),
            "sharing": rows["base"].map(BASE_NAMES),
            "configuration": [_config(config) for config in rows["config"]],
            "switches": rows["preset"],
            "schedule": rows["profile"],
            "tasks": rows["n_tasks"].astype(int),
            "epochs": rows["epochs"].astype(int),
            "pruning": rows["em.prune"].where(rows["method"] == "lasem", ""),
            "seed": rows["seed"].astype(int),
            **{f"{METRIC_NAMES[name]} (%)": (100 * rows[name].astype(float)).round(1) for name in _PERCENT},
            "forgetting": rows["forgetting_ratio"].astype(float).round(2),
            "generation": rows["stale"].map({True: "older", False: "today's"}),
        }
    ).set_index(pd.Index(rows["run_id"], name="run"))
    known = (table["data"] != DATASET_NAMES["planted"]).rename("known")
    return table.loc[known.sort_values(kind="stable").index]


_PERCENT = ("peak_at_best_valid", "peak_test", "final_accuracy")


def _config(config: str | None) -> str:
    """`0111 (top 3)`; empty for a method that chooses by itself."""
    if not isinstance(config, str):
        return ""
    names = {str(known): name for name, known in static_set(len(config)).items()}
    return f"{config} ({names[config]})" if config in names else config


def show_runs(table: pd.DataFrame) -> None:
    """The table with search, sorting and a filter under every column, in a page that needs no network."""
    from itables import options, to_html_datatable
    from itables.javascript import generate_init_offline_itables_html

    library = generate_init_offline_itables_html(options.dt_bundle)
    rows = to_html_datatable(
        table.reset_index(),
        table_id="runs",
        connected=False,
        column_filters="footer",
        maxBytes=0,
        pageLength=15,
        lengthMenu=[15, 50, 200],
    )
    display({"text/html": library + rows, "text/plain": f"[{len(table)} runs]"}, raw=True)
