r"""A formula read as its behaviour at large distances.

A germ is a pair low <= f <= high of series (transseries.py), equal where f is
built from exp and log; sin and cos of an argument without limit, floor, and
cases that never settle leave a proper interval. A germ that is A + B w, w one
bounded wave, remembers it: the wave rules of series.py need it.
"""

import dataclasses

import flint
import sympy as sp

from extrapolation.theory import oracle
from extrapolation.theory.expression import Node, nodes
from extrapolation.theory.transseries import (
  ONE,
  Field,
  Imprecise,
  Monomial,
  Series,
  Undefined,
  constant,
  level,
  monomial,
)

MINUS, PLUS = '-inf', '+inf'


@dataclasses.dataclass(frozen=True)
class Wave:
  """A bounded oscillation: its range, and the order of its extrema.

  Near its maximum it is max - c |phase - phase_0|^high_order. `zero` is its
  value at phase 0 when that is an extremum.
  """

  name: str
  phase: Series = dataclasses.field(compare=False)
  low: int = -1
  high: int = 1
  low_order: int = 2
  high_order: int = 2
  zero: int | None = None


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


class Reading:
  """Evaluates nodes as germs over one field.

  Args:
    field: the series arithmetic.
    params: exact values of parameters; the others stay symbols.
  """

  def __init__(self, field: Field, symbols=None, t=None):
    self.f = field
    self.symbols = symbols or {}
    self.t = t or monomial(Monomial((sp.Integer(1),)))

  def __call__(self, root: Node) -> Germ:
    values = {}
    for node in nodes(root):
      self.f.tick()
      args = [values[a] for a in node.args]
      if NOTHING in args and node.op not in ('select', 'table'):
        values[node] = NOTHING
        continue
      values[node] = getattr(self, '_' + node.op)(node, *args)
    if values[root] is NOTHING:
      raise Undefined('the weight is NaN')
    return values[root]

  # Leaves.

  def _t(self, node):
    return point(self.t)

  def _const(self, node):
    if isinstance(node.data, bool):
      return node.data
    return point(constant(oracle.rational(node.data)))

  def _inf(self, node):
    return point(PLUS if node.data > 0 else MINUS)

  def _nan(self, node):
    return NOTHING

  def _param(self, node):
    return point(constant(self.symbols[node.data]))

  # Order of germs.

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
    ends = [self.f.add(a, self.f.scale(b, sp.Integer(e))) for e in (w.low, w.high)]
    low, high = ends if self.f.sign(b) >= 0 else ends[::-1]
    return Germ(low, high, wave)

  def monotone(self, x: Germ, f, up=True) -> Germ:
    if x.exact:
      return point(f(x.low))
    low, high = f(x.low), f(x.high)
    return Germ(low, high) if up else Germ(high, low)

  # Sums and products.

  def _add(self, node, *args):
    shift, coefficients = node.data
    shift = constant(oracle.rational(shift))
    scaled = [
      self._times_number(x, c)
      for x, c in zip(args, coefficients, strict=True)
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
      one = lambda e: (
        (flip[e] if c < 0 else e)
        if isinstance(e, str)
        else self.f.scale(e, c)
      )
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
    ends = [self._product(a, b) for a in (x.low, x.high) for b in (y.low, y.high)]
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
      zero = None if w.zero is None else w.zero**2
      new = Wave(f'{w.name}^{n}', w.phase, 0, 1, n, 2, zero)
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
    return self.monotone(x, lambda e: self._raise(e, number), up)

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

  # Functions.

  def _exp(self, node, x):
    def one(e):
      if e == PLUS:
        return PLUS
      return Series() if e == MINUS else self.f.exp(e)

    return self.monotone(x, one)

  def _log(self, node, x):
    def one(e):
      if e == PLUS:
        return PLUS
      if e == MINUS:
        raise Undefined('the logarithm of a negative number')
      return MINUS if not e.terms and e.exact else self.f.log(e)

    if not x.exact and self._sign_of(x.low) < 0 <= self._sign_of(x.high):
      raise BothSigns('the logarithm of a quantity of both signs')
    return self.monotone(x, one)

  def _lgamma(self, node, x):
    """Stirling: (x - 1/2) ln x - x + ln(2 pi) / 2 + r, 0 < r < 1 / (12 x)."""

    def one(e):
      if e == PLUS:
        return PLUS
      if self._has_limit(e) or self._sign_of(e) < 0:
        raise oracle.Undecided('log gamma at a limit')
      f, half = self.f, sp.Rational(1, 2)
      main = f.mul(f.add(e, constant(-half)), f.log(e))
      main = f.add(f.sub(main, e), constant(sp.log(2 * sp.pi) * half))
      small = f.scale(f.inverse(e), sp.Rational(1, 12))
      bound = f.supremum(small)
      rest = Series((), small.terms[0][1], bound)
      return f.add(main, rest)

    return self.monotone(x, one)

  def _abs(self, node, x):
    w = self._bare(x)
    if w is not None and (w.low, w.high) == (-1, 1):
      zero = None if w.zero is None else abs(w.zero)
      new = Wave(f'|{w.name}|', w.phase, 0, 1, 1, 2, zero)
      return self.limits((Series(), constant(1), new))
    if self._sign_of(x.low) >= 0:
      return x
    flip = self._times_number(x, -1)
    if self._sign_of(x.high) <= 0:
      return flip
    return Germ(Series(), self.largest([x.high, flip.high]))

  def _sign(self, node, x):
    return self.monotone(x, lambda e: constant(self._sign_of(e)))

  def _has_limit(self, e) -> bool:
    return isinstance(e, Series) and not self.f.parts(e)[0].terms

  def _sin(self, node, x, cosine=False):
    if x.exact and self._has_limit(x.low):
      return point(self.f.wave(x.low, cosine))
    if not x.exact or isinstance(x.low, str):
      return Germ(constant(-1), constant(1))
    # sin 0 = 0 is an extremum of |sin| and of its even powers.
    name, zero = ('cos', 1) if cosine else ('sin', 0)
    wave = Wave(f'{name}#{id(node.args[0])}', x.low, zero=zero)
    return self.limits((Series(), constant(1), wave))

  def _cos(self, node, x):
    return self._sin(node, x, True)

  def _erf(self, node, x):
    return self._limit_function(x, sp.erf, sp.Integer(1))

  def _atan(self, node, x):
    return self._limit_function(x, sp.atan, sp.pi / 2)

  def _limit_function(self, x, f, top):
    """Odd, increasing, bounded by +-top; enclosed by its values."""

    def ends(e):
      if isinstance(e, str) or not self._has_limit(e):
        s = self._sign_of(e)
        near = constant(s * top)
        far = self.f.add(near, self.f.scale(self._tiny(), sp.Integer(-s)))
        return [far, near] if s > 0 else [near, far]
      _, c, small = self.f.parts(e)
      if not small.terms and small.exact:
        return [constant(f(c))] * 2
      sup = self.f.add(constant(f(c)), self.f.scale(self._tiny(), sp.Integer(1)))
      inf = self.f.sub(constant(f(c)), self._tiny())
      return [inf, sup]

    low, high = ends(x.low)[0], ends(x.high)[1]
    return point(low) if low == high else Germ(low, high)

  def _tiny(self):
    """A constant slack: what tends to a limit is within it in the end."""
    if self.f.T is not None:
      raise Imprecise('no bound for erf or atan from a threshold on')
    return constant(sp.Rational(1, 10**6))

  def _floor(self, node, x):
    if not x.exact or isinstance(x.low, str):
      return Germ(self._below(x.low), x.high)
    e = x.low
    whole = self._integer_part(e)
    if whole is not None:
      return point(whole)
    if self._has_limit(e):
      _, c, small = self.f.parts(e)
      if not c.free_symbols:
        ball = oracle.ball(c)
        n = ball.floor().unique_fmpz()
        if n is None:  # an integer limit: the side decides
          n = flint.arb(ball.mid()).floor().unique_fmpz()
          for k in (int(n), int(n) + 1):
            if self.f.signs.sign(oracle.tidy(c - k)) == 0:
              below = self.f.sign(small) < 0
              return point(constant(k - 1 if below else k))
          raise oracle.Undecided('floor at an integer limit')
        n = int(n)
        if self.f.signs.sign(oracle.tidy(c - n)) == 0:
          below = self.f.sign(small) < 0
          return point(self._settled(constant(n - 1 if below else n), e))
        return point(self._settled(constant(n), e))
    return Germ(self._below(e), e)

  def _settled(self, n, e):
    """With a threshold: floor(e) = n must hold from T on, not in the end."""
    if self.f.T is not None:
      inside = self.f.sub(e, n)
      if self.f.sign(inside) < 0 or self.f.sign(
        self.f.sub(constant(1), inside)
      ) <= 0:
        raise Imprecise('floor has not settled at the threshold')
    return n

  def _below(self, e):
    return e if isinstance(e, str) else self.f.add(e, constant(-1))

  def _integer_part(self, e):
    """floor of an integer polynomial of t plus a rational constant."""
    if not e.exact:
      return None
    out = []
    for c, m in e.terms:
      whole = not m.exps and len(m.logs) <= 1
      whole = whole and all(a.is_Integer and a >= 0 for a in m.logs)
      if not whole or not c.is_Rational:
        return None
      if m == ONE:
        c = sp.floor(c)
      elif not c.is_Integer:
        return None
      if c != 0:
        out.append((c, m))
    return Series(tuple(out))

  def _max(self, node, x, y, pick='largest'):
    if x.exact and y.exact:
      return point(getattr(self, pick)([x.low, y.low]))
    pick = getattr(self, pick)
    for u, v in ((x, y), (y, x)):
      low, high = pick([u.low, v.low]), pick([u.high, v.high])
      if low is u.low and high is u.high:
        return u
    return Germ(pick([x.low, y.low]), pick([x.high, y.high]))

  def _min(self, node, x, y):
    return self._max(node, x, y, 'smallest')

  # Cases: True, False or None (never settles).

  def _lt(self, node, x):
    if self._sign_of(x.high) < 0:
      return True
    return False if self._sign_of(x.low) >= 0 else None

  def _le(self, node, x):
    if self._sign_of(x.high) <= 0:
      return True
    return False if self._sign_of(x.low) > 0 else None

  def _eq(self, node, x):
    low, high = self._sign_of(x.low), self._sign_of(x.high)
    if low == high == 0:
      return True
    return False if low > 0 or high < 0 else None

  def _not(self, node, x):
    return None if x is None else not x

  def _and(self, node, *args):
    if False in args:
      return False
    return None if None in args else True

  def _or(self, node, *args):
    if True in args:
      return True
    return None if None in args else False

  def _select(self, node, condition, then, other):
    if condition is NOTHING or (
      condition is None and NOTHING in (then, other)
    ):
      return NOTHING
    if condition is None:
      if isinstance(then, Germ):
        return self.hull(then, other)
      return then if then == other else None
    return then if condition else other

  def _table(self, node, index, *entries):
    if index is NOTHING:
      return NOTHING
    if not isinstance(index, Germ):
      if index is None:
        return self.hull(*entries)
      return entries[int(index)]
    i = self._clipped(index.low, len(entries))
    j = self._clipped(index.high, len(entries))
    return entries[i] if i == j else self.hull(*entries[i : j + 1])

  def _clipped(self, e, n):
    """The table entry at an index e for large t."""
    if isinstance(e, str) or not self._has_limit(e):
      return n - 1 if self._sign_of(e) > 0 else 0
    for i in range(n - 1):  # the index is an integer
      if self.order(e, constant(sp.Rational(2 * i + 1, 2))) < 0:
        return i
    return n - 1


class BothSigns(oracle.Undecided):
  """An interval on both sides of a singularity."""


__all__ = ['Germ', 'Reading', 'Wave', 'level', 'point']
