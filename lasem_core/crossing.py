"""Host and device: what crosses, crosses together, since each crossing has a price of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice

import torch
from torch import Tensor


def fetch(tensors: Sequence[Tensor]) -> list[list[float]]:
    """The numbers of vectors of one dtype, after one wait for the device."""
    numbers = iter(torch.cat(list(tensors)).tolist())
    return [list(islice(numbers, len(tensor))) for tensor in tensors]


def send(vectors: Sequence[Sequence[int]], device: torch.device) -> list[Tensor]:
    """int64 vectors on `device`, parts of one tensor: one transfer, which the host need not wait for."""
    together = torch.tensor(list(chain(*vectors)), dtype=torch.int64).to(device, non_blocking=True)
    return list(together.split([len(vector) for vector in vectors]))
