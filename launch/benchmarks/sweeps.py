"""Times whole sweeps of this checkout and of another commit, A B A B.

  python launch/benchmark.py sweep                     what the README times
  python launch/benchmark.py sweep --against=COMMIT --rounds=5 --load
  python launch/benchmark.py sweep --config=FILE --rpe=alibi,type2 --seeds=0

Without --config: the sweep of configs/demo.py, and six encodings of
configs/cpu_study.py with one seed. Each run is a new process in an empty
workdir, and ends with its report. The other commit is checked out beside this
one, and both run in this environment.

Caches (prepared text, compiled programs) are in a home folder for each
checkout. --cache=first: empty at its first run, as a newcomer has it, and
filled by then; fresh: empty at every run; warm: filled by a run that is not
counted. Ratios say how many times as fast this checkout is, by pairs.
"""

import contextlib
import dataclasses
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from extrapolation.cli import flags, paths
from launch.benchmarks import measure, results

BEFORE = '501f1e5'  # the last commit before the rooms
SIX = 'sinusoidal,none,harmonic,alibi,type1,type2'
DEMO, STUDY = 'configs/demo.py', 'configs/cpu_study.py'


@dataclasses.dataclass(frozen=True)
class Sweep:
  """What to run: a config file, and the encodings and seeds in its place."""

  config: str  # relative to each checkout, or absolute
  rpe: str = ''  # '' is the file's own
  seeds: str = ''

  def flags(self) -> list[str]:
    overrides = {'sweep.rpe': self.rpe, 'sweep.seeds': self.seeds}
    chosen = [f'--config.{k}={v}' for k, v in overrides.items() if v]
    return [f'--config={self.config}', *chosen]


@dataclasses.dataclass(frozen=True)
class Checkout:
  """A commit's files, and the home folder its commands keep caches in."""

  name: str  # 'this' or 'against'
  folder: pathlib.Path
  home: pathlib.Path

  def run(self, sweep: Sweep) -> dict[str, Any]:
    """Wall and CPU seconds of one sweep, and of other work meanwhile, in cores.

    Raises:
      ValueError: it failed; with the end of what it said.
    """
    warm = self.home.exists()
    self.home.mkdir(exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith('JAX_COMP')}
    env |= dict(HOME=str(self.home), PYTHONPATH=str(self.folder))
    with tempfile.TemporaryDirectory() as scratch:
      command = [sys.executable, '-m', 'extrapolation.sweep', *sweep.flags()]
      command.append(f'--workdir={scratch}/sweep')
      before, cpu, start = measure.busy_seconds(), _cpu(), time.monotonic()
      done = subprocess.run(
        command, cwd=self.folder, env=env, capture_output=True, text=True,
        check=False,
      )  # fmt: skip
      wall, cpu = time.monotonic() - start, _cpu() - cpu
      after = measure.busy_seconds()
      if done.returncode:
        last = '\n'.join(done.stderr.strip().splitlines()[-5:])
        raise ValueError(
          f'the sweep of {self.name} ended with exit code {done.returncode} '
          f'in {self.folder}:\n{last}'
        )
    row: dict[str, Any] = dict(cache='warm' if warm else 'fresh')
    row |= dict(wall_s=round(wall, 2), cpu_s=round(cpu, 2))
    if before is not None and after is not None:
      others = (after - before - cpu) / wall
      row |= dict(others_cores=round(max(0.0, others), 2))
    return row

  def forget(self) -> None:
    """Empties the caches."""
    shutil.rmtree(self.home, ignore_errors=True)


