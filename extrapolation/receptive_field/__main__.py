"""Receptive fields of runs: `python -m extrapolation.receptive_field`.

  --workdir=runs/a --eps=0.1,0.01 --length=1024 --tokens=65536
  --workdir=runs/a,runs/b,runs/c --out=fields     compares them as well

The query is the last token of each window of --length tokens; n(eps) is how
many of the nearest tokens, itself included, hold all but a share eps of what
an estimator measures. Intervals are 95 %, from a bootstrap over windows. A run
gets receptive_field/SPLIT-LENGTH.json, .csv and .png; --out ranks.csv, .json
and .png.
"""

import dataclasses
import os
import pathlib

from extrapolation import cli, memory, run, table
from extrapolation.receptive_field import (
  comparison,
  figure,
  lab,
  rank,
  record,
  text,
)
from extrapolation.receptive_field.settings import OUTPUTS, Settings

OUTPUT = 'receptive_field'  # in the folder of a run


def main(argv: list[str]) -> None:
  memory.keep()
  args = _parser().parse_args(argv)
  given = {k: v for k, v in vars(args).items() if v is not None}
  folders = [f for f in given.pop('workdir').split(',') if f]
  out, step = given.pop('out', None), given.pop('step', None)
  if 'eps' in given:
    given['eps'] = tuple(e.strip() for e in given['eps'].split(','))
  if not folders:
    raise ValueError('--workdir is empty: give the folder of a run')
  if out and len(folders) == 1:
    raise ValueError('--out is where several runs are compared; this is one')
  target = _target(folders, out) if len(folders) > 1 else None
  configs = _ready(folders, target)
  if 'length' not in given:
    given['length'] = 4 * min(c.train.T for c in configs)
  s = Settings(**given)
  found = []
  for i, folder in enumerate(folders):
    if len(folders) > 1:
      print(f'[{i + 1}/{len(folders)}] {folder}')
    found.append(lab.study(folder, s, step))
    _write(folder, s, *found[-1])
  if target:
    _compare(target, s, *map(list, zip(*found, strict=True)))


def _ready(folders, target) -> list:
  """The configs of all runs; finds what would end the work half-way."""
  names = [os.path.realpath(f) for f in folders]
  if twice := {n for n in names if names.count(n) > 1}:
    raise ValueError(f'--workdir names {min(twice)!r} twice')
  configs = [run.load_config(f) for f in folders]
  for folder in folders:
    run.newest(folder)
    run.writable(pathlib.Path(folder) / OUTPUT)
  if target:
    run.writable(target)
  return configs


def _write(folder, s, made, draws, weights):
  del draws
  path = pathlib.Path(folder) / OUTPUT / f'{s.split}-{s.length}'
  figure.one(path.with_suffix('.png'), made, weights)
  table.write(path.with_suffix('.csv'), record.rows(made))
  run.write_json(path.with_suffix('.json'), made)
  print(text.tables(made))
  print(f'wrote {path}.json, .csv and .png')


def _target(folders, out) -> pathlib.Path:
  """Where a comparison goes: --out, or the folder that holds all runs."""
  parents = {os.path.dirname(os.path.abspath(f)) for f in folders}
  if not out and len(parents) > 1:
    raise ValueError(
      'runs of several folders are compared: say with --out=DIR where the '
      'comparison is to go'
    )
  return pathlib.Path(out or parents.pop())


def _compare(target, s, records, draws, weights):
  del weights
  rows = rank.table(records, draws, s.eps)
  about = dict(
    length=s.length, tokens=s.tokens, split=s.split, runs=len(records)
  )
  rows = [{**row, **about, **run.provenance()} for row in rows]
  path = target / f'receptive_field-{s.length}'
  comparison.save(path.with_suffix('.png'), records, rows, s)
  rows_of = [row for made in records for row in record.rows(made)]
  table.write(
    path.with_suffix('.csv'), [row for row in rows_of if not row['layer']]
  )
  table.write(target / f'receptive_field-{s.length}-ranks.csv', rows)
  run.write_json(path.with_suffix('.json'), dict(runs=records, ranks=rows))
  first = [r for r in rows if r['first'] in ('trf', 'trf_below')]
  print(f'\nrank correlation with the theoretical field, {len(records)} runs\n')
  columns = ('eps', 'first', 'second', 'rho', 'low', 'high', 'encodings')
  print(table.text(first, columns))
  print(f'\nwrote {path}.json, .csv, .png and -ranks.csv')


def _parser():
  parser = cli.parser(__doc__)
  add, default = (
    parser.add_argument,
    {f.name: f.default for f in dataclasses.fields(Settings)},
  )
  add('--workdir', required=True, metavar='DIR,..', help='folders of runs')
  add('--length', type=int, help='tokens a window; 4 training lengths')
  helps = dict(
    tokens='of text, in windows', eps='shares in (0, 1), parted by commas',
    split='train | valid | test', nats='a context as good as the full one',
    queries='of attention mass, a window; 0: length / 64',
    output=f'what is differentiated: {" | ".join(OUTPUTS)}',
    recomputed='windows run anew many times; 0 is all',
    batch_tokens='tokens computed at once', resamples='of the bootstrap',
    seed='of the bootstrap and of replaced tokens',
  )  # fmt: skip
  for name, about in helps.items():
    kind = str if name == 'eps' else type(default[name])
    shown = ','.join(default[name]) if name == 'eps' else default[name]
    add(f'--{name}', type=kind, help=f'{about} (default {shown})')
  add('--step', type=int, help='of the checkpoint; default: the newest')
  add('--out', metavar='DIR', help='where a comparison of runs goes')
  return parser


if __name__ == '__main__':
  cli.run(main)
