"""Rank statistics of few points, by SciPy; what is undefined is NaN."""

import math
import statistics
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

Values = Sequence[float] | np.ndarray
Statistic = Callable[[Values, Values], float]

EXACT = 5040  # pairings, 7!, up to which all are counted; else as many sampled


def kendall(x: Values, y: Values) -> float:
  """Kendall's tau-b (1945); NaN if x or y is constant."""
  return float(stats.kendalltau(x, y).statistic)


def spearman(x: Values, y: Values) -> float:
  """Spearman's rho; NaN if x or y is constant."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', stats.ConstantInputWarning)
    return float(stats.spearmanr(x, y).statistic)


def concordance(group: Values, y: Values) -> float:
  """P(y of group 1 > y of group 0), ties half: the AUC; NaN for one group."""
  ones = np.asarray(group) > 0
  n, m = int(ones.sum()), int((~ones).sum())
  if not n or not m:
    return math.nan
  U = stats.rankdata(y)[ones].sum() - n * (n + 1) / 2  # Mann-Whitney's
  return float(U) / (n * m)


def permutation_p_value(statistic: Statistic, x: Values, y: Values) -> float:
  """P(statistic as large or larger) when y is paired with x at random.

  One-sided, as the sign is predicted. Exact for up to seven points.
  """
  if math.isnan(statistic(x, y)):
    return math.nan
  test = stats.permutation_test(
    (y,),
    lambda permuted: statistic(x, permuted),
    permutation_type='pairings',
    alternative='greater',
    vectorized=False,
    n_resamples=EXACT,
    rng=0,
  )
  return float(test.pvalue)


def interval(
  statistic: Statistic,
  points: Sequence[Sequence[tuple[float, float]]],
  resamples: int = 1000,
) -> tuple[float, float]:
  """95 % percentile interval of `statistic` when the seeds of points vary.

  Args:
    points: for each point its seeds, two or more, as (x, y); a resample takes
      as many of them, with replacement, and their medians.
    resamples: of the bootstrap (Efron 1979).
  """

  def resampled(*indices: np.ndarray) -> float:
    pairs = (
      medians([seeds[i] for i in index])
      for seeds, index in zip(points, indices, strict=True)
    )
    return statistic(*zip(*pairs, strict=True))

  with warnings.catch_warnings():  # a resample may be constant
    warnings.simplefilter('ignore', stats.DegenerateDataWarning)
    values = stats.bootstrap(
      [np.arange(len(seeds)) for seeds in points],
      resampled,
      n_resamples=resamples,
      vectorized=False,
      method='percentile',
      rng=0,
    ).bootstrap_distribution
  values = values[np.isfinite(values)]
  if not values.size:
    return math.nan, math.nan
  low, high = np.quantile(values, (0.025, 0.975))
  return float(low), float(high)


def medians(seeds: Sequence[tuple[float, float]]) -> tuple[float, float]:
  """Medians of x and y; of two middle x the higher, which may be infinite."""
  x, y = zip(*seeds, strict=True)
  return statistics.median_high(x), statistics.median(y)
