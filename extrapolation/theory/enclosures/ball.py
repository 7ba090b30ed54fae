r"""A formula read in ball arithmetic at a distance.

Every number is a ball of python-flint's arb (midpoint and radius): the true
value lies inside. arb rather than mpmath.iv because it was measured 15 to 40
times faster (log of a 128-bit ball 0.4 us against 7 us, cos 0.5 against 19)
and because it has power series, from which taylor_model.py makes jets. What is
rational at a whole distance stays an exact fraction, so that 1 - t / 6 is 0 at
t = 6. A quantity of which nothing is known is `ANYTHING`; NaN is one that
certainly has no value.
"""

import math
import operator
from fractions import Fraction
from typing import Any

import flint
from flint import arb, fmpq

from extrapolation.theory.errors import Unsettled
from extrapolation.theory.expression.graph import Node, tape, value_missing
from extrapolation.theory.expression.three_valued import (
  all_of,
  any_of,
  negation,
)

Number = fmpq | arb
Value = Number | bool | None  # or a truth value if it is known

PRECISIONS = (160, 480, 1440, 5760)  # bits; more are taken where terms cancel
PRECISION = PRECISIONS[0]
WITH_DATA = ('const', 'inf', 'add')  # rules that read the data of a node
CHOOSE = ('select', 'table')  # the first argument says which of the others
ANYTHING = arb(0, 'inf')
MOST_BITS = 4096  # of an exact fraction
LONG = arb(2) ** MOST_BITS
SHARP, SMALL = arb(2) ** -64, -(arb(2) ** 40)


def exact(x: Fraction | int) -> fmpq:
  """An exact number as flint's."""
  return fmpq(x.numerator, x.denominator)


def number(x: Fraction | int) -> arb:
  """The ball of an exact number."""
  return arb(exact(x))


def whole(x: arb) -> fmpq:
  """An exact ball that is an integer, as that integer."""
  n = x.unique_fmpz()
  assert n is not None, f'{x} is no integer'
  return fmpq(n)


def ends(x: arb) -> tuple[float, float]:
  """Bounds of a ball in float64."""
  if x.is_exact() and not x.is_finite():
    return float(x), float(x)
  low, high = float(x.lower()), float(x.upper())
  return math.nextafter(low, -math.inf), math.nextafter(high, math.inf)


def positive(x: arb) -> arb:
  """The part of a ball that is >= 0, of a quantity that is."""
  if x >= 0 or not x.is_finite():
    return x
  return arb(0).union(x.upper().max(arb(0)))


class Program:
  """A node compiled for evaluation by balls or jets."""

  def __init__(self, root: Node):
    self.steps = []
    for op, args, data in tape(root):
      if op == 'add':
        data = (exact(data[0]), [exact(c) for c in data[1]])
      elif op == 'const' and not isinstance(data, bool):
        data = exact(data)
      elif op == 'param':
        raise value_missing(str(data))
      self.steps.append((op, args, data))
    # Exponents that are whole numbers are not sent through the logarithm.
    self.whole = {}
    for i, (op, args, _) in enumerate(self.steps):
      if op == 'pow' and self.steps[args[1]][0] == 'const':
        c = self.steps[args[1]][2]
        if c.q == 1 and abs(c) < 1 << 20:
          self.whole[i] = int(c.p)

  def __call__(self, t: Any, rules: Any):
    """The log weight at t, a number or a Jet.

    Raises:
      Unsettled: by a rule, of a value that no select leaves out.
    """
    out, unsettled = [], False
    for i, (op, args, data) in enumerate(self.steps):
      values = [out[a] for a in args]
      if unsettled:
        seen = values[:1] if op in CHOOSE else values
        if bad := next((x for x in seen if isinstance(x, Unsettled)), None):
          out.append(bad)
          continue
      try:
        if op == 't':
          out.append(t)
        elif i in self.whole:
          out.append(rules.whole(values[0], self.whole[i]))
        else:
          with_data = (data,) if op in WITH_DATA else ()
          out.append(getattr(rules, op)(*with_data, *values))
      except Unsettled as e:
        out.append(e)
        unsettled = True
    if isinstance(out[-1], Unsettled):
      raise out[-1]
    return out[-1]

  def at(self, t: arb | int) -> arb:
    """Encloses the log weight at a distance, with as many bits as it takes."""
    x, levels, at = arb(0), PRECISIONS, t
    if isinstance(t, int):
      at = fmpq(t)
    elif not t.is_exact():
      levels = PRECISIONS[:1]
    elif t < LONG and t.is_integer():
      at = whole(t)
    for bits in levels:
      with flint.ctx.workprec(max(bits, flint.ctx.prec)):
        x = arb(self(at, Balls))
        if x.is_exact() or x.is_nan() or x.rad() < SHARP:
          break
        if x < SMALL and x.rad() * 2 < -x:  # a weight that is 0 to any sum
          break
    return x


