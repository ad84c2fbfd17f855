"""What a static step does besides its convolutions, part by part, on warm caches (`lasem bench`)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lasem_core.bench import Call
from lasem_core.data.stream import Batch
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.model.layers import activate


def parts(learner: ConfiguredLearner, batch: Batch) -> dict[str, Call]:
    """Of a learner that transfers every layer: filters, penalty, pooling and head forward and backward; update; mask.

    The update is done with a learning rate of zero.
    """
    network, optimizer = learner.open.network, learner.open.search.optimizer
    gradients = [torch.randn_like(parameter) for parameter in optimizer.parameters]
    return {
        "filters": _there_and_back(lambda: _filters(learner), _adapting(learner)),
        "penalty": _there_and_back(lambda: _penalty(learner), _adapting(learner)),
        "pooling": _pooling(learner, len(batch.labels)),
        "head": _head(learner, len(batch.labels)),
        "mask": lambda: network.dropout_mask(learner.open.search.trie, batch, 0),
        "update": lambda: optimizer.step(gradients, 0.0),
    }


def _adapting(learner: ConfiguredLearner) -> list[Tensor]:
    groups = [*learner.open.network.shared, *learner.open.network.task.adapters]
    return [tensor for group in groups if group for tensor in group.values()]


def _filters(learner: ConfiguredLearner) -> list[Tensor]:
    network = learner.open.network
    pairs = zip(network.shared, network.task.adapters, strict=True)
    return [weight for weight, _ in (network.sharing.filters(shared, adapter) for shared, adapter in pairs)]


def _penalty(learner: ConfiguredLearner) -> list[Tensor]:
    trie = learner.open.search.trie
    penalty = learner.open.network.penalty(trie.bits[0], trie.transferred)
    return [] if penalty is None else [penalty]


def _there_and_back(forward: Callable[[], list[Tensor]], leaves: list[Tensor]) -> Call:
    def call() -> object:
        outputs = [output for output in forward() if output.grad_fn is not None]  # a plain tensor costs nothing
        ones = [torch.ones_like(output) for output in outputs]
        return torch.autograd.grad(outputs, leaves, ones, allow_unused=True) if outputs else None

    return call


def _pooling(learner: ConfiguredLearner, n: int) -> Call:
    layers = learner.arch.layers
    shapes = [(n, layer.out_channels, *layer.in_size) for layer in layers]
    maps = [torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_() for shape in shapes]

    return _there_and_back(
        lambda: [activate(x, layer, inplace=False) for x, layer in zip(maps, layers, strict=True)], maps
    )


def _head(learner: ConfiguredLearner, n: int) -> Call:
    features = torch.randn(1, n, learner.arch.n_features, requires_grad=True)
    weights = [tensor for group in learner.open.network.task.head for tensor in group.values()]
    return _there_and_back(lambda: [learner.open.network.logits(features)], [features, *weights])
