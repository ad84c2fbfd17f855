"""Progressive Neural Networks (Rusu et al. 2016, Eqs. 1 and 2), convolutional, as released-code item 56 sets them up.

Task k has a column of its own; layer l >= 2 also sees, from each earlier column j,

    h_l^(k) = ReLU( W_l^(k) * h_{l-1}^(k) + b_l^(k) + sum_{j<k} U_l^(k:j) * ReLU( V_l^(k:j) (alpha h_{l-1}^(j)) + c ) )

V a 1x1 convolution to n = max(1, int(c_in / (s (P + 1)))) channels for P earlier columns and compression s, U a
convolution of the layer's kernel without bias, alpha a scalar; pooling follows as in any layer. Earlier columns are
frozen, so the forgetting ratio is exactly 1, and a step costs a forward pass of every earlier column more. (A task
that is visited again trains its own column on; the columns made after it then see the change.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from lasem_core.learners.gradient import GradientLearner
from lasem_core.learners.protocol import Environment, TaskContext
from lasem_core.model.layers import activate, convolve, flat, head_tensors, tensors_of
from lasem_core.model.transfer import Initializer, Tensors, specific_filters
from lasem_core.spec.architecture import ConvLayer

Laterals = list[dict[int, Tensors]]  # per layer, by the earlier task's number


class Progressive(GradientLearner):
    """A column per task, each with lateral connections from those before it."""

    knowledge = ("columns", "laterals")

    def __init__(self, env: Environment):
        super().__init__(env)
        self.columns: dict[int, list[Tensors]] = {}
        self.laterals: dict[int, Laterals] = {}

    def add_task(self, context: TaskContext) -> None:
        init, earlier = self.initializer("task", context.visit), list(self.columns)
        layers = self.arch.layers
        self.laterals[context.number] = [
            {j: self._lateral(layer, len(earlier), init.scoped("lateral", layer.number, j)) for j in earlier}
            if layer.number > 1
            else {}
            for layer in layers
        ]
        self.columns[context.number] = [specific_filters(lay, init.scoped("specific", lay.number)) for lay in layers]
        self.heads[context.number] = head_tensors(self.arch, context.task.n_classes, init.scoped("head"))

    def _lateral(self, layer: ConvLayer, n_earlier: int, init: Initializer) -> Tensors:
        n = max(1, int(layer.in_channels / (self.spec.progressive.compression * (n_earlier + 1))))
        return {
            "alpha": init.weight("alpha", (1,)),
            "reduce": init.weight("reduce", (n, layer.in_channels, 1, 1)),
            "reduce_bias": init.bias(n),
            "weight": init.weight("weight", (layer.out_channels, n, layer.kernel, layer.kernel)),
        }

    def _column(self, number: int) -> list[Tensors]:
        """Every group of tensors that task `number` owns."""
        laterals = [group for by_task in self.laterals[number] for group in by_task.values()]
        return [*self.columns[number], *laterals, *self.heads[number]]

    def trainable(self) -> list[Tensor]:
        return tensors_of(self._column(self.current.number))

    def features(self, number: int, images: Tensor) -> Tensor:
        """All columns that `number` looks at, layer by layer; the frozen ones without a graph."""
        x = images.to(self.env.compute_dtype)
        columns = [*(self.laterals[number][-1]), number]
        inputs = dict.fromkeys(columns, x)
        for position, layer in enumerate(self.arch.layers):
            with torch.no_grad():
                outputs = {j: self._layer(j, position, layer, inputs) for j in columns[:-1]}
            outputs[number] = self._layer(number, position, layer, inputs)
            inputs = outputs
        return flat(inputs[number], self.env.dtype)

    def _layer(self, number: int, position: int, layer: ConvLayer, inputs: dict[int, Tensor]) -> Tensor:
        own = self.columns[number][position]
        z = convolve(inputs[number], own["weight"], own["bias"], layer)
        for j, lateral in self.laterals[number][position].items():
            z = z + convolve(_reduced(inputs[j], lateral), lateral["weight"], None, layer)
        return activate(z, layer)

    def stored_tensors(self) -> dict[str, list[Tensor]]:
        return {"shared": []} | {f"task{n}": tensors_of(self._column(n)) for n in self.columns}


def _reduced(h: Tensor, lateral: Tensors) -> Tensor:
    """ReLU of the 1x1 convolution of alpha h, (B, n, H, W)."""
    scaled = h * lateral["alpha"].to(h.dtype)
    return torch.conv2d(scaled, lateral["reduce"].to(h.dtype), lateral["reduce_bias"].to(h.dtype)).relu()