class Balls:
  """Rules for numbers: what each operation of `graph.Graph` does to them."""

  @staticmethod
  def const(data: Any):
    return data

  @staticmethod
  def inf(data: int):
    return arb.pos_inf() if data > 0 else arb.neg_inf()

  @staticmethod
  def nan():
    return arb.nan()

  @staticmethod
  def add(data: tuple, *args: Number):
    out, coefficients = data
    for c, x in zip(coefficients, args, strict=True):
      out = out + c * x
    return out

  @staticmethod
  def mul(x: Number, y: Number):
    return Balls._short(x * y)

  @staticmethod
  def whole(x: Number, n: int):
    if isinstance(x, fmpq):
      if x == 0 and n < 0:
        return arb.pos_inf() if n % 2 == 0 else ANYTHING
      if abs(n) * (x.p.bit_length() + x.q.bit_length()) > MOST_BITS:
        x = arb(x)
    return x**n

  @staticmethod
  def _short(x: Number) -> Number:
    """A fraction while it is short, or a ball."""
    if isinstance(x, fmpq) and x.p.bit_length() > MOST_BITS:
      return arb(x)
    return x

  @staticmethod
  def exp(x: Number):
    return fmpq(1) if x == 0 else arb(x).exp()

  sin = staticmethod(lambda x: arb(x).sin())
  cos = staticmethod(lambda x: arb(x).cos())
  erf = staticmethod(lambda x: arb(x).erf())
  atan = staticmethod(lambda x: arb(x).atan())

  @staticmethod
  def lgamma(x: Number):
    return arb(x).lgamma() if x > 0 else ANYTHING

  @staticmethod
  def floor(x: Number):
    if isinstance(x, fmpq):
      return fmpq(x.floor())
    return x.floor()

  @staticmethod
  def sign(x: Number):
    return fmpq((x > 0) - (x < 0)) if isinstance(x, fmpq) else x.sgn()

  @staticmethod
  def max(x: Number, y: Number):
    return x if x >= y else y if y >= x else arb(x).max(arb(y))

  @staticmethod
  def min(x: Number, y: Number):
    return x if x <= y else y if y <= x else arb(x).min(arb(y))

  abs = staticmethod(operator.abs)

  @staticmethod
  def pow(x: Number, y: Number):
    if x == 0:
      known = fmpq(0) if y > 0 else arb.pos_inf() if y < 0 else None
      return known if known is not None else fmpq(1) if y == 0 else ANYTHING
    if x > 0:
      out = arb(x) ** arb(y)
      n = out.unique_fmpz() if out.is_exact() else None
      return out if n is None else Balls._short(fmpq(n))
    return arb.nan() if x < 0 and isinstance(y, fmpq) and y.q > 1 else ANYTHING

  @staticmethod
  def log(x: Number):
    if x == 0:
      return arb.neg_inf()
    if x > 0:
      return fmpq(0) if x == 1 else arb(x).log()
    return arb.nan() if x < 0 else ANYTHING

  @staticmethod
  def lt(x: Number):
    return True if x < 0 else False if x >= 0 else None

  @staticmethod
  def le(x: Number):
    return True if x <= 0 else False if x > 0 else None

  @staticmethod
  def eq(x: Number):
    return True if x == 0 else None if arb(x).contains(0) else False

  @staticmethod
  def select(condition: bool | None, then: Value, other: Value):
    if condition is None:
      return _union(then, other)
    return then if condition else other

  @staticmethod
  def table(index: arb | bool | None, *entries: Value):
    if index is None:
      return _union(*entries)
    if isinstance(index, bool):
      return entries[int(index)]
    index = arb(index)
    last = len(entries) - 1
    low = min(max(math.floor(float(index.lower())), 0), last)
    high = min(max(math.floor(float(index.upper())), 0), last)
    return _union(*entries[low : high + 1])


setattr(Balls, 'and', staticmethod(all_of))
setattr(Balls, 'or', staticmethod(any_of))
setattr(Balls, 'not', staticmethod(negation))


def _union(first: Any, *others: Value) -> Value:
  """What holds each of them."""
  x: Any
  for x in others:
    if first is x:
      continue
    if isinstance(x, bool) or isinstance(first, bool) or x is None:
      first = first if first == x else None
    else:
      first, x = arb(first), arb(x)
      known = not first.is_nan() and not x.is_nan()
      first = first.union(x) if known else ANYTHING
  return first
