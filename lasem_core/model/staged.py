"""A user's own network as stages: any module in place of a convolutional layer, all configurations in one pass.

`Stages` stands in for `Architecture`, `Stage` for `ConvLayer`, `StageSharing` for a way of sharing; with them the trie,
EM, pruning and roll-back work on tensors by name, as they do for the paper's network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from lasem_core.common import keyed_random
from lasem_core.common.errors import LasemError, one_line
from lasem_core.model.layers import drop
from lasem_core.model.network import TaskNetwork, Trie
from lasem_core.model.transfer import Initializer, Sharing, Tensors
from lasem_core.spec.architecture import Architecture, ConvLayer
from lasem_core.spec.parts import ModelSpec

Factory = Callable[[], nn.Module]
HeadFactory = Callable[[int, int], nn.Module]  # of the numbers of features and of classes


@contextmanager
def seeded(device: torch.device, *key: object) -> Iterator[None]:
    """torch's random numbers start from `key`; afterwards they go on as if nothing had been drawn."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed = torch.manual_seed if device.type == "cuda" else torch.default_generator.manual_seed
        seed(keyed_random.key(*key))
        yield


class Stage:
    """A factory of modules, and one module of it that runs with whatever tensors it is given.

    What does not train (buffers, frozen parameters) is made once and common to all tasks.

    Attributes:
        trained: names and shapes of the tensors that train.
        convolutions: by name the Conv2d modules whose filters are factorized; none with hard sharing.
    """

    called = "a stage's factory is called without arguments"

    def __init__(self, factory: Factory, number: int, init: Initializer, base: str = "hps"):
        self.factory, self.number = factory, number
        self.module = self._make(init)
        self.trained = {name: list(p.shape) for name, p in self.module.named_parameters() if p.requires_grad}
        named = self.module.named_modules() if base in ("tf", "df-cnn") else ()
        trained = {name: m for name, m in named if type(m) is nn.Conv2d and m.weight.requires_grad}
        self.convolutions = {name: self._conv_layer(conv, base) for name, conv in trained.items()}

    @property
    def name(self) -> str:
        """In messages."""
        return f"stage {self.number}"

    def _make(self, init: Initializer) -> nn.Module:
        if isinstance(self.factory, nn.Module) or not callable(self.factory):
            kind = type(self.factory).__name__
            raise LasemError(f"{self.name} is a {kind}, not a factory; give a function: lambda: {kind}(...)")
        with seeded(init.device, *init.key, self.name):
            module = self._call()
        if not isinstance(module, nn.Module):
            raise LasemError(f"{self.name}: the factory makes a {type(module).__name__}, not a torch.nn.Module")
        for name, part in module.named_modules():
            if isinstance(part, _BatchNorm):
                where = f"{type(part).__name__} ({name or 'itself'})"
                raise LasemError(_depends(f"{self.name} has a {where}, whose output depends"))
        if any(nn.parameter.is_lazy(p) for p in module.parameters()):
            raise LasemError(f"{self.name} has lazy parameters; give its layers their sizes")
        return module.to(device=init.device, dtype=init.dtype)

    def _call(self) -> Any:
        try:
            return self.factory()
        except LasemError:  # a file of weights that is not there
            raise
        except Exception as error:
            raise LasemError(f"{self.name}: the factory raises {one_line(error)}; {self.called}") from error

    def _conv_layer(self, conv: nn.Conv2d, base: str) -> ConvLayer:
        kernel = conv.kernel_size[0]
        if conv.groups > 1 or conv.kernel_size != (kernel, kernel) or kernel % 2 == 0:
            raise LasemError(f"{self.name}: sharing '{base}' cannot make the filters of {conv}; use groups=1, square "
                             "kernels of odd size or sharing='hps'")  # fmt: skip
        model = ModelSpec(channels=(conv.out_channels,), kernels=(kernel,), pools=(1,))
        return Architecture.build(model, (conv.in_channels, kernel, kernel)).layers[0]

    def fresh(self, init: Initializer) -> Tensors:
        """What trains, as the factory draws it for the key of `init`."""
        return {n: p.detach().clone() for n, p in self._make(init).named_parameters() if p.requires_grad}

    def __call__(self, tensors: Tensors, x: Tensor) -> Tensor:
        """Output for x (N, ...) with `tensors` in place of what trains; names that the module lacks are ignored."""
        return functional_call(self.module, {name: tensors[name] for name in self.trained}, (x,))

    def fixed(self) -> Tensors:
        """What does not train."""
        return {name: t for name, t in self.module.state_dict().items() if name not in self.trained}

    def try_out(self, x: Tensor) -> Tensor:
        """Output (N, ...) for x (N, ...).

        Raises LasemError where the sizes do not fit, the first image's output depends on its company, or the input is
        changed.
        """
        before = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        x = x.clone()
        version = x._version  # counts changes in place
        outputs = [self._try(x), *map(self._try, _companies(x))]
        strange = _unlike(x[:1])
        others = [self._try(strange[[0] * len(strange)]), self._try(strange)] if self._takes(strange) else []
        changed = any(not torch.equal(buffer, before[name]) for name, buffer in self.module.named_buffers())
        if changed or not (_agree(outputs) and _agree(others)):
            raise LasemError(_depends(f"{self.name}: in training an image's output depends"))
        if x._version != version:
            raise LasemError(f"{self.name} changes its input in place, which other configurations need; begin it "
                             "without inplace=True, such as torch.nn.ReLU()")  # fmt: skip
        return outputs[0]

    def _takes(self, x: Tensor) -> bool:
        """Whether the stage runs for x (N, ...): it may want certain values, such as numbers of words."""
        try:
            self._try(x.clone())
        except LasemError:
            return False
        return True

    def _try(self, x: Tensor) -> Tensor:
        try:
            with seeded(x.device, "try"):  # so that dropout is the same in each company
                y = self.module(x)
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise LasemError(f"{self.name} cannot take its input {tuple(x.shape)}: {reason}") from error
        made = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        if not isinstance(y, Tensor) or y.dim() < 2 or len(y) != len(x):
            raise LasemError(f"{self.name} makes {made} of {tuple(x.shape)}; the first axis, the images, must stay as "
                             "it is, and another one must follow")  # fmt: skip
        return y


class Head(Stage):
    """What makes logits (N, K) of features (N, F)."""

    name = "head"
    called = "it is called with the numbers of features and classes"


def _companies(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first of x (N, ...) with the others in reverse, and with itself."""
    return x[[0, *range(len(x) - 1, 0, -1)]], x[[0] * len(x)]


def _unlike(x: Tensor) -> Tensor:
    """x (1, ...) and copies (4, ...) beyond its extremes; whole numbers, such as tokens, stay those that x has."""
    flipped = x.flip(tuple(range(1, x.dim())))
    if x.is_floating_point():
        return torch.cat([x, 2 * x + 1, -1.5 * x - 1, flipped])
    return torch.cat([x, x.max().expand(x.shape), x.min().expand(x.shape), flipped])


def _agree(outputs: Sequence[Tensor]) -> bool:
    """Whether the first items of outputs (N, ...) are the same."""
    if not outputs:
        return True
    first = outputs[0][0]
    close = {"rtol": 0, "atol": 1e-4 * float(first.abs().max().nan_to_num()), "equal_nan": True}
    return all(torch.allclose(y[0], first, **close) for y in outputs)


def _depends(beginning: str) -> str:
    reason = "on the rest of the batch, in which all configurations go through a stage together"
    return f"{beginning} {reason}; use torch.nn.GroupNorm or another norm over one image"


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
