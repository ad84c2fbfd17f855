"""Explorer (a): which layers LASEM transfers, task by task and epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lasem_core.common.errors import LasemError
from lasem_core.runs.record import RunRecord
from lasem_core.views.canvas import LASEM, SPECIFIC, TRANSFERRED, percent
from lasem_core.views.widgets.base import Explorer, dropdown, heading, set_bars, set_texts, slider, tick_texts
from lasem_core.views.words import data_and_profile, method_name

SHOWN = 8  # configurations with a bar of their own
ALL_SEEDS = "all"


@dataclass(frozen=True)
class Course:
    """What the runs of one (data set, method, base) chose over time.

    Attributes:
        seeds: of axis S.
        transfer: (S, T, E, d) probability that a layer is transferred; epoch 1 first.
        configs: (S, T, E) bit strings in use.
    """

    seeds: tuple[int, ...]
    transfer: np.ndarray
    configs: np.ndarray

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> Course:
        """Stack runs of the same shape; a run with other epochs, tasks or layers is left out."""
        parts = [_course(record) for record in sorted(records, key=lambda r: r.spec.seed)]
        same = [part for part in parts if part[1].shape == parts[0][1].shape]
        seeds, transfer, configs = zip(*same, strict=True)
        return cls(tuple(seeds), np.stack(transfer), np.stack(configs))

    def at(self, seed: int | str) -> tuple[np.ndarray, np.ndarray]:
        """`transfer` and `configs` of one seed, or of all, with axis S kept."""
        chosen = slice(None) if seed == ALL_SEEDS else [self.seeds.index(seed)]
        return self.transfer[chosen], self.configs[chosen]


def _course(record: RunRecord) -> tuple[int, np.ndarray, np.ndarray]:
    trained = record.history[record.history["epoch"] > 0]
    layers = sorted((name for name in trained if name.startswith("transfer_")), key=lambda n: int(n[9:]))
    visits = [trained[trained["position"] == position] for position in sorted(trained["position"].unique())]
    transfer = np.stack([visit[layers].to_numpy(float) for visit in visits])
    return record.spec.seed, transfer, np.stack([visit["config"].to_numpy(str) for visit in visits])


class FrequencyExplorer(Explorer):
    """Heat map tasks x layers, bars of layers and configurations, one task's posterior over its epochs.

    Arguments: records of methods that choose (LASEM and its relatives); others are ignored.
    """

    size = (11.0, 5.6)
    text = "[explorer: transfer frequency by task, layer and epoch]"

    def __init__(self, records: Iterable[RunRecord]):
        self.courses = _courses(records)
        if not self.courses:
            raise LasemError("no run with a posterior here; run: lasem sweep figure4 --profile smoke")
        names = list(self.courses)
        epoch = slider("epoch", 1, 1)
        self.play = widgets.Play(min=1, interval=250, repeat=True, description="play")
        widgets.jslink((self.play, "value"), (epoch, "value"))
        super().__init__(
            {
                "runs": dropdown("runs", names),
                "seed": dropdown("seed", [ALL_SEEDS]),
                "task": slider("task", 1, 1),
                "epoch": epoch,
            }
        )
        self.select(names[0])

    @property
    def course(self) -> Course:
        return self.courses[self.value("runs")]

    def select(self, name: str) -> None:
        """Show other runs and adapt the controls' ranges to them."""
        course = self.courses[name]
        _, tasks, epochs, _ = course.transfer.shape
        with self.play.hold_sync():
            self.play.max = epochs
            self.play.value = epochs  # the page sets the slider to what the buttons say when it links the two
        self.controls["seed"].options = [ALL_SEEDS, *course.seeds]
        self.controls["task"].max = tasks
        self.controls["epoch"].max = epochs
        self.lay_out()
        self.controls["epoch"].value = epochs
        self.redraw()

    def _changed(self, change: Any) -> None:
        if change["owner"] is self.controls["runs"]:
            self.select(change["new"])
        else:
            self.redraw()

    def box(self) -> widgets.Widget:
        view = super().box()
        view.children = (view.children[0], self.play, view.children[1])
        return view

    def _build(self, figure: Figure) -> list[Artist]:
        """Axes for the tasks and layers of the chosen runs."""
        heat, layers, configs, course = figure.subplots(2, 2, width_ratios=(1, 1.25)).flat
        figure.subplots_adjust(0.06, 0.1, 0.9, 0.92, 0.2, 0.5)
        self.headings = [heading(axes) for axes in (heat, layers, configs, course)]
        set_texts(self.headings, ["", "transferred, mean over tasks", "configurations in use"])
        moving = [*self._build_heat(heat), *self._build_bars(layers, configs), *self._build_course(course)]
        return [*moving, self.headings[0], self.headings[3]]

    def _build_heat(self, axes: Axes) -> list[Artist]:
        _, tasks, _, depth = self.course.transfer.shape
        extent = (0.5, depth + 0.5, tasks + 0.5, 0.5)
        self.heat = axes.imshow(np.zeros((tasks, depth)), vmin=0, vmax=1, cmap="cividis", aspect="auto", extent=extent)
        self.marker = axes.axhline(1, color="white", lw=1.5, ls=":")
        axes.set(xlabel="layer", ylabel="task", xticks=range(1, depth + 1))
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.figure.colorbar(self.heat, ax=axes, format=lambda value, _: f"{100 * value:g} %")
        return [self.heat, self.marker]

    def _build_bars(self, layers: Axes, configs: Axes) -> list[Artist]:
        places = range(1, self.course.transfer.shape[-1] + 1)
        layers.bar(places, 1, color=SPECIFIC, alpha=0.25)
        self.bars = layers.bar(places, np.zeros(len(places)), color=TRANSFERRED)
        layers.set(xlabel="layer", ylim=(0, 1), xticks=places)
        self.config_bars = configs.bar(range(SHOWN), np.zeros(SHOWN), color=LASEM)
        self.config_names = tick_texts(configs, SHOWN, 30)
        configs.set(ylim=(0, 1))
        percent(layers, "share")
        percent(configs, "share")
        return [*self.bars, *self.config_bars, *self.config_names]

    def _build_course(self, axes: Axes) -> list[Artist]:
        _, _, epochs, depth = self.course.transfer.shape
        self.lines = axes.plot(np.arange(1, epochs + 1), np.zeros((epochs, depth)), lw=1.6)
        colours = sns.color_palette("colorblind", depth)
        for number, (line, colour) in enumerate(zip(self.lines, colours, strict=True), start=1):
            line.set(label=f"layer {number}", linestyle=("-", "--", "-.", ":")[number % 4], color=colour)
        self.now = axes.axvline(1, color="0.5", lw=1)
        axes.set(xlabel="epoch", ylim=(-0.02, 1.02), xlim=(0.5, epochs + 0.5))
        axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
        percent(axes, "probability")
        return [*self.lines, self.now]

    def _update(self) -> None:
        epoch, task = self.value("epoch") - 1, self.value("task")
        transfer, configs = self.course.at(self.value("seed"))
        mean = transfer[:, :, epoch].mean(0)  # (T, d)
        self.heat.set_data(mean)
        self.headings[0].set_text(f"{self.value('runs')}: transferred after epoch {epoch + 1}")
        self.marker.set_ydata([task, task])
        set_bars(self.bars, mean.mean(0))
        names, counts = np.unique(configs[:, :, epoch], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:SHOWN]
        set_bars(self.config_bars, counts[order] / counts.sum())
        set_texts(self.config_names, names[order])
        for line, values in zip(self.lines, transfer[:, task - 1].mean(0).T, strict=True):
            line.set_ydata(values)
        self.now.set_xdata([epoch + 1, epoch + 1])
        self.headings[3].set_text(f"task {task}: probability that a layer is transferred")


def _courses(records: Iterable[RunRecord]) -> dict[str, Course]:
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        if record.configs and record.spec.method not in ("static",) and "transfer_1" in record.history:
            spec = record.spec
            name = f"{data_and_profile(spec)}, {method_name(spec.method, spec.base)}"
            groups.setdefault(name, []).append(record)
    return {name: Course.of(group) for name, group in groups.items()}
