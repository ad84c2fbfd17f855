"""Explorer (c): choose which layers to transfer and see what that static configuration reached, beside LASEM."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lasem_core.common.errors import LasemError
from lasem_core.common.statistics import t_interval
from lasem_core.views.canvas import BEST, LASEM, RANGE, SPECIFIC, TRANSFERRED, percent
from lasem_core.views.evidence import Evidence
from lasem_core.views.widgets.base import Explorer, dropdown, heading, set_bars, set_texts, tick_texts
from lasem_core.views.words import plus_minus, title


class ConfigurationPicker(Explorer):
    """A drawn network whose layers are switched between shared and task-specific.

    Arguments: evidence of an artefact with static runs, e.g. `gather("figure3")`.
    """

    size = (9.0, 3.6)
    text = "[explorer: configuration picker]"

    def __init__(self, evidence: Evidence):
        self.runs, self.profile = evidence.runs, evidence.profile
        static = self.runs[self.runs["method"] == "static"]
        if static.empty:
            raise LasemError("no static run here; run: lasem sweep figure1 --profile smoke")
        self.means = static.groupby(["dataset", "base", "config"])["peak_at_best_valid"].agg(list)
        places = list(dict.fromkeys((data, base) for data, base, _ in self.means.index))
        self.depth = len(static["config"].iloc[0])
        layers = {f"layer {n}": _toggle(n) for n in range(1, self.depth + 1)}
        super().__init__({"runs": dropdown("runs", [(title(*place), place) for place in places])} | layers)

    @property
    def config(self) -> str:
        """The chosen bit string, layer 1 first."""
        return "".join("1" if self.value(f"layer {n}") else "0" for n in range(1, self.depth + 1))

    def _build(self, figure: Figure) -> list[Artist]:
        network, self.axes = figure.subplots(1, 2, width_ratios=(1, 2.2))
        figure.subplots_adjust(0.02, 0.2, 0.97, 0.84, 0.12)
        network.set(xlim=(-1, 1), ylim=(0.3, self.depth + 0.9), title="image below, head above")
        network.set_axis_off()
        layers = range(1, self.depth + 1)
        self.boxes = [network.add_patch(Rectangle((-0.7, n - 0.35), 1.4, 0.7)) for n in layers]
        self.names = [network.text(0, n, "", ha="center", va="center", color="white") for n in layers]
        most = self.means.groupby(level=[0, 1]).size().max()
        self.bars = self.axes.bar(range(most), np.zeros(most), edgecolor="0.4")
        self.ticks, self.heading = tick_texts(self.axes, most), heading(self.axes)
        self.line = self.axes.axhline(0, color=LASEM, lw=2)
        self.axes.set(ylim=(0, min(1.0, self.means.map(max).max() * 1.2)))
        percent(self.axes, "peak per-task accuracy")
        return [*self.boxes, *self.names, *self.bars, *self.ticks, self.line, self.heading]

    def _update(self) -> None:
        for number, (box, name) in enumerate(zip(self.boxes, self.names, strict=True), start=1):
            shared = self.value(f"layer {number}")
            box.set_facecolor(TRANSFERRED if shared else SPECIFIC)
            name.set_text(f"layer {number}: {'transferred' if shared else 'its own'}")
        self._update_bars(*self.value("runs"))

    def _update_bars(self, dataset: str, base: str) -> None:
        recorded = self.means.loc[dataset, base]
        values = recorded.map(np.mean).sort_values(ascending=False, kind="stable")
        set_bars(self.bars, values.to_list())
        for bar, config in zip(self.bars, values.index, strict=False):
            bar.set_facecolor(BEST if config == self.config else RANGE)
        set_texts(self.ticks, list(values.index))
        runs = self.runs
        own = runs[(runs["dataset"] == dataset) & (runs["base"] == base) & (runs["method"] == "lasem")]
        lasem = own["peak_at_best_valid"].tolist()
        self.line.set_visible(bool(lasem))
        self.line.set_ydata([np.mean(lasem) if lasem else 0] * 2)
        static = f"{self.config} as a static configuration (black): {_spell(recorded.get(self.config))}"
        self.heading.set_text(
            f"{title(dataset, base)} ({self.profile}): {static}\nLASEM, its own choice per task (line): {_spell(lasem)}"
        )


def _toggle(layer: int) -> widgets.ToggleButton:
    tooltip = f"transfer layer {layer}, or keep it task-specific"
    return widgets.ToggleButton(True, description=f"layer {layer}", tooltip=tooltip, layout={"width": "90px"})


def _spell(values: Any) -> str:
    if not values:
        return "not run"
    mean, half = t_interval(values)
    return plus_minus(100 * mean, 100 * half, n=len(values), unit=" %")
