"""Which machine a run was made on, and whether anything else ran there."""

from __future__ import annotations

import platform
import re
import time
from pathlib import Path
from typing import Any

import psutil

QUIET = 0.1  # cores that other work may keep busy while seconds still mean something
CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """The processor's name, family and model where Linux tells them, else its architecture."""
    try:
        found = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", CPUINFO.read_text(), re.MULTILINE))
    except OSError:
        found = {}
    if len(found) < 3:
        return platform.processor() or platform.machine()
    return f"{found['model name']} (family {found['cpu family']}, model {found['model']})"


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
    """Of this process and of the children it has waited for."""
    return sum(psutil.Process().cpu_times()[:4])
