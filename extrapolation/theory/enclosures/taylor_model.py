r"""A formula read over a block of distances: Taylor models.

A `Jet` holds two power series in one variable: at the centre of a block, and
over the whole block, whose n-th coefficient bounds Taylor's remainder.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from flint import arb, arb_series, fmpq

from extrapolation.theory.enclosures.ball import Balls
from extrapolation.theory.errors import NeedsSmallerBlock

Log = Any  # a Jet, None, or a function that makes it on demand
ORDER = 18  # of the Taylor models


class Jet:
  """Power series at the centre and over a block |t - centre| <= h.

  The logarithm is kept where it is known (t = exp x), for a ball of exp x over
  a wide block says nothing about log(1 + exp x), which is x + log1p(exp -x).
  """

  __slots__ = ('_log', 'centre', 'fuzzy', 'h', 'range')

  def __init__(
    self,
    centre: arb_series,
    range_: arb_series,
    h: arb | None = None,
    log: Log = None,
    fuzzy: bool = False,
  ):
    self.centre, self.range, self.h = centre, range_, h
    self._log, self.fuzzy = log, fuzzy

  def map(self, f: Callable, log: Log = None) -> 'Jet':
    """f of both series."""
    return Jet(f(self.centre), f(self.range), self.h, log, self.fuzzy)

  def join(self, other: 'Jet', f: Callable, log: Log = None) -> 'Jet':
    """f of both series with those of another jet."""
    return Jet(
      f(self.centre, other.centre),
      f(self.range, other.range),
      other.h if self.h is None else self.h,
      log,
      self.fuzzy or other.fuzzy,
    )

  def tightened(self) -> 'Jet':
    """Ranges from Taylor's theorem, with the terms that cancel at the centre
    cancelled; in the ranges they are not."""
    if self.h is None:
      return self
    c = [self.centre[k] for k in range(ORDER)] + [self.range[ORDER]]
    powers = [self.h**k for k in range(ORDER + 1)]
    out = []
    for j in range(ORDER + 1):
      spread = sum(
        (c[k].abs_upper() * powers[k - j] * math.comb(k, j)
         for k in range(j + 1, ORDER + 1)), arb(0))  # fmt: skip
      out.append(c[j] + arb(0, spread.upper()))
    return Jet(self.centre, arb_series(out), self.h, self._log, self.fuzzy)

  def above(self) -> 'Jet':
    """The same with a range above 0.

    Raises:
      NeedsSmallerBlock: that is not settled.
    """
    if self.values() > 0:
      return self
    tight = self.tightened()
    if not tight.values() > 0:
      raise NeedsSmallerBlock
    return tight

  def values(self) -> arb:
    """Encloses all values over the block."""
    return self.range[0]

  @property
  def log(self) -> 'Jet | None':
    """Its logarithm, where it is known without taking it."""
    if callable(self._log):
      self._log = self._log()
    return self._log


def constant(x: arb) -> Jet:
  """The jet of a constant."""
  s = arb_series([x])
  return Jet(s, s)


def variable(centre: arb, block: arb) -> Jet:
  """The jet of the variable itself."""
  h = (block - centre).abs_upper()
  return Jet(arb_series([centre, 1]), arb_series([block, 1]), h)


class Jets:
  """Rules for Jet; NeedsSmallerBlock where the block settles no case."""

  @staticmethod
  def const(data: fmpq | bool) -> Jet | bool:
    return data if isinstance(data, bool) else constant(arb(data))

  @staticmethod
  def inf(data: int):
    return constant(Balls.inf(data))

  @staticmethod
  def nan():
    raise NeedsSmallerBlock

  @staticmethod
  def add(data: tuple, *args: Jet):
    shift, coefficients = arb(data[0]), [arb(c) for c in data[1]]
    centre = range_ = arb_series([shift])
    for c, x in zip(coefficients, args, strict=True):
      centre, range_ = centre + c * x.centre, range_ + c * x.range
    h = next((x.h for x in args if x.h is not None), None)
    fuzzy = any(x.fuzzy for x in args)
    log = functools.partial(Jets._log_of_sum, shift, coefficients, args)
    return Jet(centre, range_, h, log, fuzzy)

  @staticmethod
  def _log_of_sum(
    shift: arb, coefficients: Sequence[arb], args: Sequence[Jet]
  ) -> Jet | None:
    """y + log c + log1p(rest exp(-y) / c) for a dominant term c exp(y)."""
    logs = [
      x.log if c > 0 else None for c, x in zip(coefficients, args, strict=True)
    ]
    known = [i for i, y in enumerate(logs) if y is not None]
    if not known:
      return None
    best = max(known, key=lambda i: float(logs[i].values().lower()))
    c, y = coefficients[best], logs[best]
    down = y.map(lambda s: (-s).exp() / c)
    rest = down.map(lambda s: s * shift)
    for i, (k, x) in enumerate(zip(coefficients, args, strict=True)):
      if i == best:
        continue
      if x.log is not None:
        part = x.log.join(y, lambda a, b: (a - b).exp())
      else:
        part = x.join(y, lambda a, b: a * (-b).exp())
      rest = rest.join(part, lambda a, b, k=k / c: a + k * b)
    if not abs(rest.values()) < arb(1) / 2:
      return None
    return y.join(rest, lambda a, b: a + (b + 1).log() + c.log())

  @staticmethod
  def mul(x: Jet, y: Jet):
    def log() -> Jet | None:
      if x.log is None or y.log is None:
        return None
      return x.log.join(y.log, lambda a, b: a + b)

    return x.join(y, lambda a, b: a * b, log)

  @staticmethod
  def whole(x: Jet, n: int):
    if x.log is not None:
      return Jets.exp(x.log.map(lambda s: s * n))
    if n >= 0:
      return x.map(lambda s: s**n)
    x = x.above() if x.values().contains(0) else x
    return x.map(lambda s: (arb_series([1]) / s) ** -n)

  @staticmethod
  def pow(x: Jet, y: Jet):
    return Jets.exp(Jets.log(x).join(y, lambda a, b: a * b))

  @staticmethod
  def exp(x: Jet):
    if x.values() == arb.neg_inf():
      return constant(arb(0))
    return x.map(lambda s: s.exp(), x)

  @staticmethod
  def log(x: Jet) -> Jet:
    if x.log is not None:
      return x.log
    return x.above().map(lambda s: s.log())

  @staticmethod
  def lgamma(x: Jet):
    return x.above().map(lambda s: s.lgamma())

  @staticmethod
  def abs(x: Jet):
    return x if Jets._sign(x) > 0 else x.map(lambda s: -s)

  @staticmethod
  def _sign(x: Jet) -> int:
    v = x.values()
    if v >= 0:
      return 1
    if v <= 0:
      return -1
    raise NeedsSmallerBlock

  @staticmethod
  def floor(x: Jet):
    n = x.values().floor().unique_fmpz()
    if n is not None:
      return constant(arb(n))
    # Inside a step of unknown place: x - 1/2 +- 1/2, for each t its own.
    half = arb_series([arb(-0.5, 0.5)])
    out = x.map(lambda s: s + half)
    out.fuzzy = True
    return out

  @staticmethod
  def sign(x: Jet):
    v = x.values()
    if v > 0 or v < 0 or v.is_zero():
      return constant(v.sgn())
    raise NeedsSmallerBlock

  @staticmethod
  def max(x: Jet, y: Jet):
    return x if Jets._sign(x.join(y, lambda a, b: a - b)) > 0 else y

  @staticmethod
  def min(x: Jet, y: Jet):
    return y if Jets._sign(x.join(y, lambda a, b: a - b)) > 0 else x

  @staticmethod
  def _settled(x: bool | None) -> bool:
    if x is None:
      raise NeedsSmallerBlock
    return x

  lt = staticmethod(lambda x: Jets._settled(Balls.lt(x.values())))
  le = staticmethod(lambda x: Jets._settled(Balls.le(x.values())))
  eq = staticmethod(lambda x: Jets._settled(Balls.eq(x.values())))

  @staticmethod
  def select(
    condition: bool, then: Jet | bool, other: Jet | bool
  ) -> Jet | bool:
    return then if condition else other

  @staticmethod
  def table(index: Jet | bool, *entries: Jet | bool):
    if isinstance(index, bool):
      return entries[int(index)]
    n = index.values().floor().unique_fmpz()
    if n is None:
      raise NeedsSmallerBlock
    return entries[min(max(int(n), 0), len(entries) - 1)]


for _name in ('sin', 'cos', 'erf', 'atan'):
  _rule = functools.partial(Jet.map, f=operator.methodcaller(_name))
  setattr(Jets, _name, staticmethod(_rule))
for _name in ('or', 'and', 'not'):
  setattr(Jets, _name, staticmethod(getattr(Balls, _name)))
