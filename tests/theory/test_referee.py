"""Verdicts against sympy's limits, which share no code with ours.

The same logarithmic scale, on `sympy`'s algorithm of Gruntz (On Computing
Limits in a Symbolic Manipulation System, 1996): it decides formulas of exp and
log, and shrugs at most that oscillate, and at min, max and parity.
"""

import pytest
import sympy as sp
from sympy.series.gruntz import gruntz

from extrapolation.theory.expression.formula import Formula
from extrapolation.theory.time_limit import limit
from tests.theory import symbolic
from tests.theory.battery import BATTERY, C, D

T = sp.Symbol('t', positive=True)
LOG_DEPTH = 5
SECONDS = 5.0  # for one formula; one second is the most that any needs


def decide(b: sp.Expr) -> str | None:
  """Whether sum exp b converges, by limits of -b / l_k; None: not known."""
  end = gruntz(b, T, sp.oo)
  if end is sp.oo or end.is_finite:
    return D  # the terms do not tend to 0
  if end is not -sp.oo:
    return None
  rest, unit = -b, sp.log(T)
  for _ in range(LOG_DEPTH):
    q = gruntz(rest / unit, T, sp.oo)
    if not (q.is_extended_real and q.is_number):
      return None
    if q != 1:
      return C if q > 1 else D
    rest, unit = rest - unit, sp.log(unit)
  return None


def referee(text: str) -> str | None:
  """The verdict of sympy on a formula, None where it gives up."""
  try:
    with limit(SECONDS):
      return decide(symbolic.expression(Formula(text).read(), T))
  except Exception:  # sympy raises many kinds where it cannot go on
    return None


@pytest.mark.slow
def test_sympy_agrees_wherever_it_decides():
  """With the battery, which `test_series.test_battery` holds ours to."""
  theirs = {text: referee(text) for text, *_ in BATTERY}
  decided = {text: v for text, v in theirs.items() if v}
  assert decided == {t: v for t, v, _ in BATTERY if t in decided}
  assert len(decided) >= 110, f'the referee went silent: {len(decided)} decided'


def test_the_referee_knows_the_border():
  assert [referee(f'-{p}*log(t+1)') for p in ('0.99', '1', '1.01')] == [D, D, C]
  assert referee('-log(t+1)*sin(t)') is None
