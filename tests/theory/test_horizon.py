"""Finite horizons against exact sums: every number proved, or None."""

import math
from fractions import Fraction

import flint
import hypothesis
import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
from flint import arb

from extrapolation.theory import finite_horizon
from extrapolation.theory.enclosures import ball
from extrapolation.theory.expression import float_intervals
from extrapolation.theory.expression.formula import Formula

from .battery import BATTERY


def horizon(text, n, train=1, eps=('0.1',)):
  return finite_horizon.horizon(Formula(text).read(), n, train, eps)


def field(weights, eps):
  """min{ j : sum_{t>=j} w_t < eps B } in exact fractions."""
  total = tail = sum(weights, Fraction(0))
  for j, w in enumerate([*weights, 0]):
    if tail < eps * total:
      return j
    tail -= w
  raise AssertionError


def test_far_mass_where_float64_overflows():
  """w = e^t / (1 + e^t) is 1/2, 0.73, .. and 1 to ten digits from t = 25."""
  mpmath.mp.dps = 30
  near = sum(1 / (1 + mpmath.exp(-t)) for t in range(512))
  exact = (9216 - 512) / (near + 9216 - 512)
  found = horizon('t-log(1+exp(t))', 9216, 512)
  assert found.far_mass == pytest.approx(float(exact), abs=1e-9)
  assert round(found.far_mass, 3) == 0.945 and found.note is None


@pytest.mark.parametrize('text', ['-log(1+t)', '-2*log(1+t)', '-sqrt(t)'])
@pytest.mark.parametrize('constant', ['1e17', '-1e17', '1e300', '0.1'])
def test_a_constant_in_front_changes_nothing(text, constant):
  plain = horizon(text, 3000, 512, ['0.1', '0.001'])
  shifted = horizon(f'{constant}{text}', 3000, 512, ['0.1', '0.001'])
  assert plain == shifted and None not in plain.trf


def test_far_mass_and_field_of_the_harmonic_series():
  weights = [Fraction(1, t + 1) for t in range(1200)]
  found = horizon('-log(1+t)', 1200, 512, ['0.1', '0.01'])
  far = sum(weights[512:]) / sum(weights)
  assert found.far_mass == pytest.approx(float(far), rel=1e-10)
  assert found.trf == [field(weights, Fraction(1, k)) for k in (10, 100)]


@pytest.mark.parametrize(
  'longest', [10**5, pytest.param(10**7, marks=pytest.mark.slow)]
)
def test_a_tie_is_not_less(longest):
  """100 equal weights: 7 of them are 0.07 of all, so n = 94 and not 93."""
  assert horizon('0*t', 100, 1, ['0.07', '0.5']).trf == [94, 51]
  assert horizon('0*t-0.3', 100, 1, ['0.07']).trf == [94]
  n = longest - longest * 7 // 100 + 1
  assert horizon('0*t', longest, 1, ['0.07']).trf == [n]


@hypothesis.given(st.integers(2, 40), st.integers(1, 400))
@hypothesis.settings(max_examples=40, deadline=None)
def test_ties_of_triangles(width, k):
  """1 - t / w: every T_j / B is (w - j)(w - j + 1) / (w (w + 1)) exactly."""
  j = k % width
  eps = Fraction((width - j) * (width - j + 1), width * (width + 1))
  if not 0 < eps < 1:
    return
  weights = [Fraction(width - t, width) for t in range(width)]
  found = horizon(f'log(max(0, 1-t/{width}))', width + 5, 1, [eps])
  assert found.trf == [field(weights, eps)] == [j + 1]


def test_ties_of_a_telescoping_sum():
  """w = 1 / ((t + 1)(t + 2)) below n = 1023: T_j = 1 / (j + 1) - 1 / 1024."""
  text = 'log(1/(t+1)-1/(t+2))'
  for j in (1, 15, 511):
    tail, total = Fraction(1, j + 1) - Fraction(1, 1024), Fraction(1023, 1024)
    found = horizon(text, 1023, 1, [tail / total])
    assert found.trf == [j + 1]


@pytest.mark.parametrize('power', [30, 300, 399])
def test_any_share_below_a_horizon(power):
  """Geometric: T_j / B = (r^j - r^n) / (1 - r^n), r = 1/2."""
  eps = Fraction(1, 10**power)
  n = 2000
  weights = [Fraction(1, 2**t) for t in range(n)]
  found = horizon('-log(2)*t', n, 1, [eps])
  assert found.trf == [field(weights, eps)] > [90]


def test_the_exponent_to_its_last_digit():
  """-t b' = p t / (1 + t), with cancellation and with a constant."""
  for text in ('1e17-2*log(1+t)', '-2*log(1+t)', '-2*log(1+t)+1e9*t-1e9*t'):
    assert horizon(text, 9216).exponent == float(f'{2 * 9216 / 9217:.11e}')
  assert horizon('-exp(t)', 9216).exponent is None  # beyond float64


def test_what_cannot_be_proved_is_none_and_says_why():
  found = horizon('-exp(exp(t))', 200_000)
  assert found.far_mass is found.trf is None
  assert 'float64 does not settle' in found.note
  found = horizon('-log(t)', 100)
  assert found.trf is None and 'distance 0' in found.note
  weights = 'log(max(0,-1-t))'
  assert 'every weight' in horizon(weights, 100).note


EXTRA = [
  '-(t+1)**1.5', 'log(max(0,1-t/6))', '1e17-log(1+t)', '-(1e-320)*t',
  '-floor((t+1)*0.1)', 'exp(500*sin(t))', 'exp(-t*t)', '(t+1)**(-0.3)',
  '-2*log(1+floor(sqrt(t)))', 'log(exp(-t)*1e300+1)',
]  # fmt: skip


@pytest.mark.parametrize('text', [b[0] for b in BATTERY[::3]] + EXTRA)
def test_float64_intervals_hold_the_balls(text):
  """Of 300 bits; exact infinities are exact."""
  root = Formula(text).read()
  t = np.concatenate([np.arange(60.0), np.arange(9200.0, 9220)])
  bounds = float_intervals.log_weights(root, t)
  program = ball.Program(root)
  with flint.ctx.workprec(300):
    for x, low, high in zip(t, *bounds, strict=True):
      if (low, high) == (-math.inf, math.inf):
        continue  # NaN may be among these
      true = arb(program(flint.fmpq(int(x)), ball.Balls))
      assert not true < arb(float(low)) and not true > arb(float(high))
      if low == high and math.isinf(low):
        assert true == arb(float(low))
