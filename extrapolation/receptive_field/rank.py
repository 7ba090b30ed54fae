"""Do two fields order encodings alike: Spearman's rho, and how sure of it."""

import itertools

import numpy as np
from jaxtyping import Float

from extrapolation.ranks import spearman
from extrapolation.receptive_field import samples


def between(
  encoding: list[str], x: Float[np.ndarray, 'R n'], y: Float[np.ndarray, 'R n'],
  seed: int = 0,
) -> dict:  # fmt: skip
  """rho over encodings of two fields of n runs, and its 95 % interval.

  The field of an encoding is the median of its runs (seeds).
  A draw takes encodings with replacement, for each one of its runs, and for
  each run a draw of its windows; row 0 of x and y is what was measured. With
  fewer than three encodings there is no rho.
  """
  names = sorted(set(encoding))
  runs = [np.flatnonzero(np.asarray(encoding) == name) for name in names]
  if len(names) < 3:
    return dict(rho=None, low=None, high=None, encodings=len(names))
  middle = [np.asarray([np.median(v[0, i]) for i in runs]) for v in (x, y)]
  rng, drawn = np.random.default_rng(seed), []
  for row in range(1, len(x)):
    some = rng.integers(0, len(names), len(names))
    picked = np.asarray([rng.choice(runs[i]) for i in some])
    if len(set(some.tolist())) > 2:
      drawn.append(rho(x[row, picked], y[row, picked]))
  found = rho(*middle)
  if np.isnan(found):  # all equal: there is no order to agree on
    return dict(rho=None, low=None, high=None, encodings=len(names))
  low, high = (
    samples.interval(np.asarray([found, *drawn])) if drawn else (np.nan, np.nan)
  )
  number = lambda v: None if np.isnan(v) else round(float(v), 4)  # noqa: E731
  return dict(
    rho=number(found), low=number(low), high=number(high), encodings=len(names)
  )


def table(records, draws, eps: tuple) -> list[dict]:
  """A row for every pair of the network's fields, and for the heads' at once.

  A field that some runs lack is compared over the others.
  """
  out = []
  label = [r['about']['rpe'] for r in records]
  names = list(dict.fromkeys(k for d in draws for k in d if k not in OTHER))
  names.sort(key=lambda k: not k.startswith('trf'))  # theory first
  for (i, e), (a, b) in itertools.product(
    enumerate(eps), itertools.combinations(names, 2)
  ):
    have = [j for j, d in enumerate(draws) if a in d and b in d
            and np.isfinite([d[a][0, i], d[b][0, i]]).all()]  # fmt: skip
    if not have:
      continue
    x, y = (
      np.stack([draws[j][k][:, i] for j in have], 1).astype(float)
      for k in (a, b)
    )
    found = between([label[j] for j in have], x, y)
    out.append(dict(eps=e, first=a, second=b, **found))
  for e in eps:
    out.append(dict(eps=e, first='trf_below', second='attention_mass by head',
                    **_heads(records, e)))  # fmt: skip
  return out


OTHER = ('heads', 'far')  # draws that are no field of the network


def rho(x: np.ndarray, y: np.ndarray) -> float:
  return spearman(x.tolist(), y.tolist())


def _heads(records, e: str) -> dict:
  """rho over all heads of all runs; encodings are drawn, not heads."""
  by = {}
  for r in records:
    pairs = [
      (h['trf_below'][e], h['attention_mass'][e]['n'])
      for h in r['heads']
      if (h.get('trf_below') or {}).get(e)
    ]
    by.setdefault(r['about']['rpe'], []).extend(pairs)
  by = [np.asarray(v, float) for v in by.values() if v]
  if len(by) < 3:
    return dict(rho=None, low=None, high=None, encodings=len(by))
  rng, drawn = np.random.default_rng(0), [rho(*np.concatenate(by).T)]
  for _ in range(500):
    some = rng.integers(0, len(by), len(by))
    drawn.append(rho(*np.concatenate([by[i] for i in some]).T))
  low, high = samples.interval(np.asarray(drawn))
  found = dict(rho=drawn[0], low=float(low), high=float(high))
  return {k: round(v, 4) for k, v in found.items()} | {'encodings': len(by)}
