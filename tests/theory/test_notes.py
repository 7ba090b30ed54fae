"""What is said where a receptive field is missing is true."""

import math

import numpy as np
import pytest

from extrapolation import theory
from extrapolation.theory import trf_bounds
from extrapolation.theory.errors import NotProved, UndefinedTotal
from extrapolation.theory.expression.formula import Formula

EPS = ('0.1', '0.01', '0.001')

# Tails in closed form, B = T_0 = 1 in each: (log weight, T_j, why).
TELESCOPING = [
  ('log(1/(t+1)-1/(t+2))', lambda j: 1 / (j + 1), '1/(j+1)'),
  (
    'log(2*sqrt(t+1)-sqrt(t+2)-sqrt(t))',
    lambda j: 1 / (math.sqrt(j + 1) + math.sqrt(j)),
    'sqrt(j+1) - sqrt(j)',
  ),
  (
    'log(exp(1/(t+1))-exp(1/(t+2)))',
    lambda j: math.expm1(1 / (j + 1)) / math.expm1(1),
    'exp(1/(j+1)) - 1',
  ),
]


@pytest.mark.parametrize(('text', 'tail', 'why'), TELESCOPING)
def test_terms_that_cancel_have_a_field(text, tail, why):
  (brackets,) = theory.trf(text, eps=EPS)
  for b, eps in zip(brackets, EPS, strict=True):
    assert 0 <= b.high - b.low <= 1, why
    assert tail(b.high) < float(eps) * (1 + 1e-9)
    assert tail(b.low - 1) >= float(eps) * (1 - 1e-9)


PLAIN = [
  ('log(1-cos(1/(t+1)))', lambda t: 2 * np.sin(0.5 / (t + 1)) ** 2),
  (
    'log(log(t+2)-log(t+1))-log(t+1)',
    lambda t: np.log1p(1 / (t + 1)) / (t + 1),
  ),
  (
    'log(exp(-exp(t))+exp(-2*log(t+1)))',
    lambda t: np.exp(-np.exp(np.minimum(t, 7))) * (t < 7) + (t + 1) ** -2,
  ),
]


@pytest.mark.parametrize(('text', 'weight'), PLAIN)
def test_small_differences_against_a_plain_sum(text, weight):
  """w ~ c / t^2: beyond N the rest is N w(N) to 1 / N."""
  N = 10**6
  w = weight(np.arange(N + 1.0))
  w[N] *= N
  beyond = np.cumsum(w[::-1])[::-1]
  (brackets,) = theory.trf(text, eps=EPS)
  for b, eps in zip(brackets, EPS, strict=True):
    n = int(np.argmax(beyond < float(eps) * beyond[0]))
    assert (b.low, b.high) == (n, n)


@pytest.mark.parametrize(
  ('text', 'at'), [('-2*log(t)', 0), ('-log(abs(t-7))-t', 7), ('log(t-3)-t', 0)]
)
def test_the_distance_without_a_weight_is_named(text, at):
  with pytest.raises(UndefinedTotal, match=f'at distance {at} is infinite'):
    theory.trf(text)


def test_only_zeros_are_called_zeros():
  for text in ('log(max(0,-1-t))', 'log(max(0,floor(t)-t-1))-t'):
    with pytest.raises(UndefinedTotal, match='every weight is 0'):
      theory.trf(text)


def test_a_bound_that_was_not_found_is_no_statement_about_the_weights():
  """1 / t has no tail, whatever is asked for."""
  with pytest.raises(NotProved, match='no bound of the tail'):
    trf_bounds.trf(Formula('-log(t+1)').read())
