"""Does pruning, or bf16, change what LASEM finds? Runs in pairs that differ in nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lasem_core.common.errors import LasemError
from lasem_core.common.statistics import Equivalence, tost
from lasem_core.runs.machine import is_quiet
from lasem_core.runs.record import RunRecord
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import canvas, verdicts
from lasem_core.views.canvas import COLOURS, percent
from lasem_core.views.evidence import place
from lasem_core.views.words import BASE_NAMES, p_value, plus_minus, spread, title

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 0.01  # of accuracy: one point
ACCURACIES = verdicts.ACCURACIES
PLACE = ("dataset", "profile", "base", "seed")
PRUNING = {"prune", "prune_eps", "prune_every", "prune_samples"}

Pair = tuple[RunRecord, RunRecord]  # exact and pruned, or fp32 and bf16


def pairs_of(records: Iterable[RunRecord]) -> list[Pair]:
    """Every pruned run with the exact run of the same specification, where both are there."""
    lasem = [record for record in records if record.spec.method == "lasem"]
    return _matched(lasem, lambda spec: spec.em.prune == "off", {"em": PRUNING})


def precision_pairs_of(records: Iterable[RunRecord]) -> list[Pair]:
    """Every run in bf16 with the run in fp32 of the same specification, where both are there."""
    return _matched(records, lambda spec: spec.precision == "fp32", {"precision": True})


def _matched(records: Iterable[RunRecord], is_plain: Callable[[RunSpec], bool], differ: dict[str, Any]) -> list[Pair]:
    """Pairs of a plain run and one that is not, equal in all but the fields that may differ."""
    by_key: dict[str, list[RunRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda record: not is_plain(record.spec)):
        by_key[record.spec.model_dump_json(exclude=differ | {"device": True})].append(record)
    plain = {key: group[0] for key, group in by_key.items() if is_plain(group[0].spec)}
    return [(plain[key], other) for key in plain for other in by_key[key][1:]]


def pair_table(pairs: Sequence[Pair]) -> pd.DataFrame:
    """One row per pair.

    Columns: `same_choice`, share of tasks that end in the same configuration; the three accuracies, the second run's
    minus the first's; of pruned runs `evaluated`, configurations per mini-batch, and `outside`, the largest posterior
    mass measured outside; `kept`, see `kept_distance`.
    """
    rows = [_row(exact, pruned) for exact, pruned in pairs]
    columns = [*PLACE, "same_choice", *ACCURACIES, "evaluated", "outside", "kept"]
    return pd.DataFrame(rows, columns=columns)


def _row(exact: RunRecord, pruned: RunRecord) -> dict[str, object]:
    row = place(exact)
    row["same_choice"] = np.mean([a == b for a, b in zip(exact.configs, pruned.configs, strict=True)])
    row |= {name: pruned.summary[name] - exact.summary[name] for name in ACCURACIES}
    if "evaluated" in pruned.history:
        row |= {"evaluated": pruned.history["evaluated"].mean(), "outside": pruned.history["pruned_mass"].max()}
    return row | {"kept": kept_distance(exact, pruned)}


def kept_distance(exact: RunRecord, pruned: RunRecord) -> float:
    """How far the kept parameters lie apart, relative to their length: 0 = equal, about 1.4 = unrelated.

    Over the shared tensors and those of tasks that ended in the same configuration, each as it was at the end of its
    task; NaN where a model is not kept (models are not in git).
    """
    same = [f"task{n}" for n, (a, b) in enumerate(zip(exact.configs, pruned.configs, strict=True)) if a == b]
    try:
        one, other = (_kept(record, ["shared", *same]) for record in (exact, pruned))
    except LasemError:
        return float("nan")
    return float((one - other).norm() / one.norm())


def _kept(record: RunRecord, owners: Sequence[str]) -> Tensor:
    """Every number that `owners` keep, (N,)."""
    import torch

    from lasem_core.runs.run import load_learner

    tensors = load_learner(record).stored_tensors()
    return torch.cat([tensor.flatten() for owner in owners for tensor in tensors[owner]])


def by_epoch(pairs: Sequence[Pair]) -> pd.DataFrame:
    """Per base and epoch of a task, means over tasks and trials: `evaluated` configurations per mini-batch of the
    pruned run, and `agreement`, the share of tasks in which both runs use the same configuration."""
    parts = [_epochs(exact, pruned) for exact, pruned in pairs]
    columns = ["dataset", "base", "epoch", "evaluated", "agreement"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts).groupby(columns[:3], as_index=False, sort=False)[columns[3:]].mean()


def _epochs(exact: RunRecord, pruned: RunRecord) -> pd.DataFrame:
    epoch = ["position", "epoch"]
    both = pruned.history.merge(exact.history[[*epoch, "config"]], on=epoch, suffixes=("", "_exact"))
    both = both[both["epoch"] > 0]
    agreement = (both["config"] == both["config_exact"]).astype(float)
    return both[["epoch", "evaluated"]].assign(dataset=exact.spec.dataset, base=exact.spec.base, agreement=agreement)


TENTHS = 10


def course_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Configurations per mini-batch in each tenth of a task, means over tasks: pruned runs without an exact twin,
    where exact runs would take too long."""
    lasem = [record for record in records if record.spec.method == "lasem" and record.spec.precision == "fp32"]
    twins = {id(record) for pair in pairs_of(lasem) for record in pair}
    alone = [record for record in lasem if record.spec.em.prune != "off" and id(record) not in twins]
    return pd.DataFrame([_course(record) for record in alone])


