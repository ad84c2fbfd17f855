"""The posterior's history: gathered on the device, brought to the host once per epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from lasem_core.em import Step
from lasem_core.learners.protocol import EpochReport
from lasem_core.model.crossing import fetch

NOTHING = 1e-30  # what is less has no digits: sums of weights that processors may, or may not, flush to zero


class PosteriorTrace:
    """Sums over an epoch, and the single posteriors of a task's first mini-batches.

    Arguments:
        names: bit string of each configuration.
        bits: (C, d), which layers each configuration transfers.
        recorded: mini-batches of the task whose posteriors are kept one by one.
    """

    def __init__(self, names: list[str], bits: Tensor, recorded: int):
        self.names, self.bits, self.recorded = names, bits, recorded
        self.steps = 0
        self._start_epoch()

    def _start_epoch(self) -> None:
        self.n = 0
        self.total = torch.zeros(len(self.names), device=self.bits.device, dtype=self.bits.dtype)
        self.sums = torch.zeros(3, device=self.bits.device, dtype=self.bits.dtype)  # loss, entropy, largest weight
        self.kept: list[Tensor] = []

    def add(self, step: Step) -> None:
        """Take one mini-batch in, without waiting for the device."""
        posterior = step.posterior
        if self.steps < self.recorded:
            self.kept.append(posterior)
        entropy = -torch.xlogy(posterior, posterior).sum()
        self.sums += torch.stack([step.loss, entropy, posterior.max()])
        self.total += posterior
        self.n += 1
        self.steps += 1

    def report(self, votes: Tensor) -> EpochReport:
        """Close the epoch, waiting for the device once; `votes` (C,) decide the configuration in use."""
        n, first = max(self.n, 1), self.steps - self.n
        mean, in_use = self.total / n, votes.argmax().to(self.total.dtype)
        gathered = [in_use[None], self.sums / n, mean @ self.bits, *self.kept, mean]
        (position,), sums, transfer, *weights = fetch(gathered)
        steps = [*range(first, first + len(self.kept)), None]
        rows = [(step, dict(zip(self.names, row, strict=True))) for step, row in zip(steps, weights, strict=True)]
        transfer = [_digits(frequency) for frequency in transfer]
        report = EpochReport(sums[0], self.names[int(position)], transfer, _digits(sums[1]), sums[2], rows)
        self._start_epoch()
        return report


def _digits(value: float) -> float:
    return 0.0 if value < NOTHING else value
