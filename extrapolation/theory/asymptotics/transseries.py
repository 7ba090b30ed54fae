r"""Asymptotic expansions on the log-exp scale, t -> infinity.

A monomial is t^a0 (ln t)^a1 (ln ln t)^a2 ... exp(sum c g), each g an infinite
monomial; a series is a finite sum of coefficient * monomial, largest first,
plus a remainder O(rest), or exact. Functions built from constants, t,
arithmetic, exp and log form a Hardy field: any two are comparable in the end,
and comparing leading monomials does it.

Sources: Hardy, Orders of Infinity, 1910; van der Hoeven, Transseries and Real
Differential Algebra, 2006, chapters 2 and 4.

With a threshold T (a large number) the remainder carries a constant: it is at
most err * rest at every t >= T. That turns an asymptotic statement into a
bound, which is what the tail of a receptive field needs.
"""

from collections.abc import Callable

import flint
import sympy as sp

from extrapolation.theory.asymptotics import sign_oracle
from extrapolation.theory.asymptotics.monomial import (
  ONE,
  ZERO,
  Expansion,
  Monomial,
  constant,
  level,
  raised,
  times,
)
from extrapolation.theory.asymptotics.ordering import Ordering
from extrapolation.theory.asymptotics.sign_oracle import Expr, canonical
from extrapolation.theory.errors import NeedsPrecision, UndefinedWeight


