"""Write the README's results table anew from the stored records: `python -m lasem_core.readme`."""

from __future__ import annotations

from pathlib import Path

from lasem_core.store import RunStore
from lasem_core.tables import readme_table

ROOT = Path(__file__).parents[1]
START, END = "<!-- results: made by lasem_core.tables.readme_table -->\n", "\n<!-- end of results -->"


def shown_table(text: str) -> str:
    """The table that a README shows now."""
    return text.split(START)[1].split(END)[0]


def main() -> None:
    """Replace the table between the two comments."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(text.replace(shown_table(text), readme_table(RunStore(ROOT / "outputs/runs"))), encoding="utf-8")


if __name__ == "__main__":
    main()