def _course(record: RunRecord) -> dict[str, object]:
    spec, history = record.spec, record.history[record.history["epoch"] > 0]
    tenth = (TENTHS * (history["epoch"] - 1)) // spec.schedule.epochs
    means = " ".join(f"{mean:.1f}" for mean in history.groupby(tenth)["evaluated"].mean())
    own = {name: value for name, value in place(record).items() if name in ("dataset", "base", "tasks", "epochs")}
    return own | {"configurations": len(spec.space), "evaluated, tenth by tenth": means}


def trajectories(pairs: Sequence[Pair]) -> Figure:
    """What is evaluated, and how often both runs use the same configuration, over the epochs of a task."""
    table = by_epoch(pairs)
    titles = {"evaluated": "configurations per mini-batch", "agreement": "tasks with the same configuration"}

    def draw(axes: Axes, what: str, _: str) -> bool:
        axes.set_title("")
        if table.empty:
            return False
        sns.lineplot(table, x="epoch", y=what, hue="base", style="base", palette=COLOURS, ax=axes)
        axes.set(xlabel="epoch of a task", ylabel=titles[what], ylim=(0, None if what == "evaluated" else 1.02))
        if what == "agreement":
            percent(axes, titles[what])
        canvas.legend_of_bases(axes, set(table["base"]))
        return True

    return canvas.caption(canvas.panel_grid(list(titles), [""], draw, (4.2, 3.0)), _caption(pairs))


def _caption(pairs: Sequence[Pair]) -> str:
    if not pairs:
        return "no pairs of runs"
    spec, seeds = pairs[0][1].spec, len({pruned.spec.seed for _, pruned in pairs})
    window = f"eps {spec.em.prune_eps:g}, full evaluation every {spec.em.prune_every} mini-batches"
    return f"{title(spec.dataset)}, profile {spec.profile}, n = {seeds}; pruned EM: {window}"


def summary(pairs: Sequence[Pair]) -> pd.DataFrame:
    """`pair_table` by data set and base, as text: means over trials with 95 % t-intervals."""
    columns = {"same_choice": ("same choice (%)", 100, 1), "evaluated": ("evaluated", 1, 2),
               "outside": ("outside (%)", 100, 2), "kept": ("kept apart", 1, 3)}  # fmt: skip
    rows = []
    for (dataset, base), group in pair_table(pairs).groupby(["dataset", "base"], sort=False):
        cells = {title: spread(scale * group[name], digits) for name, (title, scale, digits) in columns.items()}
        rows.append({"dataset": dataset, "base": base} | cells)
    return pd.DataFrame(rows)


def verdict_table(pairs: Sequence[Pair], margin: float = MARGIN, embedded: bool = False) -> pd.DataFrame:
    """Per accuracy, over all bases together and for each: mean difference in points, its 90 % interval, TOST's p, n and
    verdict. A trial is one seed: its pairs are averaged first. Pairs of profile smoke never enter, those on embedded
    data only if `embedded`."""
    table = pair_table(pairs)
    table = table[table["profile"] != "smoke"] if embedded else verdicts.counts(table)
    groups = {"all": table} | {base: table[table["base"] == base] for base in BASE_NAMES if base != "none"}
    rows = [
        {"accuracy": name, "base": base} | _cells(tost(_by_trial(group)[name], margin))
        for name in ACCURACIES
        for base, group in groups.items()
    ]
    return pd.DataFrame(rows)


def _by_trial(pairs: pd.DataFrame) -> pd.DataFrame:
    """Means over the pairs of one seed, where it has as many as any other."""
    trials = pairs.groupby(["dataset", "profile", "seed"])
    sizes = trials.size()
    return trials[list(ACCURACIES)].mean()[sizes == sizes.max()]


def _cells(result: Equivalence) -> dict[str, object]:
    difference = plus_minus(100 * result.mean, 100 * result.half, 2, sign="+") if result.n > 1 else "-"
    return {
        "difference (points, 90 % interval)": difference,
        "p": p_value(result.p),
        "n": result.n,
        "verdict": result.verdict,
    }


def cost_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Training seconds of transfer at all layers, exact and pruned LASEM in the same trial, of runs that count and had
    their machine to themselves."""
    rows = []
    records = [record for record in records if is_quiet(record.measured)]
    for exact, pruned in pairs_of(records):
        place = [getattr(exact.spec, name) for name in PLACE]
        static = [r for r in records if r.spec.method == "static" and [getattr(r.spec, n) for n in PLACE] == place]
        seconds = [r.measured["train_seconds"] for r in (*static[:1], exact, pruned)]
        if static:
            rows.append([*place, *seconds, seconds[1] / seconds[0], seconds[2] / seconds[0]])
    names = ["static (s)", "exact (s)", "pruned (s)", "exact / static", "pruned / static"]
    return verdicts.counts(pd.DataFrame(rows, columns=[*PLACE, *names]).round(2))
