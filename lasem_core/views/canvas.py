"""How every picture looks, and how it reaches the page, the disk and a reader without a kernel."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lasem_core.common.repository import in_repository
from lasem_core.common.statistics import t_interval
from lasem_core.views.words import BASE_NAMES, title

# seaborn's colour-blind palette, by what the paper's figures tell apart
_PALETTE = sns.color_palette("colorblind").as_hex()
TRANSFERRED, SPECIFIC = _PALETTE[3], _PALETTE[0]
COLOURS = {"hps": _PALETTE[0], "tf": _PALETTE[1], "df-cnn": _PALETTE[2], "none": _PALETTE[7]}
LASEM, ALL, BEST, RANGE = _PALETTE[3], _PALETTE[0], "#222222", "#d9d9d9"
TASKS = (_PALETTE[3], _PALETTE[2])
_SETTINGS = {"svg.hashsalt": "lasem", "svg.fonttype": "none", "axes.titlesize": "medium", "figure.dpi": 100}


def style() -> AbstractContextManager:
    """Settings of all pictures, whatever the reader's matplotlib says."""
    return mpl.rc_context({**sns.axes_style("ticks"), **sns.plotting_context("notebook", 0.8), **_SETTINGS})


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the 95 % t-interval over trials, as seaborn's `errorbar` wants them; the mean itself below two."""
    mean, half = t_interval(values)
    return (mean - half, mean + half) if half == half else (mean, mean)


def share_interval(values: Sequence[float]) -> tuple[float, float]:
    """`interval` of shares: none is below 0 or above 1."""
    low, high = interval(values)
    return max(low, 0.0), min(high, 1.0)


def panel_grid(
    columns: Sequence[Hashable],
    rows: Sequence[Hashable],
    draw: Callable[[Axes, Any, Any], bool],
    size: tuple[float, float] = (3.4, 2.7),
    words: Callable[[Any, Any], str] = lambda column, row: "not run",
) -> Figure:
    """One panel per (column, row); panels of a single column stand side by side.

    Arguments:
        draw: called as draw(axes, column, row); False means that there is nothing.
        words: what a panel says then.
    """
    shape = (len(rows), len(columns)) if len(columns) > 1 else (1, len(rows))
    with style():
        figure = Figure((max(size[0] * shape[1], 4.6), size[1] * shape[0]), layout="constrained")
        grid = figure.subplots(*shape, squeeze=False)
        for (row, column), axes in zip([(r, c) for r in rows for c in columns], grid.flat, strict=True):
            axes.set_title(title(column, row))
            if not draw(axes, column, row):
                not_run(axes, words(column, row))
            sns.despine(ax=axes)
    return figure


def caption(figure: Figure, text: str) -> Figure:
    """One line above the panels: what a picture that leaves its notebook has to say of itself."""
    with style():
        figure.suptitle(text, x=0.01, ha="left", fontsize="small", color="0.35")
    return figure


def not_run(axes: Axes, words: str) -> None:
    """Say so where there is nothing to show."""
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color="0.45")
    axes.set(xticks=[], yticks=[])


def legend_of_bases(axes: Axes, there: Collection[str], **place: Any) -> None:
    """The legend of lines that are one base each; a base that is not `there` is called not run."""
    handles, bases = axes.get_legend_handles_labels()
    names = [BASE_NAMES[base] + ("" if base in there else ": not run") for base in bases]
    axes.legend(handles, names, frameon=False, **place)


def percent(axes: Axes, what: str, axis: str = "y") -> None:
    """Fractions shown as percent, with the unit on the axis."""
    setter = {"y": axes.set_ylabel, "x": axes.set_xlabel}[axis]
    setter(f"{what} (%)")
    target = {"y": axes.yaxis, "x": axes.xaxis}[axis]
    target.set_major_formatter(lambda value, _: f"{100 * value:g}")


def png(figure: Figure, dpi: int = 100) -> bytes:
    """The picture as bytes, without a date in it; its few colours as a palette, which is a third of the size."""
    whole, small = io.BytesIO(), io.BytesIO()
    with style():
        figure.savefig(whole, format="png", dpi=dpi)
    Image.open(whole).convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE).save(small, "png", optimize=True)
    return small.getvalue()


def save(figure: Figure, name: str, frame: pd.DataFrame, out: str | Path = "outputs") -> list[Path]:
    """Write `<out>/figures/<name>` as PNG and SVG with the numbers behind it as CSV."""
    folder = in_repository(out) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{ending}" for ending in ("png", "svg", "csv")]
    paths[0].write_bytes(png(figure, 160))
    with style():
        figure.savefig(paths[1], metadata={"Date": None})
    frame.to_csv(paths[2], index=False)
    return paths


def publish(figure: Figure, name: str, frame: pd.DataFrame, out: str | Path = "outputs") -> None:
    """Show the picture and save it, unless no record stands behind it: a blank would take a result's place."""
    ours = frame.dropna(subset=["ours"]) if "ours" in frame else frame
    if len(ours):
        save(figure, name, frame, out)
    nothing = "nothing is recorded" if ours is frame else "no record counts beside the paper's numbers"
    show(png(figure), f"[{name}]" if len(ours) else f"[{name}: {nothing}, nothing is saved]")


def show(picture: bytes, text: str, extra: Mapping[str, Any] | None = None) -> None:
    """Display a PNG with a fixed text, so that a repetition prints the same."""
    import base64

    encoded = base64.b64encode(picture).decode()
    alternative = {"image/png": {"alt": text.strip("[]")}}
    display({"text/plain": text, "image/png": encoded, **(extra or {})}, raw=True, metadata=alternative)
