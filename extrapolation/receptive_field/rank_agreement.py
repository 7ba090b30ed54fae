"""Do two fields order encodings alike: Spearman's rho, and how sure of it."""

import itertools
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from extrapolation.receptive_field.bootstrap import interval

FEWEST = 3  # encodings, below which there is no rho
NO_FIELD = ('heads', 'far')  # draws that are no field of the network
RESAMPLES = 500  # of encodings, for the heads of all runs


def spearman(
  x: Float[np.ndarray, '*R n'], y: Float[np.ndarray, '*R n']
) -> Float[np.ndarray, '*R']:
  """Spearman's rho over the last axis; NaN where x or y is constant."""
  ranks = [stats.rankdata(v, axis=-1) for v in (x, y)]
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', stats.ConstantInputWarning)
    return np.asarray(stats.pearsonr(*ranks, axis=-1).statistic)


def between(
  encoding: Sequence[str],
  x: Float[np.ndarray, 'R n'],
  y: Float[np.ndarray, 'R n'],
  seed: int = 0,
) -> dict:
  """rho over encodings of two fields of n runs, and its 95 % interval.

  The field of an encoding is the median of its runs (seeds).
  A draw takes encodings with replacement, for each one of its runs, and for
  each run a draw of its windows; row 0 of x and y is what was measured. With
  fewer than three encodings there is no rho.
  """
  names = sorted(set(encoding))
  if len(names) < FEWEST:
    return _row(np.nan, [], len(names))
  runs = [np.flatnonzero(np.asarray(encoding) == name) for name in names]
  medians = [np.asarray([np.median(v[0, i]) for i in runs]) for v in (x, y)]
  rng, rows, columns = np.random.default_rng(seed), [], []
  for row in range(1, len(x)):
    drawn = rng.integers(0, len(names), len(names))
    picked = [rng.choice(runs[i]) for i in drawn]
    if len(set(drawn.tolist())) >= FEWEST:
      rows.append([row])
      columns.append(picked)
  draws = spearman(x[rows, columns], y[rows, columns]) if rows else []
  return _row(float(spearman(*medians)), draws, len(names))


def _row(rho: float, draws: Sequence[float] | np.ndarray, count: int) -> dict:
  """None for what is undefined: all equal, there is no order to agree on."""
  low = high = np.nan
  if len(draws) and not np.isnan(rho):
    low, high = interval(np.asarray([rho, *draws]))
  values = dict(rho=rho, low=low, high=high)
  rounded = {
    k: None if np.isnan(v) else round(float(v), 4) for k, v in values.items()
  }
  return {**rounded, 'encodings': count}


def table(
  records: Sequence[dict],
  draws: Sequence[dict[str, np.ndarray]],
  eps: Sequence[str],
) -> list[dict]:
  """A row per pair of the network's fields and eps, and one for all heads.

  A field that some runs lack is compared over the others.
  """
  out = []
  label = [r['about']['rpe'] for r in records]
  names = list(dict.fromkeys(k for d in draws for k in d if k not in NO_FIELD))
  names.sort(key=lambda k: not k.startswith('trf'))  # theory first
  for (i, e), (a, b) in itertools.product(
    enumerate(eps), itertools.combinations(names, 2)
  ):
    have = [
      j
      for j, d in enumerate(draws)
      if a in d and b in d and np.isfinite([d[a][0, i], d[b][0, i]]).all()
    ]
    if not have:
      continue
    x, y = (
      np.stack([draws[j][k][:, i] for j in have], 1).astype(float)
      for k in (a, b)
    )
    rho = between([label[j] for j in have], x, y)
    out.append(dict(eps=e, first=a, second=b, **rho))
  for e in eps:
    row = dict(eps=e, first='trf_below', second='attention_mass by head')
    out.append(row | _heads(records, e))
  return out


def _heads(records: Sequence[dict], e: str) -> dict:
  """rho over all heads of all runs; encodings are drawn, not heads."""
  by_encoding: dict[str, list] = {}
  for r in records:
    pairs = [
      (h['trf_below'][e], h['attention_mass'][e]['n'])
      for h in r['heads']
      if (h.get('trf_below') or {}).get(e)
    ]
    by_encoding.setdefault(r['about']['rpe'], []).extend(pairs)
  pairs = [np.asarray(v, float) for v in by_encoding.values() if v]
  if len(pairs) < FEWEST:
    return _row(np.nan, [], len(pairs))

  def rho(drawn: np.ndarray) -> float:
    return float(spearman(*np.concatenate([pairs[i] for i in drawn]).T))

  every = np.arange(len(pairs))
  with warnings.catch_warnings():  # a resample may be constant
    warnings.simplefilter('ignore', stats.DegenerateDataWarning)
    draws = stats.bootstrap(
      (every,), rho, n_resamples=RESAMPLES, vectorized=False,
      method='percentile', rng=0,
    ).bootstrap_distribution  # fmt: skip
  return _row(rho(every), draws, len(pairs))
