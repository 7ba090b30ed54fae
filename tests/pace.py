"""Limits of time that mean the same on every machine, busy or not."""

import math
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar('T')
LOOP = 0.02  # seconds `_loop` takes of the processor that limits are given for


def _loop() -> None:
  total = 0
  for i in range(400_000):
    total += i * i


def _taken(work: Callable[[], T]) -> tuple[float, T]:
  start = time.process_time()
  result = work()
  return time.process_time() - start, result


def within(seconds: float, work: Callable[[], T], trials: int = 1) -> T:
  """What `work` returns, where one trial takes so long of the processor.

  Where none does, the limit is longer by as much as this machine is slower,
  at this moment, than that for which it was written: two programs on one core
  take twice as long, of the processor too.

  Raises:
    AssertionError: all take longer.
  """
  least, result = math.inf, None
  for _ in range(trials):
    taken, result = _taken(work)
    if taken < seconds:
      return result
    least = min(least, taken)
  slower = max(1.0, min(_taken(_loop)[0] for _ in range(3)) / LOOP)
  assert least < seconds * slower, (
    f'{least:.3g} s of the processor; allowed: {seconds:g}'
    f' x {slower:.2f}, as this machine is slower'
  )
  return result
