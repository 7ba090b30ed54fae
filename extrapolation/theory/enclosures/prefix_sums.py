"""Enclosures of B_n = sum_{t<n} w(t), whether or not they converge."""

import bisect

from flint import arb

from extrapolation.theory.enclosures.block_sum import POINTS, BlockSums
from extrapolation.theory.enclosures.sums import precision
from extrapolation.theory.errors import NotProved
from extrapolation.theory.expression.graph import Node

LONGEST = 1 << 130  # tokens; more than twice the square of 2^62
EFFORT = 10_000  # blocks of a formula of one operation


class PrefixSums:
  """B_n of one head for any n <= 2^130.

  Attributes:
    left: blocks that may still be summed. They bound the time of a head that
      no Taylor model fits, whose weights are summed one by one.
  """

  def __init__(self, root: Node, effort: int = EFFORT):
    self.sum = BlockSums(root, 0)
    self.left = effort // len(self.sum.program.steps)
    self.ends, self.values = [0], [arb(0)]

  def __call__(self, n: int) -> arb:
    """Encloses B_n.

    Raises:
      UndefinedTotal: an infinite or undefined weight below n.
      NotProved: too long, or too much work; the message says which.
    """
    if n > LONGEST:
      raise NotProved(f'{n} tokens; at most 2^130 are summed')
    with precision():
      while self.ends[-1] < n:
        last = self.ends[-1]
        end = min(max(2 * last, 2 * POINTS), n if last >= n // 2 else LONGEST)
        self._add(len(self.ends), end)
      i = bisect.bisect_right(self.ends, n)
      if self.ends[i - 1] != n:
        self._add(i, n)
      return self.values[bisect.bisect_left(self.ends, n)]

  def _add(self, i: int, end: int) -> None:
    """Puts B_end into place i."""
    start, base = self.ends[i - 1], self.values[i - 1]
    part = arb(start), arb(end)
    blocks, self.left = self.sum.refined([part], base.mid(), self.left)
    if self.left < 0:
      raise NotProved(
        'no Taylor model holds over blocks of the weights, and they are too '
        'many to be summed one by one'
      )
    self.ends.insert(i, end)
    self.values.insert(i, sum((x.value for x in blocks), base))
