"""Signs of exact real constants and of expressions in positive parameters.

A sign that the assumptions do not settle is not guessed: `NeedsCaseSplit` asks
the caller to take every case in turn.
"""

import dataclasses
import functools
import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import flint
import sympy as sp

from extrapolation.theory.errors import NeedsCaseSplit, NotProved

PRECISIONS = (64, 256, 1024)

if TYPE_CHECKING:  # sympy's annotations do not cover what its numbers can do
  Expr = Any
else:
  Expr = sp.Expr


def rational(x: Fraction | int) -> sp.Rational:
  """A fraction as a number of sympy."""
  x = Fraction(x)
  return sp.Rational(x.numerator, x.denominator)


@functools.lru_cache(maxsize=4096)
def canonical(c: Expr) -> Expr:
  """One form for most equal coefficients; whole numbers are recognised.

  Only a sign decides whether two coefficients are equal.
  """
  if c.is_Rational or c.is_Atom:
    return c
  c = sp.expand(c)
  if c.is_Rational or c.free_symbols:
    return c
  try:
    with flint.ctx.workprec(PRECISIONS[0]):
      whole: Any = ball(c).unique_fmpz()
    if whole is None or _sign_of_number(c - int(whole)):
      return c
  except NotProved:
    return c
  return sp.Integer(int(whole))


def log(c: Expr) -> Expr:
  """ln c, c > 0, written in logarithms of primes and parameters."""
  if c.is_Rational:
    if max(c.p.bit_length(), c.q.bit_length()) > 64:
      return sp.log(c)
    out = sp.Integer(0)
    for n, sign in ((c.p, 1), (c.q, -1)):
      for prime, power in sp.factorint(n).items():
        if prime > 1:
          out += sign * power * sp.log(prime)
    return out
  if c.is_Mul:
    parts = c.args
    if all(p.is_positive for p in parts):
      return sp.Add(*map(log, parts))
  if c.is_Pow and c.base.is_positive:
    return canonical(c.exp * log(c.base))
  return sp.log(c)


def power(c: Expr, a: Expr) -> Expr:
  """c^a, without writing out numbers of more than a few thousand bits."""
  if c == 1:
    return c
  if c.is_Rational and a.is_Rational:
    bits = c.p.bit_length() + c.q.bit_length()
    if abs(a) * bits > 4096 or a.q > 4096:
      return sp.Pow(c, a, evaluate=False)
  return sp.Pow(c, a)


BALLS = {
  sp.exp: lambda x: x.exp(),
  sp.log: lambda x: x.log(),
  sp.sin: lambda x: x.sin(),
  sp.cos: lambda x: x.cos(),
  sp.erf: lambda x: x.erf(),
  sp.atan: lambda x: x.atan(),
  sp.loggamma: lambda x: x.lgamma(),
  sp.Abs: abs,
  sp.floor: lambda x: x.floor(),
}


def ball(c: Expr) -> flint.arb:
  """A real number enclosed at the precision in force."""
  if c.is_Rational:
    return flint.arb(flint.fmpq(int(c.p), int(c.q)))
  if c is sp.pi:
    return flint.arb.pi()
  if c is sp.E:
    return flint.arb.const_e()
  if c.is_Add:
    return sum((ball(a) for a in c.args), flint.arb(0))
  if c.is_Mul:
    out = flint.arb(1)
    for a in c.args:
      out *= ball(a)
    return out
  if c.is_Pow:
    base, exponent = ball(c.base), ball(c.exp)
    if c.exp.is_Integer and abs(c.exp) < 1 << 30:
      return base ** int(c.exp)
    return base**exponent
  if c.func in BALLS:
    return BALLS[c.func](*map(ball, c.args))
  raise NotProved(f'{c} has no enclosure in ball arithmetic')


