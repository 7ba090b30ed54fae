r"""A formula read as its behaviour at large distances.

A germ is a pair low <= f <= high of expansions, equal where f is built from exp
and log; sin and cos of an argument without limit, floor, and cases that never
settle leave a proper interval. A germ that is A + B w, w one bounded wave,
remembers it: the rules of oscillation.py need it.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sympy as sp

from extrapolation.theory.asymptotics import sign_oracle
from extrapolation.theory.asymptotics.monomial import ONE, Expansion, constant
from extrapolation.theory.asymptotics.sign_oracle import Expr
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.errors import NotProved, UndefinedWeight
from extrapolation.theory.expression.graph import Node

MINUS, PLUS = '-inf', '+inf'

if TYPE_CHECKING:  # comparing with MINUS and PLUS does not narrow a union
  End = Any
else:
  End = Expansion | str  # or MINUS, PLUS


@dataclasses.dataclass(frozen=True)
class Wave:
  """A bounded oscillation: its range, and the order of its extrema.

  Near its maximum it is max - c |phase - phase_0|^high_order.
  """

  name: str
  phase: Expansion = dataclasses.field(compare=False)
  low: int = -1
  high: int = 1
  low_order: int = 2
  high_order: int = 2


@dataclasses.dataclass(frozen=True)
class Germ:
  """low <= f <= high for large t; A + B w in full where it is a wave."""

  low: End
  high: End
  wave: tuple[Expansion, Expansion, Wave] | None = None

  @property
  def exact(self) -> bool:
    """Whether both bounds are one."""
    return self.low is self.high

  @property
  def ends(self) -> tuple:
    """The bounds, one of them where they are one."""
    return (self.low,) if self.exact else (self.low, self.high)


def point(x: End) -> Germ:
  """The germ of a function that is known exactly."""
  return Germ(x, x)


class Algebra:
  """Order, sums, products and powers of germs over one field of expansions."""

  def __init__(self, field: HardyField):
    self.field = field

  def order(self, x: End, y: End) -> int:
    """Sign of x - y for all large t."""
    if x == y:
      return 0
    if x in (MINUS, PLUS) or y in (MINUS, PLUS):
      return 1 if x == PLUS or y == MINUS else -1
    return self.field.sign(self.field.sub(x, y))

  def largest(self, items: Sequence[End]) -> End:
    """The one that is largest for all large t."""
    return functools.reduce(
      lambda x, y: y if self.order(y, x) > 0 else x, items
    )

  def smallest(self, items: Sequence[End]) -> End:
    """The one that is smallest for all large t."""
    return functools.reduce(
      lambda x, y: y if self.order(y, x) < 0 else x, items
    )

  def hull(self, *germs: Any) -> Any:
    """The smallest interval that holds all of them."""
    if all(g.exact for g in germs) and all(g == germs[0] for g in germs):
      return germs[0]
    return Germ(
      self.smallest([g.low for g in germs]),
      self.largest([g.high for g in germs]),
    )

  def limits(self, wave: tuple[Expansion, Expansion, Wave]) -> Germ:
    """The interval of A + B w."""
    (a, b, w), field = wave, self.field
    ends = [
      field.add(a, field.scale(b, sp.Integer(e))) for e in (w.low, w.high)
    ]
    low, high = ends if field.sign(b) >= 0 else ends[::-1]
    return Germ(low, high, wave)

  def monotone(self, x: Germ, f: Callable[[End], End], up: bool = True) -> Germ:
    """f(x), f increasing or decreasing."""
    if x.exact:
      return point(f(x.low))
    low, high = f(x.low), f(x.high)
    return Germ(low, high) if up else Germ(high, low)

  def smooth(self, x: Germ, out: Germ, name: str, up: bool = True) -> Germ:
    """`out`, a smooth monotone function of a wave with constant ends, as a
    wave again: its extrema stay where they are and keep their order."""
    if x.wave is None or out.exact:
      return out
    a, b, w = x.wave
    for s in (a, b, out.low, out.high):
      if isinstance(s, str) or not s.exact or s != self._constant_of(s):
        return out
    orders = w.low_order, w.high_order
    if (self.field.sign(b) > 0) != up:
      orders = orders[::-1]
    name = f'{name}({a.terms}, {b.terms}, {w.name})'
    new = Wave(name, w.phase, 0, 1, *orders)
    return self.limits((out.low, self.field.sub(out.high, out.low), new))

  def _constant_of(self, s: Expansion) -> Expansion:
    return Expansion(tuple(term for term in s.terms if term[1] == ONE))

  # Sums and products.

  def _add(self, node: Node, *args: Germ) -> Germ:
    shift, coefficients = node.data
    shift = constant(sign_oracle.rational(shift))
    scaled = [
      self._times_number(x, c) for x, c in zip(args, coefficients, strict=True)
    ]
    waves = [x.wave for x in scaled if not x.exact]
    known = [w for w in waves if w is not None]
    same = {w for _, _, w in known}
    if waves and len(known) == len(waves) and len(same) == 1:
      rest = [x.low for x in scaled if x.exact]
      if not any(isinstance(r, str) for r in rest):
        a = self._sum([shift, *rest, *(a for a, _, _ in known)])
        b = self._sum([b for _, b, _ in known])
        return self.limits((a, b, same.pop()))
    low = self._sum([shift, *(x.low for x in scaled)])
    if all(x.exact for x in scaled):
      return point(low)
    return Germ(low, self._sum([shift, *(x.high for x in scaled)]))

  def _sum(self, items: Sequence[End]) -> End:
    special = {x for x in items if isinstance(x, str)}
    if len(special) == 2:
      raise UndefinedWeight('the difference of two infinities')
    if special:
      return special.pop()
    terms = [term for x in items for term in x.terms]
    return self.field.collect(terms, self.field.rests(*items))

  def _times_number(self, x: Germ, number: Fraction | int) -> Germ:
    c = sign_oracle.rational(number)
    if isinstance(x.low, str) or isinstance(x.high, str):
      flip = {MINUS: PLUS, PLUS: MINUS}

      def one(e: End) -> End:
        if isinstance(e, str):
          return flip[e] if c < 0 else e
        return self.field.scale(e, c)

      return self.monotone(x, one, bool(c > 0))
    if x.wave is not None:
      a, b, w = x.wave
      return self.limits((self.field.scale(a, c), self.field.scale(b, c), w))
    return self.monotone(x, lambda e: self.field.scale(e, c), bool(c > 0))

  def _product(self, x: End, y: End) -> End:
    if isinstance(x, str) or isinstance(y, str):
      a, b = (y, x) if isinstance(x, str) else (x, y)
      sign = self._sign_of(a)
      if sign == 0:
        raise UndefinedWeight('0 times infinity')
      return b if sign > 0 else {MINUS: PLUS, PLUS: MINUS}[b]
    return self.field.mul(x, y)

  def _mul(self, node: Node, x: Germ, y: Germ) -> Germ:
    if node.args[0] is node.args[1] and not x.exact:
      return self._even_power(x, 2)
    return self._multiply(x, y)

  def _multiply(self, x: Germ, y: Germ) -> Germ:
    for u, v in ((x, y), (y, x)):
      if u.exact and v.wave is not None and not isinstance(u.low, str):
        a, b, w = v.wave
        a, b = self.field.mul(u.low, a), self.field.mul(u.low, b)
        return self.limits((a, b, w))
    ends = [self._product(a, b) for a in x.ends for b in y.ends]
    return Germ(self.smallest(ends), self.largest(ends))

  def _bare(self, x: Germ) -> Wave | None:
    """The wave w when x is c w with a constant c > 0 of size 1."""
    if x.wave is None:
      return None
    a, b, w = x.wave
    return w if not a.terms and a.exact and b == constant(1) else None

  def _even_power(self, x: Germ, n: int) -> Germ:
    w = self._bare(x)
    if w is not None and (w.low, w.high) == (-1, 1):
      if n == 2 and w.name.startswith('cos '):  # 1 - sin^2
        square = Wave(f'sin {w.name[4:]}^2', w.phase, 0, 1, 2, 2)
        return self.limits((constant(1), constant(-1), square))
      new = Wave(f'{w.name}^{n}', w.phase, 0, 1, n, 2)
      return self.limits((Expansion(), constant(1), new))
    magnitude = self._abs(x)
    return self.monotone(magnitude, lambda e: self._raise(e, sp.Integer(n)))

  def _raise(self, x: End, a: Expr) -> End:
    """x^a, x >= 0."""
    sign = self.field.signs.sign(a)
    if x == PLUS:
      return PLUS if sign > 0 else Expansion()
    if not x.terms and x.exact and sign < 0:
      return PLUS
    return self.field.power(x, a)

  def _pow(self, x: Germ, y: Germ) -> Germ:
    a = y.low if y.exact else None
    number = None
    if isinstance(a, Expansion) and a.exact:
      if not a.terms:
        return point(constant(1))
      if len(a.terms) == 1 and a.terms[0][1] == ONE:
        number = a.terms[0][0]
    if number is None:
      return self._exp(self._multiply(self._log(x), y))
    if x.exact and isinstance(x.low, Expansion):
      return point(self.field.power(x.low, number))
    if number.is_Integer and number % 2 == 0 and number > 0:
      return self._even_power(x, int(number))
    if number.is_Integer and number > 0:
      return self.monotone(x, lambda e: self._odd(e, number))
    if self._sign_of(x.low) < 0:
      if number.is_Integer and self._sign_of(x.high) < 0:
        flip = self._times_number(x, -1)
        out = self.monotone(flip, lambda e: self._raise(e, number), False)
        return self._times_number(out, 1 if number % 2 == 0 else -1)
      raise NotProved(
        'it is open whether the base of a power is positive in the end'
      )
    up = self.field.signs.sign(number) > 0
    out = self.monotone(x, lambda e: self._raise(e, number), up)
    positive = self._sign_of(x.low) > 0
    return self.smooth(x, out, f'^{number}', up) if positive else out

  def _odd(self, e: End, number: Expr) -> End:
    return e if isinstance(e, str) else self.field.power(e, number)

  def _sign_of(self, e: End) -> int:
    if isinstance(e, str):
      return 1 if e == PLUS else -1
    return self.field.sign(e)

  # Functions that powers are written in: `expand.Reading` has them.

  def _abs(self, x: Germ) -> Germ:
    raise NotImplementedError

  def _exp(self, x: Germ) -> Germ:
    raise NotImplementedError

  def _log(self, x: Germ) -> Germ:
    raise NotImplementedError
