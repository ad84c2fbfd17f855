"""What all explorers share: named controls, one picture, and how both reach a page.

Axes, ticks and labels are drawn once and kept as a background; a changed control draws only what moves on top of
it, so that a redraw takes a few dozen milliseconds.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
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

from lasem_core.views import canvas

VIEW = "application/vnd.jupyter.widget-view+json"
DPI = 80


class Explorer:
    """Controls above a picture.

    A subclass gives `size` (inches), `_build(figure)`, which makes the artists and returns those that move, and
    `_update()`, which moves their data to what the controls say.

    Arguments: controls, by the name under which callers reach them: `explorer.controls["epoch"].value = 3`.
    """

    size = (9.0, 3.6)
    text = "[explorer]"

    def __init__(self, controls: Mapping[str, widgets.Widget]):
        self.controls = dict(controls)
        width, height = (int(DPI * inches) for inches in self.size)
        fixed = {"width": f"{width}px", "height": f"{height}px", "max_width": "100%", "object_fit": "contain"}
        self.image = widgets.Image(format="png", layout=fixed)
        self.lay_out()
        for control in self.controls.values():
            control.observe(self._changed, names="value")
        self.redraw()

    def _build(self, figure: Figure) -> Sequence[Artist]:
        raise NotImplementedError

    def _update(self) -> None:
        raise NotImplementedError

    def _changed(self, _: Mapping[str, Any]) -> None:
        self.redraw()

    def value(self, name: str) -> Any:
        """What a control says now."""
        return self.controls[name].value

    def lay_out(self) -> None:
        """Make axes and artists again."""
        with canvas.style():
            self.figure = Figure(self.size, dpi=DPI)
            self.moving = list(self._build(self.figure))
            self.agg = FigureCanvasAgg(self.figure)
            for artist in self.moving:
                artist.set_animated(True)
            self.agg.draw()
            self.background = self.agg.copy_from_bbox(self.figure.bbox)

    def redraw(self) -> None:
        """Bring the picture up to date with the controls."""
        self._update()
        self.agg.restore_region(self.background)
        for artist in self.moving:
            self.figure.draw_artist(artist)
        pixels = np.asarray(self.agg.buffer_rgba())[..., :3]
        with io.BytesIO() as buffer:
            Image.fromarray(pixels.copy()).save(buffer, format="png", compress_level=1)
            self.image.value = buffer.getvalue()

    def box(self) -> widgets.Widget:
        """Controls above the picture."""
        return widgets.VBox([widgets.HBox(list(self.controls.values()), layout={"flex_flow": "row wrap"}), self.image])

    def bundle(self) -> dict[str, Any]:
        """One output in three forms: live widget, the same picture, a fixed text."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box().model_id}
        picture = base64.b64encode(self.image.value).decode()
        return {"text/plain": self.text, "image/png": picture, VIEW: view}

    def show(self) -> None:
        """Display once; afterwards the controls change the picture in place."""
        display(self.bundle(), raw=True, metadata={"image/png": {"alt": self.text.strip("[]")}})


def dropdown(what: str, options: Any, **more: Any) -> widgets.Dropdown:
    """A labelled drop-down list."""
    return widgets.Dropdown(options=options, description=what, layout={"width": "220px"}, **more)


def slider(what: str, low: int, high: int, **more: Any) -> widgets.IntSlider:
    """A labelled slider that reports while it moves; arrow keys step it."""
    return widgets.IntSlider(min=low, max=max(low, high), description=what, layout={"width": "300px"}, **more)


def set_bars(bars: Iterable[Any], heights: Sequence[float]) -> None:
    """Move existing bars; those behind the last height vanish."""
    for number, bar in enumerate(bars):
        bar.set_height(heights[number] if number < len(heights) else 0)


def heading(axes: Axes) -> Text:
    """A title that moves."""
    return axes.text(0, 1.04, "", transform=axes.transAxes, va="bottom")


def tick_texts(axes: Axes, n: int, rotation: float = 45) -> list[Text]:
    """Labels under `n` bars, which move."""
    axes.set_xticks(range(n), [""] * n)
    place = axes.get_xaxis_transform()
    return [axes.text(i, -0.03, "", transform=place, rotation=rotation, ha="center", va="top", size="small")
            for i in range(n)]  # fmt: skip


def set_texts(texts: Sequence[Text], words: Sequence[str]) -> None:
    """Write `words`, and nothing behind them."""
    for number, text in enumerate(texts):
        text.set_text(words[number] if number < len(words) else "")


def responds(explorer: Explorer, control: str, value: Any) -> bool:
    """Whether the picture follows a control there and back."""
    old, before = explorer.value(control), bytes(explorer.image.value)
    explorer.controls[control].value = value
    moved = bytes(explorer.image.value) != before
    explorer.controls[control].value = old
    return moved and bytes(explorer.image.value) == before
