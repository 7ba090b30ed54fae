"""Notices that this machine is about to be taken away."""

import itertools
import signal
import sys
import threading
from types import FrameType
from typing import Self

import jax

from extrapolation.output import exit_codes
from extrapolation.parallel.multihost import Preempted

_asked = itertools.count(1)  # of this process

__all__ = ['Preempted', 'Preemption', 'exit_on_sigterm']


def exit_on_sigterm() -> None:
  """Until there is something to save, SIGTERM ends the process, to be rerun."""

  def leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    sys.exit(exit_codes.RETRY)

  signal.signal(signal.SIGTERM, leave)


class Preemption:
  """Says after which step to save and stop; within it SIGTERM only notes.

  One process takes SIGTERM as its notice. Of several, the notice of any one
  (SIGTERM, or what announces a TPU's maintenance) reaches all by JAX's runtime,
  which picks a step that none of them has passed.
  """

  def __init__(self):
    self.noticed = False

  def __enter__(self) -> Self:
    self.before = None
    alone = jax.process_count() == 1
    if alone and threading.current_thread() is threading.main_thread():
      self.before = signal.signal(signal.SIGTERM, self._notice)
    return self

  def _notice(self, number: int, frame: FrameType | None) -> None:
    del number, frame
    self.noticed = True

  def __exit__(self, *error: object) -> None:
    if self.before is not None:
      signal.signal(signal.SIGTERM, self.before)

  def due(self) -> bool:
    """To be asked by all processes alike, once after every step."""
    if jax.process_count() == 1:
      return self.noticed
    from jax.experimental import multihost_utils

    # The runtime agrees on one more than the largest count it has seen, and
    # waits for exactly that: counts must not begin anywhere else, or skip.
    return multihost_utils.reached_preemption_sync_point(next(_asked))
