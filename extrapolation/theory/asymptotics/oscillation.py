r"""Verdicts on b = A + B w, w one bounded wave, whose bounds disagree.

The wave is near its peak on a set of distances dense enough to carry the sum,
or the sum is that of the mean over the phase. What each rule needs of the
phase is in `phase` and `_even`.
"""

import dataclasses

import sympy as sp

from extrapolation.theory.asymptotics import log_scale
from extrapolation.theory.asymptotics.interval_germ import Germ, Wave
from extrapolation.theory.asymptotics.log_scale import Outcome
from extrapolation.theory.asymptotics.monomial import (
  ONE,
  Expansion,
  Monomial,
  level,
  times,
)
from extrapolation.theory.asymptotics.notation import show
from extrapolation.theory.asymptotics.sign_oracle import Expr
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.errors import NotProved


def settle(field: HardyField, germ: Germ) -> Outcome:
  """A + B w whose bounds disagree."""
  if germ.wave is None:
    raise NotProved('upper and lower bounds of the weights disagree')
  a, b, w = germ.wave
  up = field.sign(b) > 0
  top = sp.Integer(w.high if up else w.low)
  kind = phase(field, w.phase)
  if kind is None:
    raise NotProved('an oscillation whose phases have no known distribution')
  for delta in (sp.Rational(1, 2**8), sp.Rational(1, 2**40)):
    near = top - delta if up else top + delta
    bound = field.add(a, field.scale(b, near))
    low = log_scale.decide(field, bound)
    if not low.converges:
      return Outcome(
        False,
        f'the wave is within {delta} of its peak at distances of positive '
        f'density ({kind}); there {low.argument}',
        low.margin,
      )
  if kind == LINEAR and _returns(field, a, b, w, top, up):
    return Outcome(
      False,
      'the phase comes within O(1/t) of its peak infinitely often (Dirichlet, '
      f'Khintchine), where b > {show(field, a)} - O(1): the terms do not tend '
      'to 0',
    )
  if not _even(field, a, b, w, kind):
    raise NotProved('an oscillation that no rule here averages')
  size = field.log(field.scale(b, sp.Integer(1 if up else -1)))
  order = w.high_order if up else w.low_order
  mean = field.sub(
    field.add(a, field.scale(b, top)), field.scale(size, sp.Rational(1, order))
  )
  out = log_scale.decide(field, mean)
  return dataclasses.replace(
    out,
    argument=f"averaged over the phase ({kind}; Laplace's method) b acts as "
    f'{show(field, mean)}: {out.argument}',
  )


def _even(
  field: HardyField, a: Expansion, b: Expansion, w: Wave, kind: str
) -> bool:
  """Whether A and B hardly change while the phase turns often enough.

  Linear phases: multiples of 1/pi have discrepancy O(N^-c) (its irrationality
  measure is finite), so blocks [N, N + N^(1-c)] see the mean if A and B grow
  slower than every power. Slow phases, g' -> 0: a period of g changes A and B
  by O(1), so the sum is an integral over g up to a constant factor.
  """
  if kind == LINEAR:
    slow = Monomial((sp.Rational(1, 100),))
    return all(
      field.compare(s.terms[0][1], slow) < 0 for s in (a, b) if s.terms
    )
  turns = _rate(field, w.phase)
  if field.compare(turns, level(0)) >= 0:
    return False
  return all(
    field.compare(_rate(field, s), turns) <= 0 for s in (a, b) if s.terms
  )


def _rate(field: HardyField, s: Expansion) -> Monomial:
  """The monomial of t s'(t)."""
  terms = [(c * d, times(m, g)) for c, m in s.terms for d, g in field.rate(m)]
  terms = field.collect_exact(terms)
  return terms[0][1] if terms else Monomial((sp.Integer(-99),))


def _returns(
  field: HardyField, a: Expansion, b: Expansion, w: Wave, top: Expr, up: bool
) -> bool:
  """Whether b is bounded below along a subsequence near the peak of w.

  t ||t x - y|| < 1 for infinitely many t > 0, x irrational: Dirichlet for
  y = 0, Minkowski and Khintchine in general (Cassels, An Introduction to
  Diophantine Approximation, 1957, chapter III).
  """
  order = w.high_order if up else w.low_order
  within = field.compare(b.terms[0][1], Monomial((sp.Integer(order),))) <= 0
  peak = field.add(a, field.scale(b, top))
  large = field.parts(peak)[0].terms
  return within and (not large or field.signs.sign(large[0][0]) > 0)


LINEAR = 'irrational rotation, Weyl'


def phase(field: HardyField, x: Expansion) -> str | None:
  """Why the phase x(t) mod 2 pi visits every arc with positive density."""
  c, m = x.terms[0]
  if m.exps:
    return None
  power = m.logs[0] if m.logs else sp.Integer(0)
  if not power.is_Rational:
    return None
  shift_only = len(x.terms) == 1 or (len(x.terms) == 2 and x.terms[1][1] == ONE)
  if m == level(0) and x.exact and c.is_Rational and shift_only:
    return LINEAR
  if power == 0:
    return 'slowly varying phase'  # runs with a fixed share of each period
  if power.is_Integer:
    if len(m.logs) == 1:
      # a rational leading coefficient over 2 pi is irrational
      return 'Weyl' if c.is_Rational else None
    return 'Boshernitzan'
  return 'Boshernitzan'
