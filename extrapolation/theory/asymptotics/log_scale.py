r"""The logarithmic scale: the verdict on one exp-log function.

With l_0 = t, l_{k+1} = ln l_k and -b = l_1 + .. + l_k + q l_{k+1} +
o(l_{k+1}), sum exp b converges iff q > 1 (q = inf: faster than the scale):
comparison with 1/(l_0 .. l_{k-1} l_k^q), settled by the integral test. The
logarithmic depth is k: 0 is the p-series, 1 is Bertrand's.

Sources: Hardy, Orders of Infinity, 1910, ch. V; Knopp, Theory and Application
of Infinite Series, 1951, par. 37.
"""

import dataclasses

import sympy as sp

from extrapolation.theory.asymptotics.monomial import (
  Expansion,
  Monomial,
  level,
  monomial,
)
from extrapolation.theory.asymptotics.notation import brief, show
from extrapolation.theory.asymptotics.sign_oracle import Expr, canonical
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.errors import NeedsPrecision, NotProved

MAX_LOG_DEPTH = 7


@dataclasses.dataclass(frozen=True)
class Outcome:
  """A verdict in one case of the parameters; see `convergence.Verdict`."""

  converges: bool
  argument: str
  margin: Expr | None = None
  log_depth: int = 0


def decide(field: HardyField, b: Expansion) -> Outcome:
  """The verdict on sum exp b, b an exp-log function.

  Raises:
    NotProved: q = 1 down to MAX_LOG_DEPTH.
    NeedsPrecision: the remainder of b hides the answer.
  """
  rest, first = field.neg(b), None
  for k in range(MAX_LOG_DEPTH):
    unit = level(k + 1)
    c, order = _relative(field, rest, unit)
    if order > 0:
      if field.signs.sign(c) > 0:
        if k == 0:
          return Outcome(True, _faster(field, b))
        return Outcome(
          True,
          f'-b = {_chain(k)} + more than any multiple of {_name(k + 1)}: '
          f'comparison with {_family(k, 2)} (Bertrand, integral test)',
          None,
          k,
        )
      if k == 0:
        return Outcome(False, _no_decay(field, b))
      return Outcome(False, f'-b < {_chain(k)} in the end: {_family(k - 1, 1)} '
                     'diverges')  # fmt: skip
    q = c if order == 0 else sp.Integer(0)
    margin = canonical(q - 1)
    first = margin if first is None else first
    side = field.signs.sign(margin)
    if side:
      return _placed(field, b, k, q, first, side)
    rest = field.sub(rest, monomial(unit))
  raise NotProved(
    'the logarithmic scale (Bertrand) does not decide: -b agrees with '
    f'{_chain(MAX_LOG_DEPTH)} to its last term'
  )


def _relative(
  field: HardyField, x: Expansion, unit: Monomial
) -> tuple[Expr, int]:
  """(coefficient, order) of the leading term of x against `unit`."""
  if x.terms:
    c, m = x.terms[0]
    order = field.compare(m, unit)
    if order >= 0:
      return c, order
  if x.rest is not None and field.compare(x.rest, unit) >= 0:
    raise NeedsPrecision(
      'the asymptotic expansion of b ends before it is compared with ln t'
    )
  return sp.Integer(0), -1


def _placed(
  field: HardyField,
  b: Expansion,
  k: int,
  q: Expr,
  margin: Expr,
  side: int,
) -> Outcome:
  word = 'converges' if side > 0 else 'diverges'
  sign = '>' if side > 0 else '<'
  if k == 0:
    if side < 0 and (q == 0 or field.signs.sign(q) <= 0):
      return Outcome(False, _no_decay(field, b), margin)
    q = brief(q)
    return Outcome(
      side > 0,
      f'-b/ln t -> {q} {sign} 1: sum {word} by comparison with the p-series '
      f'sum 1/t^p, p = {q}',
      margin,
    )
  return Outcome(
    side > 0,
    f'-b = {_chain(k)} + q {_name(k + 1)} + o({_name(k + 1)}), '
    f'q = {brief(q)} {sign} 1: sum {word} by comparison with '
    f'{_family(k, "q")} (Bertrand, integral test)',
    margin,
    k,
  )


def _leading(field: HardyField, b: Expansion) -> str:
  return show(field, Expansion(b.terms[:1]))


def _faster(field: HardyField, b: Expansion) -> str:
  return (
    f'-b/ln t -> inf, as b ~ {_leading(field, b)}: faster than '
    'every power, comparison with sum 1/t^2'
  )


def _no_decay(field: HardyField, b: Expansion) -> str:
  """Divergence without a power: constant, growing or slower than any power."""
  large, limit, _ = field.parts(b)
  if not large.terms:
    return f'b -> {brief(limit)}, so the terms do not tend to 0'
  if field.signs.sign(b.terms[0][0]) > 0:
    return f'b ~ {_leading(field, b)} grows: terms do not tend to 0'
  return (
    f'b ~ {_leading(field, b)}, so -b/ln t -> 0 < 1: comparison '
    'with the harmonic series sum 1/t'
  )


def _name(k: int) -> str:
  return 'ln ' * k + 't'


def _chain(k: int) -> str:
  return ' + '.join(_name(i + 1) for i in range(k))


def _family(k: int, q: Expr | str | int) -> str:
  factors = [f'({_name(i)})' if i else 't' for i in range(k + 1)]
  if q != 1:
    factors[-1] += f'^{q}'
  return f'sum 1/({" ".join(factors)})'
