"""What a notebook's parameters cell may say, checked in one place and refused in one readable line."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator

from lasem_core import data as datasets
from lasem_core.common.errors import LasemError
from lasem_core.common.repository import STORE, in_repository
from lasem_core.runs.store import RunStore
from lasem_core.spec.parts import Dataset, Part, Preset, Seed
from lasem_core.spec.run_spec import RunSpec, build_spec, explain


def _numbers(value: object) -> object:
    """papermill -p hands lists over as text."""
    if isinstance(value, str):
        return [part for part in value.strip("[]() ").split(",") if part.strip()]
    return value


RECORDED = "recorded"  # no schedule of its own: the best records of the store, and nothing is trained


class Options(Part):
    """The parameters all artefact notebooks share."""

    profile: Literal["recorded", "smoke", "quick", "paper"] = RECORDED
    dataset: Dataset | Literal[""] = ""  # takes the place of the paper's; empty: those, or planted at profile smoke
    preset: Preset = "paper"
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_numbers)] = ()  # empty: the profile's
    store: Annotated[str, Field(min_length=1)] = STORE
    data: str = ""  # empty: LASEM_DATA
    out: Annotated[str, Field(validate_default=True)] = ""  # empty: `home`
    train_missing: bool = True

    @field_validator("out")
    @classmethod
    def _at_home(cls, out: str, info: ValidationInfo) -> str:
        return out or home(info.data)

    @property
    def trains(self) -> bool:
        """Whether missing runs are trained."""
        return self.train_missing and self.profile != RECORDED

    @classmethod
    def check(cls, **given: Any) -> Options:
        """Options, or a LasemError that names the field, the value and what is allowed."""
        try:
            return cls(**given)
        except ValidationError as error:
            raise LasemError(explain(error)) from None


INJECTED = "# Parameters\n"  # how papermill begins the cell that it adds


def parameters(namespace: Mapping[str, Any]) -> Options:
    """The options among a notebook's globals: `options = parameters(globals())`.

    papermill only warns about a parameter that the notebook does not have, and runs it with its defaults; here that is
    an error. What papermill gave is in the history `In` of a kernel; without one there is nothing to compare.

    Raises: LasemError for an unknown parameter and for a wrong value.
    """
    cells = [(source.startswith(INJECTED), literals(source)) for source in namespace.get("In", ())]
    declared = {name: None for injected, values in cells if not injected for name in values}
    given = next((values for injected, values in reversed(cells) if injected), {})
    for name in given:
        if name not in declared:
            raise LasemError(f"unknown parameter '{name}'; this notebook has: {', '.join(declared)}")
    return Options.check(**{name: namespace[name] for name in Options.model_fields if name in namespace})


def literals(source: str) -> dict[str, Any]:
    """Names and values of a cell of plain assignments; nothing of any other cell."""
    try:
        return {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(source).body}
    except (SyntaxError, ValueError, AttributeError):
        return {}


def home(chosen: Mapping[str, Any]) -> str:
    """Where pictures and notebooks go unless told: `outputs` holds the evidence as it is recorded, and what was asked
    for in another way has a folder of its own, such as `outputs/quick-cifar100`."""
    words = [chosen.get("profile", RECORDED), chosen.get("dataset"), *map(str, chosen.get("seeds", ()))]
    words += [preset] if (preset := chosen.get("preset", "paper")) != "paper" else []
    name = "-".join(word for word in words if word)
    return "outputs" if name == RECORDED else f"outputs/{name}"


check_spec = build_spec  # from a notebook's parameters


def check_data(spec: RunSpec, data: str | Path) -> tuple[str, ...]:
    """What to know about the images a run will see (files left out); a LasemError where they do not fit it."""
    datasets.load_stream(spec, data)
    return datasets.notes(spec, data)


def open_store(store: str) -> RunStore:
    """The record store that a notebook's `store` names."""
    return RunStore(in_repository(store))
