"""Elastic Weight Consolidation (Kirkpatrick et al. 2017, PNAS 114(13), Eq. 3): a reference point beyond the paper.

Loss on task t:  L_t(theta) + sum over earlier i of strength / 2 * sum_j F_ij (theta_j - theta*_ij)^2
with F_i the diagonal of the Fisher information of task i, estimated at the end of its training from the gradients
of log p(y | x) of its training images one by one, y the image's label (the empirical Fisher). Only the shared
convolutions are protected: heads belong to their tasks. A task that comes back adds a penalty per visit.
The quadratic penalties are kept as one, exactly:
sum_i F_i (theta - theta*_i)^2 = F (theta - c)^2 + constant, with F = sum_i F_i and c = sum_i F_i theta*_i / F.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from lasem_core.em import log_true_class
from lasem_core.learners.fine_tune import FineTune
from lasem_core.learners.protocol import Environment

FISHER_CHUNK = 16  # images whose gradients are held at once


class Ewc(FineTune):
    """Fine-tuning, held back where earlier tasks are sensitive."""

    def __init__(self, env: Environment):
        super().__init__(env)
        self.fisher: list[Tensor] = []
        self.centre: list[Tensor] = []

    def regularise(self, gradients: list[Tensor | None]) -> list[Tensor | None]:
        if self.fisher:
            distance = torch._foreach_sub([t.detach() for t in self.shared_tensors()], self.centre)
            pull = torch._foreach_mul(torch._foreach_mul(self.fisher, distance), self.spec.ewc.strength)
            gradients[: len(pull)] = torch._foreach_add(gradients[: len(pull)], pull)
        return gradients

    def end_task(self) -> None:
        new = self._estimate_fisher()
        here = [tensor.detach().clone() for tensor in self.shared_tensors()]
        old = self.fisher or [torch.zeros_like(f) for f in new]
        centre = self.centre or here
        self.fisher = [f + g for f, g in zip(old, new, strict=True)]
        self.centre = [
            torch.where(total > 0, (f * c + g * h) / total.clamp(min=torch.finfo(total.dtype).tiny), h)
            for f, c, g, h, total in zip(old, centre, new, here, self.fisher, strict=True)
        ]
        super().end_task()

    @torch.no_grad()
    def _estimate_fisher(self) -> list[Tensor]:
        """Mean over the task's training images of the squared gradient of log p(y | x), per shared tensor."""
        split, shared = self.open.context.task.train, self.shared_tensors()
        here = [tensor.detach() for tensor in shared]
        sums = [torch.zeros_like(tensor) for tensor in here]
        one_by_one = vmap(grad(self._log_likelihood), in_dims=(None, 0, 0))
        for index in torch.arange(len(split), device=self.env.device).split(FISHER_CHUNK):
            gradients = one_by_one(here, *split.batch(index))
            torch._foreach_add_(sums, [gradient.square().sum(0) for gradient in gradients])
        return list(torch._foreach_div(sums, len(split)))

    def _log_likelihood(self, shared: list[Tensor], image: Tensor, label: Tensor) -> Tensor:
        """log p(y | x) of one image (C, H, W) as a function of the shared tensors."""
        tensors = iter(shared)
        groups = [{name: next(tensors) for name in group} for group in self.shared]
        network = replace(self.open.network, shared=groups)
        logits = network.logits(network.features(image[None], self.open.search.trie))
        return log_true_class(logits, label[None]).sum()

    def stored_tensors(self) -> dict[str, list[Tensor]]:
        stored = super().stored_tensors()
        return stored | {"shared": [*stored["shared"], *self.fisher, *self.centre]}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"fisher": self.fisher, "centre": self.centre}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.fisher, self.centre = state["fisher"], state["centre"]
