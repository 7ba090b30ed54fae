"""Many runs: `python -m extrapolation.sweep --config=... --workdir=DIR`.

Encodings x seeds, each a run in its own folder under DIR, trained and then
evaluated; finished ones are skipped, so the same command again goes on where
it stopped. Give it on as many machines as share the folder, or several times
on one: each takes runs that nobody is working on, and takes up those of the
dead. Each ends, with the same report, when all runs are done.
"""

import functools
import os
import pathlib
import sys
import time
import traceback

from ml_collections import ConfigDict

from extrapolation import (
  cli,
  config,
  evaluate,
  grid,
  lease,
  memory,
  preemption,
  report,
  train,
)


def sweep(
  c: ConfigDict,
  workdir: str,
  seconds: float = lease.SECONDS,
  only: tuple[str, ...] = (),
) -> list[dict]:
  """Trains and evaluates every run that is not finished; then reports.

  A run that fails is reported at the end and does not stop the others.

  Args:
    seconds: without a sign of life after which another machine's run is taken
      up; equal for all workers.
    only: names of the runs to do, and to wait for; all of them if empty.

  Raises:
    ValueError: a mistake in the config of any run, before the first is begun;
      or runs that failed, named at the end.
  """
  todo, chosen = plan(c, workdir, seconds, only)
  grid.record(workdir, c)
  worker = _Worker(workdir, {n: todo[n] for n in chosen}, seconds)
  worker.work()
  rows, missing = [], []
  for name, one in todo.items():
    found = grid.finished(os.path.join(workdir, name), one)
    rows += found
    missing += [] if found else [name]
  failed = {n: why for n, why in worker.failed.items() if n in missing}
  if rows and (not missing or failed or not only):
    with _turn(workdir, seconds):
      report.write(workdir)
  elif missing:
    print(f'no report yet: {len(missing)} of {len(todo)} runs are to do')
  if failed:
    lines = ''.join(f'\n  {name}: {why}' for name, why in failed.items())
    raise ValueError(f'{len(failed)} of {len(todo)} runs failed:{lines}')
  return rows


def plan(
  c: ConfigDict, workdir: str, seconds: float, only: tuple[str, ...]
) -> tuple[dict[str, ConfigDict], list[str]]:
  """All runs by name, and the names of those to do; raises as `sweep`."""
  if not 1 <= seconds < float('inf'):
    raise ValueError(f'lease = {seconds:g} seconds: needs at least 1')
  todo = dict(grid.runs(c))
  for name, one in todo.items():  # a mistake in the last is found first
    train.check(one)
    grid.finished(os.path.join(workdir, name), one)
  return todo, [_known(name, todo) for name in only] or list(todo)


def _known(name: str, todo: dict) -> str:
  if name.isdigit() and int(name) < len(todo):
    return list(todo)[int(name)]
  if name not in todo:
    raise ValueError(
      f'no run {name!r} in this sweep; there are: {", ".join(todo)}'
    )
  return name


def _turn(workdir: str, seconds: float) -> lease.Lease:
  """The lease on the sweep's own folder, when its turn comes."""
  while True:
    try:
      return lease.take(workdir, seconds)
    except lease.Held:
      time.sleep(0.2)


