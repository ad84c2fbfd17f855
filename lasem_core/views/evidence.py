"""What a figure or table is drawn from: the runs it needs, the records that are there, tidy tables of them.

Accuracies are fractions here; only pictures and printed tables speak of percent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import pandas as pd

from lasem_core.common.duration import spell
from lasem_core.runs import results
from lasem_core.runs.find import without
from lasem_core.runs.machine import is_quiet
from lasem_core.runs.pace import Pace, expected
from lasem_core.runs.record import RunRecord
from lasem_core.spec.configs import static_set
from lasem_core.spec.presets import RELEASED
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views.words import AS_RELEASED, DATASET_NAMES

METRICS = ("peak_at_best_valid", "peak_test", "final_accuracy", "forgetting_ratio")
SECONDS = ("train_seconds", "eval_seconds")
TIMED = "timed_seconds"  # what the paper's timer counts (released code, item 48)
MEMORY = ("shared_bytes", "task_bytes_max", "stored_bytes")
# of a run, in every long table
KEYS = ("run_id", "dataset", "title", "method", "base", "profile", "stale", "seed", "tasks", "epochs")
SWITCHES = ("likelihood", "prior", "rollback", "m_steps", "groups", "fixed_mass")


@dataclass(frozen=True)
class Evidence:
    """The runs an artefact needs, and the records of those that are there.

    Attributes:
        specs: every run the artefact needs.
        records: the ones that are stored, in the same order.
        causes: why runs that were tried are not there, one line each.
        others: records of the same runs on a schedule that is not shown; verdicts look there, too.
        pace: how long runs took (`runs.pace`).
    """

    artefact: str
    profile: str
    specs: Sequence[RunSpec]
    records: Sequence[RunRecord]
    causes: Sequence[str] = ()
    others: Sequence[RunRecord] = ()
    pace: Pace = field(default_factory=dict)

    @cached_property
    def missing(self) -> list[RunSpec]:
        """The runs that are not there."""
        return without(self.specs, self.records)

    @cached_property
    def judged(self) -> Evidence:
        """With the records on other schedules."""
        return replace(self, records=[*self.records, *self.others], others=())

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per record."""
        return run_table(self.records)

    @cached_property
    def choices(self) -> pd.DataFrame:
        """One row per record and task: the final configuration."""
        return choice_table(self.records)

    @cached_property
    def forgetting(self) -> pd.DataFrame:
        """One row per record and position in the stream: the mean forgetting ratio so far."""
        return forgetting_table(self.records)

    @cached_property
    def panels(self) -> list[tuple[str, str]]:
        """(data set, base) pairs that the artefact shows, whether or not there are records."""
        return list(dict.fromkeys((spec.dataset, spec.base) for spec in self.specs))

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(spec.dataset for spec in self.specs))

    @property
    def caption(self) -> str:
        """The schedule, how many trials a point stands for, whether that says anything about the paper, and data that
        are not the official ones."""
        return self.caption_of(self._trials)

    @property
    def plain_caption(self) -> str:
        """`caption` of a picture that draws no intervals."""
        return self.caption_of(self._trials, "")

    @property
    def _trials(self) -> pd.Series:
        return self.runs.groupby(["dataset", "base", "label"])["seed"].nunique()

    def caption_of(self, trials: Iterable[int], interval: str = ", 95 % t-interval") -> str:
        """The caption of a picture whose points stand for so many `trials` each; 0: there is no such point."""
        counts = sorted(set(trials) - {0}) or [0]
        few, many = int(counts[0]), int(counts[-1])
        mean = f"mean over {few if few == many else f'{few} to {many}'} trials{interval}"
        words = ["no records", "one trial, no interval"][many] if many < 2 else mean
        warning = ["says nothing about the paper"] if self.schedules == "smoke" else []
        names = [title for title in self.runs["title"].unique() if "not the official" in title]
        older = ["with runs of an older generation of the code"] if any(r.stale for r in self.records) else []
        return "; ".join([f"profile {self.schedules}", words, *warning, *names, *older])

    @property
    def schedules(self) -> str:
        """The profiles of what is shown, of what is planned where nothing is there."""
        profiles = dict.fromkeys(run.profile for run in [r.spec for r in self.records] or self.specs)
        return " and ".join(profiles) or self.profile

    def not_run(self, dataset: str, base: str = "") -> str:
        """What a panel without records says: what would run there, and for how long."""

        def here_of(specs: Iterable[RunSpec]) -> list[RunSpec]:
            return [spec for spec in specs if spec.dataset == dataset and base in ("", spec.base)]

        if not (here := here_of(self.missing)):
            return "not run" if here_of(self.specs) else "not in the paper"
        return f"not run: {len(here)} run{'s'[: len(here) - 1]} at profile {here[0].profile},\n{self.duration(here)}"

    def duration(self, specs: Sequence[RunSpec]) -> str:
        """How long `specs` would take at the pace of the recorded runs."""
        seconds, unknown = expected(specs, self.pace)
        if unknown == len(specs):
            return "duration unknown"
        return f"{'over' if unknown else 'about'} {spell(seconds)}"

    def __str__(self) -> str:
        names = ", ".join(DATASET_NAMES[name] for name in self.datasets)
        there = f"{self.artefact}: {len(self.records)} of {len(self.specs)} runs at profile {self.schedules} on {names}"
        return "\n".join([there, *(f"because {cause}" for cause in self.causes)])


