"""The command that repeats a run, from its specification."""

from __future__ import annotations

import shlex
from typing import Any

from lasem_core.record import CHOICES, flatten
from lasem_core.spec import RunSpec

_FLAGS = ("config", "device", "precision", "threads")


def command_line(spec: RunSpec) -> str:
    """`lasem train ...` with only what differs from the preset and the profile; `build_spec` reads it back."""
    chosen = {name: getattr(spec, name) for name in CHOICES}
    usual = dict(flatten(RunSpec(**chosen).model_dump(mode="json")))
    words = ["lasem", "train"]
    for name, value in chosen.items():
        words += [f"--{name}", str(value)]
    for name, value in flatten(spec.model_dump(mode="json")):
        if value != usual[name]:
            words += [f"--{name}", str(value)] if name in _FLAGS else ["--set", f"{name}={_spell(value)}"]
    return shlex.join(words)


def _spell(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
