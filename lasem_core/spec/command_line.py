"""A run's title, and the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from lasem_core.common.errors import LasemError
from lasem_core.spec import effects
from lasem_core.spec.run_spec import RunSpec, problem_of

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


def value_of(option: str, name: str, text: str) -> Any:
    """`text` as `--set name=text` reads it, in JSON's types; as it is where `name` is no setting of a run.

    Raises LasemError, naming the `option`, for what cannot be a value of the setting.
    """
    setting = _setting(name)
    if setting is None or text == str(None):  # how records and listings spell a setting that is not given
        return text
    try:
        return setting.dump_python(setting.validate_python(text), mode="json")
    except ValidationError as error:
        raise LasemError(f"{option} {name}={text}: {problem_of(error)}") from None


def _setting(dotted: str) -> TypeAdapter | None:
    """What reads a setting; None where there is none of this name."""
    kind, metadata = RunSpec, []
    for name in dotted.split("."):
        fields = kind.model_fields if _is_group(kind) else {}
        if name not in fields:
            return None
        kind, metadata = fields[name].annotation, fields[name].metadata
    return None if _is_group(kind) else TypeAdapter(Annotated[kind, *metadata, None])


def _is_group(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _chosen(spec: RunSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in CHOICES}


def _spell(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
