"""RMSProp as TensorFlow 1 defines it (released code, item 25)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lasem_core.spec.parts import OptimSpec


class RMSProp:
    """Uncentred, without momentum.

    ms <- rho ms + (1 - rho) g^2; w <- w - lr g / sqrt(ms + eps), with ms starting at `start`.
    """

    def __init__(self, parameters: Sequence[Tensor], spec: OptimSpec):
        self.parameters, self.spec = list(parameters), spec
        self.mean_squares = [torch.full_like(p, spec.start, requires_grad=False) for p in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None], lr: float) -> None:
        """One update; a parameter without a gradient is left alone, its mean square too."""
        used = [i for i, gradient in enumerate(gradients) if gradient is not None]
        g = [gradients[i] for i in used]
        ms = [self.mean_squares[i] for i in used]
        torch._foreach_mul_(ms, self.spec.rho)
        torch._foreach_addcmul_(ms, g, g, 1 - self.spec.rho)
        roots = torch._foreach_add(ms, self.spec.eps)
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_([self.parameters[i] for i in used], g, roots, -lr)

    def state(self) -> list[Tensor]:
        """What a later training goes on from."""
        return self.mean_squares

    def load(self, state: list[Tensor]) -> None:
        """Go on from `state`."""
        self.mean_squares = state


def learning_rate(spec: OptimSpec, lifetime_epoch: int) -> float:
    """lr / (1 + e * decay), e counted over the whole lifetime from 0 (released code, item 26)."""
    return spec.lr / (1 + lifetime_epoch * spec.lr_decay)
