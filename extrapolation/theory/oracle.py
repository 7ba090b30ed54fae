"""Signs of exact real constants and of expressions in positive parameters.

A sign that the assumptions do not settle is not guessed: `Fork` asks the
caller to take every case in turn.
"""

import dataclasses
import itertools
import math
from fractions import Fraction

import flint
import sympy as sp

PRECISIONS = (64, 256, 1024)


class Fork(Exception):
  """The sign of `expression` decides; the caller tries +, 0 and -."""

  def __init__(self, expression):
    super().__init__(str(expression))
    self.expression = expression


class Undecided(Exception):
  """No proof either way with the precision or the rules at hand."""


class Undefined(ValueError):
  """The weight is not a real number at large distances."""


def rational(x: Fraction | int) -> sp.Rational:
  x = Fraction(x)
  return sp.Rational(x.numerator, x.denominator)


def tidy(c: sp.Expr) -> sp.Expr:
  """A canonical form, so that equal coefficients are equal objects."""
  return c if c.is_Rational or c.is_Atom else sp.expand(c)


def log(c: sp.Expr) -> sp.Expr:
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
    return tidy(c.exp * log(c.base))
  return sp.log(c)


def power(c: sp.Expr, a: sp.Expr) -> sp.Expr:
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


def ball(c: sp.Expr) -> flint.arb:
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
  raise Undecided(f'no enclosure of {c}')


def opposite(c: sp.Expr) -> sp.Expr:
  return tidy(-c)


@dataclasses.dataclass(frozen=True)
class Oracle:
  """Signs under assumptions: pairs (expression, sign)."""

  assumed: tuple = ()

  def sign(self, c: sp.Expr) -> int:
    """-1, 0 or 1.

    Raises:
      Fork: it depends on the parameters.
      Undecided: a number that is 0 to 1000 bits and not visibly 0.
    """
    if c.is_Rational:
      return c.p and (1 if c.p > 0 else -1)
    c = tidy(c)
    if c.is_Rational:
      return c.p and (1 if c.p > 0 else -1)
    if not c.free_symbols:
      return _sign_of_number(c)
    found = self._known(c)
    if found is not None:
      return found
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
    raise Fork(c)

  def _known(self, c):
    direct = _visible(c)
    if direct is not None:
      return direct
    for e, s in self.assumed:
      ratio = sp.cancel(c / e)
      if not ratio.free_symbols or _visible(ratio) is not None:
        r = _visible(ratio) if ratio.free_symbols else self.sign(ratio)
        return r * s
    # c = a sum of assumed expressions and of a rest with the same sign.
    open_ = [(e, s) for e, s in self.assumed if s]
    for n in (1, 2):
      for chosen in itertools.combinations(open_, n):
        for want in (1, -1):
          rest = c - sum(want * s * e for e, s in chosen)
          if _visible(tidy(rest)) in (0, want):
            return want
    return None


def _visible(c):
  """The sign of a sum whose terms all have the same visible sign."""
  if c.is_Rational:
    return c.p and (1 if c.p > 0 else -1)
  signs = set()
  for term in sp.Add.make_args(c):
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


def _sign_of_number(c):
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
  raise Undecided(f'cannot tell whether {c} is 0')