class HardyField(Ordering):
  """Arithmetic and functions of series; see `Ordering` for the arguments."""

  def add(self, x: Expansion, y: Expansion) -> Expansion:
    """x + y."""
    return self.collect(x.terms + y.terms, self.rests(x, y))

  def scale(self, x: Expansion, c: Expr, m: Monomial = ONE) -> Expansion:
    """c m x."""
    if c == 0 or self.signs.sign(c) == 0:
      return Expansion()
    terms = tuple((canonical(c * a), times(m, b)) for a, b in x.terms)
    rest = None if x.rest is None else times(m, x.rest)
    err = None
    if x.rest is not None and self.T is not None:
      err = x.err * abs(sign_oracle.ball(c))
    return Expansion(terms, rest, err)

  def neg(self, x: Expansion) -> Expansion:
    """-x."""
    return self.scale(x, sp.Integer(-1))

  def sub(self, x: Expansion, y: Expansion) -> Expansion:
    """x - y."""
    return self.add(x, self.neg(y))

  def mul(self, x: Expansion, y: Expansion) -> Expansion:
    """x y."""
    self.tick()
    terms = [
      (canonical(a * b), times(m, n)) for a, m in x.terms for b, n in y.terms
    ]
    rests = []
    for u, v in ((x, y), (y, x)):
      if v.rest is not None and (u.terms or u.rest is not None):
        bound = None if self.T is None else self.supremum(u) * v.err
        rests.append((bound, times(u.top, v.rest)))
    return self.collect(terms, rests, led=False)  # a product of what leads

  def lead(self, x: Expansion) -> tuple[Expr, Monomial]:
    """The leading term; x must be known to be other than 0."""
    terms = self.led(x.terms)
    if not terms:
      raise NeedsPrecision(
        'all computed terms of an asymptotic expansion cancel'
      )
    return terms[0]

  def sign(self, x: Expansion) -> int:
    """Sign of x for all large t (for all t >= T with a threshold)."""
    if x.exact and not self.led(x.terms):
      return 0
    c, m = self.lead(x)
    if self.T is not None:
      spread = sum(
        (abs(sign_oracle.ball(a)) * self.ratio(n, m) for a, n in x.terms[1:]),
        flint.arb(0),
      )
      if x.rest is not None:
        spread += x.err * self.ratio(x.rest, m)
      if not spread < abs(sign_oracle.ball(c)):
        raise NeedsPrecision('the sign is not settled at the threshold')
    return self.signs.sign(c)

  def split(self, x: Expansion) -> tuple[Expr, Monomial, Expansion]:
    """x = c m (1 + small): returns c, m, small."""
    c, m = self.lead(x)
    x = Expansion(self.led(x.terms), x.rest, x.err)
    unit = self.scale(x, canonical(1 / c), raised(m, sp.Integer(-1)))
    return c, m, Expansion(unit.terms[1:], unit.rest, unit.err)

  def compose(
    self,
    x: Expansion,
    coefficient: Callable[[int], Expr | int],
    remainder: Callable[[int, flint.arb], flint.arb],
  ) -> Expansion:
    """sum_k coefficient(k) x^k, x -> 0; remainder(N, r) bounds the sum of
    |coefficient(k)| r^k over k >= N, divided by r^N. Its first
    coefficient may be 0, unseen."""
    if not x.terms and x.exact:
      return constant(coefficient(0))
    top = x.top
    if self.compare(top, ONE) >= 0:
      raise NeedsPrecision('a power series is taken of what does not tend to 0')
    n = self.size
    terms, rests = [*constant(coefficient(0)).terms], []
    power = constant(1)
    for k in range(1, n):
      power = self.mul(power, x)
      part = self.scale(power, sp.sympify(coefficient(k)))
      terms += part.terms
      rests += self.rests(part)
    err = None
    if self.T is not None:
      sup = self.supremum(x)
      r = sup * self.ratio(top, ONE)
      if not r < 1 / flint.arb(2):
        raise NeedsPrecision(
          'a power series converges too slowly at the threshold'
        )
      err = sup**n * remainder(n, r)
    last = err, raised(top, sp.Integer(n))
    return self.collect(terms, [*rests, last], led=False)

  def inverse(self, x: Expansion) -> Expansion:
    """1 / x; UndefinedWeight where x is 0."""
    if not x.terms and x.exact:
      raise UndefinedWeight('division by 0 at all large distances')
    c, m, small = self.split(x)
    unit = self.compose(small, lambda k: (-1) ** k, lambda n, r: 1 / (1 - r))
    return self.scale(unit, canonical(1 / c), raised(m, sp.Integer(-1)))

  def log1p(self, small: Expansion) -> Expansion:
    """ln(1 + x), x -> 0."""
    return self.compose(
      small,
      lambda k: sp.Rational((-1) ** (k + 1), k) if k else ZERO,
      lambda n, r: 1 / (n * (1 - r)),
    )

  def log(self, x: Expansion) -> Expansion:
    """ln x; UndefinedWeight where x < 0."""
    c, m, small = self.split(x)
    if self.sign(x) < 0:
      raise UndefinedWeight('the logarithm of a negative number')
    terms = [(a, g) for g, a in self.log_terms(m)] + [(sign_oracle.log(c), ONE)]
    return self.add(self.collect(terms), self.log1p(small))

  def parts(self, x: Expansion) -> tuple[Expansion, Expr, Expansion]:
    """x = infinite part (exact) + constant + infinitesimal part."""
    if x.rest is not None and self.compare(x.rest, ONE) >= 0:
      raise NeedsPrecision(
        'the remainder of an asymptotic expansion does not tend to 0'
      )
    large, middle, small = [], ZERO, []
    for c, m in x.terms:
      order = self.compare(m, ONE)
      if order > 0:
        large.append((c, m))
      elif order == 0:
        middle = c
      else:
        small.append((c, m))
    return (
      Expansion(tuple(large)),
      middle,
      Expansion(tuple(small), x.rest, x.err),
    )

  def exp(self, x: Expansion) -> Expansion:
    """exp x."""
    large, middle, small = self.parts(x)
    m = ONE
    for c, g in large.terms:
      k = len(g.logs) - 1
      if k >= 1 and g == level(k):
        m = times(m, Monomial((ZERO,) * (k - 1) + (c,)))
      else:
        m = times(m, Monomial((), ((g, c),)))
    unit = self.compose(small, _exponential, _factorial_rest)
    return self.scale(unit, canonical(sp.exp(middle)), m)

  def power(self, x: Expansion, a: Expr) -> Expansion:
    """x^a; UndefinedWeight where that is not real."""
    if not x.terms and x.exact:
      if self.signs.sign(a) <= 0:
        raise UndefinedWeight('0 to a negative power')
      return Expansion()
    if a.is_Integer and 0 <= a <= (self.size if x.exact else 4):
      out = constant(1)
      for _ in range(int(a)):
        out = self.mul(out, x)
      return out
    c, m, small = self.split(x)
    if self.sign(x) < 0:
      if not a.is_Integer:
        raise UndefinedWeight('a fractional power of a negative number')
      c = sign_oracle.power(-c, a) * (-1) ** int(a % 2)
    else:
      c = sign_oracle.power(c, a)
    unit = self.exp(self.scale(self.log1p(small), a))
    return self.scale(unit, canonical(c), raised(m, a))

  def wave(self, x: Expansion, cosine: bool) -> Expansion:
    """sin or cos of a series with a limit."""
    _, middle, small = self.parts(x)
    c = self.compose(small, _cosine, _factorial_rest)
    s = self.compose(small, _sine, _factorial_rest)
    if cosine:
      return self.sub(
        self.scale(c, sp.cos(middle)), self.scale(s, sp.sin(middle))
      )
    return self.add(
      self.scale(c, sp.sin(middle)), self.scale(s, sp.cos(middle))
    )


def _exponential(k: int) -> Expr:
  return sp.Rational(1, sp.factorial(k))


def _cosine(k: int) -> Expr:
  return ZERO if k % 2 else (-1) ** (k // 2) * _exponential(k)


def _sine(k: int) -> Expr:
  return (-1) ** (k // 2) * _exponential(k) if k % 2 else ZERO


def _factorial_rest(n: int, r: flint.arb) -> flint.arb:
  """sum_{k>=n} r^k / k! <= r^n e^r / n!."""
  return r.exp() / flint.arb(n + 1).gamma()
