"""A formula read as its behaviour at large distances, op by op."""

from collections.abc import Callable
from typing import Any

import flint
import sympy as sp

from extrapolation.theory.asymptotics import (
  cover,
  sign_oracle,
  special_functions,
)
from extrapolation.theory.asymptotics.interval_germ import (
  MINUS,
  PLUS,
  Algebra,
  End,
  Germ,
  Wave,
  point,
)
from extrapolation.theory.asymptotics.monomial import (
  ONE,
  Expansion,
  Monomial,
  constant,
  level,
  monomial,
)
from extrapolation.theory.asymptotics.sign_oracle import canonical
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.errors import (
  NeedsPrecision,
  NotProved,
  UndefinedWeight,
)
from extrapolation.theory.expression.graph import Node, nodes
from extrapolation.theory.expression.three_valued import (
  Truth,
  all_of,
  any_of,
  negation,
)

# Rules that read more of a node than the values of its arguments.
FAILURES = (UndefinedWeight, NotProved, NeedsPrecision)
WITH_NODE = ('const', 'inf', 'param', 'add', 'mul', 'sin', 'cos')


class Reading(Algebra):
  """Evaluates nodes as germs over one field.

  Args:
    field: the series arithmetic.
    symbols: what stands for each parameter.
    t: what stands for the distance; t itself if absent.
    arcs: enclosures of phases that do not settle, by `cover.Circle.ranges`.
  """

  def __init__(
    self,
    field: HardyField,
    symbols: dict | None = None,
    t: Germ | None = None,
    arcs: dict | None = None,
  ):
    super().__init__(field)
    self.symbols, self.places = symbols or {}, {}
    self.t = t or point(monomial(Monomial((sp.Integer(1),))))
    self.arcs = arcs or {}

  def __call__(self, root: Node) -> Germ:
    values: dict[Node, Any] = {}
    for node in nodes(root):
      self.places[node] = len(values)
      self.field.tick()
      values[node] = self._value(node, [values[a] for a in node.args])
    if isinstance(values[root], FAILURES):
      raise values[root]
    return values[root]

  def _value(self, node: Node, args: list) -> Any:
    """A germ or truth value, or why there is none: that counts where no select
    leaves the node out."""
    seen = args[:1] if node.op in ('select', 'table') else args
    if failed := next((x for x in seen if isinstance(x, FAILURES)), None):
      return failed
    rule = getattr(self, '_' + node.op)
    try:
      return rule(node, *args) if node.op in WITH_NODE else rule(*args)
    except FAILURES as e:
      return e

  # Leaves.

  def _t(self) -> Germ:
    return self.t

  def _const(self, node: Node) -> Germ | bool:
    if isinstance(node.data, bool):
      return node.data
    return point(constant(sign_oracle.rational(node.data)))

  def _inf(self, node: Node) -> Germ:
    return point(PLUS if node.data > 0 else MINUS)

  def _nan(self):
    raise UndefinedWeight('the weight is NaN')

  def _param(self, node: Node) -> Germ:
    return point(constant(self.symbols[node.data]))

  # Functions.

  def _exp(self, x: Germ) -> Germ:
    def one(e: End) -> End:
      if e == PLUS:
        return PLUS
      return Expansion() if e == MINUS else self.field.exp(e)

    return self.smooth(x, self.monotone(x, one), 'exp')

  def _log(self, x: Germ) -> Germ:
    def one(e: End) -> End:
      if e == PLUS:
        return PLUS
      if e == MINUS:
        raise UndefinedWeight('the logarithm of a negative number')
      return MINUS if not e.terms and e.exact else self.field.log(e)

    if not x.exact and self._sign_of(x.low) < 0 <= self._sign_of(x.high):
      raise NotProved(
        'it is open whether the argument of a logarithm is positive in the end'
      )
    out = self.monotone(x, one)
    return out if isinstance(out.low, str) else self.smooth(x, out, 'log')

  def _abs(self, x: Germ) -> Germ:
    w = self._bare(x)
    if w is not None and (w.low, w.high) == (-1, 1):
      new = Wave(f'|{w.name}|', w.phase, 0, 1, 1, 2)
      return self.limits((Expansion(), constant(1), new))
    if self._sign_of(x.low) >= 0:
      return x
    flip = self._times_number(x, -1)
    if self._sign_of(x.high) <= 0:
      return flip
    return Germ(Expansion(), self.largest([x.high, flip.high]))

  def _sign(self, x: Germ) -> Germ:
    return self.monotone(x, lambda e: constant(self._sign_of(e)))

  def _has_limit(self, e: End) -> bool:
    return isinstance(e, Expansion) and not self.field.parts(e)[0].terms

  def _settles(self, phase: Expansion) -> bool:
    """Whether it has a limit, but for whole turns at every token."""
    return all(
      m == level(0) and (c / (2 * sp.pi)).is_Integer
      for c, m in self.field.parts(phase)[0].terms
    )

  def _sin(self, node: Node, x: Germ, cosine: bool = False) -> Germ:
    if not x.exact or isinstance(x.low, str):
      return Germ(constant(-1), constant(1))
    if self._settles(x.low):
      return point(self.field.wave(x.low, cosine))
    arc = self.arcs.get((x.low.terms, x.low.rest))
    if arc is not None:
      return cover.value_range(arc, cosine)
    name = 'cos' if cosine else 'sin'
    # One name, one function: the same phase, or the same node of the formula.
    phase = x.low.terms if x.low.exact else self.places[node.args[0]]
    wave = Wave(f'{name} {phase}', x.low)
    return self.limits((Expansion(), constant(1), wave))

  def _cos(self, node: Node, x: Germ) -> Germ:
    return self._sin(node, x, True)

  def _lgamma(self, x: Germ) -> Germ:
    def one(e: End) -> End:
      if e == PLUS:
        return PLUS
      if self._has_limit(e) or self._sign_of(e) < 0:
        raise NotProved(
          "Stirling's series of lgamma needs an argument that tends to infinity"
        )
      return special_functions.lgamma(self.field, e)

    return self.monotone(x, one)

  def _erf(self, x: Germ) -> Germ:
    return self._bounded(x, sp.erf, special_functions.erf)

  def _atan(self, x: Germ) -> Germ:
    return self._bounded(x, sp.atan, special_functions.atan)

  def _bounded(self, x: Germ, f: Callable, series: Callable) -> Germ:
    """An odd increasing function with a limit."""

    def one(e: End) -> End:
      if isinstance(e, str):
        return constant(self._sign_of(e) * f(sp.oo))
      return series(self.field, e)

    return self.monotone(x, one)

  def _floor(self, x: Germ) -> Germ:
    if not x.exact:
      return self._floor_between(x)
    if isinstance(e := x.low, str):
      return x
    if (whole := self._integer_part(e)) is not None:
      return point(whole)
    _, c, small = self.field.parts(e)
    if not self._has_limit(e) or c.free_symbols:
      return Germ(self._below(e), e)
    limit, half = sign_oracle.ball(c), flint.arb(0.5)
    near: Any = int((limit.mid() + half).floor().unique_fmpz())
    if self.field.signs.sign(canonical(c - near)) == 0:  # the side decides
      n: Any = near - (self.field.sign(small) < 0)
    elif (n := limit.floor().unique_fmpz()) is None:
      raise NotProved(
        f'it is open whether the argument of floor tends to {near}'
      )
    return point(self._settled(constant(int(n)), e))

  def _floor_between(self, x: Germ) -> Germ:
    """floor increases: between those of the ends."""
    try:
      low, high = (self._floor(point(e)) for e in (x.low, x.high))
    except (NotProved, NeedsPrecision):
      return Germ(self._below(x.low), x.high)
    same = low.exact and high.exact and self.order(low.low, high.high) == 0
    return low if same else Germ(low.low, high.high)

  def _settled(self, n: Expansion, e: Expansion) -> Expansion:
    """With a threshold: floor(e) = n must hold from T on, not in the end."""
    if self.field.T is not None:
      inside = self.field.sub(e, n)
      if (
        self.field.sign(inside) < 0
        or self.field.sign(self.field.sub(constant(1), inside)) <= 0
      ):
        raise NeedsPrecision('floor has not settled at the threshold')
    return n

  def _below(self, e: End) -> End:
    return e if isinstance(e, str) else self.field.add(e, constant(-1))

  def _integer_part(self, e: Expansion) -> Expansion | None:
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
    return Expansion(tuple(out))

  def _max(self, x: Germ, y: Germ) -> Germ:
    return self._picked(self.largest, x, y)

  def _min(self, x: Germ, y: Germ) -> Germ:
    return self._picked(self.smallest, x, y)

  def _picked(self, pick: Callable, x: Germ, y: Germ) -> Germ:
    for u, v in ((x, y), (y, x)):  # u where all of it is picked against v
      if all(pick([a, b]) is a for a in u.ends for b in v.ends):
        return u
    return Germ(pick([x.low, y.low]), pick([x.high, y.high]))

  # Cases: True, False or None (never settles).

  def _lt(self, x: Germ) -> Truth:
    if self._sign_of(x.high) < 0:
      return True
    return False if self._sign_of(x.low) >= 0 else None

  def _le(self, x: Germ) -> Truth:
    if self._sign_of(x.high) <= 0:
      return True
    return False if self._sign_of(x.low) > 0 else None

  def _eq(self, x: Germ) -> Truth:
    low, high = self._sign_of(x.low), self._sign_of(x.high)
    if low == high == 0:
      return True
    return False if low > 0 or high < 0 else None

  _and = staticmethod(all_of)
  _or = staticmethod(any_of)
  _not = staticmethod(negation)

  def _select(self, condition: Truth, then: Any, other: Any):
    if condition is None:
      return self._either(then, other)
    return then if condition else other

  def _table(self, index: Any, *entries: Any):
    if not isinstance(index, Germ):
      return self._either(*entries) if index is None else entries[int(index)]
    i = self._clipped(index.low, len(entries))
    j = self._clipped(index.high, len(entries))
    return self._either(*entries[i : j + 1])

  def _either(self, *cases: Any):
    """What holds each of some germs or truth values."""
    if failed := next((x for x in cases if isinstance(x, FAILURES)), None):
      raise failed
    if isinstance(cases[0], Germ):
      return self.hull(*cases)
    return cases[0] if all(x == cases[0] for x in cases) else None

  def _clipped(self, e: End, n: int) -> int:
    """The table entry at an index e for large t."""
    if isinstance(e, str) or not self._has_limit(e):
      return n - 1 if self._sign_of(e) > 0 else 0
    for i in range(n - 1):  # the index is an integer
      if self.order(e, constant(sp.Rational(2 * i + 1, 2))) < 0:
        return i
    return n - 1
