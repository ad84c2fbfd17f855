"""The explorer where scripts may not run: a picture of one run beside the static configurations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lasem_core.common.statistics import t_interval
from lasem_core.runs.record import RunRecord
from lasem_core.views import canvas, one_run
from lasem_core.views.canvas import LASEM
from lasem_core.views.widgets.bundle import ground
from lasem_core.views.words import method_name


def still(record: RunRecord, records: Iterable[RunRecord]) -> Figure:
    """What `record` chose, and where that leads among the static configurations of the same tasks."""
    static = defaultdict(list)
    for other in records:
        if other.spec.method == "static" and ground(other.spec) == ground(record.spec):
            static[other.spec.config or "1" * other.spec.model.depth].append(other.summary["final_accuracy"])
    if len(static) < 2:
        return one_run.choices(record)
    with canvas.style():
        figure = Figure((11, 1.8 + 0.4 * max(len(record.configs), 4)), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 2))
        one_run.draw_choices(record.configs, left)
        _draw_ranking(static, right)
        right.axhline(
            record.summary["final_accuracy"], color=LASEM, lw=2, label=method_name(record.spec.method, record.spec.base)
        )
        right.legend(frameon=False, loc="lower left")
        sns.despine(ax=right)
    return canvas.caption(figure, one_run.describe(record))


def _draw_ranking(static: dict[str, list[float]], axes: Axes) -> None:
    """Mean and 95 % t-interval over trials, best first."""
    spans = sorted(((*t_interval(values), config) for config, values in static.items()), reverse=True)
    means, halves, configs = zip(*spans, strict=True)
    axes.errorbar(configs, means, yerr=halves, fmt="o", color="0.25", capsize=2)
    axes.tick_params(axis="x", rotation=60)
    axes.set(
        xlabel="static configuration, layer 1 first: 1 transferred, 0 the task's own",
        ylim=(None, min(1.0, axes.get_ylim()[1])),
    )
    canvas.percent(axes, "accuracy after the last task")
