r"""Enclosures of B = sum_{t>=0} w(t) and T_j = sum_{t>=j} w(t), w = exp b.

Near distances are summed one by one. Further ones come in blocks: a Taylor
model of w, whose powers of t are summed exactly (Bernoulli polynomials), halved
where it is not sharp. From 2^30 tokens sums are integrals over x = ln t (or
ln ln t, ... on the rungs of the logarithmic scale) with a bound of the
difference; from a threshold on there is the bound of tail_bound.py.
"""

import dataclasses
import heapq
import itertools
import math
from fractions import Fraction
from typing import Any

import flint
from flint import arb

from extrapolation.theory.enclosures import ball, tail_bound
from extrapolation.theory.enclosures.ball import Balls, Program
from extrapolation.theory.enclosures.taylor_model import Jets, variable
from extrapolation.theory.errors import (
  NeedsSmallerBlock,
  NotProved,
  UndefinedTotal,
)
from extrapolation.theory.expression.graph import Node

ORDER = 18  # of the Taylor models
POINTS = 32  # a block of at most so many distances is summed one by one
BLOCKS = 3000  # evaluations per head
TOLERANCE = 1e-17  # of a tail, for each block
FAR = 1 << 30  # tokens from which sums are taken as integrals


@dataclasses.dataclass(eq=False)
class Block:
  """A sum over a <= t < b: integers, or reals on the axis x where far.

  Attributes:
    value: its enclosure.
    fixed: the part of the radius that halving would not reduce.
  """

  a: Any
  b: Any
  far: bool
  value: arb
  fixed: arb


