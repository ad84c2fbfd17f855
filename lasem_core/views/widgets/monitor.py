"""A run as it trains. Follows `training.Progress`: `train(spec, progress=LiveMonitor(spec))`.

Axes, ticks and labels are drawn once and kept as a background; an epoch draws only what moves on top of it, so that
a redraw takes a few dozen milliseconds.
"""

from __future__ import annotations

import base64
import io
import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from lasem_core.learners.protocol import EpochReport
from lasem_core.runs.progress import LogLines, Progress, describe, is_silent
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import canvas
from lasem_core.views.canvas import LASEM, SPECIFIC, TRANSFERRED, percent

VIEW = "application/vnd.jupyter.widget-view+json"
TEXT = "[live monitor]"
SIZE, DPI = (10.0, 3.2), 80  # inches
SECONDS = 0.5  # between two pictures: training should not wait for drawing
LEADING = 8


def watched() -> bool:
    """Whether a person may be looking: a Jupyter server or Voila started this kernel."""
    return any(name in os.environ for name in ("JPY_SESSION_NAME", "VSCODE_PID", "VOILA_PREHEAT", "SERVER_SOFTWARE"))


class LiveMonitor:
    """Progress bar, transfer probability per layer over time, and the current posterior.

    Where nobody can look it writes a log line every few seconds instead, and nothing with LASEM_PROGRESS=none; the
    last picture is there in every case.
    """

    def __init__(self, spec: RunSpec):
        self.spec = spec
        self.live = watched() and not is_silent()
        quiet = self.live or is_silent()
        self.log = Progress(spec) if quiet else LogLines(spec)
        self.transfer: list[list[float]] = []
        self.posterior: dict[str, float] = {}
        self.accuracy: list[tuple[int, float]] = []
        self.drawn = 0.0
        total = spec.stream.n_visits * max(1, spec.schedule.epochs)
        self.bar = widgets.IntProgress(0, 0, total, layout={"width": "60%"})
        self.label = widgets.Label("not started")
        width, height = (int(DPI * inches) for inches in SIZE)
        fixed = {"width": f"{width}px", "height": f"{height}px", "max_width": "100%", "object_fit": "contain"}
        self.image = widgets.Image(format="png", layout=fixed)
        self._lay_out()
        self.redraw()

    def show(self) -> None:
        """Display once: live widget, the same picture, a fixed text; afterwards the picture changes in place."""
        box = widgets.VBox([widgets.HBox([self.bar, self.label]), self.image])
        view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
        picture = base64.b64encode(self.image.value).decode()
        bundle = {"text/plain": TEXT, "image/png": picture, VIEW: view}
        display(bundle, raw=True, metadata={"image/png": {"alt": TEXT.strip("[]")}})

    def redraw(self) -> None:
        """Bring the picture up to date."""
        self._update()
        self.agg.restore_region(self.background)
        for artist in self.moving:
            self.figure.draw_artist(artist)
        pixels = np.asarray(self.agg.buffer_rgba())[..., :3]
        with io.BytesIO() as buffer:
            Image.fromarray(pixels.copy()).save(buffer, format="png", compress_level=1)
            self.image.value = buffer.getvalue()

    def epoch(self, visit: int, row: dict[str, Any], report: EpochReport) -> None:
        """Take an epoch in; draw if it is time to."""
        self.bar.value = visit * self.spec.schedule.epochs + row["epoch"]
        self.label.value = describe(self.spec, visit, row)
        blank, at = [np.nan] * self.spec.model.depth, visit * (self.spec.schedule.epochs + 1) + row["epoch"]
        self.accuracy = [*up_to(at, self.accuracy, (visit, np.nan)), (visit, row["valid_accuracy"])]
        self.transfer = [*up_to(at, self.transfer, blank), list(report.transfer) or blank]
        self.posterior = dict(report.weights[-1][1]) if report.weights else self.posterior
        self.log.epoch(visit, row, report)
        if self.live and time.monotonic() - self.drawn >= SECONDS:
            self.redraw()
            self.drawn = time.monotonic()

    def close(self) -> None:
        """The last picture."""
        self.log.close()
        self.redraw()

    def finish(self, record: Any) -> None:
        """Show a run that was stored before, from its record."""
        if not self.accuracy:
            self._replay(record)
        self.redraw()

    def _replay(self, record: Any) -> None:
        history = record.history
        layers = [f"transfer_{n}" for n in range(1, self.spec.model.depth + 1)]
        self.transfer = history.reindex(columns=layers).to_numpy(float).tolist()
        self.accuracy = list(zip(history["position"], history["valid_accuracy"], strict=True))
        last = record.posterior
        last = last[(last["position"] == last["position"].max()) & (last["step"] == -1)]
        last = last[last["epoch"] == last["epoch"].max()]
        self.posterior = dict(zip(last["config"], last["mass"].astype(float), strict=True))
        self.bar.value, self.label.value = self.bar.max, "from the store"

    def _lay_out(self) -> None:
        with canvas.style():
            self.figure = Figure(SIZE, dpi=DPI)
            self.moving = self._build(self.figure)
            self.agg = FigureCanvasAgg(self.figure)
            for artist in self.moving:
                artist.set_animated(True)
            self.agg.draw()
            self.background = self.agg.copy_from_bbox(self.figure.bbox)

    def _build(self, figure: Figure) -> list[Artist]:
        heat, posterior, accuracy = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
        figure.subplots_adjust(0.05, 0.2, 0.98, 0.88, 0.27)
        spec = self.spec
        depth, epochs = spec.model.depth, spec.stream.n_visits * (spec.schedule.epochs + 1)
        blank, extent = np.full((depth, epochs), np.nan), (0, epochs, 0.5, depth + 0.5)
        self.heat = heat.imshow(blank, vmin=0, vmax=1, cmap="cividis", aspect="auto", origin="lower", extent=extent,
                                interpolation="nearest")  # fmt: skip
        heat.set(ylabel="layer", xlabel="epoch of the run", yticks=range(1, depth + 1))
        heat.set_title("probability of transfer: dark 0 %, bright 100 %")
        self.bars = posterior.bar(range(LEADING), np.zeros(LEADING), color=LASEM)
        posterior.set(ylim=(0, 1), title="posterior now")
        self.names = tick_texts(posterior, LEADING, 60)
        self.valid = accuracy.plot([], [], color=SPECIFIC, lw=1)[0]
        self.starts = accuracy.plot([], [], ls="", marker="|", color=TRANSFERRED)[0]
        self.note = heat.text(0.5, 0.5, "not started", transform=heat.transAxes, ha="center", va="center", color="0.45")
        accuracy.set(xlabel="epoch of the run", title="validation accuracy", xlim=(0, epochs), ylim=(0, 1))
        percent(posterior, "mass")
        percent(accuracy, "accuracy")
        return [self.heat, *self.bars, *self.names, self.valid, self.starts, self.note]

    def _update(self) -> None:
        if not self.accuracy:
            return
        self.note.set_visible(False)
        n = len(self.accuracy)
        pixels = self.heat.get_array().copy()
        pixels[:, :n] = np.array(self.transfer).T
        self.heat.set_data(pixels)
        leading = sorted(self.posterior.items(), key=lambda item: -item[1])[:LEADING]
        set_bars(self.bars, [mass for _, mass in leading])
        set_texts(self.names, [name for name, _ in leading])
        visits, values = zip(*self.accuracy, strict=True)
        starts = [i for i in range(n) if i == 0 or visits[i] != visits[i - 1]]
        self.valid.set_data(range(n), values)
        self.starts.set_data(starts, [values[i] for i in starts])


def up_to(n: int, rows: Sequence[Any], blank: Any) -> list[Any]:
    """The first `n` of `rows`: a resumed run begins in the middle, and brute force trains one task again and again."""
    return [*rows[:n], *[blank] * (n - len(rows))]


def set_bars(bars: Iterable[Any], heights: Sequence[float]) -> None:
    """Move existing bars; those behind the last height vanish."""
    for number, bar in enumerate(bars):
        bar.set_height(heights[number] if number < len(heights) else 0)


def tick_texts(axes: Axes, n: int, rotation: float) -> list[Text]:
    """Labels under `n` bars, which move."""
    axes.set_xticks(range(n), [""] * n)
    place = axes.get_xaxis_transform()
    return [axes.text(i, -0.03, "", transform=place, rotation=rotation, ha="center", va="top", size="small")
            for i in range(n)]  # fmt: skip


def set_texts(texts: Sequence[Text], words: Sequence[str]) -> None:
    """Write `words`, and nothing behind them."""
    for number, text in enumerate(texts):
        text.set_text(words[number] if number < len(words) else "")
