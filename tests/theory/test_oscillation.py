"""Waves: each rule where its hypotheses hold, and unknown where they fail."""

import jax.numpy as jnp
import numpy as np
import pytest

from extrapolation import theory
from extrapolation.theory import finite_horizon
from extrapolation.theory.errors import UndefinedWeight
from extrapolation.theory.expression.formula import Formula
from tests.theory.battery import C, D, judge, judge_in_seconds

# A peak of t^p (1 + sin t^p) is t^(1 - 3 p / 2) distances wide: below one for
# p > 2/3, where the integral over the phase is not the sum.
NARROW = [
  '-t**0.9*(1+sin(t**0.9))-0.9*log(t+1)',
  '-t**0.9*(1+sin(t**0.9))',
  '-t**0.7*(1+sin(t**0.7))-0.7*log(t+1)',
]
UNKNOWN = [
  *NARROW,
  '-log(t+1)*(2+cos(t**2))',  # border, and no discrepancy is known
  '-log(t+1)*(2+cos(t*log(t+1)))',
  '-t**0.1*(1+cos(t))-log(t+1)',  # B beyond t^0.01
  '-log(t+1)*(1.5+sin(exp(t)))',
]


@pytest.mark.parametrize('text', UNKNOWN)
def test_a_hypothesis_that_fails_is_unknown(text):
  found = judge(text)
  assert found.verdict == 'unknown'
  assert 'discrepancy' in found.argument or 'equidistrib' in found.argument


# (formula, verdict, why); L = ln t.
WAVES = [
  ('-t**0.5*(1+sin(t**0.5))-0.8*log(t+1)', C, 'mean t^(-0.8 - 1/4)'),
  ('-t**0.5*(1+sin(t**0.5))-0.7*log(t+1)', D, 'mean t^(-0.7 - 1/4)'),
  ('-log(t+1)*(1+sin(t)**200)', D, 'mean 1/(t L^(1/200))'),
  ('-log(t+1)*(1+sin(t/7)**6)-0.9*log(log(t+3))', C, '0.9 + 1/6 > 1'),
  ('-log(t+1)*(1+sin(t/7)**6)-0.8*log(log(t+3))', D, '0.8 + 1/6 < 1'),
  ('-log(t+1)*(1.5+sin(t)*cos(t))', D, '1.5 + sin(2t)/2, mean 1/(t L^(1/2))'),
  ('-log(t+1)*(1.4+sin(t)*cos(t))', D, '0.9 at the peak'),
  ('-log(t+1)*(1.75+max(sin(t),cos(t)))', C, 'at least 1.75 - 1/sqrt 2'),
  ('-log(t+1)*(1.6+max(sin(t),cos(t)))', D, '1.6 - 1/sqrt 2 at the peak'),
  ('-log(t+1)*(2.5+sin(t)+cos(t))', C, 'at least 2.5 - sqrt 2'),
  ('-log(t+1)*(2.3+sin(t)+cos(t))', D, '2.3 - sqrt 2 at the peak'),
  ('-log(t+1)*(2+sin(t/2)*sin(t/3))', C, 'at least 2 - 0.95'),
  ('-log(t+1)*(1.5+sin(log(t+2))*cos(log(t+2)+1))', D, 'runs of [T, cT]'),
  ('-log(t+1)*(sin(t)**2+cos(t)**2)', D, 'harmonic, Pythagoras'),
  ('-2*log(t+1)-t*(sin(t)**2+cos(t)**2-1)', C, '1/t^2, Pythagoras'),
  ('-log(t+1)*(1+cos(t)**2)', D, 'mean 1/(t L^(1/2))'),
  ('-log(t+1)*(1.9+sin(pi*t/3))', C, '1.9 - 0.866 at t = 4, 5 mod 6'),
  ('-log(t+1)*(1.8+sin(pi*t/3))', D, '1.8 - 0.866 at t = 4, 5 mod 6'),
  ('-log(t+1)*(2+sin(pi*t+1/2))', C, '2 - sin(1/2) at odd t'),
  ('log(max(0,sin(t)))-log(t+1)', D, 'sin t > 1/2 a third of the time'),
  ('log(max(0,sin(t)))-2*log(t+1)', C, 'w <= 1/t^2'),
  ('-t*max(0,sin(t))', D, 'weights of 1 half of the time'),
  ('-(t-1000*floor(t/1000)+801)*log(t+1)/800', C, 'at least 801/800'),
  ('-(t-1000*floor(t/1000)+800)*log(t+1)/800', D, '1 along t = 1000 s'),
  ('-(t-1024*floor(t/1024)+1)*log(t+1)', D, '1 along t = 1024 s'),
]


@pytest.mark.parametrize(('text', 'expected', 'why'), WAVES)
def test_waves_and_periods(text, expected, why):
  found = judge_in_seconds(text)
  assert found.verdict == expected, (why, found)


def test_weights_piecewise_in_a_phase():
  def bias(exponent):
    return lambda t: -jnp.log1p(t) * jnp.where(jnp.cos(t) > 0, 3, exponent)

  assert theory.verdict(bias(0.5))[0].verdict == D
  assert theory.verdict(bias(1.5))[0].verdict == C


def test_a_weight_undefined_on_an_arc_is_refused():
  with pytest.raises(UndefinedWeight, match='negative'):
    judge('log(sin(t))')


# By powers, and periodic in t itself rather than in its logarithm.
BLOCKS = [w for w in WAVES if '+sin(t)' in w[0] or '(sin(t)' in w[0]]


@pytest.mark.parametrize(('text', 'expected', 'why'), BLOCKS)
@pytest.mark.slow
def test_blocks_of_ten_million_agree(text, expected, why):
  """Sums over [2^k, 2^(k+1)) fall iff the series converges, by powers of 2."""
  del why
  w = np.exp(finite_horizon.log_weights(Formula(text).read(), np.arange(1e7)))
  first, last = (w[1 << k : 2 << k].sum() for k in (12, 22))
  border = 0.7  # between 2^(10 (1 - p)) and a root of 12 / 22
  assert (last / first < border) == (expected == C)


@pytest.mark.parametrize(
  'exponent',
  ['(2+sin(t))**(1/2)', '1.9999999+cos(t**2)', 'exp(sin(t)+1)',
   '1+log(2+sin(t))'],
)  # fmt: skip
def test_a_smooth_function_of_a_wave_is_a_wave(exponent):
  """Its least value is 1, or less, where the phase is at its end: diverges."""
  assert judge(f'-log(t+1)*({exponent})').verdict == D
  assert judge(f'-log(t+1)*({exponent}+0.1)').verdict == C
