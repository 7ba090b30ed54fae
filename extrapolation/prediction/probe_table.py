"""What probes measured: the reach at 50 % of each encoding and length."""

import logging
import pathlib
from collections.abc import Sequence

from extrapolation.output import table
from extrapolation.prediction import reach, study, weights

log = logging.getLogger(__name__)

TABLE = 'probe.csv'
NEEDED = ('encoding', 'length', 'distance', 'accuracy')
HALF = 0.5


def reaches(rows: Sequence[dict]) -> dict[tuple[str, int], int]:
  """{(encoding, length): largest distance with half of the answers right}.

  Rows of several seeds are averaged; a length at which no distance has half,
  or at which all have it, bounds no reach and is left out.
  """
  sums: dict[tuple[str, int], dict[int, list[float]]] = {}
  for row in rows:
    cell = sums.setdefault((row['encoding'], row['length']), {})
    cell.setdefault(row['distance'], []).append(float(row['accuracy']))
  out = {}
  for key, by_distance in sums.items():
    right = {t for t, x in by_distance.items() if sum(x) / len(x) >= HALF}
    if right and max(right) < max(by_distance):
      out[key] = max(right)
  return out


def excess(folder: str) -> dict[str, list[float]]:
  """By encoding, gaps in nats beyond those that training had to teach.

  Args:
    folder: of a study; one without a table of probes has none.

  Raises:
    ValueError: a table that lacks a column.
  """
  path = pathlib.Path(folder) / TABLE
  if not path.exists():
    return {}
  rows = table.read(path)
  if lacks := [key for key in NEEDED if not rows or key not in rows[0]]:
    raise ValueError(
      f'{path} is no table of probes: it lacks {", ".join(lacks)}'
    )
  e, out = study.config_of(folder), {}
  known: dict[str, weights.Weights] = {}
  for (label, n), t in reaches(rows).items():
    if label not in known:
      longest = max(row['length'] for row in rows if row['encoding'] == label)
      known[label] = study.weights_of(label, e.model, max(longest, e.train.T))
    of = known[label]
    if of.why or n <= e.train.T or t >= n:
      continue
    gap = reach.implied(of.heads, n, t) - reach.taught(of, e.train.T)
    out.setdefault(label, []).append(gap)
  return out
