"""What a measured run leaves in its folder: two tables and a figure."""

import pathlib
from collections.abc import Sequence

from etils import epath

from extrapolation.output import files, table
from extrapolation.probe import figure, reach
from extrapolation.probe.predicted import ENDS
from extrapolation.probe.study import Study
from extrapolation.runs import eval_table, leases, probe_table

# Of cells that are compared, and of which one reach is read.
SAME = ('run', 'step', 'examples', 'example_seed')
ABOUT = ('encoding', 'run', 'seed', 'probe', 'train_length', 'step',
         'example_seed', 'window', 'keys', 'chance', 'examples')  # fmt: skip
WHERE = ('commit', 'device', 'versions')


def write(
  path: pathlib.Path | epath.Path,
  study: Study,
  lease: leases.Lease | None = None,
) -> list[dict]:
  """Adds a run's cells to the table at a path; the rows of its reaches.

  Cells that were measured otherwise stay; figure and reaches are of all that
  are alike, and appear at once with the table.
  """
  if lease:
    lease.check()
  with (
    eval_table.turn(path),
    files.outputs(path.parent, last=path.name) as folder,
  ):
    cells = eval_table.merged(path, study.cells, probe_table.KEY)
    cells.sort(key=lambda row: (row['step'], row['length'], row['distance']))
    first = study.cells[0]
    shown = [r for r in cells if all(r[k] == first[k] for k in SAME)]
    reaches = reach_rows(study, shown)
    beside = probe_table.of_reaches(path)
    table.write(
      folder / beside.name,
      eval_table.merged(beside, reaches, probe_table.KEY),
    )
    figure.one(folder / f'{path.stem}.png', shown, reaches)
    table.write(folder / path.name, cells)
    if lease:
      lease.check()
  return reaches


def reach_rows(study: Study, cells: Sequence[dict]) -> list[dict]:
  """A row for each length that was measured now, from all cells of it.

  What is predicted is at most the farthest distance there, as the measured is.
  `in_sight` is the farthest key that a head saw through a window of keys.
  """
  out = []
  for n, predicted in study.predicted.items():
    own = [row for row in cells if row['length'] == n]
    now = next(row for row in study.cells if row['length'] == n)
    about = {key: now[key] for key in ABOUT}
    keys = study.keys[n]
    about |= dict(in_sight=None if keys is None else max(keys) - 1)
    where = {key: study.cells[0][key] for key in WHERE}
    measured = reach.of(own)
    said = {**predicted}
    if not predicted['why']:
      ends = {key: min(said[key], measured.farthest) for key in ENDS}
      said |= ends
    out.append({**about, 'length': n, **measured._asdict(), **said, **where})
  return out
