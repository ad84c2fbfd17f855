"""Write the tables of README.md and docs/ again from what is stored: `python -m lasem_core.views.readme`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import chain, product
from pathlib import Path

import numpy as np
import pandas as pd

from lasem_core.bench import tables as bench_tables
from lasem_core.runs.find import find, key_of, trials
from lasem_core.runs.plan import plan
from lasem_core.runs.record import RunRecord
from lasem_core.runs.store import RunStore
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import choice, costs, findings, one_run, pairs, planted, reproduction, verdicts, visits
from lasem_core.views.costs import BENCH
from lasem_core.views.evidence import Evidence, label, run_table
from lasem_core.views.gather import gather
from lasem_core.views.parameters import Options
from lasem_core.views.tables import markdown, published
from lasem_core.views.words import BASE_NAMES, METHOD_NAMES, METRIC_NAMES, spread

ROOT = Path(__file__).parents[2]
OPTIONS = Options(store=str(ROOT / "outputs/runs"))
TABLES: dict[str, Callable[[], str]] = {
    "results": lambda: results_table(RunStore(ROOT / "outputs/runs")),
    "claims": lambda: reproduction.tally(_ledger()),
    "measure": lambda: reproduction.other_measure(_ledger()),
    "decided": lambda: markdown(reproduction.decided(_ledger())),
    "headline": lambda: markdown(reproduction.headline(OPTIONS)),
    "locking": lambda: markdown(one_run.locking_table(_evidence("figure3").records)),
    "planted": lambda: findings.sentence(_evidence("planted")),
    "ranks": lambda: planted.rank_sentence(_trials("planted")),
    "contrasts": lambda: markdown(planted.contrast_table(_trials("planted"))),
    "e-step": lambda: choice.sentence(_evidence("choice")),
    "agreement": lambda: markdown(choice.agreement_in_percent(_agreement())),
    "growth": lambda: markdown(choice.growth_table(_evidence("choice").records)),
    "choice": lambda: markdown(choice.in_points(_variants())),
    "visits": lambda: markdown(visits.in_points(visits.comparison_table(_visits()))),
    "visited": lambda: markdown(visits.result_table(_visits())),
    "pruning": lambda: markdown(pairs.verdict_table(pairs.pairs_of(_evidence("speed").records))),
    "remaining": lambda: markdown(reproduction.remaining(OPTIONS)),
    "networks": lambda: findings.sentence(_evidence("networks")),
    "costs": lambda: markdown(costs.cost_table()),
    "cost": lambda: bench_tables.cost_sentence(BENCH),
    "steps": lambda: bench_tables.steps_table(BENCH),
    "parts": lambda: bench_tables.parts_table(BENCH),
    "released": lambda: bench_tables.released_table(BENCH),
    "precision": lambda: bench_tables.precision_table(BENCH),
    "matrix": lambda: bench_tables.matrix_units_table(BENCH),
    "estimates": lambda: bench_tables.estimates_table(BENCH, RunStore(ROOT / "outputs/runs")),
    "whole": lambda: bench_tables.whole_table(BENCH),
}
COLUMNS = ("", *METRIC_NAMES.values(), "paper (2000 epochs)")  # of README's results
PAGES = {
    "README.md": ("results", "claims", "ranks", "planted", "e-step", "cost", "networks"),
    "docs/report.md": ("claims", "measure", "decided", "headline", "locking", "planted", "ranks", "contrasts",
                       "agreement", "growth", "e-step", "choice", "visited", "visits", "pruning", "costs", "remaining"),
    "docs/speed.md": ("steps", "parts", "released", "precision", "matrix", "whole", "estimates"),
}  # fmt: skip


@cache
def made(name: str) -> str:
    """The table `name`, as what is stored gives it."""
    return TABLES[name]()


@cache
def _evidence(artefact: str) -> Evidence:
    return gather(artefact, OPTIONS)


@cache
def _ledger() -> pd.DataFrame:
    return reproduction.ledger(OPTIONS)


def _trials(artefact: str) -> pd.DataFrame:
    return planted.trial_table(_evidence(artefact).records)


def _agreement() -> pd.DataFrame:
    table = choice.agreement_table(_evidence("choice").records)
    return table[table["variant"].isin([choice.PAPER, "released"])]


def _variants() -> pd.DataFrame:
    return choice.variant_table(choice.by_trial(_evidence("choice").records))


def _visits() -> pd.DataFrame:
    return visits.trial_table(_evidence("visits").records)


def results_table(store: RunStore, dataset: str = "cifar100", profile: str = "quick") -> str:
    """The README's table in Markdown: LASEM and transfer at all layers on every base, beside the paper's Table 3.

    Only runs that Figure 3 plans, of any seed: another schedule or another switch is another experiment. Where pruned
    EM is planned and only exact EM is stored, the row says so. A row marked † holds runs of an older generation of the
    code.
    """
    seeds = sorted(set(store.summaries(dataset=dataset)["seed"]))
    rows = list(product(("hps", "tf", "df-cnn"), ("lasem", "all")))
    runs = [_planned_runs(dataset, profile, settings) for settings in ({}, {"em.prune": "off"})]
    wanted = {(n, row): trials(specs[row], seeds) for n, specs in enumerate(runs) for row in rows}
    stored = find(chain.from_iterable(wanted.values()), store, anywhere=True)
    found = {key_of(record.spec): record for record in stored}
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        here, exact = ([found[key] for key in map(key_of, wanted[n, row]) if key in found] for n in (0, 1))
        lines.append(_row(here or exact, runs[0][row], " (exact EM)" if exact and not here else ""))
    return "\n".join(lines)


def _planned_runs(dataset: str, profile: str, settings: dict[str, str]) -> dict[tuple[str, str], RunSpec]:
    """Figure 3's specifications by base and label, for one seed."""
    specs = plan(["figure3"], profile, [0], dataset, settings=settings)
    return {(spec.base, label(spec)): spec for spec in specs}


def _row(records: list[RunRecord], planned: RunSpec, mark: str) -> str:
    runs = run_table(records)
    value, half = verdicts.published(planned.dataset, planned.base, planned.method)
    mark += " †" if any(record.stale for record in records) else ""
    words = [
        f"{METHOD_NAMES[planned.method]}, {BASE_NAMES[planned.base]}{mark}",
        *(spread(100 * runs[name]) for name in verdicts.ACCURACIES),
        spread(runs["forgetting_ratio"], 2),
        published(value, half) if np.isfinite(value) else "-",
    ]
    return "| " + " | ".join(word if word != "-" else "not run" for word in words) + " |"


def shown(page: str, name: str) -> str:
    """The table `name` as `page` shows it now."""
    return _between(name).search((ROOT / page).read_text(encoding="utf-8"))[2]


def main() -> None:
    """Replace every table between its two comments."""
    for page, names in PAGES.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        for name in names:
            text = _filled(text, name)
        (ROOT / page).write_text(text, encoding="utf-8")


def _filled(text: str, name: str) -> str:
    return _between(name).sub(lambda match: match[1] + made(name) + match[3], text)


def _between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: [^>]*-->\n)(.*?)(\n<!-- end of {name} -->)", re.DOTALL)


if __name__ == "__main__":
    main()
