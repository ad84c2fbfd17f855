"""The pieces of every network here, each once: convolution, pooling and ReLU, features, dropout, head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.model.transfer import Initializer, Tensors
from lasem_core.spec.architecture import Architecture, ConvLayer


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, layer: ConvLayer) -> Tensor:
    """The convolution of `layer` alone, (N, C_out, H, W), in the dtype of x (N, C_in, H, W)."""
    bias = None if bias is None else bias.to(x.dtype)
    return F.conv2d(x, weight.to(x.dtype), bias, padding=layer.kernel // 2)


def activate(z: Tensor, layer: ConvLayer, inplace: bool = True) -> Tensor:
    """Max-pool and ReLU of z (N, C, H, W), which may be overwritten; pooling first touches fewer numbers."""
    if layer.pool > 1:
        z = F.max_pool2d(z, layer.pool, layer.pool, layer.pool_padding, ceil_mode=True)
    return F.relu(z, inplace)


def flat(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Features (N, H * W * C) from activations (N, C, H, W)."""
    return x.permute(0, 2, 3, 1).flatten(1).to(dtype)


def drop(features: Tensor, mask: Tensor, rate: float) -> Tensor:
    """Features where `mask` is true, scaled up for those that were dropped with probability `rate`."""
    return features * (mask / (1 - rate))


def dropout(features: Tensor, rate: float, key: tuple[object, ...]) -> Tensor:
    """Features (B, F), each dropped with probability `rate` by a mask that is a function of `key` alone."""
    if rate == 0:
        return features
    stream = torch.zeros(1, dtype=torch.int64, device=features.device)
    mask = keyed_random.bernoulli_mask(keyed_random.key("dropout", *key), stream, features.numel(), 1 - rate)
    return drop(features, mask.view(features.shape), rate)


def head_tensors(arch: Architecture, n_classes: int, init: Initializer, n_features: int | None = None) -> list[Tensors]:
    """A task's fully connected layers, from the features (None: as many as `arch` has) to the logits."""
    widths = (n_features or arch.n_features, *arch.head, n_classes)
    return [
        {"weight": init.weight(f"weight{i}", (n_out, n_in)), "bias": init.bias(n_out)}
        for i, (n_in, n_out) in enumerate(pairwise(widths))
    ]


def head_logits(head: Sequence[Tensors], features: Tensor) -> Tensor:
    """Logits (..., K) of features (..., F)."""
    for group in head[:-1]:
        features = F.relu(F.linear(features, group["weight"], group["bias"]))
    return F.linear(features, head[-1]["weight"], head[-1]["bias"])


def tensors_of(groups: Iterable[Tensors | None]) -> list[Tensor]:
    """All tensors of named groups, in order; a group that does not exist has none."""
    return [tensor for group in groups if group is not None for tensor in group.values()]
