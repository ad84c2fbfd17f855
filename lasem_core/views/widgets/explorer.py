"""The explorer of recorded runs: a page of its own in a notebook, and a widget where a kernel lives.

Clicks need no kernel, so a notebook shows plain HTML with everything inside: it works when the notebook is opened
again, exported, joined into the report or served, where a widget's view says "model not found". `widget()` is the
same module for those who compose widgets or want the selection back in Python.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from lasem_core.common.errors import LasemError
from lasem_core.common.repository import in_repository
from lasem_core.runs.record import RunRecord
from lasem_core.views import canvas, one_run
from lasem_core.views.widgets.bundle import pack, sentence
from lasem_core.views.widgets.still import still

PAGE = Path(__file__).parent / "page"
PARTS = ("elements", "data", "controls", "heat", "bars", "beliefs", "ranking", "export", "explorer")
MODULE = "\n".join((PAGE / f"{name}.js").read_text("utf-8") for name in PARTS)
STYLE = (PAGE / "explorer.css").read_text("utf-8")
LEAST_RECORDED = 100  # mini-batches of a task: runs with fewer do not show how a belief forms, and are left out
ENOUGH = f" (here: those with schedule.recorded of at least {LEAST_RECORDED})"
TEXT = "[explorer of recorded runs]"
HINT = (
    "A picture of one run. The explorer itself starts where scripts may run: in a trusted notebook "
    "(JupyterLab: View, Activate Command Palette, Trust Notebook), in a page made by nbconvert, in Voila."
)


class ExplorerWidget(anywidget.AnyWidget):
    """The live view. `selection` holds run, compare, task, layer, epoch and config, and may be set."""

    _esm = MODULE
    _css = STYLE
    bundle = traitlets.Unicode().tag(sync=True)
    notebook = traitlets.Unicode().tag(sync=True)
    selection = traitlets.Dict().tag(sync=True)


class Explorer:
    """Heat map, shares, posterior, posterior lab and static ranking of those `records` that show how a belief forms.

    Arguments:
        run, compare: run ids to begin with; empty: the first run, and no other.
        task, layer, epoch: to begin with, counted from 1; epoch 0 is the last one.

    Raises: LasemError where there is nothing to show, or the records do not have what is asked for.
    """

    def __init__(
        self,
        records: Iterable[RunRecord],
        run: str = "",
        compare: str = "",
        task: int = 1,
        layer: int = 1,
        epoch: int = 0,
    ):
        self.records = {record.run_id: record for record in records if record.spec.schedule.recorded >= LEAST_RECORDED}
        if not self.records:
            raise LasemError(f"no recorded run to explore{ENOUGH}; make some: lasem sweep figure3 --profile smoke")
        self.bundle, first = pack(self.records.values())
        self.record = self._find("run", run or first)
        if compare:
            self._find("compare", compare)
        _between("task", task, len(self.record.configs) or 1)
        _between("layer", layer, self.record.spec.model.depth)
        _between("epoch", epoch, self.record.spec.schedule.epochs, least=0)
        self.given = {
            "bundle": self.bundle,
            "notebook": next(f"notebooks/{path.name}" for path in in_repository("notebooks").glob("*explorer.ipynb")),
            "selection": {"run": self.record.run_id, "compare": compare, "task": task, "layer": layer, "epoch": epoch},
        }

    @property
    def finding(self) -> str:
        """What the run that the page begins with shows, in a sentence."""
        return sentence(self.record)

    def _find(self, name: str, run_id: str) -> RunRecord:
        if run_id not in self.records:
            known = f"none of the {len(self.records)} runs here; `lasem runs` lists all{ENOUGH}"
            raise LasemError(f"{name} = '{run_id}' is {known}")
        return self.records[run_id]

    def widget(self) -> ExplorerWidget:
        """The explorer as a widget of this kernel."""
        return ExplorerWidget(**self.given)

    def show(self) -> None:
        """Display: HTML that needs no kernel, for readers without scripts a picture, and a fixed text."""
        display(self.output(), raw=True, metadata={"image/png": {"alt": self.finding}})

    def output(self) -> dict[str, Any]:
        """One output in three forms."""
        picture = base64.b64encode(self.picture()).decode()
        return {"text/plain": TEXT, "image/png": picture, "text/html": self.html(picture)}

    def picture(self) -> bytes:
        """The run's choices beside the static configurations, as PNG; its accuracies where it chose nothing."""
        if not self.record.configs:
            return canvas.png(one_run.accuracy_matrix(self.record))
        return canvas.png(still(self.record, self.records.values()))

    def html(self, picture: str) -> str:
        """The page: the picture until the module replaces it."""
        alt = html.escape(self.finding)
        image = f'<img alt="{alt}" src="data:image/png;base64,{picture}">'
        given = json.dumps(self.given)
        return (
            f'<div class="lasem-explorer"><style>{STYLE}</style>'
            f'<div class="stage" role="group" aria-label="{alt}">{image}<p>{HINT}</p></div>'
            f'<script type="application/json">{given}</script></div><script type="module">{MODULE}</script>'
        )


def _between(name: str, value: int, most: int, least: int = 1) -> None:
    if not isinstance(value, int) or not least <= value <= most:
        raise LasemError(f"{name} = {value!r} is not in this run; choose {least} to {most}")
