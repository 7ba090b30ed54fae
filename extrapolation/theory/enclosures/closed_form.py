r"""Tails in closed form, at any precision: the bracket closes at any size.

  a - m t                     geometric     T_j = e^(a - m j) / (1 - e^-m),
                                            m a fraction, or such as k - log 2
  a - p log(c + r t), p > 1   Hurwitz zeta  T_j = e^a r^-p zeta(p, j + c / r)

A formula is recognised as the exact expression that it is, not by its values.
"""

import dataclasses
import math
from fractions import Fraction

import flint
from flint import arb, fmpq

from extrapolation.theory.enclosures.ball import (
  PRECISION,
  Balls,
  Program,
  number,
)
from extrapolation.theory.expression import slope
from extrapolation.theory.expression.graph import Graph, Node

# Of a guess: 10^1000 tokens, beyond which no bracket is sought.
MOST_BITS = 3330


class Exponential:
  """Tail of exp(-m t); a constant factor drops out of every share."""

  def m(self) -> arb:
    """Encloses the rate, to the working precision."""
    raise NotImplementedError

  def beyond(self, j: int, bits: int = 0) -> arb:
    """Encloses T_j, up to that factor."""
    with flint.ctx.workprec(96 + 2 * max(bits, j.bit_length())):
      m = self.m()
      return (-m * j).exp() / (1 - (-m).exp())

  def guess(self, eps: Fraction) -> int:
    """Near n(eps), without proof."""
    with flint.ctx.workprec(PRECISION):
      return int(-math.log(eps) / float(self.m()))


@dataclasses.dataclass(frozen=True)
class Geometric(Exponential):
  """Of a rate that is a fraction."""

  rate: Fraction

  def m(self) -> arb:
    """Encloses the rate."""
    return number(self.rate)


@dataclasses.dataclass(frozen=True)
class Sloped(Exponential):
  """Of a rate that is none, such as k - log 2."""

  rate: Program

  def m(self) -> arb:
    """Encloses the rate."""
    return arb(self.rate(fmpq(0), Balls))


@dataclasses.dataclass(frozen=True)
class Zeta:
  """Tail of (shift + t)^-power; slope^-power is the unit of its weights."""

  power: Fraction
  shift: Fraction
  slope: Fraction = Fraction(1)

  @property
  def unit(self) -> arb:
    """What T_j is a multiple of."""
    return number(self.slope) ** number(-self.power)

  def beyond(self, j: int, bits: int = 0) -> arb:
    """Encloses T_j."""
    # It falls by a share of about 1 / j per token, and has a pole at power 1.
    bits = max(bits, j.bit_length(), int(1 / (self.power - 1)).bit_length())
    with flint.ctx.workprec(96 + 2 * bits):
      return number(self.power).zeta(number(self.shift) + j)

  def guess(self, eps: Fraction) -> int:
    """Near n(eps), without proof: zeta(p, x) ~ (x - 1/2)^(1 - p) / (p - 1)."""
    bits = 64
    for _ in range(2):
      with flint.ctx.workprec(128 + 2 * bits):
        slope, shift = number(self.power - 1), number(self.shift)
        target = self.beyond(0, bits) * number(eps) * slope
        log_j = -target.log() / slope
        bits = int(float(log_j) / math.log(2)) + 1
        if bits > MOST_BITS:
          return 1 << MOST_BITS
        j = (log_j.exp() + 0.5 - shift).mid().floor().unique_fmpz()
    return max(int(j or 1), 1)


def recognise(root: Node) -> Geometric | Zeta | None:
  """The closed form of a convergent log weight, or None."""
  if root.op != 'add' or len(root.args) != 1:
    return None
  (inner,), (_, (c,)) = root.args, root.data
  if inner.op == 't' and c < 0:
    return Geometric(-c)
  if inner.op != 'log' or c >= -1:
    return None
  return _zeta(-c, inner.args[0])


def sloped(root: Node) -> Sloped | None:
  """The closed form of a slope times t, if it is seen to be negative."""
  a = slope.factor(root)
  if a is None or root.op == 't':
    return None
  rate = Program(Graph(rounds=False).neg(a))
  with flint.ctx.workprec(PRECISION):
    out = Sloped(rate)
    return out if out.m() > 0 else None


def _zeta(p: Fraction, x: Node) -> Zeta | None:
  """x = c + r t, or t itself."""
  if x.op != 'add' or [a.op for a in x.args] != ['t']:
    return None
  shift, (slope,) = x.data
  if slope <= 0 or shift <= 0:
    return None
  return Zeta(p, shift / slope, slope)
