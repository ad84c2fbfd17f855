"""A user's folder of images goes through the notebook, from the folder to the explorer."""

import nbformat
import numpy as np
import pytest
from PIL import Image

from lasem_core.common.errors import LasemError
from lasem_core.runs.store import RunStore
from lasem_core.views import reproduce
from lasem_core.views.examples import preview

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


def parameters(tmp_path, folder):
    chosen = {"classes_per_task": 2, "n_tasks": 2, "epochs": 2, "bases": ["df-cnn"], "network": NETWORK}
    return chosen | {"folder": str(folder), "out": str(tmp_path / "out"), "store": str(tmp_path / "runs")}


def test_from_the_folder_to_the_explorer(tmp_path, images):
    source, target = reproduce.notebook_files()["your_own_data"], tmp_path / "executed.ipynb"
    assert reproduce.execute(source, target, parameters(tmp_path, images)) == ""
    notebook = nbformat.read(target, 4)
    (record,) = RunStore(tmp_path / "runs").records()
    assert (record.spec.dataset, record.spec.base, record.summary["data_title"]) == ("folder", "df-cnn", "mine")
    picture = tmp_path / "out" / "figures" / "your_own_data-df-cnn.png"
    assert picture.stat().st_size > 5_000 and np.asarray(Image.open(picture).convert("L")).std() > 10
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "cat/notes.png" in printed
    assert any("image/png" in output.get("data", {}) for output in notebook.cells[-1].outputs)


def test_a_preview_shows_what_the_loader_would_take(images, monkeypatch):
    (images / "ant" / ".DS_Store").write_bytes(b"no image")
    (images / "bee" / "0.png").write_bytes(b"broken")
    (images / "elk").mkdir()
    monkeypatch.setenv("HOME", str(images.parent))
    assert [axes.get_title() for axes in preview("~/mine").axes] == ["ant", "bee", "cat", "dog"]


@pytest.mark.parametrize(
    "given, word",
    [({"classes_per_task": 3}, "stream.n_tasks"), ({"learning_rate": -1}, "optim.lr"), ({"bases": ["hsp"]}, "hsp"),
     ({"folder": "nowhere"}, "nowhere")],
)  # fmt: skip
def test_mistakes_are_one_line_in_the_second_cell(tmp_path, images, given, word):
    """Its cells in this process: a kernel of its own for every mistake would take minutes of CI."""
    cells = nbformat.read(reproduce.notebook_files()["your_own_data"], 4).cells
    declared, second, *_ = (cell.source for cell in cells if cell.cell_type == "code")
    names = {}
    exec(declared, names)
    names |= parameters(tmp_path, images) | given
    with pytest.raises(LasemError, match=word) as caught:
        exec(second, names)
    assert "\n" not in str(caught.value) and not (tmp_path / "runs").exists()
