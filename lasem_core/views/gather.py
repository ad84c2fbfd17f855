"""The evidence for a figure or table: its plan, the records that are stored, and training for those that are not.

gather
├── stored                    what the store holds: of one profile, or at `recorded` the best of all (`_recorded`)
└── sweep.run_sweep           the runs that are missing, at a profile that is trained
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lasem_core.common.errors import LasemError
from lasem_core.runs.find import find, key_of, trials
from lasem_core.runs.pace import pace_of
from lasem_core.runs.plan import plan, takes_other_data
from lasem_core.runs.progress import is_silent
from lasem_core.runs.record import RunRecord
from lasem_core.runs.store import RunStore
from lasem_core.runs.sweep import run_sweep
from lasem_core.spec.command_line import title
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views.evidence import Evidence
from lasem_core.views.parameters import RECORDED, Options, open_store
from lasem_core.views.verdicts import EVIDENTIAL


def gather(artefact: str, options: Options | None = None) -> Evidence:
    """The evidence for `artefact`; runs that the store does not hold are trained first, unless options say no."""
    options = options or Options()
    evidence = stored(artefact, options)
    if not (options.trains and evidence.missing):
        return evidence
    store = open_store(options.store)
    report = run_sweep(evidence.missing, store, options.data or None, progress=not is_silent())
    causes = list(dict.fromkeys(f"{spec.dataset} {spec.method}: {cause}" for spec, cause in report.failed))
    return replace(stored(artefact, options), causes=causes)


def stored(artefact: str, options: Options) -> Evidence:
    """The evidence for `artefact` as far as it is stored."""
    store = open_store(options.store)
    if options.profile == RECORDED:
        return _recorded(artefact, options, store)
    specs = planned([artefact], options)
    found = find(specs, store, options.data or None, older=not options.trains)
    return Evidence(artefact, options.profile, specs, found, pace=pace_of(store.summaries()))


def of_runs(artefact: str, specs: Sequence[RunSpec], options: Options) -> Evidence:
    """The evidence that these runs are, LasemError where the first of them is not stored."""
    store = open_store(options.store)
    found = find(specs, store, options.data or None, older=not options.trains)
    if not found or key_of(found[0].spec) != key_of(specs[0]):
        raise LasemError(f"this run is not recorded ({title(specs[0])}); to train it here: profile = 'smoke'")
    return Evidence(artefact, options.profile, specs, found, pace=pace_of(store.summaries()))


def planned(artefacts: Sequence[str], options: Options, profile: str | None = None) -> list[RunSpec]:
    """The runs that `artefacts` need under `options`; `profile` takes the place of theirs."""
    wanted = options.seeds or None, options.dataset or None, options.preset
    return plan(artefacts, profile or options.profile, *wanted)


Seeds = Mapping[str, set[int]]  # those that are recorded, by data set


@dataclass(frozen=True)
class _Part:
    """What is planned for one data set and base on one schedule, and what of it is stored."""

    specs: list[RunSpec]
    records: list[RunRecord]

    @property
    def methods(self) -> int:
        return len({record.spec.method for record in self.records})


def _recorded(artefact: str, options: Options, store: RunStore) -> Evidence:
    """Per data set and base the best that is recorded: the longest schedule on which as many methods are stored as on
    any other. Whatever data were used: nothing is trained here. Other schedules stay at hand for verdicts."""
    shown, others, table = [], [], store.summaries()
    seeds = {dataset: set(column.tolist()) for dataset, column in table.groupby("dataset")["seed"]}
    for tried in _places(artefact, options, store, seeds):
        best = max(tried, key=lambda part: part.methods)
        shown.append(best if best.records else tried[1])  # of nothing: what `quick` would run
        others += [part for part in tried if part.records and part.specs[0].profile != best.specs[0].profile]
    specs, records = ([one for part in shown for one in getattr(part, what)] for what in ("specs", "records"))
    seen = [record for part in others for record in part.records]
    return Evidence(artefact, RECORDED, specs, records, others=seen, pace=pace_of(table))


def _places(artefact: str, options: Options, store: RunStore, seeds: Seeds) -> Iterator[list[_Part]]:
    """By data set and base: the runs on the full schedule, on `quick`, and on `quick` with exact in place of pruned
    EM. The paper's data sets, and others on which two of the artefact's methods are recorded."""
    yield from (own := _parts(artefact, options, store, seeds))
    if options.dataset or not takes_other_data(artefact):
        return
    known = {part.specs[0].dataset for tried in own for part in tried}
    for dataset in sorted(set(seeds) & set(EVIDENTIAL) - known):
        here = _parts(artefact, options.model_copy(update={"dataset": dataset}), store, seeds, (dataset,))
        recorded = {record.spec.method for tried in here for part in tried for record in part.records}
        if len(recorded) >= min(2, len({spec.method for tried in here for spec in tried[0].specs})) > 0:
            yield from here


def _parts(
    artefact: str, options: Options, store: RunStore, seeds: Seeds, only: Collection[str] = ()
) -> list[list[_Part]]:
    """`only`: these data sets, not those that the artefact shows whatever is asked for. Trials beyond the planned ones
    are shown where they are recorded, and not missed where they are not."""
    full, quick = (planned([artefact], options, profile) for profile in ("paper", "quick"))
    ways = [[spec for spec in way if not only or spec.dataset in only] for way in (full, quick, map(_exact, quick))]
    more = [[] if options.seeds else _other_seeds(way, seeds) for way in ways]
    wanted = dict.fromkeys(spec for way in (*ways, *more) for spec in way)
    found = find(wanted, store, older=True, anywhere=True)
    by_spec = {key_of(record.spec): record for record in found}
    places = dict.fromkeys((spec.dataset, spec.base) for spec in ways[0])
    ways = [[*way, *(s for s in beyond if key_of(s) in by_spec)] for way, beyond in zip(ways, more, strict=True)]
    return [[_part(way, place, by_spec) for way in ways] for place in places]


def _other_seeds(way: Sequence[RunSpec], seeds: Seeds) -> list[RunSpec]:
    """The runs of the first planned seed with every other seed that is recorded on their data."""
    planned = {spec.seed for spec in way}
    firsts = [spec for spec in way if spec.seed == min(planned) and spec.dataset in EVIDENTIAL]
    return [one for spec in firsts for one in trials(spec, sorted(seeds.get(spec.dataset, set()) - planned))]


def _part(way: Sequence[RunSpec], place: tuple[str, str], found: Mapping[str, RunRecord]) -> _Part:
    specs = [spec for spec in way if (spec.dataset, spec.base) == place]
    return _Part(specs, [found[key] for spec in specs if (key := key_of(spec)) in found])


def _exact(spec: RunSpec) -> RunSpec:
    """The run that `refreshed` pruning stands for."""
    exact = spec.em.model_copy(update={"prune": "off"})
    return spec.model_copy(update={"em": exact}) if spec.em.prune == "refreshed" else spec
