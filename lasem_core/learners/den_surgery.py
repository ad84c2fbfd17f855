"""What DEN does to a network between two phases: select, expand, drop, split (Yoon et al. 2018, Algorithms 2 to 4).

Layers are lists of {"weight": (N, N_in, k, k), "bias": (N,)}, changed in place; units of earlier tasks come first,
their number is the length of `before`, the layers as the task found them. The head's first weight is
(width, N_L * H * W), channel first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lasem_core.model.transfer import Initializer, Tensors

Layers = Sequence[Tensors]


def shrink(weight: Tensor, amount: float | Tensor, within: tuple[int, ...]) -> None:
    """The proximal step of the group lasso, in place; a group = the entries along the dimensions `within`.

    A group's root mean square falls by `amount`, to zero at least: groups of one entry make it the L1 norm's step.
    """
    size = root_mean_square(weight, within).clamp(min=torch.finfo(weight.dtype).tiny)
    weight.mul_((1 - amount / size).clamp(min=0))


def root_mean_square(weight: Tensor, within: tuple[int, ...] | None = None) -> Tensor:
    """Over the dimensions `within` (None: all), which stay with size one."""
    return weight.square().mean(within, keepdim=True).sqrt()


def head_connections(head: Layers, n_units: int) -> Tensor:
    """A view (width, n_units, H * W) of the head's first weight, without graph: a unit's connection is [:, unit]."""
    return head[0]["weight"].detach().view(-1, n_units, head[0]["weight"].shape[1] // n_units)


def walk_back(layers: Layers, head: Layers, threshold: float) -> list[Tensor]:
    """Units per layer, (N_l,) bool, that the head depends on.

    A connection, unit to head or unit to unit, counts if its root mean square exceeds `threshold` times the
    largest of its layer.
    """
    reached = _large(root_mean_square(head_connections(head, len(layers[-1]["bias"])), (0, 2)).flatten(), threshold)
    units = [reached]
    for layer in reversed(layers[1:]):
        reached = _sources(_large(root_mean_square(layer["weight"], (2, 3))[..., 0, 0], threshold), reached)
        units.insert(0, reached)
    return units


def _large(sizes: Tensor, threshold: float) -> Tensor:
    return sizes > threshold * sizes.max()


def _sources(connected: Tensor, targets: Tensor) -> Tensor:
    return (connected & targets[:, None]).any(0)


def masks_of_reached(layers: Layers, head: Layers, reached: Sequence[Tensor]) -> list[Tensor | None]:
    """1 where a weight joins two reached units; the head sees reached units only."""
    masks: list[Tensor | None] = []
    below = torch.ones_like(reached[0][:1]).expand(layers[0]["weight"].shape[1])
    for layer, here in zip(layers, reached, strict=True):
        dtype = layer["weight"].dtype
        masks += [(here[:, None] & below)[..., None, None].to(dtype), here.to(dtype)]
        below = here
    per_unit = head[0]["weight"].shape[1] // len(below)
    masks.append(below.repeat_interleave(per_unit, output_size=head[0]["weight"].shape[1]).to(head[0]["weight"].dtype))
    return masks + [None] * (2 * len(head) - 1)


def masks_of_new(layers: Layers, before: Layers) -> list[Tensor]:
    """1 where a weight comes from or goes to a unit of this task."""
    masks = []
    for layer, old in zip(layers, before, strict=True):
        weight, bias = torch.ones_like(layer["weight"][:, :, :1, :1]), torch.ones_like(layer["bias"])
        n_out, n_in = old["weight"].shape[:2]
        weight[:n_out, :n_in], bias[:n_out] = 0, 0
        masks += [weight.detach(), bias.detach()]
    return masks


def expand(layers: Layers, head: Layers, k: int, init: Initializer) -> None:
    """Add k units to every layer, freshly initialised as are all their connections."""
    added = 0
    for number, layer in enumerate(layers, start=1):
        n, n_in, *size = layer["weight"].shape
        into_old = init.weight(f"into old {number}", (n, added, *size))
        rows = init.weight(f"rows {number}", (k, n_in + added, *size))
        layer["weight"] = torch.cat([torch.cat([layer["weight"], into_old], 1), rows])
        layer["bias"] = torch.cat([layer["bias"], init.bias(k)])
        added = k
    width, n_features = head[0]["weight"].shape
    per_unit = n_features // (len(layers[-1]["bias"]) - k)
    head[0]["weight"] = torch.cat([head[0]["weight"], init.weight("head", (width, k * per_unit))], 1)


def drop_useless(layers: Layers, head: Layers, before: Layers, threshold: float) -> None:
    """Remove this task's units whose incoming weights are at most `threshold` times the largest unit's (in RMS)."""
    for position, (layer, old) in enumerate(zip(layers, before, strict=True)):
        useful = _large(root_mean_square(layer["weight"], (1, 2, 3)).flatten(), threshold)
        useful[: len(old["bias"])] = True
        above = layers[position + 1] if position + 1 < len(layers) else head[0]
        _select_inputs(above, useful)
        layer["weight"], layer["bias"] = layer["weight"][useful], layer["bias"][useful]


def _select_inputs(group: Tensors, units: Tensor) -> None:
    by_unit = group["weight"].unflatten(1, (len(units), -1))  # (N, N_in, rest)
    group["weight"] = by_unit[:, units].flatten(1, 2)


def split_drifted(layers: Layers, head: Layers, before: Layers, threshold: float) -> list[int]:
    """Copy the units that drifted to the end and return the originals to their old weights.

    Returns: units split, per layer.
    """
    below = torch.zeros(0, dtype=torch.int64, device=head[0]["weight"].device)
    counts = []
    for layer, old in zip(layers, before, strict=True):
        drifted = _drifted(layer, old, threshold)
        rows, biases = layer["weight"][drifted], layer["bias"][drifted]
        n_out, n_in = old["weight"].shape[:2]
        layer["weight"], layer["bias"] = layer["weight"].clone(), layer["bias"].clone()
        layer["weight"][drifted, :n_in] = old["weight"][drifted]
        layer["bias"][drifted] = old["bias"][drifted]
        layer["weight"], layer["bias"] = torch.cat([layer["weight"], rows]), torch.cat([layer["bias"], biases])
        _hand_over(layer, below, n_out)
        below = drifted
        counts.append(len(drifted))
    _hand_over(head[0], below, 0, len(layers[-1]["bias"]) - len(below))
    return counts


def _drifted(layer: Tensors, old: Tensors, threshold: float) -> Tensor:
    n_out, n_in = old["weight"].shape[:2]
    distance = (layer["weight"][:n_out, :n_in] - old["weight"]).flatten(1).norm(dim=1)
    return (distance > threshold).nonzero()[:, 0]


def _hand_over(group: Tensors, copied: Tensor, n_old: int, n_units: int | None = None) -> None:
    """Inputs for the copies: units of this task (from `n_old` on) listen to a copy instead of its original."""
    weight = group["weight"]
    by_unit = weight.unflatten(1, (n_units or weight.shape[1], -1)).clone()  # (N, N_in, rest)
    inputs = by_unit[:, copied]
    inputs[:n_old] = 0
    by_unit[n_old:, copied] = 0
    group["weight"] = torch.cat([by_unit, inputs], 1).flatten(1, 2)
