"""Receptive fields of runs: `python -m extrapolation.receptive_field`.

  --workdir=runs/a --eps=0.1,0.01 --length=1024 --tokens=65536
  --workdir=runs/a,runs/b,runs/c --out=fields     compares them as well
  --workdir=runs/square --size=32x32              of an encoder

The query is the last token of each window of --length tokens; n(eps) is how
many of the nearest tokens, itself included, hold all but a share eps of what
an estimator measures. Of an encoder the queries are the masked places that an
evaluation scores, in examples of --size, and n(eps) is how many of the nearest
distances, 0 included. Intervals are 95 %, from a bootstrap over windows or
examples. A run gets receptive_field/SPLIT-LENGTH.json, .csv and .png (SIZE in
place of LENGTH); --out the same of all, and -ranks.csv.
"""

import argparse
import dataclasses
import logging
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from extrapolation import cli, config, data, rpe, runs
from extrapolation.cli import allocator, compilation_cache, flags, paths
from extrapolation.output import files, table
from extrapolation.receptive_field import (
  Settings,
  comparison,
  figure,
  places,
  rank_agreement,
  record,
  study,
  tables,
)
from extrapolation.receptive_field.estimators.settings import OUTPUTS

log = logging.getLogger('extrapolation.receptive_field')  # also as __main__

OUTPUT = 'receptive_field'  # in the folder of a run

HELP = dict(
  tokens='of text, in windows; or places, in examples',
  eps='shares in (0, 1), separated by commas',
  split='train | valid | test',
  nats='a context as good as the full one',
  queries='of attention mass, per window; 0: length / 64, or 8 targets',
  output=f'what is differentiated: {" | ".join(OUTPUTS)}',
  recomputed='windows on which the model is run again; 0 is all',
  batch_tokens='tokens computed at once',
  resamples='of the bootstrap',
  seed='of the bootstrap and of replaced tokens',
)


def main(argv: list[str]) -> None:
  args = _parser().parse_args(argv)
  allocator.keep()
  compilation_cache.enable()
  given = {k: v for k, v in vars(args).items() if v is not None}
  folders = given.pop('workdir')
  out, step = given.pop('out', None), given.pop('step', None)
  if not folders:
    raise ValueError('--workdir is empty: give the folder of a run')
  if out and len(folders) == 1:
    raise ValueError('--out is where several runs are compared; this is one')
  target = _target(folders, out) if len(folders) > 1 else None
  experiments = _ready(folders, target)
  settings = _settings(experiments, given)
  studies = []
  for i, folder in enumerate(folders):
    if len(folders) > 1:
      log.info('[%d/%d] %s', i + 1, len(folders), folder)
    studies.append(study(folder, settings, step))
    _write(folder, settings, studies[-1])
  if target:
    _compare(target, settings, studies)


def _ready(
  folders: Sequence[str], target: pathlib.Path | None
) -> list[config.Experiment]:
  """The configs of all runs; finds what would end the work half-way."""
  names = [os.path.realpath(f) for f in folders]
  if twice := {n for n in names if names.count(n) > 1}:
    raise ValueError(f'--workdir names {min(twice)!r} twice')
  experiments = [runs.load_config(f) for f in folders]
  for folder in folders:
    runs.newest(folder)
    files.writable(pathlib.Path(folder) / OUTPUT)
  if target:
    files.writable(target)
  return experiments


