"""Networks of five stages that a run can take in place of the paper's CNN: `model.network`.

Nothing in them depends on other images of the batch: `GroupNorm` and `LayerNorm`, not `BatchNorm`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

Factories = list[Callable[[], nn.Module]]
WIDTH = 32  # of a patch's token

norm = partial(nn.GroupNorm, 4)


def block(n_in: int, n_out: int, *stride_and_shortcut: int | nn.Module) -> nn.Module:
    """torchvision's, which is imported only here: it brings torch's compiler with it, as slow to import as torch."""
    from torchvision.models.resnet import BasicBlock

    return BasicBlock(n_in, n_out, *stride_and_shortcut, norm_layer=norm)


def _halved(n_in: int, n_out: int) -> nn.Module:
    return block(n_in, n_out, 2, nn.Sequential(nn.Conv2d(n_in, n_out, 1, 2, bias=False), norm(n_out)))


def resnet(channels: int, side: int) -> Factories:
    """A ResNet of a stem and four blocks: images (B, channels, side, side) become features (B, 32, 1, 1)."""
    return [
        lambda: nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1, bias=False), norm(8), nn.ReLU()),
        lambda: block(8, 8),
        lambda: _halved(8, 16),
        lambda: block(16, 16),
        lambda: nn.Sequential(_halved(16, 32), nn.AdaptiveAvgPool2d(1)),
    ]


class Patches(nn.Module):
    """Images (B, channels, side, side) as tokens (B, patches, 32): about eight patches a side, and where they lie."""

    def __init__(self, channels: int, side: int):
        super().__init__()
        size = max(2, side // 8)
        self.cut = nn.Conv2d(channels, WIDTH, size, size)
        self.place = nn.Parameter(0.02 * torch.randn((side // size) ** 2, WIDTH))

    def forward(self, images: Tensor) -> Tensor:
        return self.cut(images).flatten(2).mT + self.place


attention = partial(nn.TransformerEncoderLayer, WIDTH, 4, 64, dropout=0.0, batch_first=True, norm_first=True)


def transformer(channels: int, side: int) -> Factories:
    """A vision transformer: patches, then four blocks of attention; features (B, 1, 32), the mean over patches."""
    end = partial(nn.AdaptiveAvgPool2d, (1, WIDTH))
    return [
        partial(Patches, channels, side),
        *[attention] * 3,
        lambda: nn.Sequential(attention(), nn.LayerNorm(WIDTH), end()),
    ]


NETWORKS: dict[str, Callable[[int, int], Factories]] = {"resnet": resnet, "transformer": transformer}
