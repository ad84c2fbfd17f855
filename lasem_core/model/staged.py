"""A user's own network as stages: any module in place of a convolutional layer, all configurations in one pass.

`Stages` stands in for `Architecture`, `Stage` for `ConvLayer`, `StageSharing` for a way of sharing; with them the trie,
EM, pruning and roll-back work on tensors by name, as they do for the paper's network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lasem_core.common.errors import LasemError
from lasem_core.model.layers import drop
from lasem_core.model.network import TaskNetwork, Trie
from lasem_core.model.stage import Factory, Head, Stage
from lasem_core.model.transfer import Initializer, Sharing, Tensors

HeadFactory = Callable[[int, int], nn.Module]  # of the numbers of features and of classes


class StageSharing:
    """A way of sharing convolutions, for every Conv2d of a stage; its other tensors are shared as they are."""

    def __init__(self, way: Sharing):
        self.way = way

    def init_shared(self, stage: Stage, init: Initializer) -> Tensors:
        """See `Sharing`, also for the others."""
        groups = _grouped(stage.fresh(init))
        made = {n: self.way.init_shared(layer, init.scoped(n)) for n, layer in stage.convolutions.items()}
        return _flat(groups | made)

    def init_adapter(self, stage: Stage, init: Initializer) -> Tensors:
        return _flat({n: self.way.init_adapter(layer, init.scoped(n)) for n, layer in stage.convolutions.items()})

    def filters(self, shared: Tensors, adapter: Tensors) -> Tensors:
        """The stage's tensors by name."""
        groups, own = _grouped(shared), _grouped(adapter)
        made = {n: dict(zip(("weight", "bias"), self.way.filters(groups[n], own[n]), strict=True)) for n in own}
        return _flat(groups | made)

    def penalty(self, adapters: Sequence[Tensors]) -> Tensor | None:
        terms = [self.way.penalty(list(_grouped(adapter).values())) for adapter in adapters]
        return None if terms[0] is None else torch.stack([term.sum() for term in terms])


def _grouped(tensors: Tensors) -> dict[str, Tensors]:
    """By the name of the module that holds them."""
    groups: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        groups.setdefault(module, {})[leaf] = tensor
    return groups


def _flat(groups: dict[str, Tensors]) -> Tensors:
    return {f"{module}.{leaf}".lstrip("."): t for module, group in groups.items() for leaf, t in group.items()}


class Stages:
    """A user's network: stages, a head for each number of classes, dropout on the flattened features.

    Attributes:
        n_features: flattened outputs of the last stage; 0 before `try_out`.
    """

    def __init__(self, factories: Sequence[Factory], head: HeadFactory, base: str, dropout: float, init: Initializer):
        self.layers = [Stage(factory, n, init, base) for n, factory in enumerate(factories, start=1)]
        for stage in self.layers:
            if not stage.trained:
                raise LasemError(f"{stage.name} has nothing to train, so cannot be shared; join it to a neighbour")
        self.dropout, self.n_features, self._init = dropout, 0, init
        self._head, self._heads = head, {}

    @property
    def depth(self) -> int:
        return len(self.layers)

    def head(self, n_classes: int) -> Head:
        """For tasks of `n_classes`."""
        sizes = self.n_features, n_classes
        if sizes not in self._heads:
            factory = self._head if isinstance(self._head, nn.Module) else partial(self._head, *sizes)
            self._heads[sizes] = Head(factory, self.depth + 1, self._init)
        return self._heads[sizes]

    def cast(self, images: Tensor) -> Tensor:
        """In the dtype of the parameters; whole numbers, such as tokens, stay."""
        return images.to(self._init.dtype) if images.is_floating_point() else images

    def train(self, mode: bool) -> None:
        """Let dropout and its like act, or not."""
        for stage in (*self.layers, *self._heads.values()):
            stage.module.train(mode)

    @torch.no_grad()
    def try_out(self, images: Tensor, n_classes: int) -> None:
        """Run a few of a task's images (B, ...) through everything; raises LasemError for what cannot be trained."""
        x = self.cast(images[:4])
        self.train(True)
        for stage in self.layers:
            x = stage.try_out(x)
        n_features = x[0].numel()
        if self.n_features not in (0, n_features):
            raise LasemError(f"this task's images give {n_features} features, those before gave {self.n_features}; "
                             "end the last stage with AdaptiveAvgPool2d(1), or use one size of images")  # fmt: skip
        self.n_features = n_features
        logits = self.head(n_classes).try_out(x.flatten(1))
        if logits.shape != (len(x), n_classes):
            raise LasemError(f"head makes {tuple(logits.shape)} of {len(x)} images, not ({len(x)}, {n_classes})")

    def state(self) -> list[dict[str, Any]]:
        """Per stage what does not train, and the shapes of what does."""
        return [{"trained": stage.trained, "fixed": stage.fixed()} for stage in self.layers]

    def load(self, state: list[dict[str, Any]]) -> None:
        """Go on from `state`; LasemError where it is of other stages."""
        for stage, saved in zip(self.layers, state, strict=True):
            here, there = stage.trained, saved["trained"]
            for name in here | there:
                if here.get(name) != there.get(name):
                    raise LasemError(
                        f"{stage.name}: {name} is {here.get(name)} here, {there.get(name)} where it was saved"
                    )
            stage.module.load_state_dict(saved["fixed"], strict=False)


@dataclass
class StagedNetwork(TaskNetwork):
    """One task's network of stages; `arch` is a `Stages`, `sharing` a `StageSharing`.

    Attributes:
        head: makes logits of features with the task's tensors.
    """

    head: Stage = field(kw_only=True)

    def features(self, images: Tensor, trie: Trie) -> Tensor:
        """Flattened features (C, B, F) of every configuration of `trie` for images (B, ...)."""
        return trie.walk(self.arch.cast(images)[None], self._layer).flatten(2)

    def _layer(self, position: int, transferred: bool, x: Tensor) -> Tensor:
        tensors = self._transferred(position) if transferred else self._specific(position)
        return self.arch.layers[position](tensors, x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def logits(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """See `TaskNetwork`."""
        dropped = features if mask is None else drop(features, mask, self.arch.dropout)
        return self.head(self.task.head[0], dropped.flatten(0, 1)).unflatten(0, features.shape[:2])
