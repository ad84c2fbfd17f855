"""Three ways of sharing a layer (paper, Section 4.1): given a layer and a task, produce the filters.

Each way has shared tensors (one set per layer, all tasks) and, except for hard parameter sharing, an
*adapter*: the task's own tensors that turn the shared ones into that task's filters. A layer that is not
transferred has filters of its own, whatever the way of sharing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.spec.architecture import ConvLayer
from lasem_core.spec.parts import ModelSpec
from lasem_core.spec.run_spec import RunSpec

Tensors = dict[str, Tensor]
Filters = tuple[Tensor, Tensor]  # weight (C_out, C_in, k, k), bias (C_out,)


class Initializer:
    """Draws initial tensors as the released code does (released code, items 27 and 28), each from its own key."""

    def __init__(self, model: ModelSpec, key: tuple[object, ...], device: torch.device, dtype: torch.dtype):
        self.model, self.key, self.device, self.dtype = model, key, device, dtype

    def scoped(self, *key: object) -> Initializer:
        return Initializer(self.model, (*self.key, *key), self.device, self.dtype)

    def weight(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A convolution (out, in, k, k), matrix (out, in) or vector: normal, cut at two sigma, whatever the fan."""
        if self.model.weight_init == "glorot":
            axes = (*shape[2:], shape[1], shape[0]) if len(shape) > 1 else shape
            return self.glorot(name, axes).reshape(shape)
        edge = math.erf(2 / math.sqrt(2))
        inside = (2 * self._uniform(name, math.prod(shape)) - 1) * edge  # uniform over the kept mass
        return self._tensor(torch.erfinv(inside) * math.sqrt(2) * self.model.weight_std, shape)

    def bias(self, n: int) -> Tensor:
        return torch.full((n,), self.model.bias_init, device=self.device, dtype=self.dtype)

    def glorot(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Glorot uniform by TensorFlow's fan rule on `shape` in TensorFlow's axis order."""
        return self._tensor((2 * self._uniform(name, math.prod(shape)) - 1) * glorot_limit(shape), shape)

    def _uniform(self, name: str, n: int) -> Tensor:
        stream = torch.zeros(1, dtype=torch.int64, device=self.device)
        return keyed_random.uniform(keyed_random.key(*self.key, name), stream, n)[0]

    def _tensor(self, values: Tensor, shape: tuple[int, ...]) -> Tensor:
        return values.to(self.dtype).reshape(shape).contiguous()


def glorot_limit(shape: tuple[int, ...]) -> float:
    """sqrt(6 / (fan_in + fan_out)) with fans = the last two axes times the product of the leading ones."""
    if len(shape) == 1:
        return math.sqrt(3 / shape[0])
    return math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))


def specific_filters(layer: ConvLayer, init: Initializer) -> Tensors:
    """Filters of a layer that is not transferred."""
    shape = (layer.out_channels, layer.in_channels, layer.kernel, layer.kernel)
    return {"weight": init.weight("weight", shape), "bias": init.bias(layer.out_channels)}


@runtime_checkable
class Sharing(Protocol):
    """How the tasks share a layer. A new way is one class with these four functions."""

    def init_shared(self, layer: ConvLayer, init: Initializer) -> Tensors:
        """The knowledge of `layer` that all tasks share."""

    def init_adapter(self, layer: ConvLayer, init: Initializer) -> Tensors:
        """One task's own tensors of the transferred `layer`; may be empty."""

    def filters(self, shared: Tensors, adapter: Tensors) -> Filters:
        """The filters of one task from shared knowledge and its adapter, differentiable in both."""

    def penalty(self, adapters: Sequence[Tensors]) -> Tensor | None:
        """(L,): for each of L layers' adapters, what to add to the loss of a configuration that transfers the
        layer; None if there is nothing to add."""


class HardSharing:
    """All tasks use the same filters and bias (Caruana 1997)."""

    def init_shared(self, layer: ConvLayer, init: Initializer) -> Tensors:
        return specific_filters(layer, init)

    def init_adapter(self, layer: ConvLayer, init: Initializer) -> Tensors:
        return {}

    def filters(self, shared: Tensors, adapter: Tensors) -> Filters:
        return shared["weight"], shared["bias"]

    def penalty(self, adapters: Sequence[Tensors]) -> Tensor | None:
        return None


class TensorFactorization:
    """A shared full-size core, rotated by a task's four square factors (Bulat et al. 2020; released code, item 35)."""

    factors = ("factor_h", "factor_w", "factor_in", "factor_out")

    def __init__(self, orthogonality: float):
        self.orthogonality = orthogonality

    def init_shared(self, layer: ConvLayer, init: Initializer) -> Tensors:
        shape = (layer.kernel, layer.kernel, layer.in_channels, layer.out_channels)
        return {"core": init.glorot("core", shape)}

    def init_adapter(self, layer: ConvLayer, init: Initializer) -> Tensors:
        sizes = (layer.kernel, layer.kernel, layer.in_channels, layer.out_channels)
        adapter = {name: init.glorot(name, (n, n)) for name, n in zip(self.factors, sizes, strict=True)}
        return adapter | {"bias": init.glorot("bias", (layer.out_channels,))}

    def filters(self, shared: Tensors, adapter: Tensors) -> Filters:
        """weight[s,r,p,q] = sum over a,b,c,d of core[a,b,c,d] H[a,p] W[b,q] In[c,r] Out[d,s].

        As three matrix products in this order, because an einsum spends its time in copies.
        """
        k, _, n_in, n_out = shared["core"].shape
        turned = (shared["core"].flatten(0, 2) @ adapter["factor_out"]).view(k * k, n_in, n_out)
        turned = torch.bmm(adapter["factor_in"].T.expand(k * k, -1, -1), turned).flatten(1)  # (k * k, in * out)
        spatial = torch.kron(adapter["factor_h"], adapter["factor_w"])
        return (spatial.T @ turned).view(k, k, n_in, n_out).permute(3, 2, 0, 1), adapter["bias"]

    def penalty(self, adapters: Sequence[Tensors]) -> Tensor | None:
        """Weight times the sum over factors of the Frobenius norm of U'U - I (released code, item 36)."""
        distances = _distances_from_orthogonal([adapter[name] for adapter in adapters for name in self.factors])
        return self.orthogonality * torch.stack(distances).view(len(adapters), -1).sum(1)


def _distances_from_orthogonal(factors: Sequence[Tensor]) -> list[Tensor]:
    """One number per factor; those of one size go through the processor together."""
    distances: dict[int, Tensor] = {}
    for size in dict.fromkeys(len(factor) for factor in factors):
        alike = [i for i, factor in enumerate(factors) if len(factor) == size]
        stacked = torch.stack([factors[i] for i in alike])  # (N, size, size)
        identity = torch.eye(size, device=stacked.device, dtype=stacked.dtype)
        excess = torch.baddbmm(identity.expand_as(stacked), stacked.mT, stacked, beta=-1)
        distances |= dict(zip(alike, torch.linalg.vector_norm(excess, dim=(1, 2)).unbind(), strict=True))
    return [distances[i] for i in range(len(factors))]


class DeconvFactorization:
    """DF-CNN (Lee et al. 2019): a shared tensor, deconvolved and contracted by the task (released code, item 37).

    The deconvolution has kernel 3 and stride 2, so filters of size k need a shared tensor of size (k + 1) / 2.
    """

    def init_shared(self, layer: ConvLayer, init: Initializer) -> Tensors:
        size = (layer.kernel + 1) // 2
        base = init.glorot("knowledge", (1, size, size, layer.kb_channels))  # (1, h, h, c)
        return {"knowledge": base.permute(0, 3, 1, 2).contiguous()}  # (1, c, h, h)

    def init_adapter(self, layer: ConvLayer, init: Initializer) -> Tensors:
        c, u = layer.kb_channels, layer.deconv_channels
        deconv = init.glorot("deconv", (3, 3, u, c))
        return {
            "deconv": deconv.permute(3, 2, 0, 1).contiguous(),  # (c, u, 3, 3)
            "deconv_bias": init.glorot("deconv_bias", (1, 1, 1, u)).reshape(u),
            "mixing": init.glorot("mixing", (u, layer.in_channels, layer.out_channels)),
            "bias": init.glorot("bias", (layer.out_channels,)),
        }

    def filters(self, shared: Tensors, adapter: Tensors) -> Filters:
        grown = F.conv_transpose2d(
            shared["knowledge"], adapter["deconv"], adapter["deconv_bias"], stride=2, padding=1
        )  # (1, u, k, k)
        # the sum over u as one matrix product: an einsum would copy `mixing`, the largest tensor of all
        mixed = grown[0].flatten(1).T @ adapter["mixing"].flatten(1)  # (k * k, in * out)
        return mixed.view(*grown.shape[2:], *adapter["mixing"].shape[1:]).permute(3, 2, 0, 1), adapter["bias"]

    def penalty(self, adapters: Sequence[Tensors]) -> Tensor | None:
        return None


def sharing(spec: RunSpec) -> Sharing:
    """The way of sharing that `spec.base` names."""
    if spec.base == "tf":
        return TensorFactorization(spec.model.tf_orthogonality)
    return DeconvFactorization() if spec.base == "df-cnn" else HardSharing()
