"""Write the tables of README.md and docs/ again from what is stored: `python -m lasem_core.views.readme`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from lasem_core.bench import tables as bench_tables
from lasem_core.runs.store import RunStore
from lasem_core.views import choice, findings, one_run, pairs, planted, reproduction
from lasem_core.views.evidence import Evidence
from lasem_core.views.gather import gather
from lasem_core.views.parameters import Options
from lasem_core.views.tables import markdown, readme_table

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "outputs/bench"
OPTIONS = Options(store=str(ROOT / "outputs/runs"))
TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "results": ("README.md", lambda: readme_table(RunStore(ROOT / "outputs/runs"))),
    "claims": ("README.md", lambda: reproduction.tally(_ledger())),
    "cost": ("README.md", lambda: bench_tables.cost_sentence(BENCH)),
    "steps": ("docs/speed.md", lambda: bench_tables.steps_table(BENCH)),
    "parts": ("docs/speed.md", lambda: bench_tables.parts_table(BENCH)),
    "released": ("docs/speed.md", lambda: bench_tables.released_table(BENCH)),
    "matrix": ("docs/speed.md", lambda: bench_tables.matrix_units_table(BENCH)),
    "estimates": ("docs/speed.md", lambda: bench_tables.estimates_table(BENCH, RunStore(ROOT / "outputs/runs"))),
    "whole": ("docs/speed.md", lambda: bench_tables.whole_table(BENCH)),
    "tally": ("docs/report.md", lambda: reproduction.tally(_ledger())),
    "decided": ("docs/report.md", lambda: markdown(reproduction.decided(_ledger()))),
    "headline": ("docs/report.md", lambda: markdown(reproduction.headline(OPTIONS))),
    "locking": ("docs/report.md", lambda: markdown(one_run.locking_table(_evidence("figure3").records))),
    "planted": ("docs/report.md", lambda: findings.sentence(_evidence("planted"))),
    "contrasts": ("docs/report.md", lambda: markdown(planted.contrast_table(_trials("planted")))),
    "e-steps": ("docs/report.md", lambda: choice.sentence(_evidence("choice"))),
    "choice": ("docs/report.md", lambda: markdown(choice.in_points(_variants(choice.VARIANTS)))),
    "e-step": ("README.md", lambda: choice.sentence(_evidence("choice"))),
    "agreement": ("docs/report.md", lambda: markdown(choice.agreement_in_percent(_agreement()))),
    "visits": ("docs/report.md", lambda: markdown(choice.in_points(_variants(choice.VISITS)))),
    "pruning": ("docs/report.md", lambda: markdown(pairs.verdict_table(pairs.pairs_of(_evidence("speed").records)))),
    "remaining": ("docs/report.md", lambda: markdown(reproduction.remaining(OPTIONS))),
}


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


def _variants(variants: Sequence[str]) -> pd.DataFrame:
    return choice.variant_table(choice.by_trial(_evidence("choice").records), variants)


def shown(name: str) -> str:
    """The table `name` as its page shows it now."""
    return _between(name).search(_page(name).read_text(encoding="utf-8"))[2]


def made(name: str) -> str:
    """The table `name` as the stored numbers give it."""
    return TABLES[name][1]()


def main() -> None:
    """Replace every table between its two comments."""
    for name in TABLES:
        text = _page(name).read_text(encoding="utf-8")
        _page(name).write_text(_between(name).sub(lambda match, n=name: match[1] + made(n) + match[3], text), "utf-8")


def _page(name: str) -> Path:
    return ROOT / TABLES[name][0]


def _between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: [^>]*-->\n)(.*?)(\n<!-- end of {name} -->)", re.DOTALL)


if __name__ == "__main__":
    main()
