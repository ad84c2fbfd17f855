"""Does the paper reproduce? Every claim in one table, the headline's three measures, and what is left to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from lasem_core.common.duration import spell
from lasem_core.common.statistics import LEVEL, MIN_TRIALS, MOST_TRIALS, UNDECIDED, holm
from lasem_core.runs.find import find, without
from lasem_core.runs.pace import Pace, expected, pace_of
from lasem_core.runs.plan import EVIDENCE, plan
from lasem_core.runs.record import RunRecord
from lasem_core.spec.command_line import unusual
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import claims, verdicts
from lasem_core.views.evidence import Evidence, label, run_table
from lasem_core.views.findings import by
from lasem_core.views.gather import gather
from lasem_core.views.parameters import Options, open_store
from lasem_core.views.words import BASE_NAMES, METRIC_NAMES, joined, method_name, spread

# where the paper says it; artefacts that repeat another one's claims are left out
PLACES = {
    "figure1": "Figure 1, Sec. 2",
    "figure3": "Figure 3, Sec. 4.1",
    "figure4": "Figures 4 and 8, Sec. 4.1",
    "figure5": "Figure 5, Sec. 4.3",
    "table1": "Table 1, Sec. 4.2",
    "table3": "Table 3, Appendix C",
    "appendix_e": "Appendix E",
    "larger_images": "Figure 3, Sec. 4.1",
}
DECIDED = (verdicts.REPRODUCED, verdicts.NOT_REPRODUCED)


def ledger(options: Options) -> pd.DataFrame:
    """Every claim of the paper on every data set where it is made, judged by what is recorded, in the paper's order."""
    parts = [_judged(gather(name, options)).assign(place=place) for name, place in PLACES.items()]
    table = pd.concat(parts, ignore_index=True)
    table["place"] = table["where"].where(table["where"] != "", table["place"])
    # two artefacts may make the same claim: on the same scale it is judged once, and missed only where nobody judges it
    judged_first = table.sort_values("n", key=lambda n: n == 0, kind="stable")
    idle = (judged_first["n"] == 0) & judged_first.duplicated(["claim", "dataset"])
    return judged_first[~idle].drop_duplicates(["claim", "dataset", "scale"]).sort_index(ignore_index=True)


def _judged(evidence: Evidence) -> pd.DataFrame:
    """The verdicts, and in the columns `other_*` what they would be by the highest test accuracy that was measured."""
    table, other = claims.verdicts(evidence), claims.verdicts(evidence, "peak_test")
    return table.assign(**{f"other_{name}": other[name] for name in ("margin", "margin_ci", "verdict")})


def tally(table: pd.DataFrame) -> str:
    """How many comparisons there are, how they end, and how many decided ones are left when all are corrected for."""
    words = table["verdict"].value_counts()
    stand_in = [f"{word}{verdicts.ON_A_STAND_IN}" for word in DECIDED]
    named = [word for pair in zip(DECIDED, stand_in, strict=True) for word in pair if word in DECIDED or word in words]
    counted = joined([f"{words.get(word, 0)} {word.replace(',', '')}" for word in (*named, UNDECIDED)])
    tested = table[table["n"] >= MIN_TRIALS]
    decided = tested["verdict"].isin([*DECIDED, *stand_in])
    left = int((decided & (holm(tested["p"]) < LEVEL)).sum())
    return (
        f"The paper's claims, on its data sets and on others that we have, make {len(table)} comparisons; "
        f"{int((table['n'] == 0).sum())} were not run. Of the others {counted} (a stand-in: other images than the "
        "paper's, CIFAR-100 or Caltech-101 for Office-Home). Each verdict stands alone at the 95 % level; after "
        f"Holm's correction for the {len(tested)} comparisons with at least {MIN_TRIALS} trials, {left} of the "
        f"{int(decided.sum())} decided ones {'is' if left == 1 else 'are'} left."
    )


def other_measure(table: pd.DataFrame) -> str:
    """Which accuracy the verdicts are about, and those that would be different by the other peak."""
    changed = table[table["verdict"] != table["other_verdict"]]
    words = [
        f"{row.found.format(by=by(row.other_margin, row.other_margin_ci, row.unit))} ({row.other_verdict})"
        for row in changed.itertuples()
    ]
    return (
        "Accuracies in verdicts are test accuracies at the epoch of best validation, as in the authors' code. By the "
        f"highest test accuracy that was measured, {len(words) or 'none'} would be different{': ' * bool(words)}"
        f"{'; '.join(words)}."
    )


