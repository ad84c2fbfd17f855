"""The checkpoint of an unfinished run: one file per run, replaced in one step, verified when read."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from lasem_core.common.disk import free_name, one_line_errors, remove_abandoned
from lasem_core.runs import sealed

log = logging.getLogger("lasem")

_ASKED = "\nlasem: stopping at the next checkpoint; Ctrl-C again stops at once"
_STOPPED = "lasem: stopped; run the same command again to continue from there"
_CUT_OFF = "\nlasem: stopped; run the same command again to continue from the last checkpoint"


class Checkpointer:
    """Saves the state of one run from time to time; follows `training.Checkpoint`.

    with store.checkpoint(run_id) as checkpoint:      # Ctrl-C now waits for the next offer
        state = checkpoint.load()                     # None: start at the beginning
        for ...:                                      # every epoch
            checkpoint.offer(build_state)             # writes when it is due, or Ctrl-C was pressed
    checkpoint.clear()                                # once the record is stored
    """

    def __init__(self, path: Path, every_seconds: float = 300):
        self.path = path
        self.every_seconds = every_seconds
        self._last = time.monotonic()
        self._stop = self._saved = False
        with one_line_errors("write", path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(path)

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None; a damaged file is set aside with one warning."""
        if not self.path.exists():
            return None
        state = sealed.read(self.path) if self.path.is_file() else None  # a pipe would never end
        return self._set_aside() if state is None else state

    def offer(self, build_state: Callable[[], dict[str, Any]], force: bool = False) -> None:
        """Save `build_state()` if `force`, if the last one is older than `every_seconds`, or after Ctrl-C.

        After Ctrl-C the save is followed by KeyboardInterrupt: the run stops between two epochs, never inside
        a step. The state may hold tensors, numbers, strings and containers of them.
        """
        if force or self._stop or time.monotonic() - self._last >= self.every_seconds:
            sealed.write(self.path, build_state())
            self._last = time.monotonic()
            self._saved = self._stop
        if self._stop:
            raise KeyboardInterrupt

    def clear(self) -> None:
        """Forget the saved state."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Checkpointer:
        self._previous = None
        if threading.current_thread() is threading.main_thread():  # only there may Python set a handler
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:  # also one that a worker process got and passed on
            _say(_STOPPED if self._saved else _CUT_OFF)
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True
        _say(_ASKED)

    def _set_aside(self) -> None:
        aside = free_name(self.path.parent, f"{self.path.stem}-damaged")
        self.path.replace(aside)
        log.warning("checkpoint %s is damaged: moved to %s, the run starts again", self.path.stem, aside.name)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
