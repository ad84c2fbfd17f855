"""One stage of a user's own network: any module, run with whatever tensors it is given, tried out before it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from lasem_core.common import keyed_random
from lasem_core.common.errors import LasemError, one_line
from lasem_core.model.transfer import Initializer, Tensors
from lasem_core.spec.architecture import Architecture, ConvLayer
from lasem_core.spec.parts import ModelSpec

Factory = Callable[[], nn.Module]


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
