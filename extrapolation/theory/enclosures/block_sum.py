r"""Sums of w = exp b over a block of distances a <= t < b, a and b integers.

Few distances are summed one by one. More are summed as a Taylor model of w,
whose powers of t have exact sums (Bernoulli polynomials). From 2^30 tokens on
the sum is an integral over x = ln t (or ln ln t, ... on the rungs of the
logarithmic scale), which needs few blocks, with Euler and Maclaurin's ends and
a bound of the difference. Where no model is sharp the sum lies between b - a
times the least and the largest weight. Each is proved for the integers of its
block alone, so that blocks may be cut down to single tokens.
"""

import dataclasses
import heapq
import itertools
from collections.abc import Iterable

from flint import arb

from extrapolation.theory.enclosures import ball
from extrapolation.theory.enclosures.ball import Balls, Program
from extrapolation.theory.enclosures.taylor_model import ORDER, Jets, variable
from extrapolation.theory.errors import (
  NeedsSmallerBlock,
  NotProved,
  UndefinedTotal,
)
from extrapolation.theory.expression.graph import Node

POINTS = 32  # a block of at most so many distances is summed one by one
FAR = 1 << 30  # tokens from which sums are taken as integrals
WIDE = 1e-3  # of a sum: from this radius on the plain bounds are tried too
TOLERANCE = 1e-17  # of a tail, for each block


@dataclasses.dataclass(eq=False)
class Block:
  """A sum over the integers a <= t < b.

  Attributes:
    value: its enclosure.
    fixed: the part of the radius that halving would not reduce.
  """

  a: arb
  b: arb
  value: arb
  fixed: arb

  @property
  def least(self) -> arb:
    """A lower bound, of a sum that is no less than 0."""
    finite = self.value.is_finite()
    return self.value.lower().max(arb(0)) if finite else arb(0)


