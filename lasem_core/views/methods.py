"""Every method on the same tasks: what it reaches, what it forgets, what it costs."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from lasem_core.runs.machine import is_quiet
from lasem_core.runs.record import RunRecord
from lasem_core.views import canvas
from lasem_core.views.evidence import Evidence
from lasem_core.views.words import method_name

GROWTH = ("progressive", "single-task")
COLUMNS = (
    "method", "peak at best validation (%)", "peak test (%)", "final (%)", "forgetting", "training (s)",
    "numbers kept", "kept (KB)", "by task (KB)",
)  # fmt: skip


def method_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """One row per run of the shorter stream, best final accuracy first.

    *Numbers kept* and the two sizes are measured on what the learner still holds after the last task, networks and
    whatever else the method needs for the next one (Appendix F); `by task` is the largest task's own part. Seconds of
    a machine that did other work, too, stand with a `*`.
    """
    rows = [_row(record) for record in _shortest(records)]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("final (%)", ascending=False, ignore_index=True)


def _shortest(records: Iterable[RunRecord]) -> list[RunRecord]:
    records = list(records)
    fewest = min((record.spec.stream.n_tasks for record in records), default=0)
    return [record for record in records if record.spec.stream.n_tasks == fewest]


def _row(record: RunRecord) -> dict[str, object]:
    result = record.summary
    peaks = (result[name] for name in ("peak_at_best_valid", "peak_test", "final_accuracy"))
    kept = (result["stored_bytes"] / 1024, result["task_bytes_max"] / 1024)
    cost = (_seconds(record), result.get("parameters", "-"), *(round(size) for size in kept))
    cells = (_name(record), *(round(100 * peak, 1) for peak in peaks), round(result["forgetting_ratio"], 3), *cost)
    return dict(zip(COLUMNS, cells, strict=True))


def _seconds(record: RunRecord) -> str:
    return f"{record.measured['train_seconds']:.0f}" + ("" if is_quiet(record.measured) else "*")


def _name(record: RunRecord) -> str:
    return method_name(record.spec.method, record.spec.base)


def seconds_by_task(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Training seconds of each task of the longest stream, over those of the first task of the same run."""
    records = [record for record in records if record.spec.method in GROWTH]
    most = max((record.spec.stream.n_tasks for record in records), default=0)
    rows = [
        {"method": _name(record), "task": task, "seconds": seconds, "over the first": seconds / times[0]}
        for record in records
        if record.spec.stream.n_tasks == most
        for times in [record.measured["task_train_seconds"]]
        for task, seconds in enumerate(times, start=1)
    ]
    return pd.DataFrame(rows, columns=["method", "task", "seconds", "over the first"])


def den_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """What DEN did to its network in each task: units reached by selection, added, split, and all at the task's end;
    the loss without dropout that decided about growing."""
    rows = []
    for record in (record for record in records if record.spec.method == "den"):
        ends = record.history.groupby("position").last()
        units = ends.filter(like="units_").sum(axis=1)
        shown = ends[["reached", "added", "split"]].assign(units=units).map(lambda n: "-" if pd.isna(n) else f"{n:.0f}")
        loss = ends["fit_loss"].map(lambda value: "-" if pd.isna(value) else f"{value:.3f}")
        own = shown.assign(**{"loss before growing": loss, "epochs": record.spec.schedule.epochs})
        rows.append(own.reset_index(drop=True).assign(task=range(1, len(own) + 1)))
    names = ["epochs", "task", "reached", "added", "split", "units", "loss before growing"]
    return pd.concat(rows)[names] if rows else pd.DataFrame(columns=names)


def growth(evidence: Evidence) -> Figure:
    """How the time of a task grows with the tasks before it."""
    table = seconds_by_task(evidence.records)

    def draw(axes, _column, _row) -> bool:
        if table.empty:
            return False
        sns.lineplot(table, x="task", y="over the first", hue="method", style="method", markers=True,
                     palette="colorblind", ax=axes)  # fmt: skip
        axes.set(ylabel="training time / first task's", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
        return True

    quiet = all(is_quiet(record.measured) for record in evidence.records if record.spec.method in GROWTH)
    words = evidence.caption if quiet else f"{evidence.caption}; the machine did other work, too"
    return canvas.caption(canvas.panel_grid([""], [""], draw, (5.2, 3.2)), words)
