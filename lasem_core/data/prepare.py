"""Making the prepared files: a download through torchvision, or a folder or archive the user has."""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lasem_core.common.errors import LasemError
from lasem_core.data import folder, image_tree, npz, office_home
from lasem_core.spec.parts import Dataset, choices

DOWNLOADABLE = ("cifar100", "stl10")
ARCHIVES = {"cifar100": "cifar-100-python.tar.gz", "stl10": "stl10_binary.tar.gz"}


@dataclass(frozen=True)
class Prepared:
    """What was made: the file, its SHA-256 sum, and lines worth telling the user."""

    path: Path
    sha256: str
    notes: tuple[str, ...] = ()


def prepare(dataset: str, home: Path, given: Path | None = None) -> Prepared:
    """Make `home/<dataset>.npz`.

    Arguments:
        dataset: cifar100 or stl10 (downloaded unless `given`), office-home or caltech101 (from `given`).
        home: the data folder, made if missing.
        given: a folder or a zip or tar archive with the official release.

    Raises LasemError where there is nothing to make, no network, or the release is not complete.
    """
    check_name(dataset)
    with npz.one_line_reading():
        return _prepare(dataset, npz.expanded(home), None if given is None else npz.expanded(given))


def check_name(dataset: str) -> None:
    """Raise LasemError for what there is no file to make of."""
    names = DOWNLOADABLE + npz.FROM_FOLDER
    if dataset not in choices(Dataset):
        raise LasemError(f"unknown data set '{dataset}'; these can be prepared: {', '.join(names)}")
    if dataset not in names:
        raise LasemError(f"'{dataset}' needs no preparation; these do: {', '.join(names)}")


def _prepare(dataset: str, home: Path, given: Path | None) -> Prepared:
    if given is not None and not given.exists():
        raise LasemError(f"--from {given}: there is no such file or folder")
    target = home / f"{dataset}.npz"
    if dataset in DOWNLOADABLE:
        notes = _prepare_arrays(dataset, target, given)
    elif given is None:
        raise LasemError(_needs_a_source(dataset, home))
    else:
        with opened(given) as place:
            notes = _prepare_office_home(place, target) if dataset == "office-home" else _prepare_tree(place, target)
    return Prepared(target, _sha256(target), notes)


def _needs_a_source(dataset: str, home: Path) -> str:
    if dataset == "office-home":
        return office_home.how_to_get(home)
    return f"give the folder or archive with the class folders: lasem data prepare {dataset} --from PATH --data {home}"


@contextmanager
def opened(given: Path) -> Iterator[Path]:
    """The folder `given`, or the content of the archive `given` in a temporary folder."""
    if given.is_dir():
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="lasem-") as temporary:
        _extract(given, Path(temporary))
        try:
            yield Path(temporary)
        except LasemError as error:  # the user knows the archive, not where it was unpacked
            raise LasemError(str(error).replace(temporary, str(given))) from None


def _extract(archive: Path, place: Path) -> None:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as content:
                content.extractall(place)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as content:
                content.extractall(place, filter="data")
        else:
            raise LasemError(f"--from {archive}: neither a folder nor a zip or tar archive")
    except (*npz.UNREADABLE, tarfile.TarError, lzma.LZMAError) as error:
        raise LasemError(f"--from {archive}: cannot unpack it ({npz.reason(error)})") from None


def _prepare_arrays(dataset: str, target: Path, given: Path | None) -> tuple[str, ...]:
    read: Callable[[Path, bool], dict[str, np.ndarray]] = {"cifar100": _cifar100, "stl10": _stl10}[dataset]
    if given is not None:
        with opened(given) as place:
            content = _official(
                dataset, target.parent, lambda: read(place, False), f"{given} is not the official release"
            )
    else:
        with tempfile.TemporaryDirectory(prefix="lasem-") as place:
            content = _official(dataset, target.parent, lambda: read(Path(place), True), "cannot download it")
    npz.write_npz(target, content, compressed=True)
    return (f"{len(content['y_train'])} training and {len(content['y_test'])} test images",)


def _official(
    dataset: str, home: Path, read: Callable[[], dict[str, np.ndarray]], problem: str
) -> dict[str, np.ndarray]:
    try:
        return read()
    except (OSError, RuntimeError) as error:
        raise LasemError(
            f"{dataset}: {problem} ({npz.reason(error)}); where there is a network, get {ARCHIVES[dataset]} and run "
            f"`lasem data prepare {dataset} --from {ARCHIVES[dataset]} --data {home}`"
        ) from None


def _cifar100(place: Path, download: bool) -> dict[str, np.ndarray]:
    from torchvision.datasets import CIFAR100

    place = _above(place, CIFAR100.base_folder)
    train, test = (CIFAR100(place, train=part, download=download) for part in (True, False))
    return _content(train.data, train.targets, test.data, test.targets, train.classes)


def _stl10(place: Path, download: bool) -> dict[str, np.ndarray]:
    from torchvision.datasets import STL10

    place = _above(place, STL10.base_folder)
    train, test = (STL10(place, split=part, download=download) for part in ("train", "test"))
    images = (part.data.transpose(0, 2, 3, 1) for part in (train, test))  # (N, 96, 96, 3)
    return _content(next(images), train.labels, next(images), test.labels, train.classes)


def _above(place: Path, base_folder: str) -> Path:
    """Where torchvision looks for its folder, if `place` is that folder itself."""
    return place.parent if place.name == base_folder else place


def _content(*arrays: object) -> dict[str, np.ndarray]:
    x_train, y_train, x_test, y_test, names = (np.ascontiguousarray(a) for a in arrays)
    labels = {"y_train": y_train.astype(np.uint8), "y_test": y_test.astype(np.uint8)}
    return {"x_train": x_train, "x_test": x_test, **labels, "class_names": names}


def _prepare_office_home(place: Path, target: Path) -> tuple[str, ...]:
    found = office_home.find(place)
    if found is None:
        raise LasemError(f"{place} has no folders {' and '.join(office_home.DOMAINS)}; see {office_home.PAGE}")
    listing = office_home.listing(found)
    office_home.check_complete({(office_home.plain(d), office_home.plain(c)): (d, c) for d, c, _ in listing})
    image_tree.prepare(listing, found, target)
    return (*office_home.counts(listing), *image_tree.unreadable_note(image_tree.read(target)))


def _prepare_tree(place: Path, target: Path) -> tuple[str, ...]:
    packed = [*place.rglob("101_ObjectCategories.tar.gz")]
    if len(packed) == 1:  # Caltech-101's official archive holds another one
        with opened(packed[0]) as inside:
            return _prepare_tree(inside, target)
    found = place
    for _ in range(2):  # archives wrap the class folders in one or two of their own
        inside = image_tree.folders(found)
        found = inside[0] if len(inside) == 1 and image_tree.folders(inside[0]) else found
    listing = folder.without_background(found)
    image_tree.prepare(listing, found, target)
    images = image_tree.read(target)
    return (f"{len(images.rows)} classes, {len(images.images)} images", *image_tree.unreadable_note(images))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
