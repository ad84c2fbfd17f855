"""SplitMix64 against plain integers; masks, permutations and normals that depend on their key alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lasem_core.common import keyed_random as kr

ALL = (1 << 64) - 1


def splitmix(state, n):
    out = []
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) & ALL
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & ALL
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & ALL
        out.append(z ^ (z >> 31))
    return out


@given(st.integers(-(2**63), 2**63 - 1))
def test_words_are_splitmix64(key):
    start = splitmix((key - 0x9E3779B97F4A7C15) & ALL, 1)[0]
    assert [w & ALL for w in kr.words(key, torch.tensor([0]), 5)[0].tolist()] == splitmix(start, 5)


@given(st.lists(st.integers(0, 600), min_size=1, max_size=6, unique=True), st.integers(1, 200))
def test_a_stream_does_not_depend_on_its_company(streams, n):
    together = kr.bernoulli_mask(7, torch.tensor(streams), n, 0.5)
    for row, stream in zip(together, streams, strict=True):
        assert torch.equal(row, kr.bernoulli_mask(7, torch.tensor([stream]), n, 0.5)[0])


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_masks_keep_their_share(keep):
    mask = kr.bernoulli_mask(1, torch.arange(4), 100_001, keep)
    assert mask.shape == (4, 100_001)
    assert mask.double().mean() == pytest.approx(keep, abs=0.004)
    agreement = (mask[0] == mask[1]).double().mean()
    assert agreement == pytest.approx(keep**2 + (1 - keep) ** 2, abs=0.01)


@given(st.integers(0, 50), st.integers(1, 300))
def test_permutations_are_permutations(key, n):
    assert sorted(kr.permutation(key, n).tolist()) == list(range(n))


def test_normals():
    values = kr.normal(3, torch.arange(2), 50_000)
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(1, abs=0.01)
    assert torch.isfinite(values).all()


def test_keys_differ_by_every_part():
    keys = {kr.key(*parts) for parts in [(0, "a"), (0, "b"), (1, "a"), ("0", "a"), (0, "a", 0)]}
    assert len(keys) == 5
