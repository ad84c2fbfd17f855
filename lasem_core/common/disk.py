"""Writing files so that a crash, a full disk or a second writer never leaves half of one."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from socket import gethostname

from lasem_core.common.errors import LasemError


@contextmanager
def one_line_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an operating-system error (full disk, read-only folder) into one line for the user."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise LasemError(f"cannot {action} {path}: {reason}; what was recorded before is untouched") from error


def require_writable(folder: Path) -> None:
    """Make `folder` and try to write there; raises LasemError now rather than after hours of work."""
    probe = folder / f".{uuid.uuid4().hex}"
    with one_line_errors("write", folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write to that takes the place of `path` at the end: a reader sees old content or new, never half."""
    temporary = path.with_name(f".{path.name}-{gethostname()}-{os.getpid()}-{uuid.uuid4().hex}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_abandoned(path: Path) -> None:
    """Remove the files that processes of this machine left beside `path` when they were killed while `replacing`."""
    for left in path.parent.glob(f".{escape(path.name)}-{escape(gethostname())}-*-*"):
        pid = left.name.rsplit("-", 2)[1]
        # of our number, before we begin: an earlier process had it
        if pid.isdecimal() and (int(pid) == os.getpid() or not _runs(int(pid))):
            left.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def replace_synced(path: Path, data: bytes) -> None:
    """Give `path` new content in one step, and wait until it is on the disk."""
    with replacing(path) as temporary:
        write_synced(temporary, data)
    sync_folder(path.parent)


def free_name(folder: Path, name: str) -> Path:
    """The first of `name-0`, `name-1`, ... that `folder` does not hold."""
    number = 0
    while (folder / f"{name}-{number}").exists():
        number += 1
    return folder / f"{name}-{number}"


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as that is possible."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
