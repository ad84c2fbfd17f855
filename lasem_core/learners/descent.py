"""The two optimizers of the original DARTS beside RMSProp: SGD with momentum, Adam; both add weight decay to g."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Sgd:
    """v <- momentum v + g + decay w; w <- w - lr v (Sutskever et al. 2013, as PyTorch has it).

    Arguments:
        clip: the norm of all gradients together is scaled down to it; 0: never.
    """

    def __init__(self, parameters: Sequence[Tensor], momentum: float, decay: float, clip: float = 0.0):
        self.parameters, self.momentum, self.decay, self.clip = list(parameters), momentum, decay, clip
        self.velocity = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None], lr: float) -> None:
        """One update; a parameter without a gradient is left alone."""
        used = [i for i, gradient in enumerate(gradients) if gradient is not None]
        parameters, velocity = [self.parameters[i] for i in used], [self.velocity[i] for i in used]
        torch._foreach_mul_(velocity, self.momentum)
        torch._foreach_add_(velocity, self._clipped([gradients[i] for i in used]))
        torch._foreach_add_(velocity, parameters, alpha=self.decay)
        torch._foreach_add_(parameters, velocity, alpha=-lr)

    def _clipped(self, gradients: list[Tensor]) -> Sequence[Tensor]:
        if not self.clip:
            return gradients
        norm = torch.stack(torch._foreach_norm(gradients)).norm()
        return torch._foreach_mul(gradients, (self.clip / (norm + 1e-6)).clamp(max=1))  # PyTorch's; stays on the device

    def state(self) -> list[Tensor]:
        return self.velocity

    def load(self, state: list[Tensor]) -> None:
        """Go on from `state`."""
        self.velocity = state


class Adam:
    """Kingma and Ba 2015 for one tensor, with the decay in the gradient (not AdamW)."""

    def __init__(self, parameter: Tensor, betas: tuple[float, float], decay: float, eps: float = 1e-8):
        self.parameter, self.betas, self.decay, self.eps = parameter, betas, decay, eps
        self.mean, self.square = torch.zeros_like(parameter.detach()), torch.zeros_like(parameter.detach())
        self.n = 0

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], lr: float) -> None:
        """One update with the one gradient of `gradients`."""
        (beta1, beta2), gradient = self.betas, gradients[0] + self.decay * self.parameter
        self.n += 1
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (self.square / (1 - beta2**self.n)).sqrt_() + self.eps
        self.parameter.addcdiv_(self.mean, root, value=-lr / (1 - beta1**self.n))

    def state(self) -> list[Any]:
        return [self.mean, self.square, self.n]

    def load(self, state: list[Any]) -> None:
        """Go on from `state`."""
        self.mean, self.square, self.n = state
