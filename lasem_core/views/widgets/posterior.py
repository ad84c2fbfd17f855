"""Explorer (b): how the choice locks in under another likelihood or prior, replayed on a recorded run.

A record keeps the posteriors of a task's first mini-batches, not the likelihoods. Dividing a recorded posterior by
the prior that the record's own rule gives yields the likelihoods up to a factor, so any prior can be replayed
exactly (within float16). Of the other likelihood only the geometric mean can be had: joint = product over the batch,
its B-th root = the geometric mean per image, near the `mean` likelihood where the images agree.
The weights stay as they were trained: this replays the belief, not the learning.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from lasem_core.common.errors import LasemError
from lasem_core.runs.record import RunRecord
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import canvas
from lasem_core.views.canvas import ALL, DATASET_NAMES, LASEM, percent
from lasem_core.views.evidence import posterior_table
from lasem_core.views.widgets.base import Explorer, dropdown, heading, set_texts, slider

PRIORS = ("count", "running-mean", "uniform")
LIKELIHOODS = ("joint", "mean")
SMALLEST = 2.0**-24  # of float16: below it a recorded mass is 0 and all we know is 'less than this'
DRAWN = 16
COLOURS = (LASEM, ALL, *(canvas.COLOURS[base] for base in ("df-cnn", "tf")), "0.75")


def replay(log_lik: np.ndarray, prior: str, start: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Lines 9 and 13 of Algorithm 1 on log-likelihoods (N, C).

    Returns: posteriors (N, C), and after each mini-batch the belief (N, C) whose argmax is the choice.
    """
    n, size = log_lik.shape
    counts, total = np.full(size, start), np.zeros(size)
    posteriors, beliefs = np.empty((n, size)), np.empty((n, size))
    for step in range(n):
        posteriors[step] = _softmax(np.log(_prior(prior, counts, total, step)) + log_lik[step])
        counts[posteriors[step].argmax()] += 1
        total += posteriors[step]
        beliefs[step] = total / (step + 1) if prior == "running-mean" else counts / counts.sum()
    return posteriors, beliefs


def _prior(kind: str, counts: np.ndarray, total: np.ndarray, step: int) -> np.ndarray:
    if kind == "uniform" or (kind == "running-mean" and step == 0):
        return np.full(len(counts), 1 / len(counts))
    if kind == "running-mean":
        return np.maximum(total / step, np.finfo(float).tiny)
    return counts / counts.sum()


def recover_log_likelihoods(posteriors: np.ndarray, spec: RunSpec) -> np.ndarray:
    """log P(y | X, c) up to a constant per mini-batch, (N, C), from recorded posteriors (N, C)."""
    size = posteriors.shape[1]
    counts, total, found = np.full(size, spec.em.prior_count), np.zeros(size), np.empty_like(posteriors)
    for step, belief in enumerate(posteriors):
        found[step] = np.log(np.maximum(belief, SMALLEST)) - np.log(_prior(spec.em.prior, counts, total, step))
        counts[belief.argmax()] += 1
        total += belief
    return found


def rescale(log_lik: np.ndarray, recorded: str, wanted: str, batch: int) -> np.ndarray:
    """Joint log-likelihoods as those of a single image (geometric mean), or the other way round."""
    if recorded == wanted:
        return log_lik
    return log_lik / batch if wanted == "mean" else log_lik * batch


def replay_counts(posteriors: np.ndarray) -> np.ndarray:
    """Share of mini-batches that each configuration has won, after every mini-batch, (N, C)."""
    wins = np.eye(posteriors.shape[1])[posteriors.argmax(1)]
    return wins.cumsum(0) / np.arange(1, len(wins) + 1)[:, None]


def last_switch(beliefs: np.ndarray) -> int:
    """The last mini-batch, counted from 0, at which the choice changes."""
    changes = np.flatnonzero(np.diff(beliefs.argmax(1)))
    return int(changes[-1]) + 1 if len(changes) else 0


def _softmax(values: np.ndarray) -> np.ndarray:
    weights = np.exp(values - values.max())
    return weights / weights.sum()


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
                "prior": dropdown("prior", PRIORS, value=spec.em.prior),
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
    return f"{DATASET_NAMES[spec.dataset]} ({spec.profile}) {spec.base} seed {spec.seed}, {switches}"


def _replayable(record: RunRecord) -> bool:
    first = record.posterior[record.posterior["step"] >= 0]
    known = record.spec.method == "lasem" and record.spec.em.prior in PRIORS
    return known and len(first) > 0 and not (first["config"] == "rest").any()


def recorded_posterior(record: RunRecord, task: int) -> tuple[list[str], np.ndarray]:
    """Configuration names and posteriors of the first mini-batches (N, C) of a task, counted from 1."""
    table = posterior_table(record, task - 1)
    table = table[(table["step"] >= 0) & (table["position"] == table["position"].min())]
    wide = table.pivot(index="step", columns="config", values="mass")
    return list(wide.columns), wide.to_numpy()
