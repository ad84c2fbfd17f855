"""A small folder of real images, for a reader of `your_own_data` who has none at hand."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lasem_core.common.repository import in_repository
from lasem_core.views import canvas

CLASSES, PER_CLASS, SIDE = 8, 40, 32


def preview(folder: str | Path, most: int = 12) -> Figure:
    """One image of each of the first classes below `folder`, by its class's name."""
    names = [path.name for path in sorted(Path(folder).iterdir()) if path.is_dir()][:most]

    def draw(axes: Axes, name: str, _: str) -> bool:
        found = (path for path in sorted((Path(folder) / name).rglob("*")) if path.is_file())
        axes.set_axis_off()
        axes.imshow(Image.open(next(found)).convert("RGB"))
        return True

    return canvas.panel_grid(names, [""], draw, (1.1, 1.2))


def example_folder(out: str | Path = "outputs") -> Path:
    """`<out>/example-images/<class>/*.png`: scikit-learn's handwritten digits, written once."""
    from sklearn.datasets import load_digits

    folder = in_repository(out) / "example-images"
    digits = load_digits()
    for label in range(CLASSES):
        place = folder / f"digit {label}"
        if place.is_dir():
            continue
        place.mkdir(parents=True)
        for number, image in enumerate(digits.images[digits.target == label][:PER_CLASS]):
            grey = Image.fromarray((image * 15.9).astype("uint8"))
            grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB").save(place / f"{number:02}.png")
    return folder
