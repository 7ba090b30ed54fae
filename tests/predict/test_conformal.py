"""Jackknife+: the order statistics by hand, and that it covers as it says."""

import math

import numpy as np
import pytest

from extrapolation.predict import conformal


def test_ends_are_order_statistics():
  predicted = np.zeros(10)
  missed = np.arange(1.0, 11)
  # 0.9 of 11 is 9.9, the tenth of ten; 0.8 is 8.8, the ninth.
  assert conformal.interval(predicted, missed, 0.9) == (-10.0, 10.0)
  assert conformal.interval(predicted, missed, 0.8) == (-9.0, 9.0)
  assert conformal.interval(predicted, missed, 10 / 11) == (-10.0, 10.0)
  moved = conformal.interval(predicted + 3, missed, 0.8)
  assert moved == (-6.0, 12.0)


def test_few_cases_promise_little():
  assert conformal.promised(4, 0.9) == 0.8
  assert conformal.promised(10, 0.9) == 0.9
  assert conformal.interval(np.zeros(2), np.array([1.0, 2.0]), 0.9) == (-2, 2)


@pytest.mark.parametrize('n, level', [(10, 0.9), (20, 0.9), (9, 0.8)])
def test_it_covers_as_often_as_it_says(n, level):
  """A law y = a x through 0 with noise that grows with x, 2,000 times."""
  rng = np.random.default_rng(n)
  trials = 2000
  x = rng.uniform(0, 0.8, (trials, n + 1))
  y = 0.1 * x + (0.25 + x) * rng.normal(0, 0.02, x.shape)
  inside = 0
  for xs, ys in zip(x, y, strict=True):
    x1, y1 = xs[:-1], ys[:-1]
    xy, xx = x1 @ y1, x1 @ x1
    a = (xy - x1 * y1) / (xx - x1**2)  # each without one
    missed = np.abs(y1 - a * x1) / (0.25 + x1)
    low, high = conformal.interval(a * xs[-1], missed * (0.25 + xs[-1]), level)
    inside += low <= ys[-1] <= high
  error = 3 * math.sqrt(level * (1 - level) / trials)
  # Above by less than 1 / (n + 1), the step of a rank.
  assert level - error - 0.01 <= inside / trials <= level + 1 / (n + 1) + error
