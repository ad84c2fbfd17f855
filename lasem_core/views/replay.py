"""Another likelihood or prior on a recorded run: lines 9 and 13 of Algorithm 1, by the learners' own priors.

A record keeps the posteriors of a task's first mini-batches, not the likelihoods. Dividing a recorded posterior by
the prior that the record's own rule gives yields the likelihoods up to a factor, so any prior can be replayed
exactly (within float16). Of the other likelihood only the geometric mean can be had: joint = product over the batch,
its B-th root = the geometric mean per image, near the `mean` likelihood where the images agree.
The weights stay as they were trained: this replays the belief, not the learning.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lasem_core import em
from lasem_core.learners.priors import PRIORS
from lasem_core.runs.record import RunRecord
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views.evidence import posterior_table

LIKELIHOODS = ("joint", "mean")
SMALLEST = 2.0**-24  # of float16: below it a recorded mass is 0 and all we know is 'less than this'


def replay(log_lik: np.ndarray, kind: str, start: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors under a prior of `PRIORS` from log-likelihoods (N, C).

    Arguments: start, what a configuration counts before the first mini-batch.
    Returns: posteriors (N, C), and after each mini-batch the belief (N, C) whose argmax is the choice.
    """
    prior, posteriors, beliefs = _prior(kind, log_lik.shape[1], start), [], []
    for step in torch.tensor(log_lik):
        posteriors.append(em.posterior(_probabilities(prior), step))
        prior.update(posteriors[-1])
        beliefs.append(prior.votes / prior.votes.sum())
    return torch.stack(posteriors).numpy(), torch.stack(beliefs).numpy()


def recover_log_likelihoods(posteriors: np.ndarray, spec: RunSpec) -> np.ndarray:
    """log P(y | X, c) up to a constant per mini-batch, (N, C), from recorded posteriors (N, C)."""
    prior, found = _prior(spec.em.prior, posteriors.shape[1], spec.em.prior_count), []
    for belief in torch.tensor(posteriors):
        found.append(belief.clamp_min(SMALLEST).log() - _probabilities(prior).log())
        prior.update(belief)
    return torch.stack(found).numpy()


def _prior(kind: str, size: int, start: float) -> em.Prior:
    return PRIORS[kind](torch.full((size,), start, dtype=torch.float64))


def _probabilities(prior: em.Prior) -> Tensor:
    """Never 0: a mass that float16 has rounded away can come back."""
    return prior.probabilities().clamp_min(torch.finfo(torch.float64).tiny)


def rescale(log_lik: np.ndarray, recorded: str, wanted: str, batch: int) -> np.ndarray:
    """Joint log-likelihoods as those of a single image (geometric mean), or the other way round."""
    if recorded == wanted:
        return log_lik
    return log_lik / batch if wanted == "mean" else log_lik * batch


def wins(posteriors: np.ndarray) -> np.ndarray:
    """Share of mini-batches that each configuration has won, after every mini-batch, (N, C)."""
    won = np.eye(posteriors.shape[1])[posteriors.argmax(1)]
    return won.cumsum(0) / np.arange(1, len(won) + 1)[:, None]


def last_switch(beliefs: np.ndarray) -> int:
    """The last mini-batch, counted from 0, at which the choice changes."""
    changes = np.flatnonzero(np.diff(beliefs.argmax(1)))
    return int(changes[-1]) + 1 if len(changes) else 0


def recorded_posterior(record: RunRecord, task: int) -> tuple[list[str], np.ndarray]:
    """Configuration names and posteriors of the first mini-batches (N, C) of a task, counted from 1."""
    table = posterior_table(record, task - 1)
    table = table[(table["step"] >= 0) & (table["position"] == table["position"].min())]
    wide = table.pivot(index="step", columns="config", values="mass")
    return list(wide.columns), wide.to_numpy()
