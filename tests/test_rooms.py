"""The order of the rooms: who may import whom in lasem_core. Imports inside functions count, too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lasem_core

PACKAGE = Path(lasem_core.__file__).parent
ORDER = ("common", "spec", "data", "model", "em", "learners", "training", "runs", "bench", "views", "cli")
PLOTTING = ("matplotlib", "plotly", "ipywidgets", "PIL")
DISK = ("pathlib", "os", "io", "shutil", "tempfile", "pickle", "lasem_core.common.disk")
MUST_NOT_IMPORT = {  # beyond the order
    "spec": ("torch", "lasem_core.common.keyed_random"),
    "em": ("lasem_core.data",),
    "learners": (*PLOTTING, *DISK),
    "views": ("lasem_core.training",),
}
MAY_IMPORT = {"em": ("lasem_core.data.stream",)}  # the type of a mini-batch is no data set
WIDGETS = "lasem_core.views.widgets"


def test_no_import_runs_backwards():
    files = sorted(PACKAGE.rglob("*.py"))
    found = {problem for path in files for problem in problems(path.relative_to(PACKAGE), path.read_text())}
    assert not found


def test_whoever_opens_the_package_sees_twelve_entries():
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    allowed = {"__init__.py", *(name if (PACKAGE / name).is_dir() else f"{name}.py" for name in ORDER)}
    assert len(allowed) == 12
    assert entries <= allowed


def test_the_package_lists_its_rooms_in_reading_order():
    listed = [line.split()[0] for line in lasem_core.__doc__.splitlines() if line.startswith("    ")]
    assert [name.removesuffix(".py") for name in listed] == ["__init__", *ORDER]


@pytest.mark.parametrize("room", [name for name in ORDER if (PACKAGE / name).is_dir()])
def test_every_room_says_what_it_holds_and_must_not_know(room):
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    assert "Must not" in text


def test_neither_training_nor_a_view_waits_for_libraries_that_few_need():
    """torch's compiler takes as long to import as all the rest: every command and kernel would wait for it."""
    slow = {"torch._dynamo", "torchvision", "distributed", "nbformat", "rfc3987_syntax"}
    rooms = "lasem_core.runs.run, lasem_core.views.figures, lasem_core.views.widgets"
    code = f"import sys, {rooms}; print(*{slow} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_spec_needs_no_torch():
    names = ", ".join(f"lasem_core.spec.{path.stem}" for path in (PACKAGE / "spec").glob("[!_]*.py"))
    subprocess.run([sys.executable, "-c", f"import sys, {names}; assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize(
    ("path", "code", "problem"),
    [
        ("runs/x.py", "from lasem_core.views import tables", "runs/x.py imports lasem_core.views, to its right"),
        ("model/x.py", "def f():\n    import lasem_core.em", "model/x.py imports lasem_core.em, to its right"),
        ("data/x.py", "import_module(f'lasem_core.model.{n}')", "data/x.py imports lasem_core.model, to its right"),
        ("spec/x.py", "import torch.nn", "spec/x.py imports torch"),
        ("em.py", "from lasem_core.data import planted", "em.py imports lasem_core.data"),
        ("learners/x.py", "import matplotlib.pyplot", "learners/x.py imports matplotlib"),
        ("learners/x.py", "torch.save(1, 'x')", "learners/x.py calls torch.save"),
        ("learners/x.py", "open('x')", "learners/x.py calls open"),
        ("views/x.py", "from lasem_core.views import widgets", f"views/x.py imports {WIDGETS}, which only widgets may"),
        ("cli/x.py", "from . import words", "cli/x.py imports by a relative name"),
    ],
)
def test_what_breaks_the_order_is_named(path, code, problem):
    assert problems(Path(path), code) == {problem}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("em.py", "from lasem_core.data.stream import Batch"),
        ("views/widgets/x.py", "from lasem_core.views.widgets.base import Explorer"),
        ("cli/x.py", "from lasem_core import train\nimport torch, json"),
        ("learners/x.py", "self._open(context)\nself.rule.load(state)"),
    ],
)
def test_what_keeps_the_order_is_not(path, code):
    assert not problems(Path(path), code)


def problems(path: Path, code: str) -> set[str]:
    """One sentence per broken rule in the file at `path`, relative to the package."""
    room = path.parts[0].removesuffix(".py")
    if room == "__init__":
        return set()  # the public names, from everywhere
    found = {_why(room, "widgets" in path.parts, name) for name in imported(code)} - {None}
    if room not in ORDER:
        found = {None}
    calls = _disk_calls(code) if room == "learners" else ()
    return {f"{path} {why or 'is no room'}" for why in (*found, *calls)}


def _why(room: str, is_widget: bool, name: str) -> str | None:
    own, _, rest = name.partition(".")
    target = rest.split(".")[0]
    if own == "":
        return "imports by a relative name"
    for forbidden in MUST_NOT_IMPORT.get(room, ()):
        if _inside(name, forbidden) and not any(_inside(name, fine) for fine in MAY_IMPORT.get(room, ())):
            return f"imports {forbidden}"
    if _inside(name, WIDGETS) and room == "views" and not is_widget:
        return f"imports {WIDGETS}, which only widgets may"
    if own != "lasem_core" or target in vars(lasem_core)["__all__"] or room not in ORDER:
        return None
    if target not in ORDER:
        return f"imports lasem_core.{target}, which is no room"
    return f"imports lasem_core.{target}, to its right" if ORDER.index(target) > ORDER.index(room) else None


def _inside(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def imported(code: str) -> set[str]:
    """Dotted names of everything that `code` imports, anywhere; the beginning of a name that is put together."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {"." if node.level else f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names |= {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
    return names


def _disk_calls(code: str) -> set[str]:
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)}
    return {f"calls {name}" for name in calls & {"open", "torch.save", "torch.load"}}
