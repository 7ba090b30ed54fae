"""The tables that a run's probe evaluations leave: cells, and reaches."""

import os
import pathlib

from etils import epath

from extrapolation import config, rpe
from extrapolation.config.sections import OWN_PROBE
from extrapolation.data import mixed, probes
from extrapolation.data.probes import Probe
from extrapolation.output import files, table
from extrapolation.runs import identity

# Rows that agree in these are of the same evaluation: the newer one stays.
KEY = ('run', 'step', 'examples', 'example_seed', 'length', 'distance')
EXAMPLES = 32  # per cell, by default


def half(chance: float) -> float:
  """Halfway between the accuracy of a guess and 1."""
  return (1 + chance) / 2


def probe_of(e: config.Experiment, spec: str = OWN_PROBE) -> Probe:
  """The probe that a spec names, or that the examples of a run are of.

  Raises:
    ValueError: a run on text alone, or on several probes; no such probe.
  """
  if spec != OWN_PROBE:
    return probes.parse(spec)
  source = e.data.source
  if source.startswith(probes.PREFIX):
    return probes.parse(source)
  asked = []
  if mixed.has_probe(source):
    asked = [of for _, of in mixed.split(source, e.data.tokenizer)[0]]
  if len(asked) > 1:
    raise ValueError(
      f'data.source = {source} has several probes: choose one of '
      f'{", ".join(probe.label for probe in asked)}'
    )
  if not asked:
    raise ValueError(
      f'data.source = {source} is text without a probe: name one whose symbols '
      f'are tokens of it, of {", ".join(probes.names())}'
    )
  return asked[0]


def path(
  workdir: str,
  probe: Probe,
  out: str = '',
  encoding: str = '',
  window: str = 'full',
) -> pathlib.Path | epath.Path:
  """Where the cells of a probe go; figure and reaches lie beside it.

  Args:
    out: a folder in place of the run's own, `DIR/eval`.
    encoding: another than the run was trained with.
    window: keys that a query sees, as `eval.window`.
  """
  name = f'probe-{rpe.folder_name(probe.label)}'
  if window != 'full':
    name += f'-window-{window.replace(":", "-")}'
  if encoding:
    name += f'-as-{rpe.folder_name(encoding)}'
  kind = pathlib.Path if files.is_local(out or workdir) else epath.Path
  folder = kind(out).expanduser() if out else kind(workdir) / 'eval'
  return folder / f'{name}.csv'


def of_reaches(cells: pathlib.Path | epath.Path) -> pathlib.Path | epath.Path:
  """The table of reaches beside that of cells."""
  return cells.parent / f'{cells.stem}-reach.csv'


def read(
  folder: str | os.PathLike, e: config.Experiment
) -> tuple[list[dict], list[dict]]:
  """Cells and reaches of a finished run, as its `eval` section has them.

  None of either if a length is missing.

  Raises:
    signed.Damaged: a table is not what was written.
    OSError: there is none, or it cannot be read.
  """
  probe = probe_of(e, e.eval.probe)
  cells = path(str(folder), probe, window=e.eval.window)
  want = dict(
    run=identity.run_id(e),
    step=e.train.steps,
    examples=EXAMPLES,
    example_seed=0,
  )
  read = []
  for one in (cells, of_reaches(cells)):
    rows = [
      row
      for row in table.read(one)
      if row.get('length') in e.eval.lengths
      and all(row.get(k) == v for k, v in want.items())
    ]
    if {row['length'] for row in rows} != lengths(e, probe):
      return [], []
    read.append(rows)
  return read[0], read[1]


def lengths(e: config.Experiment, probe: Probe) -> set[int]:
  """Those of `eval.lengths` at which a probe has room."""
  return {n for n in e.eval.lengths if probe.distances(n)}
