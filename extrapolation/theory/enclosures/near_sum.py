"""B and T_j with the nearest weights summed one by one.

Beyond them T_j lies within every enclosure that is at hand: sums over blocks,
a Fourier series, or the bounds of the tail, which hold where weights vanish or
jump from token to token and no Taylor model does.
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from flint import arb

from extrapolation.theory.enclosures import (
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


class NearSums(sums.Points):
  """Enclosures of B and every T_j of one convergent head; see `sums.Sums`."""

  def __init__(self, root: Node, log_depth: int, smallest: Fraction):
    super().__init__()
    self.root, self.k, self.smallest = root, log_depth, smallest
    self.sum = block_sum.BlockSums(root, log_depth)
    self.levels: Iterator[int] = iter(LEVELS)
    self.fars, self.why = self._series()
    total = self.beyond(0) if self.fars else arb(0)
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
    """Sums more distances one by one; whether that told more of B."""
    n = next(self.levels, None)
    if n is None:
      return False
    before = self.beyond(0).rad() if self.fars else arb('inf')
    with sums.precision():
      if n == LEVELS[0]:
        bound = tail_bound.beyond(self.root, arb(n), self.k)
        if bound is not None:
          self.fars = [*self.fars, self._at(bound)]
        if not self.fars:
          raise NotProved(self.why)
      self.add_points(n)
    return bool(self.tails[n].rad() < before * 0.9)

  def _at(self, bound: tail_bound.Tail) -> Far:
    def beyond(j: int) -> arb:
      with sums.precision(96 + j.bit_length()):
        return bound(self.sum.log_weight(j), arb(j))

    return beyond

  def far(self, j: int) -> arb:
    """The narrowest of all enclosures, which hold from LEVELS[0] on."""
    first, *others = self.fars
    out = first(j)
    for far in others if self.weights or j >= LEVELS[0] else []:
      other = far(j)
      if not out.is_finite() or other.rad() < out.rad():
        out = other
    return out
