"""A small folder of real images, for a reader of `your_own_data` who has none at hand."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lasem_core.common.repository import in_repository
from lasem_core.data import image_tree, npz
from lasem_core.views import canvas

CLASSES, PER_CLASS, SIDE = 8, 40, 32


def preview(folder: str | Path, most: int = 12) -> Figure:
    """The first readable image of each of the first classes below `folder`, by its class's name."""
    first: dict[str, np.ndarray] = {}
    for _, name, file in image_tree.scan(npz.expanded(Path(folder))):
        if name not in first and len(first) < most:
            with suppress(*image_tree.UNREADABLE):
                first[name] = image_tree.read_image(file)

    def draw(axes: Axes, name: str, _: str) -> bool:
        axes.set_axis_off()
        axes.imshow(first[name])
        return True

    return canvas.panel_grid(list(first), [""], draw, (1.1, 1.2))


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
