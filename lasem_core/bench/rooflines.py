"""The least a step can cost: its convolutions alone."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
import torch.nn.functional as F

from lasem_core.bench import Call
from lasem_core.learners import Environment
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.model.network import Trie
from lasem_core.spec.architecture import ConvLayer


class _Convolution(NamedTuple):
    """One layer of one step, for `n` images in all the prefixes that need it."""

    layer: ConvLayer
    n: int
    input_gradient: bool

    @property
    def gflop(self) -> float:
        """Multiplications and additions, forward and backward."""
        layer, passes = self.layer, 2 + self.input_gradient
        per_pixel = layer.kernel**2 * layer.in_channels * layer.out_channels
        return 2e-9 * passes * self.n * prod(layer.in_size) * per_pixel


def _convolutions(env: Environment, trie: Trie) -> list[_Convolution]:
    """Every convolution of one step over `trie`."""
    prefixes = [len({config.bits[:depth] for config in trie.configs}) for depth in range(env.arch.depth + 1)]
    return [
        _Convolution(layer, env.spec.optim.batch_size * n, layer.number > 1)
        for layer, level in zip(env.arch.layers, trie.levels, strict=True)
        for branch in level
        if branch is not None
        for n in [prefixes[layer.number - 1] if branch.parents is None else len(branch.parents)]
    ]


def gflop(learner: ConfiguredLearner) -> float:
    """Floating-point operations of all convolutions of one step of `learner`, in thousands of millions."""
    return sum(convolution.gflop for convolution in _convolutions(learner.env, learner.open.search.trie))


def bare(learner: ConfiguredLearner) -> Call:
    """Every convolution of one step of `learner`, forward and backward, and nothing else."""
    calls = [
        _bare_convolution(*c, learner.env.compute_dtype) for c in _convolutions(learner.env, learner.open.search.trie)
    ]
    return lambda: [call() for call in calls]


def _bare_convolution(layer: ConvLayer, n: int, input_gradient: bool, dtype: torch.dtype) -> Call:
    layout = {"memory_format": torch.channels_last}
    images = torch.randn(n, layer.in_channels, *layer.in_size).to(dtype).contiguous(**layout)
    images.requires_grad_(input_gradient)
    weight = torch.randn(layer.out_channels, layer.in_channels, layer.kernel, layer.kernel).to(dtype).requires_grad_()
    bias = torch.zeros(layer.out_channels, dtype=dtype, requires_grad=True)
    gradient = torch.randn(n, layer.out_channels, *layer.in_size).to(dtype).contiguous(**layout)
    wanted = [weight, bias, *([images] if input_gradient else [])]

    def call() -> object:
        return torch.autograd.grad(F.conv2d(images, weight, bias, padding=layer.kernel // 2), wanted, gradient)

    return call
