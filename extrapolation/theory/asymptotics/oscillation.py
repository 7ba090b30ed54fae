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
  raised,
  times,
)
from extrapolation.theory.asymptotics.notation import show
from extrapolation.theory.asymptotics.transseries import HardyField
from extrapolation.theory.errors import NotProved

NO_DENSITY = (
  'b oscillates, and no theorem of equidistribution (Weyl, Boshernitzan) gives '
  'the density of the distances at which its phase mod 2 pi is near a value'
)


def settle(field: HardyField, germ: Germ) -> Outcome:
  """A + B w whose bounds disagree."""
  if germ.wave is None:
    low, high = (show(field, end) for end in (germ.low, germ.high))
    raise NotProved(
      f'direct comparison does not decide between the bounds {low} <= b <= '
      f'{high}, and no rule for oscillations applies'
    )
  a, b, w = germ.wave
  up = field.sign(b) > 0
  top = sp.Integer(w.high if up else w.low)
  kind = phase(field, w.phase)
  if kind is None:
    raise NotProved(NO_DENSITY)
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
  order = w.high_order if up else w.low_order
  peak = field.add(a, field.scale(b, top))
  if kind == LINEAR and _returns(field, peak, b, order):
    return Outcome(
      False,
      'the phase comes within O(1/t) of its peak infinitely often (Dirichlet, '
      f'Khintchine), where b > {show(field, peak)} - O(1): the terms do not '
      'tend to 0',
    )
  if not _even(field, a, b, w, kind, order):
    raise NotProved(
      f'b oscillates up to {show(field, peak)}, and it is open whether whole '
      'distances meet the peaks as often as the mean over the phase says: that '
      'needs a bound of the discrepancy of the phase mod 2 pi'
    )
  size = field.log(field.scale(b, sp.Integer(1 if up else -1)))
  mean = field.sub(peak, field.scale(size, sp.Rational(1, order)))
  out = log_scale.decide(field, mean)
  return dataclasses.replace(
    out,
    argument=f"averaged over the phase ({kind}; Laplace's method) b acts as "
    f'{show(field, mean)}: {out.argument}',
  )


def _even(
  field: HardyField, a: Expansion, b: Expansion, w: Wave, kind: str, order: int
) -> bool:
  """Whether the sum is, up to a constant factor, that of the mean over phases.

  The peak is |B|^(-1/order) wide in the phase, |B| >= c > 0.
  Linear phases: c / 2 pi, c rational, has irrationality measure < 7.2
  (Zeilberger and Zudilin, Mosc. J. Comb. Number Theory 9, 2020), so sqrt N
  phases from N on have discrepancy O(N^-0.08) (Kuipers and Niederreiter, 1974,
  theorem 2.3.2). For A, B = O(t^0.01) they hardly change in that block, and the
  peak is wider than its discrepancy: Koksma's inequality gives the mean.
  Slow phases g, 1/t = O(g'): a period changes A, B and ln g' by O(1), so the
  sum is an integral over g, if the peak is wider than a step: |B|^(1/order)
  g' -> 0.
  """
  size = b.top
  if field.compare(size, ONE) < 0:
    return False
  rests = [s.top for s in (a, b) if s.terms or not s.exact]
  if kind == LINEAR:
    slow = Monomial((sp.Rational(1, 100),))
    return all(field.compare(m, slow) <= 0 for m in rests)
  if not all(s.terms for s in (a, b) if not s.exact):
    return False
  turns = _rate(field, w.phase)  # t g'
  steps = times(turns, raised(size, sp.Rational(1, order)))
  return (
    field.compare(turns, ONE) >= 0
    and field.compare(steps, level(0)) < 0
    and all(field.compare(_rate(field, s), turns) <= 0 for s in (a, b))
  )


def _rate(field: HardyField, s: Expansion) -> Monomial:
  """The monomial of t s'(t)."""
  terms = [(c * d, times(m, g)) for c, m in s.terms for d, g in field.rate(m)]
  terms = field.collect_exact(terms)
  return terms[0][1] if terms else Monomial((sp.Integer(-99),))


def _returns(
  field: HardyField, peak: Expansion, b: Expansion, order: int
) -> bool:
  """Whether b is bounded below along a subsequence near the peak of w.

  t ||t x - y|| < 1 for infinitely many t > 0, x irrational: Dirichlet for
  y = 0, Minkowski and Khintchine in general (Cassels, An Introduction to
  Diophantine Approximation, 1957, chapter III).
  """
  within = field.compare(b.top, Monomial((sp.Integer(order),))) <= 0
  large = field.parts(peak)[0].terms
  return within and (not large or field.signs.sign(large[0][0]) > 0)


LINEAR = 'irrational rotation, Weyl'


def phase(field: HardyField, x: Expansion) -> str | None:
  """Why the phase x(t) mod 2 pi visits every arc often enough.

  Equidistributed phases visit it with positive density, which carries a
  divergent sum of decreasing terms (Abel summation). So do slow phases g,
  g' -> 0, on runs: f / g' is monotone in the end, and a run has a fixed share
  of each period in g.
  Boshernitzan: x / 2 pi - p outgrows ln t for every p with rational
  coefficients, which the leading term of x decides.
  """
  c, m = x.terms[0]
  power, *others = (*m.logs, sp.Integer(0))
  if m.exps or not power.is_Rational:
    return None
  if power == 0:
    return 'slowly varying phase'
  shift_only = len(x.terms) == 1 or (len(x.terms) == 2 and x.terms[1][1] == ONE)
  if m == level(0) and x.exact and c.is_Rational and shift_only:
    return LINEAR
  if not power.is_Integer:
    return 'Boshernitzan'
  if len(m.logs) == 1:
    # a rational leading coefficient over 2 pi is irrational
    return 'Weyl' if c.is_Rational else None
  return 'Boshernitzan' if any(field.signs.sign(a) for a in others) else None