def decided(table: pd.DataFrame) -> pd.DataFrame:
    """One row per claim that some run tells about, decided ones first: where, what we found, in how many trials, and
    how many an undecided one would take."""
    tried = table[table["n"] > 0].copy()
    tried["is_open"] = tried["verdict"].str.startswith(UNDECIDED)
    tried = tried.sort_values("is_open", kind="stable")
    found = [row.found.format(by=by(row.margin, row.margin_ci, row.unit)) for row in tried.itertuples()]
    shown = tried[["statement", "place", "data"]].rename(columns={"statement": "the paper says", "place": "where"})
    shown = shown.assign(found=found, trials=tried["n"], profile=tried["profile"])
    needed = [_needed(row.needed) if row.is_open else "" for row in tried.itertuples()]
    return shown.assign(**{"tasks × epochs": tried["scale"], "verdict": tried["verdict"], "n to decide": needed})


def _needed(n: float) -> str:
    if np.isnan(n):
        return "unknown"
    return f"over {MOST_TRIALS}" if np.isinf(n) else f"{n:.0f}"


def headline(options: Options) -> pd.DataFrame:
    """Our three candidates for 'peak per-task accuracy' beside the paper's number, for HPS on CIFAR-100: transfer at
    all layers, LASEM, and the runs that differ from them in a few switches."""
    specs = [*_evidence(), *plan(["figure3"], "quick", None, "cifar100", settings={"em.prune": "off"})]
    wanted = [spec for spec in specs if (spec.base, spec.profile) == ("hps", "quick") and _changes(spec) is not None]
    kinds: dict[str, list[RunRecord]] = {}
    for record in find(dict.fromkeys(wanted), open_store(options.store), anywhere=True):
        name = method_name(record.spec.method, record.spec.base)
        kinds.setdefault(", ".join([name, *_changes(record.spec)]), []).append(record)
    return pd.DataFrame([_measures(kind, here) for kind, here in kinds.items()])


def _changes(spec: RunSpec) -> list[str] | None:
    """Switches that differ from the preset's; None for another method, configuration or schedule."""
    settings = {name: value for name, value in unusual(spec).items() if name not in ("config", "seed")}
    shown = spec.method == "lasem" or (spec.method == "static" and label(spec) == "all")
    if not shown or {"stream.n_tasks", "schedule.epochs"} & set(settings):
        return None
    preset = [f"preset {spec.preset}"] if spec.preset != "paper" else []
    return preset + [f"{name} = {value:.3g}" if isinstance(value, float) else f"{name} = {value}"
                     for name, value in settings.items()]  # fmt: skip


def _measures(kind: str, records: Sequence[RunRecord]) -> dict[str, object]:
    runs, spec = run_table(records), records[0].spec
    value, _ = verdicts.published("cifar100", "hps", spec.method)
    measured = {name: spread(100 * runs[name]) for name in verdicts.ACCURACIES}
    forgetting = {METRIC_NAMES["forgetting_ratio"]: spread(runs["forgetting_ratio"], 2)}
    return {"runs": kind} | measured | forgetting | {"paper": f"{value:.1f}"}


def remaining(options: Options) -> pd.DataFrame:
    """What `lasem sweep evidence` has still to run, by profile and kind, and how long at the recorded pace."""
    store, specs = open_store(options.store), _evidence()
    missing, pace = _by_kind(without(specs, find(specs, store, anywhere=True))), pace_of(store.summaries())
    rows = [_rest(kind, len(planned), missing.get(kind, []), pace) for kind, planned in _by_kind(specs).items()]
    return pd.DataFrame(rows)


def _by_kind(specs: Iterable[RunSpec]) -> dict[tuple[str, str, str], list[RunSpec]]:
    """By data set, profile and name."""
    kinds: dict[tuple[str, str, str], list[RunSpec]] = {}
    for spec in specs:
        name = f"static {BASE_NAMES[spec.base]}" if spec.method == "static" else method_name(spec.method, spec.base)
        kinds.setdefault((spec.dataset, spec.profile, name), []).append(spec)
    return kinds


def _rest(kind: tuple[str, str, str], n: int, left: Sequence[RunSpec], pace: Pace) -> dict[str, str]:
    seconds, unknown = expected(left, pace)
    time = "unknown" if unknown == len(left) else spell(seconds)
    own = dict(zip(("dataset", "profile", "runs"), kind, strict=True))
    return own | {"recorded": f"{n - len(left)} of {n}", "the rest": time if left else ""}


def _evidence() -> list[RunSpec]:
    return plan([EVIDENCE], "quick")
