r"""Enclosures of B = sum_{t>=0} w(t) and T_j = sum_{t>=j} w(t), w = exp b.

Near distances are summed one by one, further ones in blocks (block_sum.py),
halved where they are not sharp; from a threshold on there is the bound of
tail_bound.py.
"""

import bisect
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import flint
from flint import arb

from extrapolation.theory.enclosures import ball, tail_bound
from extrapolation.theory.enclosures.block_sum import FAR, POINTS, BlockSums
from extrapolation.theory.enclosures.taylor_model import ORDER
from extrapolation.theory.errors import NotProved
from extrapolation.theory.expression.graph import Node

BLOCKS = 3000  # evaluations per head
SHARP = 1e-30  # of a weight at 2^60 tokens, or more bits are taken


class Points:
  """Every T_j, where the nearest weights are summed one by one.

  Attributes:
    sum: the weights.
  """

  sum: BlockSums

  def far(self, j: int) -> arb:
    """Encloses T_j from some j on."""
    raise NotImplementedError

  def __init__(self):
    self.weights: list[arb] = []
    self.tails: list[arb] = []

  def add_points(self, n: int) -> None:
    """Sums the weights below n one by one, in `precision`."""
    self.weights += map(self.sum.weight, range(len(self.weights), n))
    tails = [self.far(n)]
    for w in reversed(self.weights):
      tails.append(tails[-1] + w)
    self.tails = tails[::-1]

  def beyond(self, j: int, bits: int = 0) -> arb:
    """Encloses T_j; `bits` is for closed forms, sharp at any precision."""
    del bits
    return self.tails[j] if j < len(self.tails) else self.far(j)


class Sums(Points):
  """Enclosures of B and every T_j of one convergent head.

  Args:
    root: the log weight, without free parameters.
    log_depth: the k of its verdict.
    smallest: the smallest eps that will be asked for.

  Raises:
    UndefinedTotal: an infinite or undefined weight at some distance.
    NotProved: no bound of the tail was found.
  """

  def __init__(
    self, root: Node, log_depth: int = 0, smallest: Fraction = Fraction(1, 1000)
  ):
    super().__init__()
    self.root, self.k = root, log_depth
    self.sum = BlockSums(root, log_depth)
    self.bits = self._bits()
    with precision(self.bits):
      near = sum(map(self.sum.weight, range(2 * POINTS)), arb(0))
      self.goal = near * ball.number(smallest)
      self.tail, self.start = self._threshold()
      edges = itertools.pairwise(self._edges())
      self.blocks, _ = self.sum.refined(edges, self.goal.mid(), BLOCKS)
      self.after = [self.tail(self.sum.log_weight(self.start), self.start)]
      for block in reversed(self.blocks):
        self.after.append(self.after[-1] + block.value)
      self.after.reverse()
      self.add_points(2 * POINTS)
      self.total = self.tails[0]

  def _bits(self) -> int:
    """More bits where the terms of a formula cancel at large distances."""
    for bits in ball.PRECISIONS[:3]:
      with precision(bits):
        w = arb(self.sum.program(ball.exact(1 << 60), ball.Balls)).exp()
        if w.rad() <= SHARP * w.mid():
          return bits
    return ball.PRECISIONS[0]

  # The plan: blocks up to a threshold with a sharp bound of the rest.

  def _threshold(self) -> tuple:
    best = None
    for T in self._thresholds():
      bound = tail_bound.beyond(self.root, T, self.k)
      if bound is None:
        continue
      t = bound(self.sum.log_weight(T), T)
      if best is None or t.rad() < best[0]:
        best = t.rad(), bound, T
      if t.rad() < 1e-14 * self.goal or t.rad() < 1e-13 * t.mid():
        break
    if best is None:
      raise NotProved(
        'no bound of the tail was found: the integral test needs an asymptotic '
        'expansion of b with a bound of its remainder'
      )
    return best[1:]

  def _thresholds(self) -> Iterator[arb]:
    if self.k == 0:
      for bits in range(6, 30):
        # Worth a proof where the rest looks too small to matter.
        w = self.sum.log_weight(1 << bits).exp()
        if w < 1e-25 * self.goal and w * 4**bits < self.goal * 1e-12:
          yield arb(1 << bits)
      yield from (arb(1 << bits) for bits in (60, 120, 240, 480, 960))
    else:
      yield from (arb(1 << bits) for bits in (60, 240))
      for x in (6, 8, 10, 13, 16, 20, 24):
        yield arb(x).exp().exp().mid().floor().mid()

  def _edges(self) -> list[arb]:
    T, edges = self.start, [arb(2 * POINTS)]
    while edges[-1] < T and edges[-1] < FAR:
      edges.append((2 * edges[-1]).min(T))
    if T > FAR:
      x, end = self.sum.axis(arb(FAR)), self.sum.axis(T)
      steps = max(1, math.ceil(float(end - x) * 1.5))
      inner = (x + (end - x) * i / steps for i in range(1, steps))
      edges += [*map(self.sum.tokens, inner), T]
    return edges

  def far(self, j: int) -> arb:
    """Encloses T_j, j >= 2 POINTS."""
    with precision(self.bits):  # j is exact at any precision
      t = arb(j)
      if t >= self.start:
        return self.tail(self.sum.log_weight(t), t)
      i = bisect.bisect_right(self.blocks, t, key=lambda block: block.a)
      block = self.blocks[i - 1]
      if t == block.a:
        return self.after[i - 1]
      return self.after[i] + self.sum(t, block.b)[0]

  def variation(self, j: int) -> arb:
    """Bound of the total variation of w on [j, inf)."""
    t = arb(j)
    end = t if t > self.start else self.start
    total = self.tail.variation(self.sum.log_weight(end), end)
    for block in self.blocks:
      if block.b > t:
        total += self.sum.slope(t.max(block.a), block.b)
    for i in range(j, 2 * POINTS):
      total += abs(self.sum.weight(i) - self.sum.weight(i + 1))
    return total.upper()


class precision:
  """Working precision and length of power series for the enclosures."""

  def __init__(self, bits: int = ball.PRECISION):
    self.bits = max(ball.PRECISION, bits)

  def __enter__(self):
    self.before = flint.ctx.prec, flint.ctx.cap
    flint.ctx.prec, flint.ctx.cap = self.bits, ORDER + 1

  def __exit__(self, *error: Any):
    flint.ctx.prec, flint.ctx.cap = self.before
