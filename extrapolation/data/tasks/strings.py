"""Strings of random symbols that an encoder reads and a decoder writes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32

from extrapolation.data.probes import generator
from extrapolation.data.tasks import base

if TYPE_CHECKING:
  from extrapolation.geometry import Size

MOST = 1 << 16
Ids = Int32[np.ndarray, ' T']


def task(
  name: str, symbols: int, read: Callable[[Ids], Ids], source: str
) -> base.Task:
  """A task whose targets are random and tell its source.

  The targets of a longer one have more in front: those of `within` are its
  last ones, and alone are scored. The decoder begins with the id `symbols`.

  Args:
    read: targets -> what the encoder reads.
  """
  base.check_count(name, 'symbols', symbols, 2, MOST)

  def check(size: 'Size', within: 'Size') -> None:
    base.check_sizes(name, ('length',), size, within, least=(1,))

  def draw(
    number: int, size: 'Size', *, within: 'Size', stream: str, seed: int
  ) -> base.Example:
    check(size, within)
    (T,), (t,) = size, within
    rng = generator(seed, stream, number)
    # From the last to the first, so that more leaves these as they are.
    targets = rng.integers(symbols, size=T)[::-1].astype(np.int32)
    inputs = np.concatenate([[symbols], targets[:-1]]).astype(np.int32)
    weights = np.zeros(T, np.float32)
    weights[T - t :] = 1
    optimum = np.where(weights > 0, np.float32(0), np.float32(np.nan))
    return base.Example(inputs, targets, weights, optimum, read(targets))

  return base.Task(
    kind='sequence',
    symbols=symbols,
    V=symbols + 1,
    geometries=('both', 'line'),
    check=check,
    draw=draw,
    source=source,
  )
