"""The mean loss of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from lasem_core.learners.protocol import Environment


class MeanLoss:
    """Summed on the device, so that no step waits for the number."""

    def __init__(self, env: Environment):
        self.total, self.n_steps = torch.zeros((), device=env.device, dtype=env.dtype), 0

    def add(self, loss: Tensor) -> None:
        """Count one step's loss, a scalar."""
        self.total += loss.detach()
        self.n_steps += 1

    def take(self) -> float:
        """The mean since the last call, 0 without any step; waits for the device."""
        mean = float(self.total) / max(self.n_steps, 1)
        self.total, self.n_steps = torch.zeros_like(self.total), 0
        return mean
