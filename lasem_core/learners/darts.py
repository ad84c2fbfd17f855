"""DARTS (Liu et al. 2019, ICLR) over {task-specific, shared} per layer: DARTS HPS and DARTS DF-CNN of Table 1.

Layer l outputs  sum_k softmax(alpha_l)_k ReLU(f_k(x)), k = 0 with the task's own filters, k = 1 with those made from
shared knowledge; pooling follows. alpha starts at 0. Each mini-batch: one step on alpha, then one on the weights.

`paper`     alpha by Adam on a held-out half of the training images, the weights by SGD (cosine over the task's steps,
            momentum, weight decay) on the other half; constants of the original paper.
`released`  both by RMSProp, on the same mini-batch (its item 57).

Both are first order: alpha follows the gradient of L_valid(w, alpha) at today's w. The configuration in use is the
argmax (ties: task-specific); at task end it is fixed, nothing is retrained, and dropped and rolled back as in LASEM.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.data.stream import Batch
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.learners.descent import Adam, Sgd
from lasem_core.learners.mean_loss import MeanLoss
from lasem_core.learners.open_task import OpenTask
from lasem_core.learners.protocol import Environment, EpochReport, TaskContext, full_batches
from lasem_core.model.crossing import fetch
from lasem_core.model.layers import activate, convolve, dropout, flat
from lasem_core.model.network import TaskNetwork
from lasem_core.model.optim import RMSProp
from lasem_core.model.transfer import Tensors
from lasem_core.spec.configs import ConfigSpace, TransferConfig, parse_groups
from lasem_core.spec.run_spec import RunSpec


def mixed_logits(network: TaskNetwork, images: Tensor, mixture: Tensor, drop: Callable[[Tensor], Tensor]) -> Tensor:
    """Logits (B, K) of the network whose layers mix by `mixture` (d, 2): task-specific, shared."""
    x = images.to(network.compute_dtype)
    for position, (layer, weights) in enumerate(zip(network.arch.layers, mixture.to(x.dtype), strict=True)):
        own, adapter, parts = network.task.specific[position], network.task.adapters[position], []
        if own is not None:
            parts.append(weights[0] * convolve(x, own["weight"], own["bias"], layer).relu())
        if adapter is not None:
            weight, bias = network.sharing.filters(network.shared[position], adapter)
            parts.append(weights[1] * convolve(x, weight, bias, layer).relu())
        x = activate(sum(parts[1:], parts[0]), layer)
    return network.logits(drop(flat(x, mixture.dtype))[None])[0]


class DartsTask(OpenTask):
    """A task in training: alpha, and the weights it mixes; a revisited task's mixture is fixed.

    Arguments:
        chosen: what a revisited task keeps; None: search.
        groups: the layers that share a row of alpha, numbered from 1.
    """

    def __init__(
        self, context: TaskContext, before: list[Tensors | None], network: TaskNetwork, env: Environment,
        chosen: TransferConfig | None, groups: tuple[tuple[int, ...], ...],
    ):  # fmt: skip
        super().__init__(context, before, network)
        self.env, self.spec, self.searching, self.groups, self.steps = env, env.spec, chosen is None, groups, 0
        depth, on = len(network.arch.layers), {"device": env.device, "dtype": env.dtype}
        of_layer = {layer: i for i, group in enumerate(groups) for layer in group}
        self.group_of = torch.tensor([of_layer[n + 1] for n in range(depth)]).to(env.device)
        self._in_use = chosen or TransferConfig.parse("none", depth)
        self.fixed = torch.tensor([[not bit, bit] for bit in self._in_use.bits]).to(**on)  # (d, 2)
        self.alphas = torch.zeros(len(groups), 2, **on, requires_grad=True)
        parameters = [t.requires_grad_(True) for t in network.parameters()]
        self.optimizers = _weight_optimizer(self.spec, parameters), _alpha_optimizer(self.spec, self.alphas)
        self.held_out: tuple[int, Tensor] | None = None
        self.mean_loss, self.mixture_sum = MeanLoss(env), torch.zeros_like(self.fixed)

    @property
    def in_use(self) -> TransferConfig:
        return self._in_use

    def mixture(self) -> Tensor:
        """softmax(alpha) per layer, (d, 2)."""
        return self.alphas.softmax(1)[self.group_of] if self.searching else self.fixed

    def loss(self, batch: Batch, mixture: Tensor, role: str) -> Tensor:
        """Mean cross-entropy, plus the auxiliary loss of shared layers, weighted by how far they are used."""
        network, key = self.network, (*batch.key, role)
        logits = mixed_logits(network, batch.images, mixture, lambda x: dropout(x, network.arch.dropout, key))
        penalty = network.penalty(mixture[:, 1].detach(), [True] * len(mixture))
        return F.cross_entropy(logits, batch.labels) + (0.0 if penalty is None else penalty)

    def step(self, batch: Batch) -> None:
        of_weights, of_alphas = self.optimizers
        if self.searching:
            lr = self.spec.darts.alpha_lr if self.spec.darts.alpha_optimizer == "adam" else batch.lr
            of_alphas.step([self._alpha_gradient(batch)], lr)
        mixture = self.mixture().detach()
        loss = self.loss(batch, mixture, "weights")
        rate = self.weight_lr(self.steps, batch.lr)
        of_weights.step(torch.autograd.grad(loss, of_weights.parameters, allow_unused=True), rate)
        self.mean_loss.add(loss)
        self.mixture_sum += mixture
        self.steps += 1

    @property
    def n_batches(self) -> int:
        """Mini-batches of an epoch."""
        n = len(self.context.task.train)
        return full_batches(n - n // 2 if self.holds_out else n, self.spec.optim.batch_size)

    def weight_lr(self, step: int, lr: float) -> float:
        """SGD's rate falls along a cosine over the task's steps; RMSProp takes the run's, `lr`."""
        if self.spec.darts.weight_optimizer != "sgd":
            return lr
        total = max(1, self.context.epochs * self.n_batches)
        return self.spec.darts.weight_lr * 0.5 * (1 + math.cos(math.pi * step / total))

    def _alpha_gradient(self, batch: Batch) -> Tensor:
        valid = self._held_out_batch(batch) if self.holds_out else batch
        return torch.autograd.grad(self.loss(valid, self.mixture(), "alphas"), self.alphas)[0]

    @property
    def holds_out(self) -> bool:
        """Whether alpha learns from training images that the weights do not see."""
        return self.searching and self.spec.darts.alpha_data == "held-out" and len(self.context.task.train) > 1

    def halves(self) -> tuple[Tensor, Tensor]:
        """Indices of the weights' and of the alphas' half of the training images."""
        n, key = len(self.context.task.train), keyed_random.key(self.spec.seed, "held-out", self.context.visit)
        order = keyed_random.permutation(key, n, self.env.device)
        return order[n // 2 :], order[: n // 2]

    def _held_out_batch(self, batch: Batch) -> Batch:
        """The next mini-batch of the held-out half, reshuffled at each pass through it."""
        split, size = self.context.task.train, len(batch.labels)
        passed, place = divmod(self.steps, max(1, len(split) // 2 // size))
        if self.held_out is None or self.held_out[0] != passed:
            index, key = (
                self.halves()[1],
                keyed_random.key(self.spec.seed, "held-out order", self.context.visit, passed),
            )
            self.held_out = passed, index[keyed_random.permutation(key, len(index), self.env.device)]
        images, labels = split.batch(self.held_out[1][place * size : (place + 1) * size])
        return Batch(images, labels, batch.lr, batch.key)

    def report(self) -> EpochReport:
        n, alphas = max(self.mean_loss.n_steps, 1), self.alphas.detach()[self.group_of]
        loss, own, shared, shares = fetch([self.mean_loss.total[None], *alphas.unbind(1), self.mixture_sum[:, 1] / n])
        self.mean_loss, self.mixture_sum = MeanLoss(self.env), torch.zeros_like(self.fixed)
        if not self.searching:
            return EpochReport(loss[0] / n, str(self.in_use), shares)
        self._in_use = TransferConfig(tuple(s > o for o, s in zip(own, shared, strict=True)))
        masses = self._masses(shares)
        entropy = -sum(p * math.log(p) for p in masses.values() if p > 0)
        return EpochReport(loss[0] / n, str(self.in_use), shares, entropy, max(masses.values()), [(None, masses)])

    def _masses(self, shares: list[float]) -> dict[str, float]:
        """The mixture as a distribution over configurations, layers independent of each other."""
        firsts = [group[0] - 1 for group in self.groups]
        return {
            str(c): math.prod(shares[first] if c.bits[first] else 1 - shares[first] for first in firsts)
            for c in self.spec.space
        }

    def state(self) -> dict[str, Any]:
        return {"before": self.before, "alphas": self.alphas, "optimizers": [o.state() for o in self.optimizers],
                "in_use": str(self.in_use), "steps": self.steps}  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            self.alphas.copy_(state["alphas"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load(saved)
        self.before, self.steps = state["before"], state["steps"]
        self._in_use = TransferConfig.parse(state["in_use"], self.in_use.depth)


class Darts(ConfiguredLearner):
    """A task's configuration by gradient descent on a continuous relaxation."""

    def search_space(self) -> ConfigSpace:
        return self.spec.space

    def _opened(self, context: TaskContext, before: list[Tensors | None]) -> DartsTask:
        groups = self.spec.em.groups
        groups = parse_groups(groups) if groups else tuple((n + 1,) for n in range(self.arch.depth))
        network, chosen = self._network(context.number), self.chosen.get(context.number)
        return DartsTask(context, before, network, self.env, chosen, groups)

    def learning_rate(self, context: TaskContext, epoch: int) -> float:
        return self.open.weight_lr((epoch - 1) * self.open.n_batches, super().learning_rate(context, epoch))

    def train_index(self, n: int) -> Tensor:
        return self.open.halves()[0] if self.open.holds_out else super().train_index(n)


def _weight_optimizer(spec: RunSpec, parameters: list[Tensor]) -> Sgd | RMSProp:
    darts = spec.darts
    if darts.weight_optimizer == "sgd":
        return Sgd(parameters, darts.weight_momentum, darts.weight_decay, darts.weight_clip)
    return RMSProp(parameters, spec.optim)


def _alpha_optimizer(spec: RunSpec, alphas: Tensor) -> Adam | RMSProp:
    darts = spec.darts
    if darts.alpha_optimizer == "adam":
        return Adam(alphas, (darts.alpha_beta1, darts.alpha_beta2), darts.alpha_weight_decay)
    return RMSProp([alphas], spec.optim)
