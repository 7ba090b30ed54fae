"""A line that says how far a loop is, how fast, and when it will end."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from extrapolation.output import streams


class Loop:
  """Progress of a loop of `total` rounds; a bar on a terminal, else lines.

  On a terminal the bar moves with every round; elsewhere (a log file, a pod)
  one line is printed at most every `interval` seconds, and the last one. With
  `tokens`, those of one round, it says how many are done per second.
  """

  def __init__(
    self,
    name: str,
    total: int,
    done: int = 0,
    interval: float = 10.0,
    shown: bool = True,
    tokens: int = 0,
  ):
    self.name, self.total, self.interval = name, total, interval
    self.shown, self.tokens = shown, tokens
    self.first = self.done = done
    self.start = self.printed = time.monotonic()
    self.bar = self._bar() if shown else None

  def _bar(self):
    """The bar, started; None off a terminal."""
    from rich import console, progress  # slow to import

    terminal = console.Console(stderr=True)
    if not terminal.is_terminal:
      return None
    bar = progress.Progress(
      progress.TextColumn(self.name, markup=False),
      progress.BarColumn(),
      progress.TextColumn('{task.completed}/{task.total}'),
      progress.TextColumn('{task.fields[text]}', markup=False),
      progress.TimeRemainingColumn(),
      console=terminal,
      transient=True,
    )
    self.task = bar.add_task('', total=self.total, completed=self.done, text='')
    bar.start()
    return bar

  def update(self, done: int, text: str = '') -> None:
    """Says that `done` rounds are done, and `text` beside it."""
    self.done = done
    now = time.monotonic()
    took, rounds = now - self.start, done - self.first
    if self.tokens:
      speed = rounds * self.tokens / max(took, 1e-9)
      text = f'{text}  {speed:,.0f} tokens/s'.strip()
    if self.bar:
      self.bar.update(self.task, completed=done, text=text)
      return
    last = done == self.total
    if self.shown and (last or now - self.printed >= self.interval):
      self.printed = now
      left = int(took / max(rounds, 1) * (self.total - done))
      when = f'{took:.1f} s' if last else f'{left // 60}:{left % 60:02d} left'
      streams.line(
        f'{self.name}: {done}/{self.total}  {text}  {when}', sys.stderr
      )

  def close(self) -> None:
    """Takes the bar off the terminal."""
    if self.bar:
      self.bar.stop()


@contextlib.contextmanager
def megabytes(label: str, total: int) -> Iterator[Callable[[int], None]]:
  """Progress through `total` bytes; yields `advance(n)`, silent if short."""
  loop = Loop(f'{label} (MB)', -(-total // 10**6))
  done = 0

  def advance(n: int) -> None:
    nonlocal done
    done += n
    took = time.monotonic() - loop.start
    if loop.bar or took > loop.interval:
      loop.update(done // 10**6, f'{done / 1e6 / max(took, 1e-9):.1f} MB/s')

  try:
    yield advance
  finally:
    loop.close()
