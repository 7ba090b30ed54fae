"""What probes measured: which needles beyond the training length are kept."""

import pathlib
import statistics

import numpy as np

from extrapolation.output import table
from extrapolation.predict import reach, study
from extrapolation.predict.reach import Asked
from extrapolation.runs.probe_table import half

TABLE = 'probe.csv'  # of a sweep's report
NEEDED = 'encoding', 'length', 'distance', 'accuracy', 'chance'


def asked(folder: str) -> dict[str, list[Asked]]:
  """By encoding without learned weights, its cells beyond the training length.

  One is kept if accuracy, median over seeds, is halfway between a guess and 1.
  What a window hid is left out, the evaluation's or that of an encoding, and so
  are encodings whose weights are no formula.

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
  e = study.config_of(folder)
  seeds: dict[str, dict[tuple[int, int], list[float]]] = {}
  for row in rows:
    if row['length'] > e.train.T and row.get('window', 'full') == 'full':
      over = row['accuracy'] - half(row['chance'])
      of = seeds.setdefault(row['encoding'], {})
      cell = row['length'], row['distance']
      of.setdefault(cell, []).append(over)
  out = {}
  for label, of in seeds.items():
    longest = max(n for n, _ in of)
    known = study.weights_of(label, e.model, longest)
    if known.why or known.learned:
      continue
    taught = reach.taught(known, e.train.T)
    needed = {n: reach.needed(known.heads, n) for n, _ in of}
    out[label] = [
      Asked(float(needed[n][t]) - taught, statistics.median(overs) >= 0)
      for (n, t), overs in of.items()
      if np.isfinite(needed[n][t])
    ]
  return out
