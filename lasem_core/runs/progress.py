"""Progress of a run: a bar in a terminal or a notebook, log lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from lasem_core.learners.protocol import EpochReport
from lasem_core.spec.run_spec import RunSpec
from lasem_core.training import Progress


class LogLines(Progress):
    """A plain line on stderr every few seconds, for headless runs."""

    seconds = 5.0

    def __init__(self, spec: RunSpec):
        super().__init__(spec)
        self.last = time.monotonic()

    def epoch(self, visit: int, row: dict[str, Any], report: EpochReport) -> None:
        if time.monotonic() - self.last >= self.seconds:
            self.last = time.monotonic()
            print(f"lasem: {describe(self.spec, visit, row)}", file=sys.stderr, flush=True)


class Bar(Progress):
    """A tqdm bar over all epochs of the run."""

    def __init__(self, spec: RunSpec):
        from tqdm.auto import tqdm

        super().__init__(spec)
        self.bar = tqdm(total=spec.stream.n_visits * spec.schedule.epochs, unit="epoch", smoothing=0.05)

    def epoch(self, visit: int, row: dict[str, Any], report: EpochReport) -> None:
        self.bar.n = visit * self.spec.schedule.epochs + row["epoch"]
        self.bar.set_description(describe(self.spec, visit, row), refresh=False)
        self.bar.update(0)

    def close(self) -> None:
        self.bar.close()


def describe(spec: RunSpec, visit: int, row: dict[str, Any]) -> str:
    """One line about one epoch."""
    config = f", configuration {row['config']}" if row.get("config") else ""
    return (
        f"task {visit + 1}/{spec.stream.n_visits}, epoch {row['epoch']}/{spec.schedule.epochs}, "
        f"validation {100 * row['valid_accuracy']:.1f} %{config}"
    )


def choose(spec: RunSpec) -> Progress:
    """A bar in a terminal or a live kernel, log lines otherwise; LASEM_PROGRESS=bar|log|none decides instead."""
    kinds = {"bar": Bar, "log": LogLines, "none": Progress}
    wanted = os.environ.get("LASEM_PROGRESS") or ("bar" if sys.stderr.isatty() else "log")
    return kinds.get(wanted, LogLines)(spec)


def is_silent() -> bool:
    """Whether the environment asks for no progress at all (LASEM_PROGRESS=none)."""
    return os.environ.get("LASEM_PROGRESS") == "none"
