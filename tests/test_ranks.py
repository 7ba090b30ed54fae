"""Rank statistics against SciPy, and what they say of few points."""

import itertools
import math

import hypothesis
import numpy as np
import pytest
import scipy.stats
from hypothesis import strategies as st

from extrapolation.report.rank_correlation import (
  concordance,
  interval,
  kendall,
  medians,
  spearman,
)
from extrapolation.report.rank_correlation import permutation_p_value as p_value

PAIRS = st.lists(
  st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12
)


@hypothesis.given(PAIRS)
def test_they_are_those_of_scipy(pairs):
  x, y = zip(*[(float(a), float(b)) for a, b in pairs], strict=True)
  if len(set(x)) < 2 or len(set(y)) < 2:
    assert math.isnan(kendall(x, y)) and math.isnan(spearman(x, y))
    return
  tau = scipy.stats.kendalltau(x, y).statistic
  assert kendall(x, y) == pytest.approx(tau, abs=1e-12)
  rho = scipy.stats.spearmanr(x, y).statistic
  assert spearman(x, y) == pytest.approx(rho, abs=1e-12)


@hypothesis.given(PAIRS)
def test_concordance_is_the_share_of_pairs_in_order(pairs):
  y = [float(b) for _, b in pairs]
  group = [float(a > 2) for a, _ in pairs]
  share = [
    0.5 if b == d else float((a < c) == (b < d))
    for (a, b), (c, d) in itertools.combinations(zip(group, y, strict=True), 2)
    if a != c
  ]
  if share:
    assert concordance(group, y) == pytest.approx(np.mean(share))
  else:
    assert math.isnan(concordance(group, y))


def test_infinite_values_tie_and_are_the_largest():
  x, y = [10.0, 100.0, math.inf, math.inf], [1.0, 1.1, 1.3, 1.2]
  ranks = [1.0, 2.0, 3.0, 3.0]
  assert kendall(x, y) == kendall(ranks, y)
  assert spearman(x, y) == pytest.approx(spearman(ranks, y))


def test_chance_is_counted_not_approximated():
  x, y = [0.0, 0.0, 0.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0]
  assert p_value(concordance, x, y) == pytest.approx(1 / 10)
  assert p_value(concordance, x, y[::-1]) == 1.0
  n = [1.0, 2.0, 3.0, 4.0]
  assert p_value(kendall, n, n) == pytest.approx(1 / 24)
  group = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
  assert p_value(concordance, group, [*range(7)]) == pytest.approx(1 / 35)
  group = [0.0] * 5 + [1.0] * 5
  p = p_value(concordance, group, [*range(10)])  # sampled
  assert p != 1 / 252 and p == pytest.approx(1 / 252, abs=0.003)


def test_what_is_undefined_stays_undefined():
  x, same = [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]
  for statistic in (kendall, spearman):
    for pair in ((x, same), (same, x)):
      assert math.isnan(statistic(*pair))
      assert math.isnan(p_value(statistic, *pair))
  assert math.isnan(concordance(same, x))
  points = [[(1.0, float(i))] * 2 for i in range(4)]
  assert all(map(math.isnan, interval(kendall, points)))


def test_seeds_that_agree_have_no_interval_and_others_one():
  same = [[(float(i), float(i))] * 3 for i in range(5)]
  assert interval(kendall, same) == pytest.approx((1, 1))
  rng = np.random.default_rng(1)
  noisy = [
    [(float(i), i + rng.normal() * 2) for _ in range(5)] for i in range(5)
  ]
  low, high = interval(kendall, noisy)
  assert low < 0.75 < high <= 1
  assert interval(kendall, noisy) == (low, high)  # no luck in it


def test_the_medians_of_two_are_the_wider_field():
  assert medians([(5.0, 1.0), (math.inf, 2.0)]) == (math.inf, 1.5)
  assert medians([(5.0, 1.0), (7.0, 2.0)]) == (7.0, 1.5)
  assert medians([(7.0, 1.0), (5.0, 4.0), (6.0, 2.0)]) == (6.0, 2.0)


def test_numbers_are_those_of_the_statistics_written_out():
  """What 5,040 orders and 1,000 draws gave before SciPy counted them."""
  inf = math.inf
  x = [3.0, 5.0, 5.0, 9.0, 20.0, inf, inf, inf]
  y = [1.0, 1.01, 0.99, 1.2, 1.05, 1.3, 1.2, 2.0]
  diverges = [float(math.isinf(v)) for v in x]
  for statistic, of, value, p in (
    (kendall, x, 0.7463904912524668, 1 / 30),
    (spearman, x, 0.8768105301663434, 1 / 30),
    (concordance, diverges, 0.9666666666666667, 4 / 30),
  ):
    assert statistic(of, y) == pytest.approx(value, abs=1e-12)
    assert p_value(statistic, of[1:7], y[1:7]) == pytest.approx(p)
  assert p_value(concordance, diverges, y) == pytest.approx(0.0345, abs=0.006)
  assert p_value(kendall, x, y) == pytest.approx(0.0073, abs=0.004)
  rng = np.random.default_rng(3)
  points = [
    [(float(i), i + 2 * rng.normal()) for _ in range(4)] for i in range(8)
  ]
  assert interval(kendall, points) == pytest.approx((0.5, 1), abs=0.08)
  assert interval(spearman, points) == pytest.approx((0.6, 1), abs=0.08)
