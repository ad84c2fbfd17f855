"""Random numbers as a pure function of a key and a counter (SplitMix64; Steele et al. 2014).

Nothing in a run depends on how many numbers were drawn before: the dropout mask of a configuration is the
same whether 1 or 512 configurations are evaluated beside it, a resumed run needs no generator state, and
each image keeps its own noise whatever the batch. Integer arithmetic on tensors only, so it runs on any
device, gives the same bits there, and never synchronises with the host.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
_MIX_2 = -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB


def key(*parts: object) -> int:
    """A signed 64-bit key from any printable parts, e.g. `key(seed, "dropout", task, step)`."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _shift_right(words: Tensor, bits: int) -> Tensor:
    return (words >> bits) & ((1 << (64 - bits)) - 1)  # int64 shifts are arithmetic, SplitMix64's are logical


def _mix(words: Tensor) -> Tensor:
    words = (words ^ _shift_right(words, 30)) * _MIX_1
    words = (words ^ _shift_right(words, 27)) * _MIX_2
    return words ^ _shift_right(words, 31)


def words(key: int, streams: Tensor, n: int) -> Tensor:
    """Random 64-bit words (S, n): word j of stream s depends on (key, streams[s], j) alone.

    Arguments:
        key: see `key()`.
        streams: (S,) int64, e.g. configuration indices or image numbers.
        n: words per stream.
    """
    starts = _mix(streams * _GOLDEN + key)[:, None]  # (S, 1)
    counters = torch.arange(1, n + 1, device=streams.device)  # (n,)
    return _mix(starts + counters * _GOLDEN)  # (S, n)


def uniform(key: int, streams: Tensor, n: int) -> Tensor:
    """Float64 numbers in (0, 1), shape (S, n), 53 random bits each."""
    return (_shift_right(words(key, streams, n), 11).double() + 0.5) * 2.0**-53


def normal(key: int, streams: Tensor, n: int) -> Tensor:
    """Standard normal float64 numbers (S, n), by inversion."""
    return math.sqrt(2) * torch.erfinv(2 * uniform(key, streams, n) - 1)


def permutation(key: int, n: int, device: torch.device | str = "cpu") -> Tensor:
    """A random order (n,) of 0..n-1."""
    return torch.argsort(words(key, torch.zeros(1, dtype=torch.int64, device=device), n)[0], stable=True)


def bernoulli_mask(key: int, streams: Tensor, n: int, keep: float) -> Tensor:
    """Which of n units stay, (S, n) bool; a fair coin takes one random bit, any other 32."""
    if keep == 0.5:
        packed = words(key, streams, -(-n // 64)).view(torch.uint8)  # (S, 8 * ceil(n / 64))
        bits = (packed[..., None] >> torch.arange(8, dtype=torch.uint8, device=streams.device)) & 1
        return bits.flatten(1)[:, :n].bool()
    draws = words(key, streams, -(-n // 2)).view(torch.int32)[:, :n]
    return draws.double() < (keep - 0.5) * 2.0**32
