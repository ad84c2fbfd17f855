"""A user's folder of images goes through the notebook, from the folder to the explorer."""

import nbformat
import numpy as np
import pytest
from PIL import Image

from lasem_core.runs.store import RunStore
from lasem_core.views import reproduce

NETWORK = {"channels": "4,4", "kernels": "3,3", "pools": "4,4", "head": "8"}


@pytest.fixture
def images(tmp_path):
    """Four classes of odd sizes and modes, and one file that is no image."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(("ant", "bee", "cat", "dog")):
        folder = tmp_path / "mine" / name
        folder.mkdir(parents=True)
        for index in range(12):
            pixels = generator.integers(0, 60, (40 + index, 50, 3), dtype=np.uint8) + 45 * number
            Image.fromarray(pixels.astype(np.uint8)).convert(("RGB", "L")[index % 2]).save(folder / f"{index}.png")
    (tmp_path / "mine" / "cat" / "notes.png").write_text("not an image")
    return tmp_path / "mine"


def execute(tmp_path, folder, **given):
    given = {"classes_per_task": 2, "n_tasks": 2, "epochs": 2, "bases": ["df-cnn"], "network": NETWORK} | given
    given |= {"folder": str(folder), "out": str(tmp_path / "out"), "store": str(tmp_path / "runs")}
    target = tmp_path / "executed.ipynb"
    problem = reproduce.execute(reproduce.notebook_files()["your_own_data"], target, given)
    return problem, nbformat.read(target, 4)


def test_from_the_folder_to_the_explorer(tmp_path, images):
    problem, notebook = execute(tmp_path, images)
    assert problem == ""
    (record,) = RunStore(tmp_path / "runs").records()
    assert (record.spec.dataset, record.spec.base, record.summary["data_title"]) == ("folder", "df-cnn", "mine")
    picture = tmp_path / "out" / "figures" / "your_own_data-df-cnn.png"
    assert picture.stat().st_size > 5_000 and np.asarray(Image.open(picture).convert("L")).std() > 10
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "cat/notes.png" in printed
    assert any("image/png" in output.get("data", {}) for output in notebook.cells[-1].outputs)


@pytest.mark.parametrize(
    "given, word",
    [({"classes_per_task": 3}, "stream.n_tasks"), ({"learning_rate": -1}, "optim.lr"), ({"bases": ["hsp"]}, "hsp")],
)
def test_mistakes_are_one_line_in_the_second_cell(tmp_path, images, given, word):
    problem, _ = execute(tmp_path, images, **given)
    assert problem.startswith("cell 3: LasemError") and word in problem
    assert "\n" not in problem and not (tmp_path / "runs").exists()


def test_a_missing_folder_is_named(tmp_path):
    problem, _ = execute(tmp_path, tmp_path / "nowhere")
    assert problem.startswith("cell 3: LasemError") and "nowhere" in problem
