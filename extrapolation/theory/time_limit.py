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
  """Raises TimeoutError in the block after `seconds` of wall time.

  Works in the main thread, where it leaves another alarm that was set (that of
  a test runner) as it found it. Elsewhere the callers' own step counts serve.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  def stop(signum: int, frame: FrameType | None):
    raise _Expired

  before = signal.signal(signal.SIGALRM, stop)
  left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
  start = time.monotonic()
  try:
    yield
  except _Expired:
    raise TimeoutError from None
  finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    if left:
      rest = max(left - (time.monotonic() - start), 1e-3)
      signal.setitimer(signal.ITIMER_REAL, rest, interval)
