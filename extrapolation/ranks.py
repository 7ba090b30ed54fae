"""Rank statistics of few points: order, its interval, and what chance gives."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

EXACT = 5040  # arrangements, 7!, above which as many are sampled


def kendall(x: Sequence[float], y: Sequence[float]) -> float:
  r"""Kendall's tau-b of paired values; infinite ones tie with each other.

  (C - D) / sqrt((n0 - n1)(n0 - n2)): concordant less discordant pairs, over
  all n0 pairs less those tied in x and in y. NaN if either is constant.

  Source: Kendall, The treatment of ties in ranking problems, 1945.
  """
  a, b = _signs(x), _signs(y)
  size = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
  return float((a * b).sum()) / size if size else math.nan


def _signs(values: Sequence[float]) -> np.ndarray:
  """sign(v_i - v_j) of all pairs i < j."""
  ranks = rank(values)
  i, j = np.triu_indices(len(ranks), 1)
  return np.sign(ranks[i] - ranks[j])


def rank(values: Sequence[float]) -> np.ndarray:
  """Ranks 1 .. n, the mean of them for values that tie."""
  v = np.asarray(values, np.float64)
  return np.array([(v < a).sum() + ((v == a).sum() + 1) / 2 for a in v])


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
  """Spearman's rho: the correlation of ranks; NaN if either is constant."""
  a, b = rank(x), rank(y)
  a, b = a - a.mean(), b - b.mean()
  size = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
  return float((a * b).sum()) / size if size else math.nan


def separation(group: Sequence[float], y: Sequence[float]) -> float:
  """Share of pairs of unlike groups in which the higher group has higher y.

  Equal y count half (Mann-Whitney's U over its largest value). NaN without
  two groups.
  """
  pairs = [
    0.5 if b == d else float((a < c) == (b < d))
    for (a, b), (c, d) in itertools.combinations(zip(group, y, strict=True), 2)
    if a != c
  ]
  return float(np.mean(pairs)) if pairs else math.nan


def chance(
  statistic: Callable, x: Sequence[float], y: Sequence[float]
) -> float:
  """Share of all ways to pair x with y that give `statistic` or more.

  One-sided, as the sign is predicted; sampled for more than seven points.
  """
  x, y = list(x), list(y)
  if math.factorial(len(y)) <= EXACT:
    ways = itertools.permutations(y)
  else:
    rng = np.random.default_rng(0)
    ways = itertools.chain(
      [y], (rng.permutation(y).tolist() for _ in range(EXACT - 1))
    )
  found = [statistic(x, way) for way in ways]
  return float(np.mean(np.array(found) >= statistic(x, y) - 1e-12))


def interval(
  statistic: Callable,
  points: Sequence[Sequence[tuple[float, float]]],
  draws: int = 1000,
  share: float = 0.95,
) -> tuple[float, float]:
  """Percentile interval of `statistic` when the seeds of each point vary.

  Args:
    points: for each point its seeds, as (x, y); a draw takes as many of them,
      with replacement, and their medians.
    draws: of the bootstrap (Efron 1979).
    share: of the draws within.
  """
  rng = np.random.default_rng(0)
  found = []
  for _ in range(draws):
    drawn = [
      middle([p[i] for i in rng.integers(len(p), size=len(p))]) for p in points
    ]
    found.append(statistic(*zip(*drawn, strict=True)))
  found = np.array(found)[np.isfinite(found)]
  if not found.size:
    return math.nan, math.nan
  low, high = np.quantile(found, [(1 - share) / 2, (1 + share) / 2])
  return float(low), float(high)


def middle(seeds: Sequence[tuple[float, float]]) -> tuple[float, float]:
  """Medians of x and y; of two middle x the higher, which may be infinite."""
  x, y = zip(*seeds, strict=True)
  return sorted(x)[len(x) // 2], float(np.median(y))
