"""Retrieval of trained runs: `python -m extrapolation.probe`.

  --workdir=runs/a --lengths=128,512,2304 --distances=1,16,64,127
  --workdir=runs/a,runs/b,runs/c --out=reach     compares them as well
  --workdir=runs/text --probe=needle             a run whose tokens have it
  --workdir=runs/a --window=64                   the nearest 64 keys alone

A run answers the same needles at every distance and length: accuracy with its
95 % interval, margin (logit of the answer less the best other one, nats), and
the reach at 50 %, the largest distance up to which accuracy stays halfway
between a guess and 1, beside the reach that theory predicts. A run gets
eval/probe-NAME.csv (cells), -reach.csv and .png; --out probe-NAME.csv,
-reach.csv, -ranks.csv and .png of all.
"""

import argparse
import logging
import pathlib
from collections.abc import Sequence
from typing import Any

from extrapolation import cli, rpe, runs
from extrapolation.cli import allocator, compilation_cache, flags, paths
from extrapolation.config.sections import OWN_PROBE
from extrapolation.output import files, table
from extrapolation.parallel import multihost, preemption
from extrapolation.probe import (
  Settings,
  asked,
  comparison,
  grid,
  ranks,
  saved,
  study,
  text,
)

log = logging.getLogger('extrapolation.probe')  # also as __main__


def main(argv: list[str]) -> None:
  preemption.exit_on_sigterm()
  args = _parser().parse_args(argv)
  processes = multihost.pop_flags(args)
  allocator.keep()
  compilation_cache.enable()
  given = {k: v for k, v in vars(args).items() if v is not None}
  about = dict(probe=given, encodings=rpe.digests())
  with multihost.group(processes, **about):
    _measure(**given)


def _measure(
  workdir: Sequence[str],
  probe: str = OWN_PROBE,
  out: str = '',
  step: int | None = None,
  encoding: str = '',
  **given: Any,
) -> None:
  """Measures every run, and compares several; process 0 writes."""
  settings = Settings(**given)
  experiments = asked.configs(workdir)
  one = asked.same_probe(workdir, experiments, probe)
  examples = [study.examples_of(folder, one) for folder in workdir]
  cells = grid.make(one, settings, min(e.train.T for e in experiments))
  several = len(workdir) > 1
  others = [study.other(e, encoding) for e in experiments]
  targets = asked.tables(workdir, one, out, others, settings.window)
  target = asked.comparison(workdir, out) if several else None
  for folder in (*(t.parent for t in targets), *([target] if target else [])):
    multihost.first(lambda folder=folder: files.writable(folder))

  def load(i: int) -> runs.Trained:
    return study.load(workdir[i], step, others[i], settings.window)

  for i in range(len(workdir)) if several else ():
    load(i)  # what is missing in the last is found first
  measured: list[ranks.Run] = []
  for i, (folder, e) in enumerate(zip(workdir, experiments, strict=True)):
    if several:
      log.info('[%d/%d] %s', i + 1, len(workdir), folder)
    trained_as = e.model.label if others[i] else ''
    made = study.measure(load(i), examples[i], cells, settings, trained_as)

    def publish(made: study.Study = made, path: Any = targets[i]) -> None:
      reached = saved.write(path, made)
      log.info('\n%s', text.accuracy(made.cells))
      log.info('\n%s', text.reaches(reached))
      log.info('\nwrote %s, -reach.csv and .png', path)
      measured.append((made.cells, reached))

    multihost.first(publish)
  if target:
    multihost.first(lambda: _compare(target / targets[0].name, measured))


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
  add('--window', help='keys a query sees: full | N | certified:ERROR')
  add('--step', type=int, help='of the checkpoint; default: the newest')
  add('--rpe', dest='encoding', type=flags.checked(rpe.named),
      help='score under another encoding, of parameters that the runs have; or '
      'the file of your own that one was trained with, which is run',
      metavar='SPEC')  # fmt: skip
  add('--out', type=paths.path, metavar='DIR',
      help='folder; default: DIR/eval, and that of the runs for a '
      'comparison')  # fmt: skip
  multihost.add_flags(parser)
  return parser


if __name__ == '__main__':
  cli.run(main)
