r"""Bounds of sum_{t >= j} exp b(t), valid at every j beyond a threshold T.

At the depth k of the logarithmic scale (log_scale.py) write
-b = l_1 + .. + l_k + R and q = dR / dl_{k+1}. If q0 <= q <= q1 on [T, inf) and
q0 > 1, then for j >= T, with X = l_0 l_1 .. l_k at j,

  exp b(j) X / (q1 - 1) <= sum_{t >= j} exp b(t) <= exp b(j) (1 + X / (q0 - 1)),

as exp(b) dt = exp(l_{k+1} - R) dl_{k+1} and the main part decreases; a
remainder |b - main| <= e costs a factor exp(2 e). The expansion of b with
explicit remainders (transseries.py) gives such q0 and q1, or the threshold is
too low.
"""

import dataclasses

from flint import arb

from extrapolation.theory.asymptotics import sign_oracle
from extrapolation.theory.asymptotics.expand import Reading
from extrapolation.theory.asymptotics.interval_germ import MINUS, Germ
from extrapolation.theory.asymptotics.monomial import (
  ONE,
  UNIT,
  Expansion,
  level,
  times,
)
from extrapolation.theory.asymptotics.sign_oracle import Oracle
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.errors import NeedsPrecision, NotProved
from extrapolation.theory.expression.graph import Node

FAILURES = NeedsPrecision, NotProved, ValueError, ZeroDivisionError


@dataclasses.dataclass(frozen=True)
class Side:
  """One bound of b on [T, inf): its series and the rates of its main part."""

  b: Expansion
  q0: arb
  q1: arb
  slack: arb


@dataclasses.dataclass(frozen=True)
class Tail:
  """The bounds of the module for [T, inf).

  Attributes:
    T: the threshold, in tokens.
    k: the log_depth.
    high, low: bounds of b, the same for an exp-log function; low None for 0.
  """

  T: arb
  k: int
  high: Side | None
  low: Side | None

  def __call__(self, b: arb, j: arb) -> arb:
    """Encloses sum_{t >= j} exp b(t), j >= T; b the log weight at j."""
    if self.high is None:
      return arb(0)
    X, x = arb(1), j
    for _ in range(self.k + 1):
      X, x = X * x, x.log()
    same = self.high is self.low
    top = b if same else value(self.high.b, j)
    up = 1 + X / (self.high.q0 - 1)
    above = (top + 2 * self.high.slack).exp() * up
    below = arb(0)
    low = self.low  # its main part decreases too
    if low is not None and low.q0 > 0 and low.q1.is_finite():
      bottom = b if same else value(low.b, j)
      below = (bottom - 2 * low.slack).exp() * X / (low.q1 - 1)
    return below.lower().max(arb(0)).union(above.upper())

  def variation(self, b: arb, j: arb) -> arb:
    """Bound of the total variation of exp b on [j, inf).

    w = main e^s, main decreasing and |s| <= e: |w(t) - w(t + 1)| is at most
    e^e times the fall of main, plus main (e^e - e^-e). Without one main part
    it is at most w(t) + w(t + 1).
    """
    total = self(b, j)
    if self.high is None or self.high is not self.low:
      return 2 * total
    e = self.high.slack
    return (b + 2 * e).exp() + 2 * e.sinh() * e.exp() * total


def value(x: Expansion, t: arb) -> arb:
  """Encloses a series at t >= T."""
  field = HardyField(Oracle(), threshold=t)
  total = sum((sign_oracle.ball(c) * field.at(m) for c, m in x.terms), arb(0))
  if x.rest is not None:
    total += arb(0, (x.err * field.at(x.rest)).upper())
  return total


def read(root: Node, T: arb, size: int = 5) -> tuple[HardyField, Germ] | None:
  """b with remainders that are bounds from T on; None where T is too low."""
  field = HardyField(Oracle(), size, threshold=T)
  try:
    return field, Reading(field)(root)
  except FAILURES:
    return None


def beyond(root: Node, T: arb, k: int) -> Tail | None:
  """The tail from T on, or None where no bound is proved at this T."""
  reading = read(root, T)
  if reading is None:
    return None
  field, germ = reading
  if germ.high == MINUS:
    return Tail(T, k, None, None)
  if isinstance(germ.high, str):
    return None
  try:
    high = _side(field, germ.high, k)
    if not high.q0 > 1:
      return None
    low = high if germ.exact else None
    if not germ.exact and isinstance(germ.low, Expansion):
      low = _side(field, germ.low, k)
    return Tail(T, k, high, low)
  except FAILURES:
    return None


def _side(field: HardyField, b: Expansion, k: int) -> Side:
  """q0, q1 and the bound of the remainder on [T, inf)."""
  rest = field.collect_exact(
    [(-c, m) for c, m in b.terms if m != ONE]
    + [(-UNIT, level(i + 1)) for i in range(k)]
  )
  chain = ONE  # dR / dl_{k+1} = l_1 .. l_k t dR/dt
  for i in range(k):
    chain = times(chain, level(i + 1))
  q = field.collect_exact(
    [
      (c * a, times(times(m, h), chain))
      for c, m in rest
      for a, h in field.rate(m)
    ]
  )
  return Side(
    b, field.extremum(q), field.extremum(q, lower=False), field.slack(b)
  )
