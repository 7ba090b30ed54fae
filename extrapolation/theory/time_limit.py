"""A time limit for work that may not come back, such as simplification."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType


class _Expired(BaseException):
  """Not an Exception: code in between may catch those."""


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
  """Raises TimeoutError in the block after `seconds` of this thread's work.

  A busy machine changes no answer, nor does another thread. Works in the main
  thread; elsewhere the callers' own steps count. Limits may be nested.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  start = time.thread_time()

  def stop(signum: int, frame: FrameType | None):
    rest = seconds - (time.thread_time() - start)
    if rest <= 1e-3:
      raise _Expired
    signal.setitimer(signal.ITIMER_PROF, rest)  # other threads worked too

  before = signal.signal(signal.SIGPROF, stop)
  left, interval = signal.setitimer(signal.ITIMER_PROF, seconds)
  try:
    yield
  except _Expired:
    raise TimeoutError from None
  finally:
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)
    if left:
      rest = max(left - (time.thread_time() - start), 1e-3)
      signal.setitimer(signal.ITIMER_PROF, rest, interval)
