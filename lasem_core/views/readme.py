"""Write the tables of README.md and docs/ again from what is stored: `python -m lasem_core.views.readme`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from lasem_core.bench import tables as bench_tables
from lasem_core.runs.store import RunStore
from lasem_core.views.parameters import Options
from lasem_core.views.reproduction import ledger, tally
from lasem_core.views.tables import readme_table

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "outputs/bench"
TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "results": ("README.md", lambda: readme_table(RunStore(ROOT / "outputs/runs"))),
    "claims": ("README.md", lambda: tally(ledger(Options(store=str(ROOT / "outputs/runs"))))),
    "cost": ("README.md", lambda: bench_tables.cost_sentence(BENCH)),
    "steps": ("docs/speed.md", lambda: bench_tables.steps_table(BENCH)),
    "parts": ("docs/speed.md", lambda: bench_tables.parts_table(BENCH)),
    "released": ("docs/speed.md", lambda: bench_tables.released_table(BENCH)),
    "matrix": ("docs/speed.md", lambda: bench_tables.matrix_units_table(BENCH)),
    "estimates": ("docs/speed.md", lambda: bench_tables.estimates_table(BENCH, RunStore(ROOT / "outputs/runs"))),
    "whole": ("docs/speed.md", lambda: bench_tables.whole_table(BENCH)),
}


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