def _settings(
  experiments: Sequence[config.Experiment], given: dict[str, Any]
) -> Settings:
  """What is measured of all runs.

  Raises:
    ValueError: runs of several kinds or spaces, or the flag of another kind.
  """
  first = experiments[0]
  spaces = {(e.model.kind, e.model.geometry): e for e in experiments}
  if len(spaces) > 1:
    named = ' and '.join(' in '.join(key) for key in spaces)
    raise ValueError(
      f'--workdir: runs of {named} have no axis in common; measure one kind in '
      'one geometry at a time'
    )
  if first.model.kind == 'decoder':
    if 'size' in given:
      raise ValueError(
        f'--size={given["size"]} is of encoders, and this is a decoder: give '
        '--length, in tokens'
      )
    given.setdefault('length', 4 * min(e.train.T for e in experiments))
    return Settings(**given)
  for e in experiments:
    places.check(e)
  if 'length' in given:
    raise ValueError(
      f'--length={given["length"]} is of decoders, and this is an encoder: '
      'give --size, such as 32x32'
    )
  size = given.get('size') or places.default_size(first)
  length = places.distances(first.model, size)
  derived: dict[str, Any] = dict(size=size, length=length)
  settings = Settings(**given | derived)
  for e in experiments:
    if data.is_task(e.data.source):
      places.examples(data.tasks.parse(e.data.source), e, settings)
  return settings


def _write(folder: str, settings: Settings, made: record.Study) -> None:
  name = f'{settings.split}-{settings.size or settings.length}'
  path = pathlib.Path(folder) / OUTPUT / name
  figure.one(path.with_suffix('.png'), made.record, made.weights)
  table.write(path.with_suffix('.csv'), record.rows(made.record))
  files.write_json(path.with_suffix('.json'), made.record)
  log.info('%s', tables.tables(made.record))
  log.info('wrote %s.json, .csv and .png', path)


def _target(folders: Sequence[str], out: str | None) -> pathlib.Path:
  """Where a comparison goes: --out, or the folder that holds all runs."""
  parents = {os.path.dirname(os.path.abspath(f)) for f in folders}
  if not out and len(parents) > 1:
    raise ValueError(
      'runs of several folders are compared: give --out=DIR, where the '
      'comparison goes'
    )
  return pathlib.Path(out or parents.pop())


def _compare(
  target: pathlib.Path, settings: Settings, studies: Sequence[record.Study]
) -> None:
  records = [made.record for made in studies]
  origin = dict(
    length=settings.length,
    tokens=settings.tokens,
    split=settings.split,
    runs=len(records),
    **runs.provenance(),
  )
  ranks = [
    {**row, **origin}
    for row in rank_agreement.table(
      records, [made.draws for made in studies], settings.eps
    )
  ]
  path = target / f'receptive_field-{settings.size or settings.length}'
  comparison.save(path.with_suffix('.png'), records, ranks)
  rows = [row for made in records for row in record.rows(made)]
  table.write(
    path.with_suffix('.csv'), [row for row in rows if not row['layer']]
  )
  table.write(path.with_name(f'{path.name}-ranks.csv'), ranks)
  files.write_json(path.with_suffix('.json'), dict(runs=records, ranks=ranks))
  first = [r for r in ranks if r['first'] in ('trf', 'trf_below')]
  columns = ('eps', 'first', 'second', 'rho', 'low', 'high', 'encodings')
  log.info(
    '\nrank correlation with the theoretical field, %d runs\n\n%s',
    len(records),
    table.text(first, columns),
  )
  log.info('\nwrote %s.json, .csv, .png and -ranks.csv', path)


def _parser() -> argparse.ArgumentParser:
  parser = cli.parser(__doc__)
  fields = dataclasses.fields(Settings)
  default: dict[str, Any] = {f.name: f.default for f in fields}
  add = parser.add_argument
  add('--workdir', type=paths.several, required=True, metavar='DIR,..',
      help='folders of runs')  # fmt: skip
  add('--length', type=int, help='tokens per window; default: 4 x training')
  add('--size', help='of the examples of an encoder; default: the largest '
      'that it is evaluated at, of at most 4 x training')  # fmt: skip
  for name, text in HELP.items():
    kind = flags.items if name == 'eps' else type(default[name])
    shown = ','.join(default[name]) if name == 'eps' else default[name]
    add(f'--{name}', type=kind, help=f'{text} (default {shown})')
  add('--step', type=int, help='of the checkpoint; default: the newest')
  add(
    '--out',
    type=paths.path,
    metavar='DIR',
    help='where a comparison of runs goes',
  )
  rpe.add_flag(parser)
  return parser


if __name__ == '__main__':
  cli.run(main)