@dataclasses.dataclass(frozen=True)
class Oracle:
  """Signs under assumptions: pairs (expression, sign)."""

  assumed: tuple = ()

  def sign(self, c: Expr) -> int:
    """-1, 0 or 1.

    Raises:
      NeedsCaseSplit: it depends on the parameters.
      NotProved: a number that is 0 to 1000 bits and not visibly 0.
    """
    if c.is_Rational:
      return c.p and (1 if c.p > 0 else -1)
    c = canonical(c)
    if c.is_Rational:
      return c.p and (1 if c.p > 0 else -1)
    if not c.free_symbols:
      return _sign_of_number(c)
    known = self._known(c)
    if known is not None:
      return known
    if c.func is sp.log:
      return self.sign(c.args[0] - 1)
    if c.func is sp.exp:
      return 1
    if c.is_Pow and c.base.is_positive:
      return 1
    # 1/(1 + b) + b/(1 + b) - 1 is 0, and shows it only as one fraction.
    numerator, denominator = sp.fraction(sp.together(c))
    if not c.is_Mul and (denominator.free_symbols or numerator.is_Rational):
      return self.sign(sp.expand(numerator)) * self.sign(denominator)
    factored = c if c.is_Mul else sp.factor_terms(c)
    if factored.is_Mul:  # the factors decide one by one
      return math.prod(self.sign(factor) for factor in factored.args)
    if _vanishes(c):
      return 0
    raise NeedsCaseSplit(c)

  def _known(self, c: Expr):
    direct = _visible(c)
    if direct is not None:
      return direct
    for e, s in self.assumed:
      ratio = sp.cancel(c / e)
      if not ratio.free_symbols or _visible(ratio) is not None:
        r = _visible(ratio) if ratio.free_symbols else self.sign(ratio)
        return r * s
    for e, s in self.assumed:  # c = e + rest with e = 0
      for k in (1, -1) if s == 0 else ():
        rest = _visible(canonical(c - k * e))
        if rest is not None:
          return rest
    # c = a sum of assumed expressions and of a rest with the same sign.
    open_ = [(e, s) for e, s in self.assumed if s]
    for n in (1, 2):
      for chosen in itertools.combinations(open_, n):
        for want in (1, -1):
          rest = c - sum(want * s * e for e, s in chosen)
          if _visible(canonical(rest)) in (0, want):
            return want
    return None


def _visible(c: Expr):
  """The sign of a sum whose terms all have the same visible sign."""
  if c.is_Rational:
    return c.p and (1 if c.p > 0 else -1)
  signs: set[int] = set()
  terms: Any = sp.Add.make_args(c)
  for term in terms:
    if term.is_positive:
      signs.add(1)
    elif term.is_negative:
      signs.add(-1)
    elif not term.free_symbols:
      signs.add(_sign_of_number(term))
    else:
      return None
  signs.discard(0)
  if not signs:
    return 0
  return signs.pop() if len(signs) == 1 else None


def _vanishes(c: Expr) -> bool:
  """Whether an expression in parameters is 0 whatever they are.

  Raises:
    NotProved: it is 0 to 1000 bits wherever it was tried, not visibly.
  """
  free = sorted(c.free_symbols, key=str)
  for point in ((3, 5, 7, 11), (1, 29, 4, 37), (200, 3, 2, 90)):
    values = [sp.Rational(point[i % 4] + i, 13) for i in range(len(free))]
    at = c.subs(list(zip(free, values, strict=True)))
    try:
      if _sign_of_number(at):
        return False
    except NotProved:
      continue
  if sp.count_ops(c) < 60 and sp.simplify(c) == 0:
    return True
  raise NotProved(
    f'{c} is 0 to {PRECISIONS[-1]} bits, and it is open whether it is 0'
  )


def _sign_of_number(c: Expr):
  for bits in PRECISIONS:
    with flint.ctx.workprec(bits):
      b = ball(c)
      if b > 0:
        return 1
      if b < 0:
        return -1
      if b.is_zero():
        return 0
  if sp.count_ops(c) < 60:
    c = sp.expand_log(sp.expand(c), force=True, factor=True)
    if c == 0 or sp.simplify(c) == 0:
      return 0
  raise NotProved(
    f'{c} is 0 to {PRECISIONS[-1]} bits, and it is open whether it is 0'
  )
