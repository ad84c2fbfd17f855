"""Frozen, validated, hashable specifications of runs.

`RunSpec(dataset=..., method=..., ...)` takes what is not given from three independent tables
(`presets.py`): the data set's facts, the preset's algorithm switches, the profile's scale. Explicit
settings always win. `docs/implementation-details.md` lists where each switch acts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from lasem_core.common.errors import LasemError
from lasem_core.spec import presets
from lasem_core.spec.configs import ConfigSpace, TransferConfig, parse_groups
from lasem_core.spec.consistency import check_consistency
from lasem_core.spec.effects import check_effects
from lasem_core.spec.parts import (
    ApdSpec,
    Base,
    BruteForceSpec,
    DartsSpec,
    Dataset,
    DenSpec,
    EMSpec,
    EwcSpec,
    Method,
    ModelSpec,
    OptimSpec,
    Part,
    Preset,
    Profile,
    ProgressiveSpec,
    ScheduleSpec,
    Seed,
    StreamSpec,
)
from lasem_core.spec.presets import merge


class RunSpec(Part):
    """Everything that decides the numbers of one run."""

    dataset: Dataset = "planted"
    method: Method = "lasem"
    base: Base = "hps"
    preset: Preset = "paper"
    profile: Profile = "smoke"
    seed: Seed = 0
    config: str | None = None  # bit string of `static` and `fixed-posterior`
    stream: StreamSpec = StreamSpec()
    model: ModelSpec = ModelSpec()
    optim: OptimSpec = OptimSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    em: EMSpec = EMSpec()
    darts: DartsSpec = DartsSpec()
    progressive: ProgressiveSpec = ProgressiveSpec()
    den: DenSpec = DenSpec()
    apd: ApdSpec = ApdSpec()
    brute_force: BruteForceSpec = BruteForceSpec()
    ewc: EwcSpec = EwcSpec()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp64"] = "fp32"
    threads: Annotated[int, Field(gt=0, le=1024)] = 1

    @model_validator(mode="before")
    @classmethod
    def _fill_from_tables(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        chosen = {name: cls.model_fields[name].default for name in ("dataset", "method", "base", "preset", "profile")}
        chosen |= {name: given[name] for name in chosen if name in given}
        model = given.get("model")
        network = model.get("network") if isinstance(model, Mapping) else getattr(model, "network", None)
        return merge(presets.resolve(**chosen, network=network or "cnn"), given)

    @model_validator(mode="after")
    def _consistent(self) -> RunSpec:
        check_consistency(self)
        if self.config is not None:
            object.__setattr__(self, "config", str(TransferConfig.parse(self.config, self.model.depth)))
        check_effects(self)
        return self

    @property
    def space(self) -> ConfigSpace:
        """The configurations LASEM searches."""
        if self.em.groups:
            return ConfigSpace.grouped(self.model.depth, parse_groups(self.em.groups))
        return ConfigSpace.full(self.model.depth)

    def identity(self) -> dict[str, Any]:
        """What decides the numbers, without values at their neutral default: a field added later, whose
        default means 'as before', leaves the ids of older records as they are. Class defaults are therefore
        never changed; what a preset or profile chooses stands in `presets.py`."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"device"})

    def run_id(self, fingerprint: str, device: str, numerics_version: int) -> str:
        """Sixteen hex digits that name this run on this data, device kind and generation of the code."""
        content = [self.identity(), fingerprint, device, numerics_version]
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def build_spec(options: Mapping[str, Any], settings: Mapping[str, str] | None = None) -> RunSpec:
    """A RunSpec from flat options and dotted `--set` settings; mistakes come back as one readable line."""
    nested: dict[str, Any] = {}
    for dotted, value in (settings or {}).items():
        *parents, leaf = dotted.split(".")
        if not all((*parents, leaf)):
            raise LasemError(f"unknown setting '{dotted}'; write it as NAME or GROUP.NAME, e.g. em.prior")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise LasemError(f"--set {parent} and --set {dotted} contradict each other; give the second only")
        place[leaf] = value
    try:
        return RunSpec(**merge({k: v for k, v in options.items() if v is not None}, nested))
    except ValidationError as error:
        raise LasemError(explain(error)) from None


def explain(error: ValidationError) -> str:
    """The first mistake of a validation error as one line: field, value, what is allowed."""
    first = error.errors()[0]
    field = _field(first["loc"]) or "specification"
    if first["type"] == "extra_forbidden":
        return f"unknown setting '{field}'; known here: {', '.join(_siblings(first['loc']))}"
    if first["type"] == "value_error":
        return problem_of(error)
    if first["type"] == "missing" and isinstance(first["loc"][-1], str):
        return f"{field} is missing"
    return f"{field} = {_short(first['input'])}: {problem_of(error)}"


def problem_of(error: ValidationError) -> str:
    """What is wrong with the value of the first mistake."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return message
    if first["type"] == "model_type":
        name, known = _field(first["loc"]), ", ".join(_siblings((*first["loc"], "")))
        return f"{name} is a group of settings; give {name}.NAME with one of: {known}"
    if first["type"] == "missing":
        return f"it needs {1 + max(one['loc'][-1] for one in error.errors() if one['type'] == 'missing')} entries"
    return f"{message[0].lower()}{message[1:]}"


def _field(location: tuple[Any, ...]) -> str:
    """The dotted name in an error's location, without the tags of unions and the positions in tuples."""
    return ".".join(part for part in location if isinstance(part, str) and not re.search(r"[\[\]]", part))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _siblings(location: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = RunSpec
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
    return list(model.model_fields)
