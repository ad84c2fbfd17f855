"""Guards of what is recorded: nothing is made of nothing; a changed number, verdict, label or bar is noticed."""

import os

import matplotlib.testing.compare
import nbformat
import pandas as pd
import pytest
import run_notebooks
from sample_records import record

from lasem_core.spec.configs import static_set
from lasem_core.views import canvas, figures
from lasem_core.views.evidence import Evidence
from lasem_core.views.reproduce import declared_parameters, notebook_files

PICTURES = run_notebooks.ROOT / "tests" / "pictures"
VIEWS = [figures.lasem_against_static, figures.layer_frequencies, figures.static_configurations]
TOLERANCE = 1.0  # root mean square of grey values: fonts drawn by another FreeType differ by less
SHOWN = [
    name for name, path in notebook_files().items() if "train_missing" in declared_parameters(nbformat.read(path, 4))
]


@pytest.mark.parametrize("name", [name for name in SHOWN if name != "explorer"])
def test_of_nothing_a_notebook_shows_nothing_and_writes_nothing(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LASEM_OUTPUTS", str(tmp_path / "outputs"))
    cells = nbformat.read(notebook_files()[name], 4).cells
    names = {}
    for cell in cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    assert names["options"].profile == "recorded"
    assert not (tmp_path / "outputs").exists()


def _changed(text, *changes):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_changed_number_and_a_changed_verdict_fail(tmp_path, capfd, monkeypatch):
    """Two outputs of an executed notebook, one digit and one verdict changed: nbval names both cells and no other."""
    executed = nbformat.read(notebook_files(run_notebooks.ROOT / "outputs" / "notebooks")["figure4"], 4)
    changes = {"frequency_table": ("(n=", " (n=1"), "verdicts(": ("undecided", "reproduced"), "": ("", "")}
    cells = []
    for call, change in changes.items():
        text = next(text for cell in executed.cells if call in cell.source for text in _texts(cell))
        output = nbformat.v4.new_output("stream", text=_changed(text, change) + "\n")
        cells.append(nbformat.v4.new_code_cell(f"print({text!r})  # {call}", outputs=[output], execution_count=1))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "shown.ipynb")
    common = [c.replace("name=warm", "name=python3") for c in run_notebooks.COMMON]  # no library is needed here
    monkeypatch.setattr(run_notebooks, "COMMON", common)
    assert run_notebooks.compared([tmp_path / "shown.ipynb"], str(tmp_path / "outputs")) == 1
    said = capfd.readouterr().out
    assert "2 failed, 1 passed" in said and "# frequency_table" in said and "# verdicts(" in said


def _texts(cell):
    outputs = cell.get("outputs", [])
    return [output.data["text/plain"] for output in outputs if "text/plain" in output.get("data", {})]


def test_a_changed_number_behind_a_picture_is_named(tmp_path, capsys):
    for folder, value in (("made", 0.5), ("kept", 0.5), ("other", 0.51)):
        (tmp_path / folder).mkdir()
        pd.DataFrame({"transferred": [value]}).to_csv(tmp_path / folder / "figure4.csv", index=False)
    assert run_notebooks.figures(tmp_path / "made", tmp_path / "kept") == 0
    assert run_notebooks.figures(tmp_path / "made", tmp_path / "other") == 1
    assert "outputs/figures/figure4.csv is not what the records give" in capsys.readouterr().out


@pytest.fixture(scope="module")
def evidence():
    kinds = [{"method": "static", "config": str(config)} for config in static_set(4).values()] + [{"method": "lasem"}]
    records = [
        record(f"{base}{number}{seed}", 0.3 + 0.01 * number + 0.002 * seed, base=base, seed=seed, dataset="cifar100",
               profile="quick", **kind)
        for base in ("hps", "df-cnn") for number, kind in enumerate(kinds) for seed in range(3)
    ]  # fmt: skip
    return Evidence("figure3", "quick", [r.spec for r in records], records)


def _difference(figure, name, tmp_path):
    """Root mean square difference from the kept picture."""
    made = tmp_path / f"{name}.png"
    made.write_bytes(canvas.png(figure))
    kept = str(PICTURES / f"{name}.png")
    found = matplotlib.testing.compare.compare_images(kept, str(made), TOLERANCE, in_decorator=True)
    return found["rms"] if found else 0.0


@pytest.mark.parametrize("view", VIEWS)
def test_pictures_are_as_they_were(view, evidence, tmp_path):
    """LASEM_PICTURES=write keeps them as they are now."""
    if os.environ.get("LASEM_PICTURES") == "write":
        (PICTURES / f"{view.__name__}.png").write_bytes(canvas.png(view(evidence)))
    assert _difference(view(evidence), view.__name__, tmp_path) == 0.0


def test_a_shifted_bar_and_a_swapped_label_are_seen(evidence, tmp_path):
    name = figures.layer_frequencies.__name__
    shifted = figures.layer_frequencies(evidence)
    shifted.axes[0].patches[1].set_height(shifted.axes[0].patches[1].get_height() - 0.1)
    assert _difference(shifted, name, tmp_path) > TOLERANCE
    swapped = figures.layer_frequencies(evidence)
    words = swapped.axes[0].get_legend().get_texts()
    first, last = words[0].get_text(), words[-1].get_text()
    words[0].set_text(last), words[-1].set_text(first)
    assert _difference(swapped, name, tmp_path) > TOLERANCE


@pytest.mark.parametrize(("said", "runs"), [(run_notebooks.NO_KERNEL, 2), ("1 failed", 1)])
def test_only_a_kernel_that_never_started_is_started_again(said, runs, monkeypatch):
    status = (1, 0)  # the second time it would pass

    class Nbval:
        started = 0

        def __init__(self, *_, **__):
            self.stdout, self.returncode = iter([f"{said}\n"]), status[Nbval.started]
            Nbval.started += 1

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(run_notebooks.subprocess, "Popen", Nbval)
    assert run_notebooks._nbval("nowhere") == status[runs - 1]
    assert Nbval.started == runs
