"""The task CNN in all its configurations at once: a trie of convolutions.

Configurations with a common prefix share its activations, so one forward pass gives the features of every
requested configuration (4 layers: 30 layer evaluations instead of 64), and one backward pass the
posterior-weighted gradient. Activations are kept as (prefix, batch, height, width, channel): contiguous in
memory, and `channels_last` to the convolution without a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.data.stream import Batch
from lasem_core.model.crossing import send
from lasem_core.model.layers import activate, convolve, drop, head_logits, tensors_of
from lasem_core.model.transfer import Filters, Initializer, Sharing, Tensors
from lasem_core.spec.architecture import Architecture, ConvLayer
from lasem_core.spec.configs import TransferConfig

OwnTensors = Callable[[Any, Initializer], Tensors]


@dataclass(frozen=True)
class Branch:
    """Which prefixes of the level above go through one set of filters; None = all of them, in order."""

    parents: Tensor | None


@dataclass(frozen=True)
class Trie:
    """The plan of one forward pass over a set of configurations in canonical order.

    Attributes:
        levels: per layer the transferred and the task-specific branch; a branch nobody needs is None.
        bits: (C, d), 1 where a configuration transfers a layer.
        index: (C,) canonical index of each configuration, which keys its dropout mask.
    """

    configs: tuple[TransferConfig, ...]
    levels: tuple[tuple[Branch | None, Branch | None], ...]
    bits: Tensor
    index: Tensor

    @classmethod
    def build(cls, configs: Sequence[TransferConfig], device: torch.device, dtype: torch.dtype) -> Trie:
        """Plan `configs`; ValueError unless they are distinct and in canonical order (then the leaves are, too)."""
        index = [config.index for config in configs]
        if index != sorted(set(index)):
            raise ValueError("configurations must be distinct and in canonical order")
        wanting, prefixes = [], [()]  # per branch: which prefixes want it, and of how many
        for depth in range(1, configs[0].depth + 1):
            wanted = {config.bits[:depth] for config in configs}
            transferred = [i for i, prefix in enumerate(prefixes) if (*prefix, True) in wanted]
            specific = [i for i, prefix in enumerate(prefixes) if (*prefix, False) in wanted]
            wanting += [(parents, len(prefixes)) for parents in (transferred, specific)]
            prefixes = [(*prefixes[i], True) for i in transferred] + [(*prefixes[i], False) for i in specific]
        bits = [bit for config in configs for bit in config.bits]
        *parents, index, bits = send([*(parents for parents, _ in wanting), index, bits], device)
        branches = [_branch(some, n) for some, (_, n) in zip(parents, wanting, strict=True)]
        levels = tuple(zip(branches[::2], branches[1::2], strict=True))
        return cls(tuple(configs), levels, bits.view(len(configs), -1).to(dtype), index)  # bits (C, d)

    @cached_property
    def transferred(self) -> list[bool]:
        """Per layer: does some configuration transfer it?"""
        return [any(layer) for layer in zip(*(config.bits for config in self.configs), strict=True)]

    @property
    def specific(self) -> list[bool]:
        """Per layer: does some configuration keep it task-specific?"""
        return [not all(layer) for layer in zip(*(config.bits for config in self.configs), strict=True)]

    def __len__(self) -> int:
        return len(self.index)

    def walk(self, x: Tensor, run: Callable[[int, bool, Tensor], Tensor]) -> Tensor:
        """From x (1, B, ...) to the outputs (C, B, ...) of all configurations.

        Arguments: run, called once per branch and level with the layer's position, whether the branch transfers it, and
        the P prefixes that need it, (P, B, ...); returns (P, B, ...).
        """
        for position, level in enumerate(self.levels):
            branches = zip((True, False), level, strict=True)
            outputs = [run(position, bit, _select(x, branch)) for bit, branch in branches if branch is not None]
            x = outputs[0] if len(outputs) == 1 else torch.cat(outputs)  # (P, B, ...)
        return x


def _select(x: Tensor, branch: Branch) -> Tensor:
    return x if branch.parents is None else x.index_select(0, branch.parents)


def _branch(parents: Tensor, n_prefixes: int) -> Branch | None:
    if not len(parents):
        return None
    return Branch(None if len(parents) == n_prefixes else parents)


@dataclass
class TaskTensors:
    """What one task owns: adapters of transferred layers, filters of task-specific ones, its head."""

    adapters: list[Tensors | None]
    specific: list[Tensors | None]
    head: list[Tensors]

    @classmethod
    def create(
        cls, layers: Sequence[Any], sharing: Sharing, trie: Trie, own: OwnTensors, head: list[Tensors],
        init: Initializer,
    ) -> TaskTensors:  # fmt: skip
        """Fresh tensors for the configurations of `trie`; a tensor that none of them uses is not made.

        Arguments: own, which draws the tensors of a layer that is not transferred.
        """
        adapters = [
            sharing.init_adapter(layer, init.scoped("adapter", layer.number)) if used else None
            for layer, used in zip(layers, trie.transferred, strict=True)
        ]
        specific = [
            own(layer, init.scoped("specific", layer.number)) if used else None
            for layer, used in zip(layers, trie.specific, strict=True)
        ]
        return cls(adapters, specific, head)

    def keep(self, config: TransferConfig) -> None:
        """Drop what `config` does not use (released code, item 19)."""
        self.adapters = [a if bit else None for a, bit in zip(self.adapters, config.bits, strict=True)]
        self.specific = [s if not bit else None for s, bit in zip(self.specific, config.bits, strict=True)]

    def tensors(self) -> list[Tensor]:
        return tensors_of([*self.adapters, *self.specific, *self.head])


@dataclass
class TaskNetwork:
    """One task's network over shared knowledge.

    Attributes:
        shared: per layer the shared tensors, or None where no configuration transfers the layer.
        compute_dtype: dtype of the convolutions; parameters and head keep their own.
    """

    arch: Architecture
    sharing: Sharing
    shared: list[Tensors | None]
    task: TaskTensors
    compute_dtype: torch.dtype = field(default=torch.float32)

    def features(self, images: Float[Tensor, "B channels H W"], trie: Trie) -> Float[Tensor, "C B F"]:
        """Flattened features (C, B, F) of every configuration of `trie` for images (B, C_in, H, W)."""
        x = images.to(self.compute_dtype).permute(0, 2, 3, 1)[None]  # (1, B, H, W, C_in)
        x = trie.walk(x, self._layer)  # (C, B, H, W, C_out)
        return x.flatten(2).to(self.task.head[0]["weight"].dtype)  # (C, B, F)

    def _layer(self, position: int, transferred: bool, x: Tensor) -> Tensor:
        weight, bias = self._transferred(position) if transferred else self._specific(position).values()
        return _convolve(x, (weight, bias), self.arch.layers[position])

    def _transferred(self, position: int) -> Filters | Tensors:
        shared, adapter = self.shared[position], self.task.adapters[position]
        if shared is None or adapter is None:
            raise ValueError(f"this network cannot transfer layer {position + 1}")
        return self.sharing.filters(shared, adapter)

    def _specific(self, position: int) -> Tensors:
        own = self.task.specific[position]
        if own is None:
            raise ValueError(f"this network has no task-specific layer {position + 1}")
        return own

    def logits(
        self, features: Float[Tensor, "C B F"], mask: Shaped[Tensor, "C B F"] | None = None
    ) -> Float[Tensor, "C B K"]:
        """Logits of features; `mask` drops features in the M-step."""
        dropped = features if mask is None else drop(features, mask, self.arch.dropout)
        return head_logits(self.task.head, dropped)

    def dropout_mask(self, trie: Trie, batch: Batch, m_step: int) -> Shaped[Tensor, "C B F"] | None:
        """One mask per configuration, a pure function of (step, configuration); None without dropout."""
        if self.arch.dropout == 0:
            return None
        n_images, n_features = len(batch.labels), self.arch.n_features
        key = keyed_random.key("dropout", *batch.key, m_step)
        mask = keyed_random.bernoulli_mask(key, trie.index, n_images * n_features, 1 - self.arch.dropout)
        return mask.view(len(trie), n_images, n_features)

    def penalty(self, transfer_mass: Float[Tensor, " depth"], transferred: Sequence[bool]) -> Float[Tensor, ""] | None:
        """Auxiliary loss, each layer's weighted by the posterior mass of 'this layer is transferred'.

        A layer that no evaluated configuration transfers stays out of the graph, so that RMSProp leaves it alone.
        """
        layers = zip(self.task.adapters, transfer_mass, transferred, strict=True)
        pairs = [(adapter, mass) for adapter, mass, used in layers if adapter and used]
        terms = self.sharing.penalty([adapter for adapter, _ in pairs]) if pairs else None  # (L,)
        return None if terms is None else terms @ torch.stack([mass for _, mass in pairs])

    def parameters(self) -> list[Tensor]:
        """Every tensor of this task, shared ones first."""
        return tensors_of(self.shared) + self.task.tensors()


def _convolve(x: Tensor, filters: Filters, layer: ConvLayer) -> Tensor:
    """Convolution, max-pool, ReLU on (P, B, H, W, C)."""
    z = convolve(x.flatten(0, 1).permute(0, 3, 1, 2), *filters, layer)
    return activate(z, layer).permute(0, 2, 3, 1).unflatten(0, x.shape[:2])
