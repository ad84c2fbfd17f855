"""Notebooks stay thin, parameterized and clean; reference copies are ones that nbval compares."""

import ast
from pathlib import Path

import nbformat
import pytest

from lasem_core.views.reproduce import NOTEBOOKS, declared_parameters, notebook_files

SOURCES = sorted(NOTEBOOKS.glob("*.ipynb"))
REFERENCES = sorted((Path(__file__).parent / "notebooks").glob("*.ipynb"))
EXECUTED = sorted((NOTEBOOKS.parent / "outputs" / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 15


def _name(path):
    return path.stem


@pytest.fixture(params=SOURCES, ids=_name)
def notebook(request):
    return nbformat.read(request.param, 4)


def _code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_has_a_place_in_the_reading_order():
    assert list(notebook_files().values()) == SOURCES
    assert len({path.stem[:2] for path in SOURCES}) == len(SOURCES)


def test_kernel_is_python3(notebook):
    assert notebook.metadata.kernelspec.name == "python3"


def test_title_and_claim_come_first(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert len(notebook.cells[0].source.splitlines()) > 2


def test_first_code_cell_holds_commented_literal_parameters(notebook):
    cell = _code(notebook)[0]
    assert cell.metadata.tags == ["parameters"]
    assert declared_parameters(notebook)
    assert all("  # " in line for line in cell.source.splitlines())


def test_second_code_cell_checks_the_parameters(notebook):
    assert "options = parameters(globals())" in _code(notebook)[1].source


def test_cells_are_thin(notebook):
    for cell in _code(notebook):
        assert len(cell.source.splitlines()) <= LONGEST_CELL
        assert "matplotlib" not in cell.source
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef) or node.end_lineno - node.lineno < 5


def test_sources_carry_no_outputs(notebook):
    assert all(not cell.outputs and cell.execution_count is None for cell in _code(notebook))


def test_no_line_ends_in_a_semicolon(notebook):
    assert not any(line.endswith(";") for cell in _code(notebook) for line in cell.source.splitlines())


@pytest.mark.parametrize("path", REFERENCES, ids=_name)
def test_reference_is_compared_by_nbval(path):
    cells = _code(nbformat.read(path, 4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert any(output.output_type in ("stream", "display_data") for output in outputs)
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)


@pytest.mark.parametrize("path", [*REFERENCES, *EXECUTED], ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_copy_has_the_cells_of_its_source(path):
    """But for the parameters that papermill injected."""
    source, copy = (nbformat.read(p, 4) for p in (NOTEBOOKS / path.name, path))
    own = [cell.source for cell in copy.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    assert own == [cell.source for cell in source.cells]


def test_every_source_has_a_reference():
    assert [path.name for path in REFERENCES] == [path.name for path in SOURCES]


def test_every_source_has_an_executed_copy():
    assert [path.name for path in EXECUTED] == [path.name for path in SOURCES]


@pytest.mark.parametrize("path", EXECUTED, ids=_name)
def test_executed_copy_is_whole_and_names_no_folder_of_a_machine(path):
    cells = _code(nbformat.read(path, 4))
    assert all(cell.execution_count for cell in cells if cell.source)
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert not any(f'= "{folder}' in cell.source for cell in cells for folder in ("/", "~", "C:"))
