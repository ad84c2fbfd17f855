"""From a declaration of runs (`artefacts`, `evidence`) to their specifications."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from lasem_core.common.errors import LasemError
from lasem_core.runs.artefacts import ADJACENT, ARTEFACTS, EVERY_CONFIG, STATIC_SET, Runs
from lasem_core.runs.evidence import families
from lasem_core.spec import presets
from lasem_core.spec.configs import ConfigSpace, static_set
from lasem_core.spec.presets import merge
from lasem_core.spec.run_spec import RunSpec, build_spec

EVIDENCE = "evidence"  # not one of the paper's figures and tables, but the list of runs that decide them


def plan(
    artefacts: Iterable[str],
    profile: str,
    seeds: Sequence[int] | None = None,
    dataset: str | None = None,
    preset: str = "paper",
    settings: Mapping[str, str] | None = None,
) -> list[RunSpec]:
    """The runs that `artefacts` need, each once, in the order of the declarations.

    Arguments:
        artefacts: names in `ARTEFACTS`, `all` of them, or `evidence`.
        seeds: None: as many as the profile has for the data set.
        dataset: takes the place of the paper's data sets; None: those, and `planted` at profile smoke.
        settings: dotted switches for every run, as `lasem train --set` takes them.
    """
    dataset = dataset or ("planted" if profile == "smoke" else None)
    common = {"profile": profile, "preset": preset}
    build_spec(common | ({"dataset": dataset} if dataset else {}))  # a wrong name is one even where nothing is to run
    families = [family for name in _names(artefacts) for family in _families(name)]
    families = [family for family in families if profile in family.only_at or not family.only_at]
    specs = (spec for family in families for spec in _expand(family, common, seeds, dataset, dict(settings or {})))
    return list(dict.fromkeys(specs))


def takes_other_data(artefact: str) -> bool:
    """Whether another data set may take the place of the ones that `artefact` names."""
    return any(not (family.pinned or family.profile) for family in _families(artefact))


def takes_preset(artefact: str) -> bool:
    """Whether some run of `artefact` follows the preset that is asked for."""
    families = _families(artefact)
    return not families or any("preset" not in settings for family in families for settings in family.settings)


def _names(artefacts: Iterable[str]) -> list[str]:
    names = list(artefacts)
    for name in names:
        if name not in (*ARTEFACTS, "all", EVIDENCE):
            raise LasemError(f"unknown artefact '{name}'; choose from: all, {', '.join(ARTEFACTS)}, {EVIDENCE}")
    return list(ARTEFACTS) if "all" in names else names


def _families(name: str) -> Iterable[Runs]:
    return families() if name == EVIDENCE else ARTEFACTS[name]


def _expand(
    family: Runs, common: dict[str, Any], seeds: Sequence[int] | None, dataset: str | None, settings: dict[str, str]
) -> Iterator[RunSpec]:
    common = common | ({"profile": family.profile} if family.profile else {})
    seeds = seeds if family.seeds is None else family.seeds
    family = replace(family, **family.rehearsed) if common["profile"] == "smoke" else family
    for name, base in product(_datasets(family, dataset), family.bases):
        options = common | {"dataset": name, "method": family.method, "base": base}
        options = merge(options, family.at_quick if common["profile"] == "quick" else {})
        depth = build_spec(options, settings).model.depth
        seeds_here = _seeds(family, common["profile"], name, seeds)
        for config, switches, seed in product(_configs(family.configs, depth), family.settings, seeds_here):
            chosen = options | {"config": config, "seed": seed}
            yield build_spec(merge(chosen, _grouped(switches, depth)), settings)


def _datasets(family: Runs, wanted: str | None) -> tuple[str, ...]:
    return family.datasets if family.pinned or family.profile or not wanted else (wanted,)


def _seeds(family: Runs, profile: str, dataset: str, wanted: Sequence[int] | None) -> Sequence[int]:
    seeds = presets.seeds(profile, dataset) if wanted is None else wanted
    if wanted is None and family.trials and profile == "quick":
        seeds = range(family.trials)
    return seeds[:1] if family.first_seed_only else seeds


def _configs(configs: tuple[str | None, ...], depth: int) -> list[str | None]:
    if configs == (STATIC_SET,):
        return [str(config) for config in static_set(depth).values()]
    return [str(config) for config in ConfigSpace.full(depth)] if configs == (EVERY_CONFIG,) else list(configs)


def _grouped(switches: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    if switches.get("em", {}).get("groups") != ADJACENT:
        return switches
    size = 3 if depth % 3 == 0 and depth > 3 else 2
    layers = [str(layer) for layer in range(1, depth + 1)]
    groups = "|".join(",".join(layers[start : start + size]) for start in range(0, depth, size))
    return merge(switches, {"em": {"groups": groups}})
