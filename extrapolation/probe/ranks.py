"""Does theory rank encodings by reach as they were measured?"""

from collections.abc import Sequence

import numpy as np

from extrapolation.probe import reach
from extrapolation.receptive_field import rank_agreement

RESAMPLES = 500
FEWEST = rank_agreement.FEWEST  # encodings

# Rows of the tables of cells and of reaches.
Run = tuple[Sequence[dict], Sequence[dict]]


def table(runs: Sequence[Run], resamples: int = RESAMPLES) -> list[dict]:
  """Spearman's rho of measured and predicted reach, a row per length.

  The interval is of encodings, seeds and needles, all resampled; encodings
  that theory does not judge are left out. No rho (None) where fewer than three
  are left, or all have the same reach.

  Args:
    runs: cells and reaches of each.
  """
  lengths = sorted({row['length'] for _, reaches in runs for row in reaches})
  return [_at(runs, n, resamples) for n in lengths]


def _at(runs: Sequence[Run], n: int, resamples: int) -> dict:
  labels, measured, predicted = [], [], []
  for i, (cells, reaches) in enumerate(runs):
    own = [c for c in cells if c['length'] == n]
    said = [row['predicted'] for row in reaches if row['length'] == n]
    if own and said and isinstance(said[0], int | float):
      labels.append(own[0]['encoding'])
      measured.append(reach.draws(own, resamples, seed=i))
      predicted.append(said[0])
  rho = dict(rho=None, low=None, high=None, encodings=0)
  if labels:
    x = np.stack(measured, 1).astype(float)
    y = np.broadcast_to(np.array(predicted, float), x.shape)
    rho = rank_agreement.between(labels, x, y)
  return dict(length=n, **rho, runs=len(labels))
