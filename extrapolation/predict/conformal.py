"""Intervals from what a law missed by on the encodings that were left out.

Jackknife+ (Barber, Candes, Ramdas and Tibshirani 2021, arXiv 1905.02928): the
ends are order statistics of the predictions of the laws with one left out, each
less or plus what it missed by. Among n exchangeable cases and a new one the
interval at level p holds the new one with a probability of 2 p - 1 or more,
and close to p unless the fit is unstable. No n cases can promise more than
n / (n + 1).
"""

import math

import numpy as np
from jaxtyping import Float

LEVEL = 0.9


def promised(n: int, level: float = LEVEL) -> float:
  """The level in (0, 1) that n cases can promise, at most the one wanted."""
  return min(level, n / (n + 1))


def interval(
  predicted: Float[np.ndarray, ' n'],
  missed: Float[np.ndarray, ' n'],
  level: float = LEVEL,
) -> tuple[float, float]:
  """The two ends, in the unit of the predictions.

  Args:
    predicted: for the new case, by the law without case i.
    missed: by that law on case i, absolute.
    level: in (0, 1); the largest that n cases promise, if that is less.
  """
  n = len(predicted)
  k = min(math.ceil((n + 1) * level - 1e-9), n)  # 10 of 11 at 0.9
  low, high = np.sort(predicted - missed), np.sort(predicted + missed)
  return float(low[n - k]), float(high[k - 1])