def place(record: RunRecord) -> dict[str, Any]:
    """Where a record stands among others, flat: every table of records begins with some of these."""
    spec = record.spec
    names = ("dataset", "method", "base", "preset", "profile", "seed")
    own = {"run_id": record.run_id, "config": spec.config or "", "label": label(spec)}
    own |= {"title": record.summary.get("data_title", spec.dataset), "stale": record.stale}
    scale = {"tasks": spec.stream.n_tasks, "epochs": spec.schedule.epochs}
    return own | {name: getattr(spec, name) for name in names} | scale


def run_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per record: what it is, its results, its costs; no seconds of a machine that did other work, too."""
    rows = [_run_row(record) for record in records]
    names = ["run_id", "dataset", "title", "method", "base", "config", "label", "seed", "profile", "stale"]
    costs = (*SECONDS, TIMED, "test_every", "every_epoch", "peak_rss_mb", *MEMORY)
    return pd.DataFrame(rows, columns=[*names, *SWITCHES, *METRICS, *costs, "tasks", "epochs"])


def _run_row(record: RunRecord) -> dict[str, Any]:
    row = place(record) | {name: getattr(record.spec.em, name) for name in SWITCHES}
    row |= {name: _number(record.summary.get(name)) for name in (*METRICS, *MEMORY)}
    row |= {name: _number(record.measured.get(name)) if is_quiet(record.measured) else math.nan for name in SECONDS}
    every = record.spec.schedule.evaluation == "every-epoch"  # evaluation is then as often as in the paper
    row |= {"test_every": 1 if every else record.spec.schedule.test_every, "every_epoch": every}
    row[TIMED] = row["train_seconds"] + (row["eval_seconds"] if every else 0)
    return row | {"peak_rss_mb": _number(record.measured.get("peak_rss_mb"))}


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def label(spec: RunSpec) -> str:
    """The configuration's name in Figure 1, or the method's name: of DARTS with how it is trained."""
    if spec.config is None:
        released = spec.method == "darts" and RELEASED["darts"].items() <= spec.darts.model_dump().items()
        return spec.method + AS_RELEASED * released
    names = {str(config): name for name, config in static_set(spec.model.depth).items()}
    return names.get(spec.config, spec.config).replace("top", "top ").replace("bottom", "bottom ")


def choice_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per record and task: `config`, the configuration that the task ended in; `groups` of layers, if any."""
    rows = [
        place(record) | {"groups": record.spec.em.groups or "", "task": task, "config": config}
        for record in records
        for task, config in enumerate(record.configs, start=1)
        if config
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "groups", "task", "config"])


def alike(choices: pd.DataFrame, *keys: str) -> list[float]:
    """For every two trials the share of tasks, told apart by `keys`, in which both end in the same configuration."""
    by_seed = choices.pivot_table("config", list(keys), "seed", aggfunc="first")
    pairs = [by_seed[list(seeds)].dropna() for seeds in combinations(by_seed, 2)]
    return [float((both.iloc[:, 0] == both.iloc[:, 1]).mean()) for both in pairs if len(both)]


def leading_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per record, visit and epoch: `config`, the one with the largest posterior, mean over mini-batches."""
    tables = [_leading(record) for record in records if len(record.posterior)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*KEYS, "task", "config"])


def _leading(record: RunRecord) -> pd.DataFrame:
    means = record.posterior[(record.posterior["step"] < 0) & (record.posterior["config"] != "rest")]
    by_mass = means.sort_values("mass", ascending=False, kind="stable")
    leading = by_mass.drop_duplicates(["position", "epoch"]).sort_values(["position", "epoch"])
    own = {name: value for name, value in place(record).items() if name != "config"}
    return leading[["task", "config"]].assign(**own)


def layer_frequency(choices: pd.DataFrame) -> pd.DataFrame:
    """Share of `choices` in which a layer is transferred, one row per run and layer: of final ones as in Figures 4 and
    8, or of a `leading_table`'s."""
    long = choices.reset_index(drop=True).assign(bit=lambda t: t["config"].map(list)).explode("bit")
    long["layer"] = long.groupby(level=0).cumcount() + 1
    long["transferred"] = (long["bit"] == "1").astype(float)
    return long.groupby([*KEYS, "layer"], as_index=False)["transferred"].mean()


def forgetting_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """The mean catastrophic-forgetting ratio after each task (Figure 7)."""
    rows = []
    for record in records:
        curve = results.forgetting_curve(results.accuracy_matrix(record.accuracy), _order(record))
        own = place(record)
        rows += [own | {"trained": n + 1, "forgetting_ratio": ratio} for n, ratio in curve.items()]
    return pd.DataFrame(rows, columns=[*KEYS, "label", "trained", "forgetting_ratio"])


def _order(record: RunRecord) -> list[int]:
    """The task at each position of the stream, from the history."""
    return record.history.groupby("position")["task"].first().astype(int).tolist()


def posterior_table(record: RunRecord, task: int) -> pd.DataFrame:
    """Posterior mass by mini-batch (`step`, the first ones) and by epoch (step -1) of one task of one run.

    float16, as stored, overflows in sums; hence float64.
    """
    table = record.posterior
    return table[table["task"] == task].assign(mass=lambda t: t["mass"].astype(float)).reset_index(drop=True)
