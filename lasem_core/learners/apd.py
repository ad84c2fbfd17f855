"""APD-Net: Additive Parameter Decomposition (Yoon et al. 2020, ICLR, Eqs. 2 to 4).

`original`: the filters of task t are theta_t = sigma * M_t + tau_t, sigma shared, M_t = sigmoid(v_t) a mask per
output channel, tau_t sparse and task-specific; bias and head belong to the task. With theta*_i the filters of an
earlier task i when task t begins, the loss is

    CE + l1 sum_{i<=t} |tau_i|_1 + anchor sum_{i<t} || theta*_i - (sigma * M_i + tau_i) ||^2

and every tau_i, v_i is trained on (retroactively), so that sigma may move while theta_i stays. At task end entries
|tau| <= l1 are set to zero (the authors' code) and need no memory. The original's hierarchical consolidation, which
clusters the tau's, is left out.

`released` (its item 58): M and A element-wise, the bias shared, CE + l1 mean over layers of mean |A|; no anchor (it
is there, but never active), nothing retroactive, no pruning.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lasem_core.learners.gradient import GradientLearner
from lasem_core.learners.protocol import Environment, TaskContext
from lasem_core.model.layers import activate, convolve, flat, head_tensors, tensors_of
from lasem_core.model.transfer import Tensors, specific_filters


class Apd(GradientLearner):
    """Shared filters, masked and corrected by each task."""

    knowledge = ("shared", "own")
    training = ("targets",)

    def __init__(self, env: Environment):
        super().__init__(env)
        self.original = env.spec.apd.variant == "original"
        init = self.initializer("shared")
        self.shared = [specific_filters(layer, init.scoped(layer.number)) for layer in self.arch.layers]
        if self.original:
            self.shared = [{"weight": group["weight"]} for group in self.shared]
        self.own: dict[int, list[Tensors]] = {}

    def add_task(self, context: TaskContext) -> None:
        init = self.initializer("task", context.visit)
        self.own[context.number] = [
            self._own_layer(layer, init.scoped("specific", layer.number)) for layer in self.arch.layers
        ]
        self.heads[context.number] = head_tensors(self.arch, context.task.n_classes, init.scoped("head"))

    def _own_layer(self, layer, init) -> Tensors:
        shape = (layer.out_channels, layer.in_channels, layer.kernel, layer.kernel)
        tensors = {"tau": init.weight("tau", shape)}
        if self.original:
            return tensors | {"mask": init.weight("mask", (shape[0], 1, 1, 1)), "bias": init.bias(shape[0])}
        return tensors | {"mask": init.weight("mask", shape)}

    def theta(self, number: int, position: int) -> Tensor:
        """The filters of a task's layer, (C_out, C_in, k, k)."""
        own = self.own[number][position]
        return self.shared[position]["weight"] * own["mask"].sigmoid() + own["tau"]

    def features(self, number: int, images: Tensor) -> Tensor:
        x = images.to(self.env.compute_dtype)
        for position, layer in enumerate(self.arch.layers):
            bias = (self.own[number] if self.original else self.shared)[position]["bias"]
            x = activate(convolve(x, self.theta(number, position), bias, layer), layer)
        return flat(x, self.env.dtype)

    def _earlier(self) -> list[int]:
        return [number for number in self.own if number != self.current.number] if self.original else []

    def trainable(self) -> list[Tensor]:
        number = self.current.number
        mine = tensors_of([*self.shared, *self.own[number], *self.heads[number]])
        return mine + [group[name] for n in self._earlier() for group in self.own[n] for name in ("tau", "mask")]

    def begin_task(self, context: TaskContext) -> None:
        super().begin_task(context)
        with torch.no_grad():  # theta* follows from what is stored: it needs no memory between tasks
            earlier, layers = self._earlier(), range(self.arch.depth)
            self.targets = [self._filters(self._stack("tau", earlier, p), p) for p in layers] if earlier else []

    def penalty(self) -> Tensor:
        """Over all tasks of a layer at once: the calls do not grow with the tasks."""
        if not self.original:
            taus = [group["tau"] for group in self.own[self.current.number]]
            return self.spec.apd.l1 * torch.stack([tau.abs().mean() for tau in taus]).mean()
        terms = []
        for position in range(self.arch.depth):
            taus = self._stack("tau", [*self._earlier(), self.current.number], position)
            terms.append(self.spec.apd.l1 * taus.abs().sum())
            if self.targets:
                drift = self.targets[position] - self._filters(taus[:-1], position)
                terms.append(self.spec.apd.anchor * drift.square().sum())
        return torch.stack(terms).sum()

    def _stack(self, name: str, numbers: list[int], position: int) -> Tensor:
        return torch.stack([self.own[n][position][name] for n in numbers])  # (T, ...)

    def _filters(self, taus: Tensor, position: int) -> Tensor:
        """sigma * M_i + tau_i of a layer for the earlier tasks, (T, C_out, C_in, k, k)."""
        return self.shared[position]["weight"] * self._stack("mask", self._earlier(), position).sigmoid() + taus

    @torch.no_grad()
    def end_task(self) -> None:
        super().end_task()
        if not self.original:
            return
        for group in (group for groups in self.own.values() for group in groups):
            group["tau"][group["tau"].abs() <= self.spec.apd.l1] = 0

    def stored_tensors(self) -> dict[str, list[Tensor]]:
        """A sparse tau counts as the values and positions of its entries where that is less than the whole."""
        stored = {"shared": tensors_of(self.shared)}
        for n, groups in self.own.items():
            rest = [t for group in groups for name, t in group.items() if name != "tau"]
            stored[f"task{n}"] = [t for g in groups for t in _compact(g["tau"])] + rest + tensors_of(self.heads[n])
        return stored


def _compact(tau: Tensor) -> list[Tensor]:
    values = tau[tau != 0]
    places = tau.flatten().nonzero()[:, 0].int()
    sparse = values.numel() * (values.element_size() + 4) < tau.numel() * tau.element_size()
    return [values, places] if sparse else [tau]
