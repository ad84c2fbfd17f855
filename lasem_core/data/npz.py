"""Where data files live, how they are read and checked, and the fingerprint that enters a run id."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lasem_core.common.disk import one_line_errors, replacing
from lasem_core.common.errors import LasemError
from lasem_core.data.cache import user_cache

KEYS = ("x_train", "y_train", "x_test", "y_test", "class_names")
FROM_FOLDER = ("office-home", "caltech101")  # cannot be downloaded: the user names the official release
LARGE = 2**24  # bytes from which an array is mapped
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# what zipfile and numpy raise on damaged, encrypted or foreign files
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class Arrays:
    """A prepared data set: uint8 images (N, H, W, 3), labels (N,) int64, names (K,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]


def data_folder(dataset: str, what: str, root: Path | None) -> Path:
    """`root`, else the environment's LASEM_DATA; raises LasemError where neither names a folder."""
    named = root or os.environ.get("LASEM_DATA")
    if not named:
        make = "give --data PATH" if dataset == "folder" else f"run {how_to_prepare(dataset, 'DIR')}"
        raise LasemError(f"{dataset} needs a data folder: {make} or set LASEM_DATA to a folder with {what}")
    return expanded(Path(named))


def how_to_prepare(dataset: str, home: str | Path) -> str:
    """The whole command that makes the prepared file, in the words of an error message."""
    given, needs = (" --from PATH", "PATH: the official release") if dataset in FROM_FOLDER else ("", "needs a network")
    return f"`lasem data prepare {dataset}{given} --data {home}` ({needs})"


def expanded(path: Path) -> Path:
    """`path` without its ~; raises LasemError where there is no such home."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise LasemError(f"{path}: there is no such home folder; give the path without ~") from None


@contextmanager
def one_line_reading() -> Iterator[None]:
    """Turn an operating-system error (no permission, a file that went away) into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise LasemError(f"cannot read {error.filename or 'the data'}: {error.strerror or error}") from error


def npz_path(dataset: str, root: Path | None) -> Path:
    """The prepared file of `dataset`; raises LasemError with the command that makes it where it is missing."""
    name = f"{dataset}.npz"
    folder = data_folder(dataset, name, root)
    if not (folder / name).is_file():
        raise LasemError(
            f"{dataset} is not in {folder}; run {how_to_prepare(dataset, folder)} "
            f"or set LASEM_DATA to a folder with {name}"
        )
    return folder / name


def stamp(path: Path) -> tuple[str, int, int]:
    """What a changed file changes: the key of every in-process cache."""
    status = path.stat()
    return str(path.resolve()), status.st_size, status.st_mtime_ns


def digest(*parts: object) -> str:
    """Sixteen hex digits of printable parts."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def npz_fingerprint(path: Path) -> str:
    """A hash of the arrays in an npz file, whatever its compression: their names, sizes and CRC-32 sums, which
    stand in the file's directory (and which reading the arrays verifies). An image folder's listing, which holds
    times, does not count."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted((m.filename, m.file_size, m.CRC) for m in archive.infolist())
            return digest([member for member in members if member[0] != "listing.npy"])
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str | Path, error: BaseException) -> LasemError:
    return LasemError(f"{path} is not a readable npz file ({reason(error)}); prepare it again")


def reason(error: BaseException) -> str:
    """What an error of zipfile, tarfile or numpy says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def read_npz(path: Path, side: int) -> Arrays:
    """The checked arrays of a prepared file with images of `side` x `side`; read once per process.

    Raises LasemError naming the file and what is wrong with it.
    """
    return _read_npz(*stamp(path), side)


def write_npz(path: Path, content: dict[str, np.ndarray], compressed: bool) -> None:
    """Write an npz file so that a reader never sees half of one; raises LasemError where the folder refuses."""
    with one_line_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            (np.savez_compressed if compressed else np.savez)(file, **content)


def read_arrays(path: str | Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of an npz file by name; raises LasemError where it is damaged, lacks one or holds what is no array."""
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [name for name in names if f"{name}.npy" not in archive.namelist()]
            if missing:
                raise LasemError(f"{path} has no array {', '.join(missing)}; it needs {', '.join(names)}")
            return {name: _read_member(archive, name) for name in names}
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    member = archive.getinfo(f"{name}.npy")
    try:
        with archive.open(member) as file:
            _check_header(file, member.file_size)
        with archive.open(member) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, MemoryError) as error:
        raise ValueError(f"{name}: {error}") from None


