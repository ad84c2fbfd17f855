"""A small folder of real images, for a reader of `your_own_data` who has none at hand."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from lasem_core.views.parameters import in_repository

CLASSES, PER_CLASS, SIDE = 8, 40, 32


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
