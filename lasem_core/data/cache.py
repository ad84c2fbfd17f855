"""The cache folder for files that can be made again; never beside the user's data."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from lasem_core.common.errors import LasemError


def user_cache() -> Path | None:
    """XDG_CACHE_HOME/lasem, else ~/.cache/lasem, which need not exist; None for a user without a home."""
    named = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):  # no HOME, and the system does not know the user
        return (Path(named) if named else Path.home() / ".cache") / "lasem"
    return None


def writable_cache() -> Path:
    """`user_cache`, made if missing; if it cannot be written, a temporary folder for the life of this process."""
    own = user_cache()
    with contextlib.suppress(OSError):
        if own is not None:
            own.mkdir(parents=True, exist_ok=True)
            if os.access(own, os.W_OK):
                return own
    return _temporary()


@lru_cache(maxsize=1)
def _temporary() -> Path:
    advice = "set XDG_CACHE_HOME to a folder that can be written"
    try:
        made = Path(tempfile.mkdtemp(prefix="lasem-"))
    except OSError as error:
        raise LasemError(f"no folder for temporary files ({error.strerror or error}); {advice}") from None
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    logging.getLogger(__name__).warning("no cache folder: every process reads the images again; %s", advice)
    return made
