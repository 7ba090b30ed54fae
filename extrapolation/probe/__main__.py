"""Retrieval of trained runs: `python -m extrapolation.probe`.

  --workdir=runs/a --lengths=128,512,2304 --distances=1,16,64,127
  --workdir=runs/a,runs/b,runs/c --out=reach     compares them as well
  --workdir=runs/text --probe=needle             a run whose tokens have it

A run answers the same needles at every distance and length: accuracy with its
95 % interval, margin (logit of the answer less the best other one, nats), and
the reach at 50 %, the largest distance up to which accuracy stays halfway
between a guess and 1, beside the reach that theory predicts. A run gets
eval/probe-NAME.csv (cells), -reach.csv and .png; --out probe-NAME.csv,
-reach.csv, -ranks.csv and .png of all.
"""

import argparse
import logging
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from extrapolation import cli, config, rpe, runs
from extrapolation.cli import allocator, compilation_cache, flags, paths
from extrapolation.config.sections import OWN_PROBE
from extrapolation.data.probes import Probe
from extrapolation.output import files, table
from extrapolation.parallel import preemption
from extrapolation.probe import (
  Settings,
  comparison,
  grid,
  ranks,
  saved,
  study,
  text,
)
from extrapolation.runs import probe_table

log = logging.getLogger('extrapolation.probe')  # also as __main__


def main(argv: list[str]) -> None:
  preemption.exit_on_sigterm()
  args = _parser().parse_args(argv)
  allocator.keep()
  compilation_cache.enable()
  given = {k: v for k, v in vars(args).items() if v is not None}
  folders, spec = given.pop('workdir'), given.pop('probe', OWN_PROBE)
  out, step = given.pop('out', ''), given.pop('step', None)
  encoding = given.pop('encoding', '')
  settings = Settings(**given)
  experiments = _configs(folders)
  probe = _same_probe(folders, experiments, spec)
  examples = [study.examples_of(folder, probe) for folder in folders]
  cells = grid.make(probe, settings, min(e.train.T for e in experiments))
  several = len(folders) > 1
  others = [study.other(e, encoding) for e in experiments]
  targets = [
    probe_table.path(folder, probe, '' if several else out, other)
    for folder, other in zip(folders, others, strict=True)
  ]
  target = _target(folders, out) if several else None
  for folder in (*(t.parent for t in targets), *([target] if target else [])):
    files.writable(folder)
  if several:  # what is missing in the last is found first
    for folder, other in zip(folders, others, strict=True):
      study.load(folder, step, other)
  measured: list[ranks.Run] = []
  for i, (folder, e) in enumerate(zip(folders, experiments, strict=True)):
    if several:
      log.info('[%d/%d] %s', i + 1, len(folders), folder)
    run = study.load(folder, step, others[i])
    trained_as = e.model.label if others[i] else ''
    made = study.measure(run, examples[i], cells, settings, trained_as)
    reached = saved.write(targets[i], made)
    log.info('\n%s', text.accuracy(made.cells))
    log.info('\n%s', text.reaches(reached))
    log.info('\nwrote %s, -reach.csv and .png', targets[i])
    measured.append((made.cells, reached))
  if target:
    _compare(target / targets[0].name, measured)


def _configs(folders: Sequence[str]) -> list[config.Experiment]:
  """Those of all runs, each of which has a checkpoint."""
  if not folders:
    raise ValueError('--workdir is empty: give the folder of a run')
  names = [os.path.realpath(f) for f in folders]
  if twice := {n for n in names if names.count(n) > 1}:
    raise ValueError(f'--workdir names {min(twice)!r} twice')
  experiments = [runs.load_config(f) for f in folders]
  for folder in folders:
    runs.newest(folder)
  return experiments


def _same_probe(
  folders: Sequence[str], experiments: Sequence[config.Experiment], spec: str
) -> Probe:
  """The probe of all runs; raises ValueError if there is none, or several."""
  probes = []
  for folder, e in zip(folders, experiments, strict=True):
    try:
      probes.append(probe_table.probe_of(e, spec))
    except ValueError as error:
      raise ValueError(
        f'{folder}: {error}' + (': --probe=NAME' if spec == OWN_PROBE else '')
      ) from None
  for folder, probe in zip(folders, probes, strict=True):
    if probe.label != probes[0].label:
      raise ValueError(
        f'runs of different probes are not compared: {folders[0]} is of '
        f'{probes[0].label}, {folder} of {probe.label}; give --probe=NAME'
      )
  return probes[0]


def _target(folders: Sequence[str], out: str) -> pathlib.Path:
  """Where a comparison goes: --out, or the folder that holds all runs."""
  parents = {os.path.dirname(os.path.abspath(f)) for f in folders}
  if not out and len(parents) > 1:
    raise ValueError(
      'runs of several folders are compared: give --out=DIR, where the '
      'comparison goes'
    )
  return pathlib.Path(out or parents.pop())


def _compare(path: pathlib.Path, measured: Sequence[ranks.Run]) -> None:
  rows = ranks.table(measured)
  cells = [row for cells, _ in measured for row in cells]
  reaches = [row for _, reaches in measured for row in reaches]
  with files.outputs(path.parent, last=path.name) as folder:
    figure = folder / f'{path.stem}.png'
    comparison.save(figure, reaches, rows, len(measured))
    table.write(folder / f'{path.stem}-reach.csv', reaches)
    table.write(folder / f'{path.stem}-ranks.csv', rows)
    table.write(folder / path.name, cells)
  log.info(
    '\nrank correlation of measured and predicted reach, %d runs\n\n%s',
    len(measured),
    table.text(rows, rows[0]),
  )
  log.info('\nwrote %s, -reach.csv, -ranks.csv and .png', path)


def _parser() -> argparse.ArgumentParser:
  parser = cli.parser(__doc__)
  default = Settings()
  add: Any = parser.add_argument
  add('--workdir', type=paths.several, required=True, metavar='DIR,..',
      help='folders of runs')  # fmt: skip
  add(
    '--probe',
    metavar='NAME[:KEY=VALUE..]',
    help='default: the one that the run was trained on',
  )
  ratios = ', '.join(map(str, grid.RATIOS))
  add('--lengths', type=flags.wholes, metavar='N,N,...',
      help=f'default: the training length times {ratios}')  # fmt: skip
  add('--distances', type=flags.wholes, metavar='N,N,...',
      help=f'default: {grid.DISTANCES} in steps of equal ratio')  # fmt: skip
  for name, what in (
    ('examples', 'needles per cell'),
    ('seed', 'of the needles'),
    ('batch_tokens', 'tokens computed at once'),
  ):
    shown = getattr(default, name)
    add(f'--{name}', type=int, help=f'{what} (default {shown})')
  add('--step', type=int, help='of the checkpoint; default: the newest')
  add('--rpe', dest='encoding', type=flags.checked(rpe.named),
      help='score under another encoding, of parameters that the runs have; or '
      'the file of your own that one was trained with, which is run',
      metavar='SPEC')  # fmt: skip
  add('--out', type=paths.path, metavar='DIR',
      help='folder; default: DIR/eval, and that of the runs for a '
      'comparison')  # fmt: skip
  return parser


if __name__ == '__main__':
  cli.run(main)
