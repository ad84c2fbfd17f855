"""outputs/report.html: all executed notebooks on one page that needs neither network nor kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode


def write_report(notebooks: Mapping[str, Path], target: Path) -> None:
    """Join notebooks and write them as one HTML page: text, pictures and numbers, without code."""
    from nbconvert import HTMLExporter

    joined = join([nbformat.read(path, 4) for path in notebooks.values()], list(notebooks))
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_input_prompt=True)
    exporter.exclude_output_prompt = True
    body, _ = exporter.from_notebook_node(joined)
    target.write_text(_PAGE.format(body=body), encoding="utf-8")


def join(notebooks: Sequence[NotebookNode], names: Sequence[str]) -> NotebookNode:
    """All cells in one notebook, behind a table of contents; what was printed on stderr is left out."""
    contents = "# LASEM: what was reproduced\n\n" + "\n".join(f"- [{name}](#{name})" for name in names)
    cells = [nbformat.v4.new_markdown_cell(contents)]
    for notebook, name in zip(notebooks, names, strict=True):
        cells.append(nbformat.v4.new_markdown_cell(f'<hr id="{name}">'))
        cells += [_readable(cell, f"{name}-{number}") for number, cell in enumerate(notebook.cells)]
    return nbformat.v4.new_notebook(cells=cells)


def _readable(cell: NotebookNode, name: str) -> NotebookNode:
    cell["id"] = name  # ids of different notebooks may be the same
    if cell.cell_type == "code":
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return cell


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>LASEM: what was reproduced</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
img {{ max-width: 100%; }}
pre {{ font-size: 0.8rem; overflow-x: auto; background: #f6f6f6; padding: 0.5rem; }}
blockquote {{ border-left: 3px solid #bbb; margin-left: 0; padding-left: 1rem; color: #444; }}
a.anchor-link {{ display: none; }}
</style></head><body>{body}</body></html>
"""
