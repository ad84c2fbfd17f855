"""The documents name switches and functions that exist, and their examples run."""

import re
from pathlib import Path

import pytest

from lasem_core import learners
from lasem_core.model import transfer
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import readme

DOCS = Path(__file__).parents[1] / "docs"
SWITCH = re.compile(r"`((?:em|optim|model|stream|schedule|darts|apd|den|brute_force|ewc|progressive)\.(?!py\b)\w+)")


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_switches_exist(page):
    for dotted in SWITCH.findall(page.read_text()):
        part, field = dotted.split(".")
        names = {*type(getattr(RunSpec(), part)).model_fields}
        modules = {"em": "em.py", "optim": "model/optim.py"}
        code = (DOCS.parent / "lasem_core" / modules[part]).read_text() if part in modules else ""
        assert field in names or re.search(rf"\b{field}\b", code), dotted


def test_every_em_switch_is_documented():
    text = (DOCS / "implementation-details.md").read_text()
    for field in type(RunSpec().em).model_fields:
        assert f"`em.{field}`" in text, field


PAGES = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    text = page.read_text()
    places = (DOCS.parent, DOCS.parent / "lasem_core")
    for name in re.findall(r"`([\w/]+\.(?:py|md|ipynb|json))`", text):
        assert "NAME" in name or any((folder / name).exists() for folder in places), name
    for name in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text):
        assert (page.parent / name).exists(), name


EXAMPLES = re.findall(r"```python\n(.*?)```", (DOCS / "extending.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: re.search(r"class (\w+)", example)[1])
def test_examples_run(example, monkeypatch):
    monkeypatch.setattr(transfer, "sharing", transfer.sharing)  # put back what the example replaces
    monkeypatch.setitem(learners.METHODS, "static", learners.METHODS["static"])
    exec(example, {})


PYTHON = [
    (page.name, n, code)
    for page in (DOCS.parent / "README.md", DOCS / "your-own-network.md")
    for n, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("code", [code for *_, code in PYTHON], ids=[f"{page}-{n}" for page, n, _ in PYTHON])
def test_examples_of_an_own_network_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert names["search"].stages.depth >= 3


def test_the_example_in_the_readme_is_ten_lines():
    (code,) = [code for page, _, code in PYTHON if page == "README.md"]
    assert len([line for line in code.splitlines() if line]) == 10


def test_a_base_and_a_method_are_shown():
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, names in readme.PAGES.items() for name in names])
def test_tables_are_what_the_stored_numbers_give(page, name):
    assert readme.shown(page, name) == readme.made(name), "run: python -m lasem_core.views.readme"


@pytest.mark.parametrize("page", readme.PAGES)
def test_every_table_that_a_page_marks_is_made(page):
    assert re.findall(r"<!-- end of ([\w-]+) -->", (readme.ROOT / page).read_text()) == [*readme.PAGES[page]]
