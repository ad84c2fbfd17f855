"""Explorer (b): how the choice locks in under another likelihood or prior, replayed on a recorded run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from lasem_core.common.errors import LasemError
from lasem_core.runs.record import RunRecord
from lasem_core.views import canvas
from lasem_core.views.canvas import ALL, LASEM, percent
from lasem_core.views.replay import (
    LIKELIHOODS,
    PRIORS,
    last_switch,
    recorded_posterior,
    recover_log_likelihoods,
    replay,
    rescale,
)
from lasem_core.views.widgets.base import Explorer, dropdown, heading, set_texts, slider
from lasem_core.views.words import data_and_profile

DRAWN = 16
COLOURS = (LASEM, ALL, *(canvas.COLOURS[base] for base in ("df-cnn", "tf")), "0.75")


class PosteriorLab(Explorer):
    """Likelihood and prior switches on the first mini-batches of a recorded run.

    Arguments: records of LASEM runs with at most 64 configurations; others are ignored.
    """

    size = (11.0, 3.6)
    text = "[explorer: posterior lab]"

    def __init__(self, records: Iterable[RunRecord]):
        self.runs = {_name(record): record for record in records if _replayable(record)}
        if not self.runs:
            raise LasemError("no LASEM run with recorded posteriors here; run: lasem sweep figure4 --profile smoke")
        self.artists: dict[str, tuple] = {}
        first = next(iter(self.runs))
        spec = self.runs[first].spec
        super().__init__(
            {
                "run": dropdown("run", list(self.runs), value=first),
                "task": slider("task", 1, len(self.runs[first].configs)),
                "likelihood": dropdown("likelihood", LIKELIHOODS, value=spec.em.likelihood),
                "prior": dropdown("prior", tuple(PRIORS), value=spec.em.prior),
            }
        )

    def _build(self, figure: Figure) -> list[Artist]:
        self.panels = dict(zip(("recorded", "replayed"), figure.subplots(1, 2, sharey=True), strict=True))
        figure.subplots_adjust(0.07, 0.16, 0.86, 0.85, 0.06)
        for name, axes in self.panels.items():
            marks = axes.plot(np.zeros((1, DRAWN)), lw=1.4)
            self.artists[name] = (marks, axes.axvline(0, color="0.4", ls=":"), heading(axes))
            axes.set(xlabel="share of the recorded mini-batches (%)", ylim=(-0.02, 1.02), xlim=(0, 100))
        percent(self.panels["recorded"], "belief in the configuration")
        self.names = [figure.text(0.875, 0.8 - 0.08 * n, "") for n in range(5)]
        return [*self.names, *(a for marks, *rest in self.artists.values() for a in (*marks, *rest))]

    def _update(self) -> None:
        record = self.runs[self.value("run")]
        self.controls["task"].max = len(record.configs)
        names, posteriors = recorded_posterior(record, self.value("task"))
        spec = record.spec
        log_lik = recover_log_likelihoods(posteriors, spec)
        _, own = replay(log_lik, spec.em.prior, spec.em.prior_count)
        wanted = rescale(log_lik, spec.em.likelihood, self.value("likelihood"), spec.optim.batch_size)
        _, other = replay(wanted, self.value("prior"), spec.em.prior_count)
        leading = np.argsort(-(own[-1] + other[-1]), kind="stable")[:DRAWN]
        self._draw("recorded", own[:, leading], f"{spec.em.likelihood}, {spec.em.prior}")
        self._draw("replayed", other[:, leading], f"{self.value('likelihood')}, {self.value('prior')}")
        self._legend([names[i] for i in leading])

    def _draw(self, panel: str, beliefs: np.ndarray, switches: str) -> None:
        marks, line, text = self.artists[panel]
        share = np.linspace(0, 100, len(beliefs))
        for number, mark in enumerate(marks):
            drawn = beliefs[:, number] if number < beliefs.shape[1] else np.full(len(beliefs), np.nan)
            mark.set_data(share, drawn)
            mark.set(color=COLOURS[min(number, 4)], zorder=DRAWN - number)
        switch = last_switch(beliefs)
        line.set_xdata([share[switch]] * 2)
        text.set_text(f"{panel}: {switches}\nchoice last changes at mini-batch {switch} of {len(beliefs)}")

    def _legend(self, names: list[str]) -> None:
        set_texts(self.names, ["configuration", *names[:4]])
        for text, colour in zip(self.names, ("black", *COLOURS), strict=False):
            text.set_color(colour)


def _name(record: RunRecord) -> str:
    spec = record.spec
    switches = f"{spec.em.likelihood}/{spec.em.prior}{'' if spec.em.rollback else '/no roll-back'}"
    return f"{data_and_profile(spec)} {spec.base} seed {spec.seed}, {switches}"


def _replayable(record: RunRecord) -> bool:
    first = record.posterior[record.posterior["step"] >= 0]
    known = record.spec.method == "lasem" and record.spec.em.prior in PRIORS
    return known and len(first) > 0 and not (first["config"] == "rest").any()
