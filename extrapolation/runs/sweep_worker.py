"""One of any number of processes that share the runs of a sweep."""

import functools
import logging
import os
import pathlib
import time
import traceback
from collections.abc import Callable, Mapping

from extrapolation import config
from extrapolation.output import logs
from extrapolation.runs import leases, sweep_grid

log = logging.getLogger(__name__)


class Worker:
  """Takes runs that nobody is working on, and those of lost workers."""

  def __init__(
    self,
    workdir: str,
    todo: Mapping[str, config.Experiment],
    execute: Callable[[config.Experiment, str, leases.Lease], None],
    seconds: float = leases.SECONDS,
    pooled: bool = False,
  ):
    """A worker on the runs `todo`, by name, of the sweep in `workdir`.

    Args:
      execute: trains and evaluates a run, in a folder that it has the lease of.
      seconds: as for `leases.take`.
      pooled: one of several whose messages have one reader, so that what the
        others do is no news.
    """
    self.todo, self.execute, self.seconds = todo, execute, seconds
    self.folder = functools.partial(os.path.join, workdir)
    self.news = logging.DEBUG if pooled else logging.INFO
    self.left = list(todo)
    self.failed: dict[str, str] = {}
    self.old = {n: sweep_grid.failure(self.folder(n)) for n in todo}
    self.start, self.done, self.told = time.monotonic(), 0, ('', 0.0)

  def work(self) -> None:
    """Returns when every run is finished, or failed and nobody works on it."""
    for name in list(self.left):
      if self._finished(name):
        log.log(self.news, '%s: finished, skipped', self._head(name))
    while self.left:
      waiting, worked = {}, False
      for name in list(self.left):
        if self._finished(name):  # by another worker
          self.done += 1
          log.log(self.news, '%s: finished', self._head(name))
          continue
        outcome = self._attempt(name)
        if isinstance(outcome, leases.Claim):
          waiting[name] = outcome.who
        elif outcome:
          worked = True
          self.done += self._finished(name)
      if not waiting and not worked:
        return
      if waiting and not worked:
        self._wait(waiting)

  def _finished(self, name: str) -> bool:
    """Whether a run is finished; then it is not to be looked at again."""
    if not sweep_grid.evaluated_rows(self.folder(name), self.todo[name]):
      return False
    self.left.remove(name)
    self.failed.pop(name, None)
    return True

  def _head(self, name: str) -> str:
    return f'[{list(self.todo).index(name) + 1}/{len(self.todo)}] {name}'

  def _attempt(self, name: str) -> bool | leases.Claim | None:
    """True if the run was worked on, who has it, or None: it failed before."""
    known = sweep_grid.failure(self.folder(name))
    if known and known != self.old[name] and known[1]['fault'] == 'run':
      self.failed.setdefault(name, known[1]['why'])
    if name in self.failed:
      claim = leases.look(self.folder(name))
      return claim if claim and not claim.free else None
    try:
      with leases.take(self.folder(name), self.seconds) as lease:
        if not sweep_grid.evaluated_rows(self.folder(name), self.todo[name]):
          self._run(name, lease)
    except leases.Held as e:
      return e.claim
    except leases.Lost as e:
      log.warning('%s: %s', self._head(name), e)
    except OSError as e:
      self._failed(name, e)
    return True

  def _run(self, name: str, lease: leases.Lease) -> None:
    left = ''
    if self.done:
      each = (time.monotonic() - self.start) / self.done
      left = f'  (about {each * len(self.left) / 60:.1f} min left)'
    folder, one = self.folder(name), self.todo[name]
    pathlib.Path(folder, 'failed.json').unlink(missing_ok=True)
    try:
      how = sweep_grid.status(folder, one, lease)
      how = f': goes on, {how}' if how != 'not begun' else ''
      log.info('%s%s%s', self._head(name), how, left)
      with logs.warnings_only():
        self.execute(one, folder, lease)
      # Or it would be done for ever.
      if not sweep_grid.evaluated_rows(folder, one):
        raise RuntimeError('its table lacks lengths or the last step')
    except leases.Lost:
      raise
    except Exception as e:
      if os.environ.get('EXTRAPOLATION_TRACEBACK'):
        traceback.print_exc()
      self._failed(name, e)
      lease.check()
      sweep_grid.fail(folder, e)
      self.old[name] = None

  def _failed(self, name: str, error: Exception) -> None:
    self.failed[name] = f'{type(error).__name__}: {error}'
    log.error('%s failed: %s', self._head(name), self.failed[name])

  def _wait(self, waiting: dict[str, str]) -> None:
    who = '; '.join(f'{name} ({by})' for name, by in waiting.items())
    text, when = self.told
    if text != who or time.monotonic() - when > 60:
      total = len(self.todo)
      log.log(
        self.news, 'waiting for %d of %d runs: %s', len(waiting), total, who
      )
      self.told = who, time.monotonic()
    time.sleep(min(2.0, self.seconds / 10))