def _cpu() -> float:
  """CPU seconds of the children that have ended, and of theirs."""
  usage = resource.getrusage(resource.RUSAGE_CHILDREN)
  return usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def checkouts(against: str) -> Iterator[tuple[Checkout, Checkout]]:
  """This checkout, and one of the commit `against` until the end.

  Raises:
    ValueError: no such commit.
  """
  git = ['git', '-C', str(results.ROOT), 'worktree']
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    there = folder / 'against'
    done = subprocess.run(
      [*git, 'add', '--detach', str(there), against],
      capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
      raise ValueError(f'--against={against}: {done.stderr.strip()}')
    try:
      yield (
        Checkout('this', results.ROOT, folder / 'home-this'),
        Checkout('against', there, folder / 'home-against'),
      )
    finally:
      remove = [*git, 'remove', '--force', str(there)]
      subprocess.run(remove, check=False, capture_output=True)


@contextlib.contextmanager
def busy_process() -> Iterator[None]:
  """Another process that takes a core, meanwhile."""
  child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
  try:
    yield
  finally:
    child.kill()
    child.wait()


def compare(
  sweep: Sweep, pair: tuple[Checkout, Checkout], rounds: int, cache: str
) -> list[dict]:
  """A row per run, printed as it ends: A B, A B, ..."""
  rows = []
  for checkout in pair:
    checkout.forget()
    if cache == 'warm':
      checkout.run(sweep)
  for i in range(rounds):
    for checkout in pair:
      if cache == 'fresh':
        checkout.forget()
      row = dict(
        round=i + 1,
        checkout=checkout.name,
        of_commit=results.commit(checkout.folder),
        **checkout.run(sweep),
      )
      rows.append(row)
      print(
        f'  {i + 1} {row["of_commit"]:16} {row["wall_s"]:7.1f} s  '
        f'{row["cpu_s"]:7.1f} CPU s  {row["cache"]} cache',
        flush=True,
      )
  return rows


def summary(rows: list[dict]) -> str:
  """How many times as fast this checkout is: of medians, and of pairs."""
  lines = []
  for name in ('wall_s', 'cpu_s'):
    ours, theirs = (
      [row[name] for row in rows if row['checkout'] == checkout]
      for checkout in ('this', 'against')
    )
    pairs = [b / a for a, b in zip(ours, theirs, strict=True)]
    of_medians = statistics.median(theirs) / statistics.median(ours)
    lines.append(
      f'  {name[:-2]:4}: {of_medians:.2f} times as fast by the medians, '
      f'{statistics.median(pairs):.2f} by the median of the pairs '
      f'({", ".join(f"{x:.2f}" for x in pairs)})'
    )
  return '\n'.join(lines)


def main(argv: list[str]) -> None:
  parser = flags.Parser(__doc__)
  add = parser.add_argument
  add('--against', default=BEFORE, metavar='COMMIT')
  add('--config', default='', metavar='FILE', help='of each checkout')
  add('--rpe', default='', metavar='NAME,..', help='encodings; needs --config')
  add('--seeds', default='', metavar='N,..', help='seeds; needs --config')
  add('--rounds', type=int, default=3)
  add('--cache', choices=('first', 'fresh', 'warm'), default='first')
  add('--load', action='store_true', help='beside a process that takes a core')
  add('--out', type=paths.path, default=str(results.FOLDER), metavar='DIR')
  args = parser.parse_args(argv)
  if args.rounds < 1:
    parser.error(f'--rounds={args.rounds}: needs at least 1')
  if (args.rpe or args.seeds) and not args.config:
    parser.error('--rpe and --seeds need --config')
  todo = [Sweep(args.config, args.rpe, args.seeds)] if args.config else [
    Sweep(DEMO), Sweep(STUDY, SIX, '0')
  ]  # fmt: skip
  rows, provenance = [], results.provenance()
  with contextlib.ExitStack() as stack:
    pair = stack.enter_context(checkouts(args.against))
    if args.load:
      stack.enter_context(busy_process())
    for sweep in todo:
      print(' '.join(sweep.flags()), flush=True)
      made = compare(sweep, pair, args.rounds, args.cache)
      print(summary(made), flush=True)
      about = dict(dataclasses.asdict(sweep), load=int(args.load))
      rows += [about | row | provenance for row in made]
  results.append(pathlib.Path(args.out) / 'sweep.csv', rows)
