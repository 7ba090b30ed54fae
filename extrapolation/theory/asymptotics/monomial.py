"""Monomials of the log-exp scale, and finite sums of their multiples."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable
from typing import Any

import sympy as sp

from extrapolation.theory.asymptotics.sign_oracle import Expr, canonical

ZERO, UNIT = sp.Integer(0), sp.Integer(1)


@dataclasses.dataclass(frozen=True)
class Monomial:
  """prod_k l_k^logs[k] * exp(sum c g), l_0 = t, l_{k+1} = ln l_k.

  Equal objects are equal functions. The converse fails, as for t^a and
  t^(sin(1)^2 a + cos(1)^2 a): `Ordering.compare` decides equality.
  """

  logs: tuple = ()
  exps: tuple = ()  # pairs (monomial, coefficient), by `key`

  @functools.cached_property
  def key(self) -> str:
    """What the factors of a product are sorted by."""
    inner = ' '.join(f'{c}:{g.key}' for g, c in self.exps)
    return f'({" ".join(map(str, self.logs))};{inner})'


ONE = Monomial()


def level(k: int) -> Monomial:
  """l_k: t, ln t, ln ln t, ..."""
  return Monomial((ZERO,) * k + (UNIT,))


def _trim(logs: Iterable[Expr]) -> tuple:
  logs = list(logs)
  while logs and logs[-1] == 0:
    logs.pop()
  return tuple(logs)


def times(a: Monomial, b: Monomial) -> Monomial:
  """a b."""
  if a is ONE or b is ONE:
    return b if a is ONE else a
  pairs = itertools.zip_longest(a.logs, b.logs, fillvalue=ZERO)
  logs = (canonical(x + y) for x, y in pairs)
  exps = dict(a.exps)
  for g, c in b.exps:
    exps[g] = canonical(exps.get(g, ZERO) + c)
  pairs = [(g, c) for g, c in exps.items() if c != 0]
  if len(pairs) > 1:
    pairs.sort(key=lambda pair: pair[0].key)
  return Monomial(_trim(logs), tuple(pairs))


def raised(m: Monomial, a: Expr) -> Monomial:
  """m^a."""
  if a == 0:
    return ONE
  return Monomial(
    _trim(canonical(c * a) for c in m.logs),
    tuple((g, canonical(c * a)) for g, c in m.exps),
  )


def over(a: Monomial, b: Monomial) -> Monomial:
  """a / b."""
  return times(a, raised(b, sp.Integer(-1)))


@dataclasses.dataclass(frozen=True)
class Expansion:
  """sum of coefficient * monomial, decreasing, + O(rest).

  With a threshold T the remainder is at most err * rest at every t >= T.
  """

  terms: tuple = ()
  rest: Monomial | None = None
  err: Any = None  # an arb, with a threshold

  @property
  def exact(self) -> bool:
    """Whether it has no remainder."""
    return self.rest is None

  @property
  def top(self) -> Monomial:
    """The leading monomial; of the remainder where no term is known."""
    if self.terms:
      return self.terms[0][1]
    assert self.rest is not None, '0 has no leading monomial'
    return self.rest


def monomial(m: Monomial, c: Expr | int = UNIT) -> Expansion:
  """The expansion c m."""
  return Expansion(((c, m),)) if c != 0 else Expansion()


def constant(c: Expr | int) -> Expansion:
  """The expansion c."""
  return monomial(ONE, sp.sympify(c))
