"""Many runs: `python -m extrapolation.sweep --config=... --workdir=DIR`.

Encodings x seeds, each a run in its own folder under DIR, trained and then
evaluated; finished ones are skipped, so the same command again goes on where
it stopped. At the end one table and one figure of perplexity against length.
"""

import dataclasses
import os
import pathlib
import re
import sys
import time
import traceback
from collections.abc import Iterator

from ml_collections import ConfigDict

from extrapolation import (
  cli,
  config,
  evaluate,
  protocol,
  report,
  rpe,
  run,
  train,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """The section `sweep` of a config.

  rpe: encodings parted by commas, `all` for every one; hyperparameters follow
    a colon: `alibi,power:exponent=0.5,t5:buckets=64:max_distance=256`.
  """

  rpe: str
  seeds: tuple


def runs(c: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
  """(folder name, config) of every run; seed by seed, so a partial sweep tells.

  Raises:
    ValueError: an encoding, hyperparameter or seed that does not exist.
  """
  s = Settings(**config.bind('sweep', Settings, c.sweep))
  names = rpe.names() if s.rpe == 'all' else s.rpe.split(',')
  if not s.seeds or not all(isinstance(n, int) for n in s.seeds):
    raise ValueError(f'sweep.seeds = {s.seeds!r}: needs whole numbers')
  for seed in s.seeds:
    for spec in names:
      name, *hyper = spec.strip().split(':')
      changes = {'model.rpe': name, 'seed': str(seed)}
      for item in hyper:
        key, _, value = item.partition('=')
        changes[f'model.rpe_args.{key}'] = value
      folder = re.sub(r'[^\w.=-]+', '-', spec.strip())
      yield f'{folder}-s{seed}', config.override(c, changes)


def sweep(c: ConfigDict, workdir: str) -> list[dict]:
  """Trains and evaluates every run that is not finished; then reports.

  A run that fails is reported at the end and does not stop the others.
  """
  todo = [(name, one, os.path.join(workdir, name)) for name, one in runs(c)]
  for _, one, folder in todo:  # a mistake in the last is found before the first
    train.check(one)
    finished(folder, one)
  failed, rows = {}, []
  start, fresh = time.monotonic(), 0
  for i, (name, one, folder) in enumerate(todo):
    done = finished(folder, one)
    head = f'[{i + 1}/{len(todo)}] {name}'
    if done:
      print(f'{head}: finished, skipped')
    else:
      left = (time.monotonic() - start) / max(fresh, 1) * (len(todo) - i)
      print(
        f'{head}' + (f'  (about {left / 60:.1f} min left)' if fresh else '')
      )
      fresh += 1
    try:
      if not done:
        train.train(one, folder, say=_quiet)
      rows += done or evaluate.evaluate(folder, say=_quiet)
    except Exception as e:
      if os.environ.get('EXTRAPOLATION_TRACEBACK'):
        traceback.print_exc()
      failed[name] = f'{type(e).__name__}: {e}'
      print(f'{head} failed: {failed[name]}', file=sys.stderr)
  if rows:
    report.write(workdir, rows)
  if failed:
    lines = ''.join(f'\n  {name}: {why}' for name, why in failed.items())
    raise ValueError(f'{len(failed)} of {len(todo)} runs failed:{lines}')
  return rows


def finished(folder: str, c: ConfigDict) -> list[dict]:
  """The rows of a run that is trained and evaluated as `c` says; else none.

  Raises:
    ValueError: the folder holds a run of another config.
  """
  if not pathlib.Path(folder, 'config.json').exists():
    return []
  run.same_config(folder, c)
  path = evaluate.csv_path(folder, protocol.Settings(**c.eval.to_dict()))
  if run.load_config(folder).eval != c.eval or not path.exists():
    return []
  rows = report.read(path)
  fits = {row['length'] for row in rows} == set(c.eval.lengths)
  return rows if fits and rows[0]['step'] == c.train.steps else []


def _quiet(text: str) -> None:
  """Only what a reader of the sweep's log must know."""
  if 'damaged' in text or 'resuming' in text:
    print(text)


def main(argv: list[str]) -> None:
  argv, overrides = cli.split_overrides(argv)
  parser = cli.parser(__doc__)
  parser.add_argument('--config', required=True, metavar='FILE.py[:ARG]')
  parser.add_argument('--workdir', required=True, metavar='DIR')
  parser.add_argument('--dry_run', action='store_true', help='print the runs')
  args = parser.parse_args(argv)
  c = config.load(args.config, overrides)
  if args.dry_run:
    for name, one in runs(c):
      done = 'finished' if finished(f'{args.workdir}/{name}', one) else 'to do'
      print(f'{pathlib.Path(args.workdir) / name}  {done}')
    return
  sweep(c, args.workdir)


if __name__ == '__main__':
  cli.run(main)
