"""Write the tables of README.md and docs/ again from what is stored: `python -m lasem_core.views.readme`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd

from lasem_core.bench import tables as bench_tables
from lasem_core.runs.store import RunStore
from lasem_core.views import choice, findings, one_run, pairs, planted, reproduction, visits
from lasem_core.views.evidence import Evidence
from lasem_core.views.gather import gather
from lasem_core.views.parameters import Options
from lasem_core.views.tables import markdown, readme_table

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "outputs/bench"
OPTIONS = Options(store=str(ROOT / "outputs/runs"))
TABLES: dict[str, Callable[[], str]] = {
    "results": lambda: readme_table(RunStore(ROOT / "outputs/runs")),
    "claims": lambda: reproduction.tally(_ledger()),
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
    "cost": lambda: bench_tables.cost_sentence(BENCH),
    "steps": lambda: bench_tables.steps_table(BENCH),
    "parts": lambda: bench_tables.parts_table(BENCH),
    "released": lambda: bench_tables.released_table(BENCH),
    "matrix": lambda: bench_tables.matrix_units_table(BENCH),
    "estimates": lambda: bench_tables.estimates_table(BENCH, RunStore(ROOT / "outputs/runs")),
    "whole": lambda: bench_tables.whole_table(BENCH),
}
PAGES = {
    "README.md": ("results", "claims", "ranks", "planted", "e-step", "cost", "networks"),
    "docs/report.md": ("claims", "decided", "headline", "locking", "planted", "ranks", "contrasts", "agreement",
                       "growth", "e-step", "choice", "visited", "visits", "pruning", "remaining"),
    "docs/speed.md": ("steps", "parts", "released", "matrix", "whole", "estimates"),
}  # fmt: skip


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
    made = TABLES[name]()
    return _between(name).sub(lambda match: match[1] + made + match[3], text)


def _between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: [^>]*-->\n)(.*?)(\n<!-- end of {name} -->)", re.DOTALL)


if __name__ == "__main__":
    main()
