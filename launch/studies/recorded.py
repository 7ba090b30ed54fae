"""A sweep of the study as one that a law is fitted on: a folder of results/."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from configs.study import common
from extrapolation.output import signed, table
from extrapolation.runs import eval_table, probe_table
from launch.studies.sweeps import Sweep

SWEEP, CELLS, REACHES = 'sweep.csv', 'probe.csv', 'probe-reach.csv'
# Columns that say the same in every row, or what is in others, or of a machine.
DROPPED = (
  'source', 'split', 'protocol', 'crosses_documents', 'within_documents',
  'bytes', 'window', 'window_error', 'window_error_mean', 'seconds', 'targets',
)  # fmt: skip


def write(
  out: pathlib.Path, s: Sweep, also: Sequence[dict] = ()
) -> Iterator[pathlib.Path]:
  """Writes the config and the tables of a sweep in a folder of its name.

  Yields what it wrote. Cells of the probe that are there and that no run has,
  as in longer windows, stay.

  Args:
    also: more cells.
  """
  folder = out / s.name
  folder.mkdir(parents=True, exist_ok=True)
  e = s.runs[0].config
  if s.corpus:  # wherever it was
    source = common.source(f'DIR/{s.corpus}')
    data = dataclasses.replace(e.data, source=source)
    e = dataclasses.replace(e, data=data)
  signed.write(folder / 'sweep.json', e.to_dict())
  tables = {
    SWEEP: [row for run in s.finished for row in run.rows],
    REACHES: [row for run in s.finished for row in run.reaches],
  }
  cells = [*(row for run in s.finished for row in run.cells), *also]
  if cells:
    tables[CELLS] = eval_table.merged(folder / CELLS, cells, probe_table.KEY)
  for name, rows in tables.items():
    if rows:
      table.write(folder / name, [shortened(row) for row in rows])
      yield folder / name


def beyond(out: pathlib.Path, s: Sweep) -> list[dict]:
  """The cells that were written of longer windows than the sweep asked for."""
  path = out / s.name / CELLS
  longest = max(s.runs[0].config.eval.lengths)
  rows = table.read(path) if path.exists() else []
  return [row for row in rows if row['length'] > longest]


def shortened(row: dict) -> dict:
  return {key: value for key, value in row.items() if key not in DROPPED}
