"""Intervals of medians, and how many trials would decide."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasem_core.common.statistics import MOST_TRIALS, median_interval, t_interval, trials_to_decide


def like(mean, spread, n):
    """`n` values of this mean and standard deviation."""
    values = np.random.default_rng(0).standard_normal(n)
    return mean + spread * (values - values.mean()) / values.std(ddof=1)


def reaches(mean, spread, n, level, margin):
    """Whether the t-interval of `n` such values holds the margin on the mean's side of 0."""
    centre, half = t_interval(like(mean, spread, n), level)
    return abs(abs(centre) - margin) <= half


@given(st.floats(-5, 5), st.floats(0.1, 5), st.integers(2, 6), st.sampled_from([0.9, 0.95]), st.sampled_from([0, 2.0]))
def test_the_fewest_trials_whose_interval_decides(mean, spread, n, level, margin):
    needed = trials_to_decide(like(mean, spread, n), level, margin)
    if math.isinf(needed):
        assert reaches(mean, spread, MOST_TRIALS, level, margin)
    else:
        assert needed >= max(3, n) and not reaches(mean, spread, int(needed), level, margin)
        assert needed == max(3, n) or reaches(mean, spread, int(needed) - 1, level, margin)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.0]])
def test_without_a_spread_nobody_knows(values):
    assert math.isnan(trials_to_decide(values))


def test_the_interval_of_a_median_holds_it_in_95_of_100_samples():
    samples = np.random.default_rng(1).exponential(size=(1000, 21))
    intervals = [median_interval(sample) for sample in samples]
    held = np.mean([low <= math.log(2) <= high for low, high in intervals])
    assert 0.95 <= held < 0.99
    assert median_interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0]) == (1.0, 6.0)
    assert median_interval(range(5)) is None
