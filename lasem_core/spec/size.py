"""How large a network would be, computed before it is made."""

from __future__ import annotations

from itertools import pairwise

from lasem_core.common.errors import LasemError
from lasem_core.spec.architecture import Architecture, ConvLayer
from lasem_core.spec.run_spec import RunSpec

MOST = 2**28  # numbers of one task's network, 1 GB in single precision


def check_size(spec: RunSpec, arch: Architecture) -> None:
    """Raise LasemError where one task's network has more than `MOST` numbers."""
    sizes = {
        f"layer {layer.number} (model.channels {layer.out_channels})": _layer(spec, layer) for layer in arch.layers
    }
    widths = (arch.n_features, *arch.head, spec.stream.classes_per_task)
    sizes["the head (model.head, classes per task)"] = sum(n_in * n_out for n_in, n_out in pairwise(widths))
    if spec.method == "den":
        sizes["the new units (den.expansion)"] = sum(
            spec.den.expansion * layer.in_channels * layer.kernel**2 for layer in arch.layers
        )
    if (total := sum(sizes.values())) > MOST:
        raise LasemError(
            f"the network of one task would hold {total:,} numbers, most of them in {max(sizes, key=sizes.get)}; "
            f"at most {MOST:,}: use fewer channels or units"
        )


def _layer(spec: RunSpec, layer: ConvLayer) -> int:
    """Numbers of a layer's own filters and of what makes its shared ones."""
    pairs, cells = layer.in_channels * layer.out_channels, layer.kernel**2
    if spec.base == "df-cnn":
        return pairs * cells + layer.deconv_channels * (pairs + 9 * layer.kb_channels)
    squares = layer.in_channels**2 + layer.out_channels**2 if spec.base == "tf" else 0
    return pairs * cells + squares
