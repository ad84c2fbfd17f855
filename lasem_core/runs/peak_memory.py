"""The peak memory of one run, in a process that may have trained other runs before."""

from __future__ import annotations

import contextlib
import ctypes
import re
import resource
from pathlib import Path

PROC = Path("/proc/self")


def restart() -> None:
    """Start the peak again from what the process holds now.

    What the allocator keeps of an earlier run goes back to the system first. Where Linux does not permit the rest,
    the peak stays the one since the process started.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        (PROC / "clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_mb() -> float:
    """Peak resident memory (MiB) since `restart`, or since the process started."""
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", (PROC / "status").read_text()):
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