class _Worker:
  """One of any number that share the runs of a sweep."""

  def __init__(self, workdir: str, todo: dict, seconds: float):
    self.todo, self.seconds = todo, seconds
    self.folder = functools.partial(os.path.join, workdir)
    self.left = list(todo)
    self.failed = {}
    self.old = {n: grid.failure(self.folder(n)) for n in todo}
    self.start, self.done, self.told = time.monotonic(), 0, ('', 0.0)

  def work(self) -> None:
    """Returns when every run is finished, or failed and nobody works on it."""
    for name in list(self.left):
      self._finished(name, 'finished, skipped')
    while self.left:
      waiting, worked = {}, False
      for name in list(self.left):
        if self._finished(name, 'finished'):  # by another worker
          continue
        outcome = self._attempt(name)
        if isinstance(outcome, lease.Claim):
          waiting[name] = outcome.who
        elif outcome:
          worked = True
          self._finished(name)
      if not waiting and not worked:
        return
      if waiting and not worked:
        self._wait(waiting)

  def _finished(self, name: str, how: str = '') -> bool:
    if not grid.finished(self.folder(name), self.todo[name]):
      return False
    self.left.remove(name)
    self.failed.pop(name, None)
    self.done += 'skipped' not in how
    if how:
      print(f'{self._head(name)}: {how}')
    return True

  def _head(self, name: str) -> str:
    return f'[{list(self.todo).index(name) + 1}/{len(self.todo)}] {name}'

  def _attempt(self, name: str) -> bool | lease.Claim | None:
    """True if the run was worked on, who has it, or None: it failed before."""
    known = grid.failure(self.folder(name))
    if known and known != self.old[name] and known[1]['fault'] == 'run':
      self.failed.setdefault(name, known[1]['why'])
    if name in self.failed:
      claim = lease.look(self.folder(name))
      return claim if claim and not claim.free else None
    try:
      with lease.take(self.folder(name), self.seconds) as mine:
        if not grid.finished(self.folder(name), self.todo[name]):
          self._run(name, mine)
    except lease.Held as e:
      return e.claim
    except lease.Lost as e:
      print(f'{self._head(name)}: {e}', file=sys.stderr)
    except OSError as e:
      self._failed(name, e)
    return True

  def _run(self, name: str, mine: lease.Lease) -> None:
    left = ''
    if self.done:
      each = (time.monotonic() - self.start) / self.done
      left = f'  (about {each * len(self.left) / 60:.1f} min left)'
    print(f'{self._head(name)}{left}')
    folder, one = self.folder(name), self.todo[name]
    pathlib.Path(folder, 'failed.json').unlink(missing_ok=True)
    try:
      train.train(one, folder, say=_quiet, held=mine)
      mine.check()
      evaluate.evaluate(folder, say=_quiet)
      if not grid.finished(folder, one):  # or it would be done for ever
        raise RuntimeError('its table lacks lengths or the last step')
    except lease.Lost:
      raise
    except Exception as e:
      if os.environ.get('EXTRAPOLATION_TRACEBACK'):
        traceback.print_exc()
      self._failed(name, e)
      mine.check()
      grid.fail(folder, e)
      self.old[name] = None

  def _failed(self, name: str, error: Exception) -> None:
    self.failed[name] = f'{type(error).__name__}: {error}'
    print(f'{self._head(name)} failed: {self.failed[name]}', file=sys.stderr)

  def _wait(self, waiting: dict[str, str]) -> None:
    who = '; '.join(f'{name} ({by})' for name, by in waiting.items())
    text, when = self.told
    if text != who or time.monotonic() - when > 60:
      print(f'waiting for {len(waiting)} of {len(self.todo)} runs: {who}')
      self.told = who, time.monotonic()
    time.sleep(min(2.0, self.seconds / 10))


def _quiet(text: str) -> None:
  """Only what a reader of the sweep's log must know."""
  if 'damaged' in text or 'resuming' in text:
    print(text)


def main(argv: list[str]) -> None:
  preemption.leave_at_once()  # but in training, where something is to be saved
  argv, overrides = cli.split_overrides(argv)
  parser = cli.parser(__doc__)
  add = parser.add_argument
  add('--config', required=True, metavar='FILE.py[:ARG]')
  add('--workdir', required=True, metavar='DIR')
  add('--dry_run', action='store_true', help='print the runs')
  add('--run', default='', metavar='NAME,..', help='these only, or by number')
  add('--lease', type=float, default=lease.SECONDS, metavar='SECONDS',
      help='of silence, after which the run of another machine is taken up '
      '(default %(default)s)')  # fmt: skip
  args = parser.parse_args(argv)
  c = config.load(args.config, overrides)
  only = tuple(filter(None, args.run.split(',')))
  if args.dry_run:
    todo, chosen = plan(c, args.workdir, args.lease, only)
    for name in chosen:
      folder = pathlib.Path(args.workdir) / name
      print(f'{folder}  {grid.state(str(folder), todo[name])}')
    return
  memory.keep()
  try:
    sweep(c, args.workdir, args.lease, only)
  except preemption.Preempted as e:
    print(e, file=sys.stderr)
    raise


if __name__ == '__main__':
  cli.run(main)
