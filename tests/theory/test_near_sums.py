"""Receptive fields of weights that vanish, jump or oscillate."""

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb

from extrapolation import theory
from extrapolation.theory.enclosures import tail_bound
from extrapolation.theory.expression.formula import Formula

EPS = ('0.1', '0.01', '0.001')
SLOW = pytest.mark.slow
N = 400_000
# Log weights by t and L = ln(1 + t), below 4 t^-p with p = 2.5: the rest beyond
# N is below 5 N^(1-p).
PLAIN = {
  'log(abs(sin(t)))-2.5*log(t+1)': lambda t, L: (
    np.log(np.maximum(np.abs(np.sin(t)), 1e-300)) - 2.5 * L
  ),
  'log(max(0,sin(t)))-2.5*log(t+1)': lambda t, L: (
    np.where(
      np.sin(t) > 0, np.log(np.maximum(np.sin(t), 1e-300)), -np.inf
    ) - 2.5 * L
  ),
  '-2.5*log(t+1)+log(1+cos(t))': lambda t, L: np.log1p(np.cos(t)) - 2.5 * L,
  '-log(t+1)*(3+abs(sin(t)))': lambda t, L: -L * (3 + np.abs(np.sin(t))),
  '-2.5*log(t+1)+sin(t**2)': lambda t, L: np.sin(t**2) - 2.5 * L,
  '-2.5*log(t+1)+floor(sin(t)*2)': lambda t, L: (
    np.floor(2 * np.sin(t)) - 2.5 * L
  ),
  '-3*log(1+floor(sqrt(t)))*2': lambda t, L: -6 * np.log1p(np.floor(t**0.5)),
}  # fmt: skip


@pytest.mark.parametrize('text', PLAIN)
def test_fields_against_a_plain_sum(text):
  t = np.arange(N, dtype=np.float64)
  w = np.exp(PLAIN[text](t, np.log1p(t)))
  beyond = np.cumsum(w[::-1])[::-1]
  slack = 5 * N**-1.5
  (brackets,) = theory.trf(text, eps=EPS)
  for b, eps in zip(brackets, EPS, strict=True):
    e = float(eps)
    first = int(np.argmax(beyond < e * beyond[0] - slack))
    sure = int(np.argmax(beyond + slack < e * beyond[0]))
    assert b.low <= first and sure <= b.high
    assert b.high < 1.1 * b.low + 2


@pytest.mark.parametrize('power', [30, 300, 399])
def test_shares_of_any_size(power):
  """T_j = 1 / (j + 1), B = 1; and T_j / B = 2^-j."""
  eps = Fraction(1, 10**power)
  ((b,),) = theory.trf('log(1/(t+1)-1/(t+2))', eps=[eps])
  assert b.low <= 10**power <= b.high  # the first j with j + 1 > 1 / eps
  assert (b.high - b.low) * 10**6 <= b.low
  ((b,),) = theory.trf('-log(2)*t', eps=[eps])
  n = math.floor(power / math.log10(2)) + 1
  assert b.low == b.high == n


def test_a_field_near_the_pole_of_zeta_is_told_from_below():
  """n(0.1) of p = 1 + 1e-30 has about 10^30 digits."""
  ((b,),) = theory.trf('-(1+1e-30)*log(t+1)', eps=['0.1'])
  assert b.low > 10**1000 and b.high is None


# (log weight, n of 0.1 lies below): by bounds of the tail and points, by the
# Fourier series of a slow wave; under `slow` both once more, where more points
# are summed.
MORE = [
  ('sin(t)*log(t+1)-2.5*log(t+1)', 100),
  ('-2*log(t+1)+10*sin(t/1000)', 10**5),
  pytest.param('log(sin(t)**2+1/(t+1))-1.5*log(t+1)', 100, marks=SLOW),
  pytest.param('-1.5*log(t+1)+log(2+sin(t)+cos(2*t))', 100, marks=SLOW),
]


@pytest.mark.parametrize(('text', 'most'), MORE)
def test_oscillating_weights_have_a_bracket(text, most):
  (brackets,) = theory.trf(text, eps=EPS)
  assert all(1 <= b.low <= b.high for b in brackets)
  assert brackets[0].high < most


def test_a_range_times_a_function_has_a_bound_of_its_tail():
  """t^-p with 1.2 <= p <= 1.2 + ln 3: the products of the ends are compared."""
  root = Formula('-log(t+1)*(1.2+log(2+sin(t)))').read()
  assert tail_bound.beyond(root, arb(1 << 60), 0) is not None