class BlockSums:
  """Sums of one head over blocks.

  Args:
    root: the log weight.
    k: the log_depth, which says over what far blocks are integrated.
  """

  def __init__(self, root: Node, k: int):
    self.program, self.k = Program(root), k

  def log_weight(self, t: arb | int) -> arb:
    """Encloses b(t)."""
    return self.program.at(t)

  def weight(self, t: arb | int) -> arb:
    """Encloses w(t) at one distance.

    Raises:
      UndefinedTotal: it is infinite, or not a number.
      NotProved: its formula could not be enclosed.
    """
    return finite(self.log_weight(t), t)

  def axis(self, t: arb) -> arb:
    """x of a distance."""
    for _ in range(self.k + 1):
      t = t.log()
    return t

  def tokens(self, x: arb) -> arb:
    """The whole distance next to an x, exactly."""
    for _ in range(self.k + 1):
      x = x.exp()
    return x.mid().floor().mid()

  def __call__(self, a: arb, b: arb) -> tuple[arb, arb]:
    """Encloses the sum; and the part of its radius that no halving reduces."""
    if b - a <= POINTS:
      first = int(ball.whole(a))
      points = range(first, int(ball.whole(b)))
      return sum((self.weight(t) for t in points), arb(0)), arb(0)
    best = arb(0, 'inf'), arb(0)
    for rule in (self._integral, self._taylor) if a >= FAR else (self._taylor,):
      try:
        best = rule(a, b)
        break
      except NeedsSmallerBlock:
        pass
    if best[0].rad() < WIDE * best[0].mid():
      return best
    crude = self._crude(a, b)
    return (crude, arb(0)) if crude.rad() < best[0].rad() else best

  def refined(
    self, parts: Iterable[tuple[arb, arb]], base: arb, most: int
  ) -> tuple[list[Block], int]:
    """Sums over parts, the worst of which are halved until all are sharp.

    Args:
      parts: the first and last distance of each, in order.
      base: to a share of it, and of all that lies beyond, a part is sharp.
      most: evaluations.

    Returns:
      The sums in order, and how many evaluations were left; -1 where not all
      are sharp.
    """
    queue, order, kept = [], itertools.count(), set()

    def push(a: arb, b: arb, base: arb) -> Block:
      block = Block(a, b, *self(a, b))
      kept.add(block)
      if b - a > POINTS:
        error = (block.value.rad() - block.fixed) / (base + block.least)
        error = float(error.upper()) if error.is_finite() else 1e300
        if error > TOLERANCE:
          heapq.heappush(queue, (-error, next(order), block, base))
      return block

    for a, b in reversed([*parts]):
      base = (base + push(a, b, base).least).mid()
      most -= 1
    while queue and most > 0:
      *_, block, base = heapq.heappop(queue)
      middle = self._middle(block)
      if block.a < middle < block.b:  # as far as the bits tell them apart
        kept.remove(block)
        push(block.a, middle, base)
        push(middle, block.b, base)
        most -= 2
    return sorted(kept, key=lambda x: x.a), -1 if queue else most

  def _middle(self, block: Block) -> arb:
    """A whole distance inside."""
    if block.a < FAR:
      return ((block.a + block.b) / 2).floor().mid()
    return self.tokens((self.axis(block.a) + self.axis(block.b)) / 2)

  def _crude(self, a: arb, b: arb) -> arb:
    """Number of distances times the range of the weight."""
    with_range = self.program(a.union(b - 1), Balls)
    w = arb(with_range).exp()
    if not w.is_finite():
      return arb(0, 'inf')
    return (b - a) * ball.positive(w)

  def _taylor(self, a: arb, b: arb) -> tuple[arb, arb]:
    """sum_k f_k S_k, S_k = sum (t - c)^k = 2 B_{k+1}((n+1)/2) / (k+1)."""
    n, c = b - a, (a + b - 1) / 2
    t = variable(c, a.union(b - 1))
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
    return total, arb(0)

  def _integral(self, a: arb, b: arb) -> tuple[arb, arb]:
    r"""int w dt + (w(a) - w(b)) / 2 +- a bound of the difference.

    int w dt = int exp(b + l_1 + .. + l_{k+1}) dx.
    """
    x0, x1 = self.axis(a), self.axis(b)
    c, block = ((x0 + x1) / 2).mid(), x0.union(x1)
    x = variable(c, block)
    t, chain = x, x
    for i in range(self.k + 1):
      t = t.map(lambda s: s.exp(), t)
      if i < self.k:
        chain = chain.join(t, lambda a, b: a + b)
    b_x = self.program(t, Jets)
    if b_x.fuzzy:
      raise NeedsSmallerBlock
    h = (block - c).abs_upper()
    mass = b_x.join(chain, lambda u, v: u + v)
    if self.k:
      mass = mass.tightened()
    mass, low, high = Jets.exp(mass), x0 - c, x1 - c
    total = (self.weight(a) - self.weight(b)) / 2
    for k in range(ORDER):
      step = high ** (k + 1) - low ** (k + 1)
      total += mass.centre[k] * step / (k + 1)
    rest = mass.range[ORDER].abs_upper() * (high - low).abs_upper() * h**ORDER
    fixed = self._trapezoid(Jets.exp(b_x).range, x0, x1)
    total += arb(0, (rest + fixed).upper())
    if not total.is_finite():
      raise NeedsSmallerBlock
    return total, fixed

  def _trapezoid(self, w, x0: arb, x1: arb) -> arb:
    """Bound of |sum - integral - (w(a) - w(b)) / 2|.

    At most 1/8 int |w''| dt, with w'' = (w_xx - w_x) / t^2 on x = ln t; on
    higher rungs at most the total variation.
    """
    if self.k == 0:
      bound = (2 * w[2].abs_upper() + w[1].abs_upper()) / x0.exp() / 8
    else:
      bound = w[1].abs_upper()
    return (bound * (x1 - x0)).upper()

  def slope(self, a: arb, b: arb) -> arb:
    """Bound of the total variation of w over a <= t <= b."""
    far = a >= FAR
    if far:
      a, b = self.axis(a), self.axis(b)
    t = variable(((a + b) / 2).mid(), a.union(b))
    for _ in range((self.k + 1) * far):
      t = t.map(lambda s: s.exp(), t)
    try:
      w = Jets.exp(self.program(t, Jets))
    except NeedsSmallerBlock:
      return arb.pos_inf()
    return arb.pos_inf() if w.fuzzy else w.range[1].abs_upper() * (b - a)


def finite(b: arb, t: arb | int) -> arb:
  """exp b, the weight at a distance t; errors as `BlockSums.weight`."""
  w = ball.positive(b.exp())
  if w.is_finite():
    return w
  if b.is_nan() or b == arb.pos_inf():
    raise UndefinedTotal(
      f'the weight at distance {t} is infinite or undefined, so there is no '
      'total to take a share of; write log(t + 1) rather than log(t)'
    )
  raise NotProved(
    f'the weight at distance {t} could not be enclosed with '
    f'{ball.PRECISIONS[-1]} bits'
  )
