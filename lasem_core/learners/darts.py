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
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.data.stream import Batch
from lasem_core.em import Prior
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.learners.descent import Adam, Sgd
from lasem_core.learners.mean_loss import MeanLoss
from lasem_core.learners.protocol import Environment, EpochReport, TaskContext
from lasem_core.model.crossing import fetch
from lasem_core.model.layers import activate, convolve, dropout, flat
from lasem_core.model.network import TaskNetwork
from lasem_core.model.optim import RMSProp
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


class Darts(ConfiguredLearner):
    """A task's configuration by gradient descent on a continuous relaxation."""

    def __init__(self, env: Environment):
        super().__init__(env)
        groups = env.spec.em.groups
        self.groups = parse_groups(groups) if groups else tuple((n + 1,) for n in range(self.arch.depth))
        of_layer = {layer: i for i, group in enumerate(self.groups) for layer in group}
        self.group_of = torch.tensor([of_layer[n + 1] for n in range(self.arch.depth)]).to(env.device)

    def search_space(self) -> ConfigSpace:
        return self.spec.space

    def initial_prior(self) -> Prior:
        return self._certain()

    def _train_with(self, context: TaskContext, configs: Sequence[TransferConfig], prior: Prior) -> None:
        """Open a task; with a single configuration (a revisited task) there is nothing to search."""
        self.current, self.searching, self.steps = context, len(configs) > 1, 0
        self.network = self._network(context.number)
        self._in_use = TransferConfig.parse("none", self.arch.depth) if self.searching else configs[0]
        self.alphas = torch.zeros(len(self.groups), 2, device=self.env.device, dtype=self.env.dtype, requires_grad=True)
        fixed = torch.tensor([[not bit, bit] for bit in self.in_use.bits])
        self.fixed = fixed.to(self.env.device, self.env.dtype)  # (d, 2)
        parameters = [t.requires_grad_(True) for t in self.network.parameters()]
        self.optimizers = _weight_optimizer(self.spec, parameters), _alpha_optimizer(self.spec, self.alphas)
        self._held_out: tuple[int, Tensor] | None = None
        self._start_epoch()

    def _start_epoch(self) -> None:
        self.mean_loss, self.mixture_sum = MeanLoss(self.env), torch.zeros_like(self.fixed)

    def mixture(self) -> Tensor:
        """softmax(alpha) per layer, (d, 2)."""
        return self.alphas.softmax(1)[self.group_of] if self.searching else self.fixed

    def loss(self, batch: Batch, mixture: Tensor, role: str) -> Tensor:
        """Mean cross-entropy, plus the auxiliary loss of shared layers, weighted by how far they are used."""
        key = (*batch.key, role)
        logits = mixed_logits(self.network, batch.images, mixture, lambda x: dropout(x, self.arch.dropout, key))
        penalty = self.network.penalty(mixture[:, 1].detach(), [True] * self.arch.depth)
        return F.cross_entropy(logits, batch.labels) + (0.0 if penalty is None else penalty)

    def train_step(self, batch: Batch) -> None:
        of_weights, of_alphas = self.optimizers
        if self.searching:
            lr = self.spec.darts.alpha_lr if self.spec.darts.alpha_optimizer == "adam" else batch.lr
            of_alphas.step([self._alpha_gradient(batch)], lr)
        mixture = self.mixture().detach()
        loss = self.loss(batch, mixture, "weights")
        of_weights.step(torch.autograd.grad(loss, of_weights.parameters, allow_unused=True), self.weight_lr(batch))
        self.mean_loss.add(loss)
        self.mixture_sum += mixture
        self.steps += 1

    def weight_lr(self, batch: Batch) -> float:
        """SGD's rate falls along a cosine over the task's steps; RMSProp takes the run's."""
        if self.spec.darts.weight_optimizer != "sgd":
            return batch.lr
        n = len(self.current.task.train)
        n -= n // 2 if self._holds_out else 0
        total = self.current.epochs * max(1, n // self.spec.optim.batch_size)
        return self.spec.darts.weight_lr * 0.5 * (1 + math.cos(math.pi * self.steps / total))

    def _alpha_gradient(self, batch: Batch) -> Tensor:
        valid = self._held_out_batch(batch) if self._holds_out else batch
        return torch.autograd.grad(self.loss(valid, self.mixture(), "alphas"), self.alphas)[0]

    @property
    def _holds_out(self) -> bool:
        return self.searching and self.spec.darts.alpha_data == "held-out"

    def _halves(self, n: int) -> tuple[Tensor, Tensor]:
        """Indices of the weights' and of the alphas' half of n training images."""
        order = keyed_random.permutation(
            keyed_random.key(self.spec.seed, "held-out", self.current.visit), n, self.env.device
        )
        return order[n // 2 :], order[: n // 2]

    def train_index(self, n: int) -> Tensor:
        return self._halves(n)[0] if self._holds_out and n > 1 else super().train_index(n)

    def _held_out_batch(self, batch: Batch) -> Batch:
        """The next mini-batch of the held-out half, reshuffled at each pass through it."""
        split, size = self.current.task.train, len(batch.labels)
        passed, place = divmod(self.steps, max(1, len(split) // 2 // size))
        if self._held_out is None or self._held_out[0] != passed:
            self._held_out = passed, self._held_out_order(passed)
        images, labels = split.batch(self._held_out[1][place * size : (place + 1) * size])
        return Batch(images, labels, batch.lr, batch.key)

    def _held_out_order(self, passed: int) -> Tensor:
        n = len(self.current.task.train)
        index = self._halves(n)[1] if n > 1 else super().train_index(1)
        key = keyed_random.key(self.spec.seed, "held-out order", self.current.visit, passed)
        return index[keyed_random.permutation(key, len(index), self.env.device)]

    def end_epoch(self) -> EpochReport:
        n, alphas = max(self.mean_loss.n_steps, 1), self.alphas.detach()[self.group_of]
        loss, own, shared, shares = fetch([self.mean_loss.total[None], *alphas.unbind(1), self.mixture_sum[:, 1] / n])
        if self.searching:
            self._in_use = TransferConfig(tuple(s > o for o, s in zip(own, shared, strict=True)))
        report = EpochReport(loss[0] / n, str(self.in_use), shares)
        if self.searching:
            self._add_masses(report)
        self._start_epoch()
        return report

    def _add_masses(self, report: EpochReport) -> None:
        """The mixture as a distribution over configurations, layers independent of each other."""
        shares = [report.transfer[group[0] - 1] for group in self.groups]
        masses = {
            str(c): math.prod(s if c.bits[g[0] - 1] else 1 - s for s, g in zip(shares, self.groups, strict=True))
            for c in self.space
        }
        report.entropy = -sum(p * math.log(p) for p in masses.values() if p > 0)
        report.max_weight = max(masses.values())
        report.weights = [(None, masses)]

    def _training_state(self) -> dict[str, Any]:
        return {"before": self.before, "alphas": self.alphas, "optimizers": [o.state() for o in self.optimizers],
                "in_use": str(self.in_use), "steps": self.steps}  # fmt: skip

    def resume_task(self, context: TaskContext, training: dict[str, Any]) -> None:
        chosen = self.chosen.get(context.number)
        self._train_with(context, (chosen,) if chosen else self.space.configs, self._certain())
        with torch.no_grad():
            self.alphas.copy_(training["alphas"])
        for optimizer, state in zip(self.optimizers, training["optimizers"], strict=True):
            optimizer.load(state)
        self.before, self.steps = training["before"], training["steps"]
        self._in_use = TransferConfig.parse(training["in_use"], self.arch.depth)


def _weight_optimizer(spec: RunSpec, parameters: list[Tensor]) -> Sgd | RMSProp:
    darts = spec.darts
    if darts.weight_optimizer == "sgd":
        return Sgd(parameters, darts.weight_momentum, darts.weight_decay)
    return RMSProp(parameters, spec.optim)


def _alpha_optimizer(spec: RunSpec, alphas: Tensor) -> Adam | RMSProp:
    darts = spec.darts
    if darts.alpha_optimizer == "adam":
        return Adam(alphas, (darts.alpha_beta1, darts.alpha_beta2), darts.alpha_weight_decay)
    return RMSProp([alphas], spec.optim)
