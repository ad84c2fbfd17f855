"""The evidence for a figure or table: its plan, the records that are stored, and training for those that are not."""

from __future__ import annotations

from collections.abc import Sequence

from lasem_core.runs.artefacts import plan
from lasem_core.runs.find import find, without
from lasem_core.runs.progress import is_silent
from lasem_core.runs.sweep import run_sweep
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views.evidence import Evidence
from lasem_core.views.parameters import Options, open_store


def planned(artefacts: Sequence[str], options: Options) -> list[RunSpec]:
    """The runs that `artefacts` need under `options`."""
    return plan(artefacts, options.profile, options.seeds or None, options.dataset or None, options.preset)


def gather(artefact: str, options: Options | None = None) -> Evidence:
    """The evidence for `artefact`; runs that the store does not hold are trained first, unless options say no."""
    options = options or Options()
    specs = planned([artefact], options)
    store = open_store(options.store)
    found = find(specs, store, options.data or None, older=not options.train_missing)
    missing = without(specs, found)
    causes: list[str] = []
    if options.train_missing and missing:
        report = run_sweep(missing, store, options.data or None, progress=not is_silent())
        causes = list(dict.fromkeys(f"{spec.dataset} {spec.method}: {cause}" for spec, cause in report.failed))
        found = find(specs, store, options.data or None)
    return Evidence(artefact, options.profile, specs, found, causes)
