"""A time limit for work that may not come back, such as simplification."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class _Expired(BaseException):
  """Not an Exception: code in between may catch those."""


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
  """Raises TimeoutError in the block after `seconds` of the processor.

  A busy machine changes no answer. Works in the main thread and, within one
  another, the outer limit goes on; elsewhere the callers' own steps count.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return

  def stop(signum: int, frame: FrameType | None):
    raise _Expired

  before = signal.signal(signal.SIGPROF, stop)
  left, interval = signal.setitimer(signal.ITIMER_PROF, seconds)
  try:
    yield
  except _Expired:
    raise TimeoutError from None
  finally:
    unused, _ = signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)
    if left:
      rest = max(left - (seconds - unused), 1e-3)
      signal.setitimer(signal.ITIMER_PROF, rest, interval)
