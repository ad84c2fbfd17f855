"""The user's own images, and Caltech-101: any `<class>/*` or `<domain>/<class>/*` tree as a lifelong stream.

Classes come in alphabetical order of their folder names (capitals first), the same for every seed, in groups of
`stream.classes_per_task`; with domains, all groups of the first domain come before those of the second.
"""

from __future__ import annotations

from pathlib import Path

from lasem_core.common.errors import LasemError
from lasem_core.data import image_tree, npz, splits
from lasem_core.data.stream import TaskStream
from lasem_core.spec.run_spec import RunSpec


def load(spec: RunSpec, root: Path | None) -> TaskStream:
    """`stream.n_tasks` tasks; images 128x128, split 6:1:3 per class by default."""
    images = image_tree.read(_prepared(spec, root))
    size, found = spec.stream.classes_per_task, _classes(images)
    groups = [
        (domain, classes[first : first + size])
        for domain, classes in found.items()
        for first in range(0, len(classes) - size + 1, size)
    ]
    if not groups:
        raise LasemError(_too_few(spec, max(map(len, found.values()))))
    splits.check_n_tasks(spec, len(groups))
    tasks = [
        image_tree.task(spec, images, f"{domain or title(spec, root)} task {t + 1}", [(domain, c) for c in classes])
        for t, (domain, classes) in enumerate(groups[: spec.stream.n_tasks])
    ]
    return splits.in_order(spec, tasks, title(spec, root, images))


def _too_few(spec: RunSpec, n_classes: int) -> str:
    size = spec.stream.classes_per_task
    return (
        f"{spec.dataset} has no task of {size} classes: there are {n_classes} with readable images; "
        f"give --classes-per-task K with at most {n_classes}"
    )


def _classes(images: image_tree.Tree) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for domain, name in sorted(images.rows):
        found.setdefault(domain, []).append(name)
    return found


def title(spec: RunSpec, root: Path | None, images: image_tree.Tree | None = None) -> str:
    """What the images are called; Caltech-101 says how many of its classes are there."""
    if spec.dataset == "caltech101":
        return "Caltech-101" + (f" ({len(images.rows)} classes, 128x128)" if images else "")
    return image_tree.printable(npz.data_folder("folder", "images", root).resolve().name)


def _prepared(spec: RunSpec, root: Path | None) -> Path:
    if spec.dataset == "folder":
        return image_tree.cached("folder", existing_folder(root), None)
    home = npz.data_folder("caltech101", "caltech101/<class>/*.jpg", root)
    if (home / "caltech101").is_dir():
        return image_tree.cached("caltech101", home / "caltech101", home, without_background)
    if (home / "caltech101.npz").is_file():
        return home / "caltech101.npz"
    raise LasemError(
        f"caltech101 is not in {home}; put its class folders into {home / 'caltech101'} "
        "or set LASEM_DATA to a folder with caltech101/<class>/*.jpg"
    )


def without_background(folder: Path) -> image_tree.Listing:
    """The files of an image tree without Caltech-101's BACKGROUND_Google, which is no class."""
    return [entry for entry in image_tree.scan(folder) if not entry[1].startswith("BACKGROUND")]


def notes(spec: RunSpec, root: Path | None) -> tuple[str, ...]:
    """What the user should know about the images at hand: files that could not be read."""
    return image_tree.unreadable_note(image_tree.read(_prepared(spec, root)))


def existing_folder(root: Path | None) -> Path:
    """The image tree of data set `folder`; raises LasemError where there is none."""
    folder = npz.data_folder("folder", "<class>/<image>", root)
    if not folder.is_dir():
        raise LasemError(f"{folder} is not a folder; give --data PATH with <class>/<image> inside")
    return folder


def fingerprint(spec: RunSpec, root: Path | None) -> str:
    """See `lasem_core.data.fingerprint`: file names, classes and the resized images; the first call makes them."""
    return npz.npz_fingerprint(_prepared(spec, root))
