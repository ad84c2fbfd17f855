"""From stored uint8 pixels to what a network sees, batch by batch: range, fixed noise, channel order, statistics.

Twenty STL-10 tasks as float copies would take 6 GB; as one uint8 pool and a `Pixels` per split they take 0.4 GB.
The noise is a pure function of (key, image), so every image keeps its own noise whatever the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from lasem_core.common.keyed_random import words
from lasem_core.data.stream import Split

STATISTICS_CHUNK = 64  # images


@dataclass(frozen=True)
class Noise:
    """Gaussian noise, i.i.d. per pixel value, fixed per image; `key` names task and split."""

    mean: float
    std: float
    key: int


@dataclass(frozen=True)
class Pixels:
    """The `prepare` of a uint8 split; a picklable value, equal when it does the same.

    Attributes:
        low: value of a black pixel; white is `low` + 1.
        noise: added and clipped to [low, low + 1]; None: no noise.
        channels: the new channel order; None: as stored.
        centre, spread: per-channel statistics, (x - centre) / spread; None: as is.
    """

    low: float = 0.0
    noise: Noise | None = None
    channels: tuple[int, ...] | None = None
    centre: tuple[float, ...] | None = None
    spread: tuple[float, ...] | None = None

    def __call__(self, images: Tensor, index: Tensor) -> Tensor:
        """Float images (B, C, H, W) in channels-last memory from uint8 ones.

        Arguments:
            images: (B, C, H, W) uint8.
            index: (B,) their positions in the split, which the noise depends on.
        """
        x = images.permute(0, 2, 3, 1)  # (B, H, W, C)
        if self.channels is not None:  # before the noise: it is i.i.d., and bytes move faster
            x = torch.stack([x[..., c] for c in self.channels], -1)
        x = x.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / 255).add_(self.low)
        if self.noise is not None:
            x = x.add_(gaussian(self.noise, index, x[0].numel()).view_as(x)).clamp_(self.low, self.low + 1)
        if self.centre is not None and self.spread is not None:
            x = (x - _constants(self.centre, x.device)) / _constants(self.spread, x.device)
        return x.permute(0, 3, 1, 2)


def gaussian(noise: Noise, index: Tensor, n: int) -> Tensor:
    """Noise (B, n) of the images at `index` (B,); four values from each 64-bit word, by table."""
    if noise.std == 0:
        return torch.full((len(index), n), noise.mean, device=index.device)
    packed = words(noise.key, index, -(-n // 4)).view(torch.int16)[:, :n]  # (B, n)
    table = _quantiles(noise.mean, noise.std, index.device)
    return table.index_select(0, packed.flatten().int() + 32768).view(len(index), n)


@lru_cache(maxsize=64)
def _quantiles(mean: float, std: float, device: torch.device) -> Tensor:
    """The 65536 equally likely values of N(mean, std^2): exact on every device, and ten times faster than
    inverting the error function for each pixel."""
    levels = (torch.arange(65536, dtype=torch.float64) + 0.5) / 65536
    return (mean + std * math.sqrt(2) * torch.erfinv(2 * levels - 1)).float().to(device)


@lru_cache(maxsize=1024)
def _constants(values: tuple[float, ...], device: torch.device) -> Tensor:
    """(C,) float32, kept: from Python numbers it is a copy that every batch on an accelerator would wait for."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def pooled(pool: Tensor, rows: list[Tensor], pixels: Pixels) -> Split:
    """The split of the classes' rows [(N_k,)] in a shared pool of images, label = position in the list."""
    labels = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([len(part) for part in rows]))
    return Split(pool, labels, pixels, torch.cat(rows))


def standardised(train: Split, valid: Split, test: Split, statistics: str) -> tuple[Split, Split, Split]:
    """The splits with per-channel statistics in their `prepare`; `statistics` as in `splits.standardise`."""
    if statistics == "none":
        return train, valid, test
    first = _with_statistics(train, train)
    if statistics == "split":
        return first, _with_statistics(valid, valid), _with_statistics(test, test)
    return first, _with_statistics(valid, train), _with_statistics(test, train)


def _with_statistics(split: Split, reference: Split) -> Split:
    centre, spread = _statistics(reference)
    return replace(split, prepare=replace(split.prepare, centre=centre, spread=spread))


@torch.no_grad()
def _statistics(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    totals = torch.zeros(2, split.images.shape[1], dtype=torch.float64)  # sums of x and x^2 per channel
    for index in torch.arange(len(split)).split(STATISTICS_CHUNK):
        x = split.batch(index)[0].double()
        totals += torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3))])
    values = len(split) * math.prod(split.images.shape[2:])
    mean, square = totals / values
    spread = (square - mean**2).clamp_min(1 / values).sqrt()
    return tuple(mean.tolist()), tuple(spread.tolist())
