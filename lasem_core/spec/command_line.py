"""A run's title, and the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from lasem_core.spec import effects
from lasem_core.spec.run_spec import RunSpec

CHOICES = (*effects.CHOICES, "seed")  # what has an option of its own and decides the defaults of the rest
_FLAGS = ("config", "device", "precision", "threads")


def flatten(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of a nested dictionary, as `--set` and `--where` write them."""
    for name, value in nested.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def unusual(spec: RunSpec) -> dict[str, Any]:
    """Settings, under their dotted names, that differ from what data set, method, preset and profile give."""
    usual = dict(flatten(RunSpec(**_chosen(spec)).model_dump(mode="json")))
    settings = flatten(spec.model_dump(mode="json"))
    return {name: value for name, value in settings if name not in CHOICES and value != usual[name]}


def command_line(spec: RunSpec) -> str:
    """`lasem train ...` with only what is unusual; `build_spec` reads it back."""
    words = ["lasem", "train"]
    for name, value in _chosen(spec).items():
        words += [f"--{name}", str(value)]
    for name, value in unusual(spec).items():
        words += [f"--{name}", str(value)] if name in _FLAGS else ["--set", f"{name}={_spell(value)}"]
    return shlex.join(words)


def title(spec: RunSpec) -> str:
    """A run in a few words."""
    words = [spec.dataset, spec.method, spec.base, spec.config, f"seed {spec.seed}"]
    words += [f"{name}={_spell(value)}" for name, value in unusual(spec).items() if name != "config"]
    return " ".join(word for word in words if word not in (None, "none"))


def _chosen(spec: RunSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in CHOICES}


def _spell(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
