"""What probes measured: the reach at 50 % of each encoding and length."""

import logging
import pathlib
import statistics
from collections.abc import Sequence

from extrapolation.output import table
from extrapolation.prediction import reach, study, weights

log = logging.getLogger(__name__)

TABLE = 'probe-reach.csv'  # of a sweep's report
NEEDED = ('encoding', 'length', 'reach', 'farthest')


def reaches(rows: Sequence[dict]) -> dict[tuple[str, int], int]:
  """{(encoding, length): measured reach in tokens, median over seeds}.

  A length at which no distance is reached, or the farthest is, bounds no reach
  and is left out; so is what a window hid.
  """
  seeds: dict[tuple[str, int], list[dict]] = {}
  for row in rows:
    if row.get('window', 'full') == 'full':
      seeds.setdefault((row['encoding'], row['length']), []).append(row)
  out = {}
  for key, of in seeds.items():
    reach = int(statistics.median(row['reach'] for row in of))
    if 0 < reach < max(row['farthest'] for row in of):
      out[key] = reach
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
