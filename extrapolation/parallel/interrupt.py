"""Ctrl-C as a request to finish; a second one ends the process at once."""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from extrapolation.output import exit_codes, streams

log = logging.getLogger(__name__)


class Interrupt:
  """Listens to SIGINT from `listen` to `close`, both in the main thread.

  Python runs the handler of a signal between two of its own instructions,
  which may be minutes away while XLA compiles. Its C part writes the number of
  the signal to a file descriptor at once, and a thread waits there: it answers
  the first Ctrl-C when it comes, and ends the process on the second.

  Args:
    notice: called on the first Ctrl-C, in that thread.
  """

  def __init__(self, notice: Callable[[], None]):
    self.notice = notice
    self.count = 0  # of Ctrl-C
    self.handled = 0  # of those, by the handler
    self.fds: tuple[int, int] | None = None

  def listen(self, hard: bool) -> None:
    """Begins; a second Ctrl-C is a KeyboardInterrupt unless `hard`.

    In a notebook, whose other results would be lost with the process, it is
    not.
    """
    self.hard = hard
    self.fds = os.pipe()
    os.set_blocking(self.fds[1], False)
    self.old_fd = signal.set_wakeup_fd(self.fds[1], warn_on_full_buffer=False)
    self.thread = threading.Thread(target=self._watch, daemon=True)
    self.thread.start()
    self.before = signal.signal(signal.SIGINT, self._handle)

  def _handle(self, number: int, frame: FrameType | None) -> None:
    del number, frame
    self.handled += 1
    if self.handled > 1 and not self.hard:
      raise KeyboardInterrupt

  def _watch(self) -> None:
    assert self.fds
    while numbers := os.read(self.fds[0], 64):
      for _ in range(numbers.count(signal.SIGINT)):
        self.count += 1
        if self.count == 1:
          log.info(
            'Ctrl-C: finishes this step, saves and stops; once more ends at '
            'once, without what was done since the last checkpoint'
          )
          self.notice()
        elif self.hard:
          with contextlib.suppress(OSError, ValueError):
            cursor = '\x1b[?25h' * sys.stderr.isatty()  # a bar hides it
            streams.line(
              f'{cursor}ended at once; the same command goes on from the last '
              'checkpoint',
              sys.stderr,
            )
          os._exit(exit_codes.INTERRUPTED)

  def close(self) -> None:
    """Ends; SIGINT does again what it did before."""
    if self.fds is None:
      return
    signal.signal(signal.SIGINT, self.before)
    signal.set_wakeup_fd(self.old_fd)
    os.close(self.fds[1])
    self.thread.join()
    os.close(self.fds[0])
    self.fds = None