def _check_header(file: BinaryIO, size: int) -> None:
    """Raises ValueError where the header of a `size`-byte npy file asks for other than is there: numpy would first
    allocate whatever shape it names."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"npy format {version} is none of an image or label array")
    shape, _, dtype = HEADERS[version](file)
    asked, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if not dtype.hasobject and (asked != held or dtype.itemsize == 0 or min(shape, default=0) < 0):
        raise ValueError(f"shape {shape} of {dtype} takes {asked} bytes, it holds {held}")


def mapped_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """As `read_arrays`; of an array from LARGE bytes on, all processes on this machine share one copy in memory.

    It is unpacked once into the user's cache folder and mapped from there, copy on write; where that cannot be
    written, the array is read into memory.
    """
    large = [name for name in names if _n_bytes(path, name) >= LARGE]
    found = read_arrays(path, tuple(name for name in names if name not in large))
    for name in large:
        found[name] = _mapped(path, name)
    return found


def _n_bytes(path: Path, name: str) -> int:
    with contextlib.suppress(zipfile.BadZipFile, OSError, KeyError), zipfile.ZipFile(path) as archive:
        return archive.getinfo(f"{name}.npy").file_size
    return 0  # `read_arrays` says what is wrong


def _mapped(path: Path, name: str) -> np.ndarray:
    home = user_cache()
    if home is None:
        return read_arrays(path, (name,))[name]
    unpacked = home / "arrays" / npz_fingerprint(path) / f"{name}.npy"
    try:
        if not unpacked.is_file():
            _unpack(read_arrays(path, (name,))[name], unpacked)
        return np.load(unpacked, mmap_mode="c")
    except (OSError, ValueError, EOFError):  # a disk that is full or not ours, a file cut short
        with contextlib.suppress(OSError):
            unpacked.unlink(missing_ok=True)
        return read_arrays(path, (name,))[name]


def _unpack(array: np.ndarray, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary, temporary.open("wb") as file:
        np.save(file, array)


@lru_cache(maxsize=2)
def _read_npz(path: str, size: int, modified: int, side: int) -> Arrays:
    found = mapped_arrays(Path(path), KEYS)
    names = _class_names(path, found["class_names"])
    for split in ("train", "test"):
        _check(path, split, found[f"x_{split}"], found[f"y_{split}"], side, len(names))
        found[f"y_{split}"] = found[f"y_{split}"].astype(np.int64)
    return Arrays(**found | {"class_names": names})


def _class_names(path: str, names: np.ndarray) -> tuple[str, ...]:
    if names.dtype.kind != "U" or names.ndim != 1 or len(names) == 0:
        raise LasemError(f"{path}: class_names is {names.dtype} {names.shape}, it must be strings of shape (K,), K > 0")
    return tuple(names.tolist())


def _check(path: str, split: str, images: np.ndarray, labels: np.ndarray, side: int, n_classes: int) -> None:
    if images.dtype != np.uint8:
        raise LasemError(f"{path}: x_{split} has dtype {images.dtype}, it must be uint8")
    if images.ndim != 4 or images.shape[1:] != (side, side, 3):
        raise LasemError(f"{path}: x_{split} has shape {images.shape}, it must be (N, {side}, {side}, 3)")
    if len(images) == 0:
        raise LasemError(f"{path}: x_{split} is empty, it must hold images of every class")
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
        raise LasemError(f"{path}: y_{split} is {labels.dtype} {labels.shape}, it must be integer {images.shape[:1]}")
    there = np.unique(labels)
    if (len(there), there[0], there[-1]) != (n_classes, 0, n_classes - 1):
        raise LasemError(f"{path}: y_{split} must hold every label 0..{n_classes - 1}, one per class_names")
