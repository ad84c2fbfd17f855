"""torchvision's ResNet-18 as five stages for `LayerTransfer`, with GroupNorm in place of BatchNorm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from lasem_core.common.errors import LasemError


def resnet18_stages(weights: str | Path | None = None) -> list[Callable[[], nn.Module]]:
    """Factories of the stem and the four groups of blocks; images (B, 3, H, W) become features (B, 512).

    Arguments:
        weights: a file of a state dict of torchvision's resnet18, such as `resnet18-f37072fd.pth`; the layers start
            from it, its running statistics and its classifier are left out. None: random weights. Nothing is
            downloaded.
    """
    if weights is not None and not Path(weights).is_file():
        raise LasemError(f"there is no file {weights} of ResNet-18 weights; nothing is downloaded")
    return [partial(_stage, number, weights) for number in range(5)]


def _stage(number: int, weights: str | Path | None) -> nn.Module:
    from torchvision.models import resnet18

    network = resnet18(norm_layer=partial(nn.GroupNorm, 32))
    if weights is not None:
        _fill(network, weights)
    if number == 0:
        return nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
    end = [network.avgpool, nn.Flatten()] if number == 4 else []
    return nn.Sequential(*getattr(network, f"layer{number}"), *end)


def _fill(network: nn.Module, weights: str | Path) -> None:
    own = {name for name in network.state_dict() if not name.startswith("fc.")}
    try:
        given = torch.load(weights, weights_only=True, map_location="cpu")
        network.load_state_dict({name: given[name] for name in own}, strict=False)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise LasemError(f"{weights} does not hold the weights of torchvision's resnet18: {reason}") from error
