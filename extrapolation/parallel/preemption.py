"""Notices to stop: the machine is about to be taken away, or Ctrl-C."""

import itertools
import signal
import sys
import threading
from types import FrameType
from typing import Self

import jax

from extrapolation.output import exit_codes
from extrapolation.parallel import interrupt
from extrapolation.parallel.multihost import Preempted

_asked = itertools.count(1)  # of this process

__all__ = ['Preempted', 'Preemption', 'exit_on_sigterm']


def _leave(number: int, frame: FrameType | None) -> None:
  del number, frame
  sys.exit(exit_codes.RETRY)


def exit_on_sigterm() -> None:
  """Until there is something to save, SIGTERM ends the process, to be rerun."""
  signal.signal(signal.SIGTERM, _leave)


class Preemption:
  """Says after which step to save and stop; within it SIGTERM only notes.

  One process takes SIGTERM as its notice. Of several, the notice of any one
  (SIGTERM, or what announces a TPU's maintenance) reaches all by JAX's runtime,
  which picks a step that none of them has passed.

  Args:
    ctrl_c: whether Ctrl-C (SIGINT) is such a notice too; a second one then ends
      the process at once. Otherwise the first one does.
  """

  def __init__(self, ctrl_c: bool = False):
    self.noticed = False
    self.interrupt = interrupt.Interrupt(self._notice) if ctrl_c else None

  def __enter__(self) -> Self:
    self.before = None
    if threading.current_thread() is threading.main_thread():
      # A command has no caller who would have to go on after a second Ctrl-C.
      command = signal.getsignal(signal.SIGTERM) is _leave
      if jax.process_count() == 1:
        self.before = signal.signal(signal.SIGTERM, self._on_sigterm)
      if self.interrupt:
        self.interrupt.listen(command)
    return self

  def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
    del number, frame
    self.noticed = True

  def _notice(self) -> None:
    self.noticed = True
    if jax.process_count() > 1:  # what JAX's runtime listens to
      signal.raise_signal(signal.SIGTERM)

  def __exit__(self, *error: object) -> None:
    if self.interrupt:
      self.interrupt.close()
    if self.before is not None:
      signal.signal(signal.SIGTERM, self.before)

  def stopped(self, text: str) -> Preempted:
    """What to raise when all is saved; a launcher tries Ctrl-C not again."""
    if self.interrupt and self.interrupt.count:
      return Preempted(text, exit_codes.INTERRUPTED)
    return Preempted(text)

  def due(self) -> bool:
    """To be asked by all processes alike, once after every step."""
    if jax.process_count() == 1:
      return self.noticed
    from jax.experimental import multihost_utils

    # The runtime agrees on one more than the largest count it has seen, and
    # waits for exactly that: counts must not begin anywhere else, or skip.
    return multihost_utils.reached_preemption_sync_point(next(_asked))
