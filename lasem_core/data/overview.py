"""Overviews of the data: which data sets are available, what a stream holds, a contact sheet per task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from lasem_core.common.disk import one_line_errors
from lasem_core.common.errors import LasemError
from lasem_core.data import image_tree, npz, office_home
from lasem_core.data.stream import Split, Task, TaskStream

COLUMNS = 10  # images per class in a contact sheet
THUMB = 64  # pixels
CAPTION = 110


def status(root: Path | None) -> list[tuple[str, str]]:
    """(data set, what is there) for every data set; reads no images."""
    found = [("planted", "embedded"), ("digits", "embedded")]
    found += [(name, _found(name, root, _npz_status)) for name in ("cifar100", "stl10")]
    found += [(name, _found(name, root, _tree_status)) for name in ("office-home", "caltech101")]
    return found


def _found(name: str, root: Path | None, look: Callable[[str, Path | None], str]) -> str:
    try:
        with npz.one_line_reading():
            return look(name, root)
    except LasemError as problem:  # of this data set; the others are still worth a line
        return f"not usable: {problem}"


def _npz_status(name: str, root: Path | None) -> str:
    path = npz.npz_path(name, root)
    return f"{path}, {path.stat().st_size / 1e6:.0f} MB, fingerprint {npz.npz_fingerprint(path)}"


def _tree_status(name: str, root: Path | None) -> str:
    home = npz.data_folder(name, name, root)
    folder = office_home.found_in(home) if name == "office-home" else home / name
    if folder is not None and folder.is_dir():
        listing = image_tree.scan(folder)
        return f"{folder}, {len({entry[:2] for entry in listing})} class folders, {len(listing)} files"
    prepared = home / f"{name}.npz"
    if prepared.is_file():
        return f"{prepared}, fingerprint {npz.npz_fingerprint(prepared)}"
    how = office_home.how_to_get(home) if name == "office-home" else f"needs {name}/<class>/"
    raise LasemError(f"{name} is not in {home}; {how}")


def table(stream: TaskStream) -> list[str]:
    """One line per task: name, images per split, classes in label order."""
    lines = [f"{stream.title}: {len(stream.tasks)} tasks, images {'x'.join(map(str, stream.image_shape))}"]
    for number, task in enumerate(stream.tasks, 1):
        sizes = "/".join(str(len(split)) for split in (task.train, task.valid, task.test))
        lines.append(f"{number:3}  {task.name:32} {sizes:>14}  {', '.join(task.classes)}")
    order = " ".join(str(t + 1) for t in stream.order)
    return [*lines, f"order {order}; counts are training/validation/test; content {stream.content_hash()}"]


def contact_sheet(task: Task) -> Image.Image:
    """A picture with one row per class: its name, and training images as the network sees them."""
    shown = [(task.train.labels == k).nonzero()[:COLUMNS, 0] for k in range(task.n_classes)]
    images = _visible(task.train, torch.cat(shown))
    width = CAPTION + COLUMNS * (THUMB + 2)
    sheet = Image.new("RGB", (width, task.n_classes * (THUMB + 2) + 20), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((4, 4), task.name, fill="black")
    row_of = torch.repeat_interleave(torch.arange(len(shown)), torch.tensor([len(s) for s in shown])).tolist()
    column_of = [c for s in shown for c in range(len(s))]
    for image, row, column in zip(images, row_of, column_of, strict=True):
        sheet.paste(image, (CAPTION + column * (THUMB + 2), 20 + row * (THUMB + 2)))
    for row, name in enumerate(task.classes):
        pen.text((4, 20 + row * (THUMB + 2) + THUMB // 2 - 5), name, fill="black")
    return sheet


def _visible(split: Split, index: Tensor) -> list[Image.Image]:
    """Thumbnails; the task's darkest and brightest half percent become black and white."""
    floats = split.batch(index)[0].float()
    sample = floats.flatten()[:: max(1, floats.numel() // 100_000)]
    low, high = torch.quantile(sample, torch.tensor([0.005, 0.995])).tolist()
    pixels = ((floats - low) / max(high - low, 1e-6)).clamp(0, 1).mul(255).byte()  # (N, C, H, W)
    pixels = pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()
    return [Image.fromarray(p).resize((THUMB, THUMB), Image.Resampling.NEAREST) for p in pixels]


def write_sheets(stream: TaskStream, dataset: str, out: Path) -> list[Path]:
    """Contact sheets of all tasks as `out/<dataset>-task-01.png`, ..."""
    paths = [out / f"{dataset}-task-{t + 1:02}.png" for t in range(len(stream.tasks))]
    with one_line_errors("write contact sheets into", out):
        out.mkdir(parents=True, exist_ok=True)
        for path, task in zip(paths, stream.tasks, strict=True):
            contact_sheet(task).save(path)
    return paths
