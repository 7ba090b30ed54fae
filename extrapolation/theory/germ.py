r"""A formula read as its behaviour at large distances.

A germ is a pair low <= f <= high of series (transseries.py), equal where f is
built from exp and log; sin and cos of an argument without limit, floor, and
cases that never settle leave a proper interval. A germ that is A + B w, w one
bounded wave, remembers it: the rules of oscillation.py need it.
"""

import dataclasses

import sympy as sp

from extrapolation.theory import oracle
from extrapolation.theory.monomial import ONE, Series, constant
from extrapolation.theory.oracle import Undefined
from extrapolation.theory.transseries import Field

MINUS, PLUS = '-inf', '+inf'


@dataclasses.dataclass(frozen=True)
class Wave:
  """A bounded oscillation: its range, and the order of its extrema.

  Near its maximum it is max - c |phase - phase_0|^high_order.
  """

  name: str
  phase: Series = dataclasses.field(compare=False)
  low: int = -1
  high: int = 1
  low_order: int = 2
  high_order: int = 2


@dataclasses.dataclass(frozen=True)
class Germ:
  low: Series | str
  high: Series | str
  wave: tuple[Series, Series, Wave] | None = None

  @property
  def exact(self) -> bool:
    return self.low is self.high


NOTHING = object()  # NaN: an error unless a case leaves it out


def point(x: Series | str) -> Germ:
  return Germ(x, x)


class BothSigns(oracle.Undecided):
  """An interval on both sides of a singularity."""


