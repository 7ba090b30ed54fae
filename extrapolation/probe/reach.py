r"""Reach at 50 %: the largest distance at which needles are still found.

Half is halfway between a guess and certainty, (1 + 1 / answers) / 2. The reach
at a length is the largest of the measured distances at which, and at all
shorter ones, accuracy is half or more; 0 where it is less at the shortest.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from extrapolation.runs.probe_table import half


class Reach(NamedTuple):
  """Distances in tokens.

  Attributes:
    reach: the largest that is reached.
    low, high: the same of the lower and the upper ends of the intervals of
      accuracy: what is surely, and what may be, half or more.
    farthest: the largest that was measured, which no reach exceeds.
  """

  reach: int
  low: int
  high: int
  farthest: int


def of(rows: Sequence[dict]) -> Reach:
  """The reach at one length.

  Args:
    rows: its cells, each with distance, accuracy, low, high and chance.
  """
  rows = sorted(rows, key=lambda row: row['distance'])
  distances = np.array([row['distance'] for row in rows])
  ends = np.array([[r[k] for k in ('accuracy', 'low', 'high')] for r in rows])
  reach, low, high = up_to(distances, ends.T, half(rows[0]['chance'])).tolist()
  return Reach(reach, low, high, int(distances[-1]))


def up_to(
  distances: Int[np.ndarray, ' d'],
  accuracy: Float[np.ndarray, '*n d'],
  least: float,
) -> Int[np.ndarray, '*n']:
  """The largest distance so that accuracy is >= `least` there and before."""
  reached = np.cumprod(accuracy >= least, axis=-1).sum(-1)
  return np.concatenate([[0], distances])[reached]


def draws(
  rows: Sequence[dict], resamples: int, seed: int = 0
) -> Int[np.ndarray, ' R']:
  """The reach at one length as measured, then as other needles may have it.

  Each resample counts the right ones of as many needles per cell, each right
  with a probability of the accuracy that was measured.
  """
  rows = sorted(rows, key=lambda row: row['distance'])
  p, n = (np.array([r[k] for r in rows]) for k in ('accuracy', 'examples'))
  rng = np.random.default_rng(seed)
  resampled = rng.binomial(n, p, (resamples, len(rows))) / n
  distances = np.array([row['distance'] for row in rows])
  every = np.concatenate([p[None], resampled])
  return up_to(distances, every, half(rows[0]['chance']))
