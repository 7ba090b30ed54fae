"""B and T_j with the nearest weights summed one by one.

Beyond them T_j lies within every enclosure that is at hand: sums over blocks,
a Fourier series, or the bounds of the tail, which hold where weights vanish or
jump from token to token and no Taylor model does.
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from flint import arb

from extrapolation.theory.enclosures import (
  ball,
  block_sum,
  oscillating_sum,
  sums,
  tail_bound,
)
from extrapolation.theory.errors import NotProved
from extrapolation.theory.expression.graph import Node

LEVELS = (1 << 13, 1 << 15, 1 << 17)  # distances summed one by one
SHARP = 1e-6  # of B; where blocks leave more, points are summed
Far = Callable[[int], arb]


class NearSums:
  """Enclosures of B and every T_j of one convergent head; see `sums.Sums`."""

  def __init__(self, root: Node, log_depth: int, smallest: Fraction):
    self.root, self.k, self.smallest = root, log_depth, smallest
    self.program = ball.Program(root)
    self.weights: list[arb] = []
    self.tails: list[arb] = []
    self.levels: Iterator[int] = iter(LEVELS)
    self.far, self.why = self._series()
    total = self.beyond(0) if self.far else arb(0)
    if not total.rad() < total.mid() * SHARP:
      self.finer()

  def _series(self) -> tuple[Sequence[Far], str]:
    """Enclosures of T_j at any j; why there is none."""
    parts, why = oscillating_sum.split(self.root), ''
    if parts is not None:
      base, wave, omega = parts
      try:
        base = sums.Sums(base, self.k, self.smallest)
        return [oscillating_sum.WaveSums(base, wave, omega).beyond], ''
      except NotProved as e:
        why = str(e)
    try:
      return [sums.Sums(self.root, self.k, self.smallest).beyond], ''
    except NotProved as e:
      return [], why or str(e)

  def finer(self) -> bool:
    """Sums more distances one by one, if there is a level left."""
    n = next(self.levels, None)
    if n is None:
      return False
    with sums.precision():
      if n == LEVELS[0]:
        bound = tail_bound.beyond(self.root, arb(n), self.k)
        if bound is not None:
          self.far = [*self.far, self._at(bound)]
        if not self.far:
          raise NotProved(self.why)
      for t in range(len(self.weights), n):
        self.weights.append(block_sum.finite(self.program.at(t), t))
      self.tails = []
      total = self.beyond(n)
      tails = [total]
      for w in reversed(self.weights):
        total = total + w
        tails.append(total)
    self.tails = tails[::-1]
    return True

  def _at(self, bound: tail_bound.Tail) -> Far:
    def beyond(j: int) -> arb:
      with sums.precision(96 + j.bit_length()):
        return bound(self.program.at(j), arb(j))

    return beyond

  def beyond(self, j: int, bits: int = 0) -> arb:
    """Encloses T_j."""
    del bits
    if j < len(self.tails):
      return self.tails[j]
    first, *others = self.far
    out = first(j)
    for far in others if self.tails or j >= LEVELS[0] else []:
      other = far(j)
      if not out.is_finite() or other.rad() < out.rad():
        out = other
    return out
