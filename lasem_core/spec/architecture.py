"""Geometry of the task CNN (paper, Figure 6): sizes and paddings, no tensors."""

from __future__ import annotations

from dataclasses import dataclass

from lasem_core.common.errors import LasemError
from lasem_core.spec.parts import ModelSpec


@dataclass(frozen=True)
class ConvLayer:
    """One convolutional layer: convolution (SAME, stride 1), bias, ReLU, max-pool.

    `pool_padding` is TensorFlow's SAME padding before the first cell; the rest goes behind the last cell,
    which `ceil_mode` provides (e.g. 43 -> 15 pads 1 and 1, 32 -> 11 pads 0 and 1).
    """

    number: int  # counted from 1
    in_channels: int
    out_channels: int
    kernel: int
    pool: int
    pool_padding: int
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    kb_channels: int  # DF-CNN: channels of the shared tensor
    deconv_channels: int  # DF-CNN: channels after the deconvolution

    @property
    def flops(self) -> int:
        """Multiply-adds times two of one forward convolution of one image."""
        height, width = self.in_size
        return 2 * self.kernel**2 * self.in_channels * self.out_channels * height * width


@dataclass(frozen=True)
class Architecture:
    """A task network: convolutional layers, then fully connected `head` widths, then one logit per class."""

    layers: tuple[ConvLayer, ...]
    head: tuple[int, ...]
    dropout: float

    @classmethod
    def build(cls, model: ModelSpec, image_shape: tuple[int, int, int]) -> Architecture:
        """Lay out `model` on images of shape (C, H, W).

        Raises LasemError where a kernel is even (SAME padding would be lopsided, DF-CNN impossible), or where a
        kernel or a pool is larger than what is left of the image.
        """
        channels, *size = image_shape
        layers: list[ConvLayer] = []
        for position in range(model.depth):
            layer = _conv_layer(model, position, channels, (size[0], size[1]))
            layers.append(layer)
            channels, size = layer.out_channels, list(layer.out_size)
        return cls(tuple(layers), model.head, model.dropout)

    @property
    def depth(self) -> int:
        return len(self.layers)

    @property
    def n_features(self) -> int:
        """Flattened features behind the last convolutional layer."""
        height, width = self.layers[-1].out_size
        return height * width * self.layers[-1].out_channels


def _conv_layer(model: ModelSpec, position: int, channels: int, size: tuple[int, int]) -> ConvLayer:
    kernel, pool, out_channels = model.kernels[position], model.pools[position], model.channels[position]
    if kernel % 2 == 0:
        raise LasemError(f"model.kernels {model.kernels}: {kernel} is even; use odd kernel sizes")
    _check_fits("kernels", kernel, 2 * min(size) + 1, position, size)
    _check_fits("pools", pool, min(size), position, size)
    pads = {-side % pool // 2 for side in size}
    if len(pads) > 1:
        raise LasemError(f"model.pools {model.pools}: images of {size[0]}x{size[1]} need different pooling "
                         f"paddings per side at layer {position + 1}; use square images")  # fmt: skip
    thirds = channels + out_channels
    return ConvLayer(
        number=position + 1,
        in_channels=channels,
        out_channels=out_channels,
        kernel=kernel,
        pool=pool,
        pool_padding=pads.pop(),
        in_size=size,
        out_size=(-(-size[0] // pool), -(-size[1] // pool)),
        kb_channels=model.kb_channels[position] if model.kb_channels else round(thirds / 3),
        deconv_channels=model.deconv_channels[position] if model.deconv_channels else round(2 * thirds / 3),
    )


def _check_fits(field: str, value: int, most: int, position: int, size: tuple[int, int]) -> None:
    """A kernel beyond twice the map would only see padding; a pool beyond the map would pool nothing."""
    if value > most:
        raise LasemError(
            f"model.{field}: {value} at layer {position + 1}, where the map is {size[0]}x{size[1]}; "
            f"use at most {most}, or pool less in the layers before"
        )
