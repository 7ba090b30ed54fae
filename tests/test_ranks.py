"""Rank statistics against scipy, and what they say of few points."""

import math

import hypothesis
import numpy as np
import pytest
import scipy.stats
from hypothesis import strategies as st

from extrapolation import ranks

PAIRS = st.lists(
  st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12
)


@hypothesis.given(PAIRS)
def test_they_are_those_of_scipy(pairs):
  x, y = zip(*[(float(a), float(b)) for a, b in pairs], strict=True)
  if len(set(x)) < 2 or len(set(y)) < 2:
    assert math.isnan(ranks.kendall(x, y)) and math.isnan(ranks.spearman(x, y))
    return
  tau = scipy.stats.kendalltau(x, y).statistic
  assert ranks.kendall(x, y) == pytest.approx(tau, abs=1e-12)
  rho = scipy.stats.spearmanr(x, y).statistic
  assert ranks.spearman(x, y) == pytest.approx(rho, abs=1e-12)
  group = [float(a > np.median(x)) for a in x]
  high = [b for a, b in zip(group, y, strict=True) if a]
  low = [b for a, b in zip(group, y, strict=True) if not a]
  if high and low:
    U = scipy.stats.mannwhitneyu(high, low).statistic
    share = U / len(high) / len(low)
    assert ranks.separation(group, y) == pytest.approx(share)


def test_infinite_values_tie_and_are_the_largest():
  x, y = [10.0, 100.0, math.inf, math.inf], [1.0, 1.1, 1.3, 1.2]
  assert ranks.kendall(x, y) == ranks.kendall([1.0, 2.0, 3.0, 3.0], y)
  assert ranks.spearman(x, y) == pytest.approx(
    scipy.stats.spearmanr([1, 2, 3, 3], y).statistic
  )


def test_chance_is_counted_not_approximated():
  x, y = [0.0, 0.0, 0.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0]
  assert ranks.chance(ranks.separation, x, y) == pytest.approx(1 / 10)
  assert ranks.chance(ranks.separation, x, y[::-1]) == 1.0
  n = [1.0, 2.0, 3.0, 4.0]
  assert ranks.chance(ranks.kendall, n, n) == pytest.approx(1 / 24)
  many = [float(i) for i in range(10)]
  assert ranks.chance(ranks.kendall, many, many) <= 4e-4  # sampled


def test_seeds_that_agree_have_no_interval_and_others_one():
  same = [[(float(i), float(i))] * 3 for i in range(5)]
  assert ranks.interval(ranks.kendall, same) == (1.0, 1.0)
  rng = np.random.default_rng(1)
  noisy = [
    [(float(i), i + rng.normal() * 2) for _ in range(5)] for i in range(5)
  ]
  low, high = ranks.interval(ranks.kendall, noisy)
  assert low < 0.75 < high <= 1
  assert ranks.interval(ranks.kendall, noisy) == (low, high)  # no luck in it


def test_the_middle_of_two_is_the_wider_field():
  assert ranks.middle([(5.0, 1.0), (math.inf, 2.0)]) == (math.inf, 1.5)
  assert ranks.middle([(7.0, 1.0), (5.0, 4.0), (6.0, 2.0)]) == (6.0, 2.0)