class Sums:
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
    self.root, self.k, self.left = root, log_depth, BLOCKS
    with precision():
      self.program = Program(root)
      near = [self._weight(t) for t in range(2 * POINTS)]
      scale = sum(near, arb(0))
      self.goal = scale * smallest.numerator / smallest.denominator
      self.tail, T = self._threshold()
      self.start = arb(T)
      self.blocks = self._plan(T)
      self._refine()
      self._accumulate(near)
      self.total = self.tails[0]

  # Values.

  def log_weight(self, t: arb | int) -> arb:
    """Encloses b(t)."""
    return self.program(t if isinstance(t, arb) else arb(t), Balls)

  def _weight(self, t: arb | int) -> arb:
    w = self.log_weight(t).exp()
    if not w.is_finite():
      raise UndefinedTotal(
        f'the weight at distance {t} is infinite or undefined, so there is no '
        'total to take a share of; write log(t + 1) rather than log(t)'
      )
    return w

  def _axis(self, t: arb) -> arb:
    for _ in range(self.k + 1):
      t = t.log()
    return t

  def _tokens(self, x: arb) -> arb:
    for _ in range(self.k + 1):
      x = x.exp()
    return x

  # The plan: blocks up to a threshold with a sharp bound of the rest.

  def _threshold(self) -> tuple:
    best = None
    for T in self._thresholds():
      bound = tail_bound.beyond(self.root, arb(T), self.k)
      if bound is None:
        continue
      t = bound(self.log_weight(T), arb(T))
      if best is None or t.rad() < best[0]:
        best = t.rad(), bound, T
      if t.rad() < 1e-14 * self.goal or t.rad() < 1e-13 * t.mid():
        break
    if best is None:
      raise NotProved('no bound of the tail was found')
    return best[1:]

  def _thresholds(self):
    if self.k == 0:
      for bits in range(6, 30):
        # Worth a proof where the rest looks too small to matter.
        w = self.log_weight(1 << bits).exp()
        if w < 1e-25 * self.goal and w * 4**bits < self.goal * 1e-12:
          yield 1 << bits
      yield from (1 << bits for bits in (60, 120, 240, 480, 960))
    else:
      yield from (1 << bits for bits in (60, 240))
      for x in (6, 8, 10, 13, 16, 20, 24):
        yield arb(x).exp().exp()

  def _plan(self, T: Any) -> list[Block]:
    blocks, a, end = [], 2 * POINTS, min(T, FAR)
    while a < end:
      blocks.append(self._block(a, min(2 * a, int(end)), False))
      a *= 2
    if T > FAR:
      x, end = self._axis(arb(FAR)), self._axis(arb(T))
      steps = max(1, math.ceil(float(end - x) * 1.5))
      inner = [(x + (end - x) * i / steps).mid() for i in range(1, steps)]
      edges = [x, *inner, end]
      for pair in itertools.pairwise(edges):
        blocks.append(self._block(*pair, True))
    return blocks

  def _refine(self):
    """Halves the worst blocks until every tail is sharp."""
    queue, kept, total = [], dict.fromkeys(self.blocks), arb(0)
    order = itertools.count()

    def push(block: Block, base: arb):
      if not block.far and block.b - block.a <= POINTS:
        return
      error = (block.value.rad() - block.fixed) / base
      error = float(error.upper()) if error.is_finite() else 1e300
      if error > TOLERANCE:
        heapq.heappush(queue, (-error, next(order), block, base))

    for block in reversed(self.blocks):
      if block.value.is_finite():
        total += block.value.mid()
      push(block, (total + self.goal).mid())
    while queue and self.left > 0:
      *_, block, base = heapq.heappop(queue)
      del kept[block]
      if block.far:
        middle = ((block.a + block.b) / 2).mid()
      else:
        middle = (block.a + block.b) // 2
      for a, b in ((block.a, middle), (middle, block.b)):
        half = self._block(a, b, block.far)
        kept[half] = None
        push(half, base)
    self.blocks = sorted(kept, key=lambda b: (b.far, float(b.a)))

  def _accumulate(self, near: list[arb]):
    """T at the start of every block, from the far end."""
    total, self.after = self.tail(self.log_weight(self.start), self.start), []
    if self.start > FAR:  # the tail counts w(T) whole, the trapezoid half
      total -= self.log_weight(self.start).exp() / 2
    step = self.log_weight(FAR).exp() / 2
    for i in range(len(self.blocks) - 1, -1, -1):
      self.after.append(total)
      total = total + self.blocks[i].value
      if self.blocks[i].far and not self.blocks[i - 1].far:
        total = total + step
    self.after.reverse()
    tails = [total]
    for w in reversed(near):
      tails.append(tails[-1] + w)
    self.tails = tails[::-1]  # T_j, j = 0 .. 2 POINTS

  # Blocks.

  def _block(self, a: Any, b: Any, far: bool) -> Block:
    self.left -= 1
    return Block(a, b, far, *self._sum(a, b, far))

  def _sum(self, a: Any, b: Any, far: bool) -> tuple[arb, arb]:
    try:
      if far:
        return self._integral(a, b)
      if b - a <= POINTS:
        return sum((self._weight(t) for t in range(a, b)), arb(0)), arb(0)
      return self._taylor(a, b), arb(0)
    except NeedsSmallerBlock:
      ends = (self._tokens(a), self._tokens(b)) if far else (arb(a), arb(b))
      return self._crude(*ends), arb(0)

  def _crude(self, a: arb, b: arb) -> arb:
    """Number of distances times the range of the weight."""
    w = self.log_weight(a.union(b)).exp()
    if not w.is_finite():
      return arb(0, 'inf')
    return (b - a) * w.lower().max(arb(0)).union(w.upper())

  def _taylor(self, a: int, b: int) -> arb:
    """sum_k f_k S_k, S_k = sum (t - c)^k = 2 B_{k+1}((n+1)/2) / (k+1)."""
    n, c = arb(b - a), arb(a + b - 1) / 2
    t = variable(c, arb(a).union(arb(b - 1)))
    w = Jets.exp(self.program(t, Jets))
    total, half, h = arb(0), (n + 1) / 2, (n - 1) / 2
    for k in range(ORDER):
      f = w.centre[k]
      if k % 2 == 0:
        total += f * 2 * half.bernoulli_poly(k + 1) / (k + 1)
      elif w.fuzzy:  # the steps of floor: another f for every t
        total += arb(0, (f.rad() * h**k * n).upper())
    rest = w.range[ORDER].abs_upper() * h**ORDER * n
    total += arb(0, rest.upper())
    if not total.is_finite():
      raise NeedsSmallerBlock
    return total

  def _integral(self, x0: arb, x1: arb) -> tuple[arb, arb]:
    r"""sum over exp^{k+1}(x0) <= t < exp^{k+1}(x1), up to the end terms.

    int w dt = int exp(b + l_1 + .. + l_{k+1}) dx; the trapezoid's ends
    (w(a) - w(b)) / 2 telescope over blocks and are added once.
    """
    c, block = ((x0 + x1) / 2).mid(), x0.union(x1)
    x = variable(c, block)
    t, chain = x, x
    for i in range(self.k + 1):
      t = t.map(lambda s: s.exp(), t)
      if i < self.k:
        chain = chain.join(t, lambda a, b: a + b)
    b = self.program(t, Jets)
    if b.fuzzy:
      raise NeedsSmallerBlock
    h = (block - c).abs_upper()
    mass = b.join(chain, lambda u, v: u + v)
    if self.k:
      mass = mass.tightened(h, ORDER)
    mass, low, high = Jets.exp(mass), x0 - c, x1 - c
    total = arb(0)
    for k in range(ORDER):
      step = high ** (k + 1) - low ** (k + 1)
      total += mass.centre[k] * step / (k + 1)
    rest = mass.range[ORDER].abs_upper() * (high - low).abs_upper() * h**ORDER
    fixed = self._trapezoid(Jets.exp(b).range, x0, x1)
    total += arb(0, (rest + fixed).upper())
    if not total.is_finite():
      raise NeedsSmallerBlock
    return total, fixed

  def _trapezoid(self, w: Any, x0: arb, x1: arb) -> arb:
    """Bound of |sum - integral - (w(a) - w(b)) / 2|.

    At most 1/8 int |w''| dt, with w'' = (w_xx - w_x) / t^2 on x = ln t; on
    higher rungs at most the total variation.
    """
    if self.k == 0:
      bound = (2 * w[2].abs_upper() + w[1].abs_upper()) / x0.exp() / 8
    else:
      bound = w[1].abs_upper()
    return (bound * (x1 - x0)).upper()

  def beyond(self, j: int, bits: int = 0) -> arb:
    """Encloses T_j; `bits` is for closed forms, sharp at any precision."""
    del bits
    with precision(j.bit_length()):
      if j < len(self.tails):
        return self.tails[j]
      t = arb(j)
      if t >= self.start:
        return self.tail(self.log_weight(t), t)
      x = self._axis(t) if j >= FAR else None
      for block, after in zip(self.blocks, self.after, strict=True):
        if block.far and x is not None and not block.b < x:
          head = self._sum(x, block.b, True)[0] if x < block.b else arb(0)
          return after + head + self.log_weight(t).exp() / 2
        if not block.far and block.a <= j < block.b:
          return after + self._sum(j, block.b, False)[0]
    raise AssertionError(f'no block holds {j}')

  def variation(self, j: int) -> arb:
    """Bound of the total variation of w on [j, inf)."""
    total = 2 * self.tail(self.log_weight(self.start), self.start).abs_upper()
    x = self._axis(arb(j))
    for block in self.blocks:
      if block.far and block.b > x:
        a = x.max(block.a)
        slope = self._slope(a, block.b, True)
        total += slope * (block.b - a)
      elif not block.far and block.b > j:
        a = max(block.a, j)
        total += self._slope(a, block.b, False) * (block.b - a)
    return total.upper()

  def _slope(self, a: Any, b: Any, far: bool) -> arb:
    """sup |dw/dt| over a block (dw/dx where far)."""
    a, b = arb(a), arb(b)
    t = variable(((a + b) / 2).mid(), a.union(b))
    for _ in range((self.k + 1) * far):
      t = t.map(lambda s: s.exp(), t)
    try:
      return Jets.exp(self.program(t, Jets)).range[1].abs_upper()
    except NeedsSmallerBlock:
      return arb.pos_inf()


class precision:
  """Working precision and length of power series for the enclosures."""

  def __init__(self, more: int = 0):
    self.bits = max(ball.PRECISION, 96 + more)

  def __enter__(self):
    self.before = flint.ctx.prec, flint.ctx.cap
    flint.ctx.prec, flint.ctx.cap = self.bits, ORDER + 1

  def __exit__(self, *error: Any):
    flint.ctx.prec, flint.ctx.cap = self.before