class Algebra:
  """Order, sums, products and powers of germs over one field of series."""

  def __init__(self, field: Field):
    self.f = field

  def order(self, x, y) -> int:
    """Sign of x - y for all large t."""
    if x == y:
      return 0
    if x in (MINUS, PLUS) or y in (MINUS, PLUS):
      return 1 if x == PLUS or y == MINUS else -1
    return self.f.sign(self.f.sub(x, y))

  def largest(self, items):
    best = items[0]
    for x in items[1:]:
      if self.order(x, best) > 0:
        best = x
    return best

  def smallest(self, items):
    best = items[0]
    for x in items[1:]:
      if self.order(x, best) < 0:
        best = x
    return best

  def hull(self, *germs):
    if NOTHING in germs:
      return NOTHING
    if all(g.exact for g in germs) and all(g == germs[0] for g in germs):
      return germs[0]
    return Germ(
      self.smallest([g.low for g in germs]),
      self.largest([g.high for g in germs]),
    )

  def limits(self, wave) -> Germ:
    """The interval of A + B w."""
    a, b, w = wave
    ends = [
      self.f.add(a, self.f.scale(b, sp.Integer(e))) for e in (w.low, w.high)
    ]
    low, high = ends if self.f.sign(b) >= 0 else ends[::-1]
    return Germ(low, high, wave)

  def monotone(self, x: Germ, f, up=True) -> Germ:
    if x.exact:
      return point(f(x.low))
    low, high = f(x.low), f(x.high)
    return Germ(low, high) if up else Germ(high, low)

  def smooth(self, x: Germ, out: Germ, name: str, up=True) -> Germ:
    """`out`, a smooth monotone function of a wave with constant ends, as a
    wave again: its extrema stay where they are and keep their order."""
    if x.wave is None or out.exact:
      return out
    a, b, w = x.wave
    for s in (a, b, out.low, out.high):
      if isinstance(s, str) or not s.exact or s != self._constant_of(s):
        return out
    orders = w.low_order, w.high_order
    if (self.f.sign(b) > 0) != up:
      orders = orders[::-1]
    name = f'{name}({a.terms}, {b.terms}, {w.name})'
    new = Wave(name, w.phase, 0, 1, *orders)
    return self.limits((out.low, self.f.sub(out.high, out.low), new))

  def _constant_of(self, s: Series) -> Series:
    return Series(tuple(term for term in s.terms if term[1] == ONE))

  # Sums and products.

  def _add(self, node, *args):
    shift, coefficients = node.data
    shift = constant(oracle.rational(shift))
    scaled = [
      self._times_number(x, c) for x, c in zip(args, coefficients, strict=True)
    ]
    waves = [x.wave for x in scaled if not x.exact]
    if len(waves) == 1 and waves[0] is not None:
      a, b, w = waves[0]
      rest = [x.low for x in scaled if x.exact]
      if not any(isinstance(r, str) for r in rest):
        a = self._sum([shift, a, *rest])
        return self.limits((a, b, w))
    same = {w[2] for w in waves if w is not None}
    if waves and None not in waves and len(same) == 1:
      rest = [x.low for x in scaled if x.exact]
      if not any(isinstance(r, str) for r in rest):
        a = self._sum([shift, *rest, *(w[0] for w in waves)])
        b = self._sum([w[1] for w in waves])
        return self.limits((a, b, same.pop()))
    low = self._sum([shift, *(x.low for x in scaled)])
    if all(x.exact for x in scaled):
      return point(low)
    return Germ(low, self._sum([shift, *(x.high for x in scaled)]))

  def _sum(self, items):
    special = {x for x in items if isinstance(x, str)}
    if len(special) == 2:
      raise Undefined('the difference of two infinities')
    if special:
      return special.pop()
    terms = [term for x in items for term in x.terms]
    return self.f.collect(terms, self.f.rests(*items))

  def _times_number(self, x: Germ, c) -> Germ:
    c = oracle.rational(c)
    if isinstance(x.low, str) or isinstance(x.high, str):
      flip = {MINUS: PLUS, PLUS: MINUS}

      def one(e):
        if isinstance(e, str):
          return flip[e] if c < 0 else e
        return self.f.scale(e, c)

      return self.monotone(x, one, c > 0)
    if x.wave is not None:
      a, b, w = x.wave
      return self.limits((self.f.scale(a, c), self.f.scale(b, c), w))
    return self.monotone(x, lambda e: self.f.scale(e, c), c > 0)

  def _product(self, x, y):
    if isinstance(x, str) or isinstance(y, str):
      a, b = (y, x) if isinstance(x, str) else (x, y)
      sign = (1 if a == PLUS else -1) if isinstance(a, str) else self.f.sign(a)
      if sign == 0:
        raise Undefined('0 times infinity')
      return b if sign > 0 else {MINUS: PLUS, PLUS: MINUS}[b]
    return self.f.mul(x, y)

  def _mul(self, node, x, y):
    if x.exact and y.exact:
      return point(self._product(x.low, y.low))
    if node.args[0] is node.args[1]:
      return self._even_power(x, 2)
    for u, v in ((x, y), (y, x)):
      if u.exact and v.wave is not None and not isinstance(u.low, str):
        a, b, w = v.wave
        return self.limits((self.f.mul(u.low, a), self.f.mul(u.low, b), w))
    ends = [
      self._product(a, b) for a in (x.low, x.high) for b in (y.low, y.high)
    ]
    return Germ(self.smallest(ends), self.largest(ends))

  def _bare(self, x: Germ) -> Wave | None:
    """The wave w when x is c w with a constant c > 0 of size 1."""
    if x.wave is None:
      return None
    a, b, w = x.wave
    return w if not a.terms and a.exact and b == constant(1) else None

  def _even_power(self, x, n):
    w = self._bare(x)
    if w is not None and (w.low, w.high) == (-1, 1):
      new = Wave(f'{w.name}^{n}', w.phase, 0, 1, n, 2)
      return self.limits((Series(), constant(1), new))
    magnitude = self._abs(None, x)
    n = sp.Integer(n)
    return self.monotone(magnitude, lambda e: self._raise(e, n))

  def _raise(self, x, a):
    """x^a, x >= 0."""
    sign = self.f.signs.sign(a)
    if x == PLUS:
      return PLUS if sign > 0 else Series()
    if not x.terms and x.exact and sign < 0:
      return PLUS
    return self.f.power(x, a)

  def _pow(self, node, x, y):
    a = y.low if y.exact else None
    number = None
    if isinstance(a, Series) and a.exact:
      if not a.terms:
        return point(constant(1))
      if len(a.terms) == 1 and a.terms[0][1] == ONE:
        number = a.terms[0][0]
    if number is None:
      return self._exp(None, self._mul_germs(self._log(None, x), y))
    if x.exact and isinstance(x.low, Series):
      return point(self.f.power(x.low, number))
    if number.is_Integer and number % 2 == 0 and number > 0:
      return self._even_power(x, int(number))
    if number.is_Integer and number > 0:
      return self.monotone(x, lambda e: self._odd(e, number))
    if self._sign_of(x.low) < 0:
      if number.is_Integer and self._sign_of(x.high) < 0:
        flip = self._times_number(x, -1)
        out = self.monotone(flip, lambda e: self._raise(e, number), False)
        return self._times_number(out, 1 if number % 2 == 0 else -1)
      raise BothSigns('a power of a quantity of both signs')
    up = self.f.signs.sign(number) > 0
    out = self.monotone(x, lambda e: self._raise(e, number), up)
    positive = self._sign_of(x.low) > 0
    return self.smooth(x, out, f'^{number}', up) if positive else out

  def _odd(self, e, number):
    return e if isinstance(e, str) else self.f.power(e, number)

  def _mul_germs(self, x, y):
    class _Two:
      args = (0, 1)

    return self._mul(_Two, x, y)

  def _sign_of(self, e) -> int:
    if isinstance(e, str):
      return 1 if e == PLUS else -1
    return self.f.sign(e)
