r"""Bounds of sum_{t >= j} exp b(t), valid at every j beyond a threshold.

On the rung k of the logarithmic scale (series.py) write
-b = l_1 + .. + l_k + R and q = dR / dl_{k+1}. If q0 <= q <= q1 on [T, inf) and
q0 > 1, then for j >= T, with X = l_0 l_1 .. l_k at j,

  exp b(j) X / (q1 - 1) <= sum_{t >= j} exp b(t) <= exp b(j) (1 + X / (q0 - 1)),

as exp(b) dt = exp(l_{k+1} - R) dl_{k+1} and the main part decreases; a
remainder |b - main| <= e costs a factor exp(2 e). T is raised until the series
of b, with explicit remainders, gives such q0 and q1.
"""

import dataclasses

import flint
from flint import arb

from extrapolation.theory.expression import Node
from extrapolation.theory.germ import MINUS, Reading
from extrapolation.theory.oracle import Oracle, Undecided
from extrapolation.theory.transseries import (
  ONE,
  Field,
  Imprecise,
  Series,
  level,
  monomial,
  times,
)


@dataclasses.dataclass(frozen=True)
class Tail:
  """Constants of the bounds above for [T, inf).

  Attributes:
    T: the threshold, in tokens.
    k: the rung.
    low, high: factors l with low <= sum / (exp b X), without the 1 + of the
      first term; high * X + 1 above.
    slack: exp(+-slack) multiplies both, for the remainder of the series.
  """

  T: arb
  k: int
  q0: arb
  q1: arb
  slack: arb
  empty: bool = False

  def __call__(self, b: arb, j: arb) -> arb:
    """Encloses sum_{t >= j} exp b(t), j >= T; b the log weight at j."""
    if self.empty:
      return arb(0)
    X, x = arb(1), j
    for _ in range(self.k + 1):
      X, x = X * x, x.log()
    w = b.exp()
    low = w * X / (self.q1 - 1) * (-self.slack).exp()
    high = w * (1 + X / (self.q0 - 1)) * self.slack.exp()
    low = arb(0) if not low.is_finite() else low
    return low.lower().max(arb(0)).union(high.upper())


def beyond(root: Node, T: arb, k: int, size: int = 8) -> Tail | None:
  """The tail from T on, or None where no bound is proved at this T."""
  field = Field(Oracle(), size, threshold=T)
  try:
    germ = Reading(field)(root)
    if germ.high == MINUS:
      return Tail(T, k, arb(2), arb(2), arb(0), empty=True)
    if not germ.exact:
      return _between(field, germ, T, k)
    q0, q1, slack = _rates(field, germ.low, k)
  except (Imprecise, Undecided, ValueError, ZeroDivisionError):
    return None
  if not q0 > 1:
    return None
  return Tail(T, k, q0, q1, 2 * slack)


def _between(field, germ, T, k):
  """Upper bound from high; b may lie anywhere down to low."""
  q0, _, slack = _rates(field, germ.high, k)
  gap = field.sub(germ.high, germ.low)
  wide = field.extremum(field.collect_exact(gap.terms), lower=False)
  if gap.rest is not None:
    wide += gap.err * field.at(gap.rest)
  if not q0 > 1 or not wide.is_finite():
    return None
  return Tail(T, k, q0, arb.pos_inf(), 2 * slack + wide)


def _rates(field, b: Series, k: int):
  """q0, q1 and the bound of the remainder on [T, inf)."""
  main = Series(b.terms)
  slack = flint.arb(0)
  if b.rest is not None:
    slack = b.err * field.ratio(b.rest, ONE)
  rest = field.collect_exact(
    [(-c, m) for c, m in main.terms if m != ONE]
    + [(-1 * c, m) for i in range(k) for c, m in monomial(level(i + 1)).terms]
  )
  chain = ONE  # dR/dl_{k+1} = l_1 .. l_k t dR/dt
  for i in range(k):
    chain = times(chain, level(i + 1))
  terms = []
  for c, m in rest:
    terms += [
      (c * a, times(times(m, h), chain)) for a, h in field.rate(m)
    ]
  q = field.collect_exact(terms)
  return field.extremum(q), field.extremum(q, lower=False), slack
