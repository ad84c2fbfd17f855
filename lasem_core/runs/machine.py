"""Which machine a run was made on, whether anything else ran there, and the peak of the run's memory."""

from __future__ import annotations

import contextlib
import ctypes
import platform
import re
import resource
import time
from pathlib import Path
from typing import Any

import psutil

QUIET = 0.1  # cores that other work may keep busy while seconds still mean something
CPUINFO = Path("/proc/cpuinfo")
PROC = Path("/proc/self")
BF16_UNITS = ("amx_bf16", "avx512_bf16")  # matrix tiles, and vector products


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first core; nothing elsewhere."""
    with contextlib.suppress(OSError):
        first = CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
        return dict(re.findall(r"^(.+?)\s*:\s*(.+)$", first, re.MULTILINE))
    return {}


def processor() -> str:
    """The processor's name, family and model where Linux tells them, else its architecture."""
    try:
        return "{model name} (family {cpu family}, model {model})".format_map(_cpuinfo())
    except KeyError:
        return platform.processor() or platform.machine()


def bf16_units() -> dict[str, bool] | None:
    """Which of BF16_UNITS the processor has: whether bf16 pays depends on it. None where Linux does not say."""
    flags = _cpuinfo().get("flags", "").split()
    return {name: name in flags for name in BF16_UNITS} if flags else None


def restart_peak() -> None:
    """Start the peak memory again from what the process holds now, which may have trained other runs before.

    What the allocator keeps of an earlier run goes back to the system first. Where Linux does not permit the rest,
    the peak stays the one since the process started.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        (PROC / "clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_mb() -> float:
    """Peak resident memory (MiB) since `restart_peak`, or since the process started."""
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", (PROC / "status").read_text()):
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Watch:
    """Measures, from its creation on, how much of the machine other processes used.

    A run that continues from a checkpoint is watched from there on; so is what its seconds are judged by.
    """

    def __init__(self) -> None:
        self.started, self.all, self.own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def seen(self) -> dict[str, Any]:
        """`processor`, `cores`, and `other_cores`: the mean number of cores that other work kept busy meanwhile."""
        elapsed = max(time.perf_counter() - self.started, 1e-9)
        others = (_busy_seconds() - self.all) - (_own_seconds() - self.own)
        return {"processor": processor(), "cores": psutil.cpu_count(), "other_cores": max(0.0, others / elapsed)}


def is_quiet(measured: dict[str, Any]) -> bool:
    """Whether the seconds of a record can be trusted: its machine did nothing else. Older records do not say."""
    others = measured.get("other_cores")
    return others is not None and others <= QUIET


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def _own_seconds() -> float:
    """Of this process, of the children it has waited for, and of those that are alive: workers of a brute-force run."""
    own, seconds = psutil.Process(), 0.0
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            seconds += sum(process.cpu_times()[:4])
    return seconds
