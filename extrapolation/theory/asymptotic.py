"""A formula read as its behaviour at large distances, op by op."""

import flint
import sympy as sp

from extrapolation.theory import oracle
from extrapolation.theory.expression import Node, nodes
from extrapolation.theory.germ import (
  MINUS,
  NOTHING,
  PLUS,
  Algebra,
  BothSigns,
  Germ,
  Wave,
  point,
)
from extrapolation.theory.monomial import (
  ONE,
  Imprecise,
  Monomial,
  Series,
  constant,
  monomial,
)
from extrapolation.theory.oracle import Undefined
from extrapolation.theory.transseries import Field


class Reading(Algebra):
  """Evaluates nodes as germs over one field.

  Args:
    field: the series arithmetic.
    symbols: what stands for each parameter.
    t: what stands for the distance; t itself if absent.
  """

  def __init__(self, field: Field, symbols=None, t=None):
    super().__init__(field)
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

  # Functions.

  def _exp(self, node, x):
    def one(e):
      if e == PLUS:
        return PLUS
      return Series() if e == MINUS else self.f.exp(e)

    return self.smooth(x, self.monotone(x, one), 'exp')

  def _log(self, node, x):
    def one(e):
      if e == PLUS:
        return PLUS
      if e == MINUS:
        raise Undefined('the logarithm of a negative number')
      return MINUS if not e.terms and e.exact else self.f.log(e)

    if not x.exact and self._sign_of(x.low) < 0 <= self._sign_of(x.high):
      raise BothSigns('the logarithm of a quantity of both signs')
    out = self.monotone(x, one)
    return out if isinstance(out.low, str) else self.smooth(x, out, 'log')

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
      new = Wave(f'|{w.name}|', w.phase, 0, 1, 1, 2)
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
    name = 'cos' if cosine else 'sin'
    wave = Wave(f'{name}#{id(node.args[0])}', x.low)
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
      sup = self.f.add(
        constant(f(c)), self.f.scale(self._tiny(), sp.Integer(1))
      )
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
      if (
        self.f.sign(inside) < 0
        or self.f.sign(self.f.sub(constant(1), inside)) <= 0
      ):
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
    if condition is NOTHING or (condition is None and NOTHING in (then, other)):
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
