"""Folders of images: `<class>/*` or `<domain>/<class>/*`, resized once to a square and kept in one npz file.

Whatever Pillow cannot read is left out, listed and counted. Colour spaces other than RGB are converted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from lasem_core.common.errors import LasemError
from lasem_core.data import npz, splits
from lasem_core.data.cache import user_cache, writable_cache
from lasem_core.data.pixels import Pixels, pooled, standardised
from lasem_core.data.stream import Task
from lasem_core.spec.run_spec import RunSpec

SIDE = 128
SLOW = 500  # images from which reading them shows a progress bar
KEYS = ("images", "members", "files", "unreadable", "listing")

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow says of no image

Listing = list[tuple[str, str, Path]]  # (domain or "", class, file)


@dataclass(frozen=True)
class Tree:
    """Images (N, 3, 128, 128) uint8, and the rows of each (domain, class) in them; domain "" where there is none."""

    images: Tensor
    rows: dict[tuple[str, str], Tensor]
    unreadable: tuple[str, ...]


def scan(folder: Path) -> Listing:
    """Every file of an image tree, sorted by domain, class and name; hidden files do not count."""
    tops = folders(folder)
    nested = bool(tops) and all(folders(top) and not _files(top) for top in tops)
    classes = [("", c) for c in tops] if not nested else [(d.name, c) for d in tops for c in folders(d)]
    found = [(domain, c.name, file) for domain, c in classes for file in _files(c)]
    if not found:
        raise LasemError(f"{folder} holds no images; it needs <class>/<image> or <domain>/<class>/<image>")
    return found


def folders(folder: Path) -> list[Path]:
    """Its visible sub-folders, sorted."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def read_image(path: Path) -> np.ndarray:
    """An RGB image (SIDE, SIDE, 3) uint8, resized without keeping its aspect ratio (paper, Appendix A).

    Pillow's bicubic filter widens with the reduction, so that it does not alias. Raises OSError, SyntaxError or
    ValueError for what is no image or not a whole one.
    """
    with Image.open(path) as image:
        image.load()
        if image.mode == "P":
            image = image.convert("RGBA")  # a palette may carry transparency
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def prepare(listing: Listing, folder: Path, target: Path) -> Path:
    """Read, resize and store the images of `listing` in `target`; returns `target`.

    Raises LasemError where not a single image can be read.
    """
    images, members, kept, unreadable = [], [], [], []
    for domain, name, file in tqdm(listing, desc=f"reading {folder.name}", disable=len(listing) < SLOW or None):
        path = printable(str(file.relative_to(folder)))
        try:
            images.append(read_image(file))
        except UNREADABLE:
            unreadable.append(path)
        else:
            members.append((printable(domain), printable(name)))
            kept.append(path)
    if not images:
        raise LasemError(f"{folder}: none of its {len(listing)} files is an image")
    content = {"images": np.stack(images), "members": np.array(members), "files": np.array(kept)}
    content |= {"unreadable": np.array(unreadable, dtype=str), "listing": np.array(listing_digest(listing, folder))}
    npz.write_npz(target, content, compressed=False)
    return target


def printable(name: str) -> str:
    """A file name that can be printed and stored, too, where its bytes are no UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def listing_digest(listing: Listing, folder: Path) -> str:
    """Changes when a file appears, disappears or is written."""
    stamps = [(str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns) for _, _, f in listing]
    return npz.digest(stamps)


def cached(dataset: str, folder: Path, home: Path | None, lister: Callable[[Path], Listing] = scan) -> Path:
    """The prepared npz file of an image folder, made now if there is none that fits the folder.

    It is the one in `home` that the user had prepared, else one in the cache; nothing is written beside the data.
    """
    listing = lister(folder)
    wanted = listing_digest(listing, folder)
    name = f"{dataset}-{npz.digest(str(folder.resolve()))}.npz"
    own = user_cache()
    known = [] if home is None else [home / f"{dataset}.npz"]
    for path in known if own is None else [*known, own / name]:
        if _fits(path, wanted):
            return path
    target = writable_cache() / name
    return target if _fits(target, wanted) else prepare(listing, folder, target)


def _fits(path: Path, wanted: str) -> bool:
    try:
        return path.is_file() and str(npz.read_arrays(path, ("listing",))["listing"]) == wanted
    except LasemError:
        return False  # damaged


def read(path: Path) -> Tree:
    """A prepared image tree; raises LasemError naming what is wrong with the file."""
    return _read(*npz.stamp(path))


@lru_cache(maxsize=2)
def _read(path: str, size: int, modified: int) -> Tree:
    found = npz.mapped_arrays(Path(path), KEYS)
    images, members, unreadable = found["images"], found["members"], found["unreadable"]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (SIDE, SIDE, 3):
        raise LasemError(f"{path}: images are {images.dtype} {images.shape}, they must be uint8 (N, {SIDE}, {SIDE}, 3)")
    if len(images) == 0:
        raise LasemError(f"{path} holds no images; prepare it again")
    for name, array, shape in (("members", members, (len(images), 2)), ("unreadable", unreadable, (unreadable.size,))):
        if array.dtype.kind != "U" or array.shape != shape:
            raise LasemError(f"{path}: {name} are {array.dtype} {array.shape}, they must be strings {shape}")
    rows: dict[tuple[str, str], list[int]] = {}
    for row, (domain, name) in enumerate(members.tolist()):
        rows.setdefault((domain, name), []).append(row)
    tensors = {member: torch.tensor(own) for member, own in rows.items()}
    return Tree(torch.from_numpy(images).permute(0, 3, 1, 2), tensors, tuple(unreadable.tolist()))


def unreadable_note(tree: Tree) -> tuple[str, ...]:
    """One line that counts and names the files left out, and one that names the classes that went with them."""
    left = tree.unreadable
    found = (f"{len(left)} unreadable files left out: {_first(left)}",) if left else ()
    there = {"/".join(filter(None, member)) for member in tree.rows}
    lost = sorted({path.rpartition("/")[0] for path in left} - there)
    return (*found, f"{len(lost)} classes left out, none of their files is an image: {_first(lost)}") if lost else found


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"


def task(spec: RunSpec, tree: Tree, name: str, members: list[tuple[str, str]]) -> Task:
    """A task over (domain, class) members, label = position; every class is split 6:1:3 by default."""
    parts = []
    for domain, class_name in members:
        rows = tree.rows[domain, class_name]
        where = f"{domain}/{class_name}" if domain else class_name
        parts.append([rows[chosen] for chosen in splits.split_class(spec, len(rows), spec.dataset, where)])
    ready = [pooled(tree.images, list(part), Pixels()) for part in zip(*parts, strict=True)]
    classes = tuple(class_name.replace("_", " ") for _, class_name in members)
    return Task(name, classes, *standardised(*ready, spec.stream.normalisation))
