"""A line that says how far a loop is, how fast, and when it will end."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Loop:
  """Progress of a loop of `total` rounds; a bar on a terminal, else lines.

  On a terminal the bar moves with every round; elsewhere (a log file, a pod)
  one line is printed at most every `interval` seconds, and the last one.
  """

  def __init__(
    self, name: str, total: int, done: int = 0, interval=10.0, shown=True
  ):
    self.name, self.total, self.interval = name, total, interval
    self.shown = shown
    self.first = self.done = done
    self.start = self.printed = time.monotonic()
    console = Console(stderr=True)
    self.bar = None
    if console.is_terminal and shown:
      self.bar = Progress(
        TextColumn(name),
        BarColumn(),
        TextColumn('{task.completed}/{task.total}'),
        TextColumn('{task.fields[text]}'),
        TimeRemainingColumn(),
        console=console,
        transient=True,
      )
      self.task = self.bar.add_task(name, total=total, completed=done, text='')
      self.bar.start()

  def update(self, done: int, text: str) -> None:
    self.done = done
    if self.bar:
      self.bar.update(self.task, completed=done, text=text)
      return
    now = time.monotonic()
    if not self.shown:
      return
    if now - self.printed >= self.interval or done == self.total:
      self.printed = now
      took = now - self.start
      left = took / max(done - self.first, 1) * (self.total - done)
      eta = f'{int(left) // 60}:{int(left) % 60:02d} left'
      if done == self.total:
        eta = f'{took:.1f} s'
      print(f'{self.name}: {done}/{self.total}  {text}  {eta}', file=sys.stderr)

  def close(self) -> None:
    if self.bar:
      self.bar.stop()
