"""The posterior's history: gathered on the device, brought to the host once per epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from lasem_core.em import Step
from lasem_core.learners.base import EpochReport

FIRST_STEPS = 200  # mini-batches of a task whose posteriors are kept one by one
NOTHING = 1e-30  # what is less has no digits: sums of weights that processors may, or may not, flush to zero


class PosteriorTrace:
    """Sums over an epoch, and the single posteriors of a task's first mini-batches.

    Arguments:
        names: bit string of each configuration.
        bits: (C, d), which layers each configuration transfers.
    """

    def __init__(self, names: list[str], bits: Tensor):
        self.names, self.bits = names, bits
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
        if self.steps < FIRST_STEPS:
            self.kept.append(posterior)
        entropy = -torch.xlogy(posterior, posterior).sum()
        self.sums += torch.stack([step.loss, entropy, posterior.max()])
        self.total += posterior
        self.n += 1
        self.steps += 1

    def report(self, config: str) -> EpochReport:
        """Close the epoch."""
        n, first = max(self.n, 1), self.steps - self.n
        mean = self.total / n
        loss, entropy, max_weight = (self.sums / n).tolist()
        rows = [(first + i, self._named(weights)) for i, weights in enumerate(self.kept)]
        transfer = [_digits(frequency) for frequency in (mean @ self.bits).tolist()]
        report = EpochReport(loss, config, transfer, _digits(entropy), max_weight,
                             [*rows, (None, self._named(mean))])  # fmt: skip
        self._start_epoch()
        return report

    def _named(self, weights: Tensor) -> dict[str, float]:
        return dict(zip(self.names, weights.tolist(), strict=True))


def _digits(value: float) -> float:
    return 0.0 if value < NOTHING else value
