"""Monomials and series of the log-exp scale, for transseries.py."""

import dataclasses
import functools
import itertools

import flint
import sympy as sp

from extrapolation.theory import oracle

ZERO, UNIT = sp.Integer(0), sp.Integer(1)


class Imprecise(Exception):
  """More terms, or a larger threshold, are needed."""


@dataclasses.dataclass(frozen=True)
class Monomial:
  """prod_k l_k^logs[k] * exp(sum c g), l_0 = t, l_{k+1} = ln l_k."""

  logs: tuple = ()
  exps: tuple = ()  # pairs (monomial, coefficient)

  @functools.cached_property
  def depth(self) -> int:
    inner = max((g.depth for g, _ in self.exps), default=0)
    return max(len(self.logs), inner)


ONE = Monomial()


def level(k: int) -> Monomial:
  """l_k: t, ln t, ln ln t, ..."""
  return Monomial((ZERO,) * k + (UNIT,))


def _trim(logs):
  logs = list(logs)
  while logs and logs[-1] == 0:
    logs.pop()
  return tuple(logs)


def times(a: Monomial, b: Monomial) -> Monomial:
  if a is ONE or b is ONE:
    return b if a is ONE else a
  pairs = itertools.zip_longest(a.logs, b.logs, fillvalue=ZERO)
  logs = (oracle.tidy(x + y) for x, y in pairs)
  exps = dict(a.exps)
  for g, c in b.exps:
    exps[g] = oracle.tidy(exps.get(g, ZERO) + c)
  return Monomial(_trim(logs), tuple((g, c) for g, c in exps.items() if c != 0))


def raised(m: Monomial, a: sp.Expr) -> Monomial:
  if a == 0:
    return ONE
  return Monomial(
    _trim(oracle.tidy(c * a) for c in m.logs),
    tuple((g, oracle.tidy(c * a)) for g, c in m.exps),
  )


def over(a: Monomial, b: Monomial) -> Monomial:
  return times(a, raised(b, sp.Integer(-1)))


@dataclasses.dataclass(frozen=True)
class Series:
  """sum of coefficient * monomial, decreasing, + O(rest); err: see module."""

  terms: tuple = ()
  rest: Monomial | None = None
  err: flint.arb | None = None

  @property
  def exact(self) -> bool:
    return self.rest is None


def monomial(m: Monomial, c=UNIT) -> Series:
  return Series(((c, m),)) if c != 0 else Series()


def constant(c) -> Series:
  return monomial(ONE, sp.sympify(c))
