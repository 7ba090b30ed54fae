"""Weights that are exactly 0 from some distance on."""

from fractions import Fraction

import jax.numpy as jnp
import pytest

from extrapolation import theory
from extrapolation.theory.errors import UndefinedWeight
from extrapolation.theory.expression.formula import Formula
from extrapolation.theory.finite_horizon import horizon

WIDTHS = [2, 3, 6, 7, 8, 10, 49, 64, 100, 1000, 10**6, 2**31 + 1]
EPS = ('0.5', '0.1', '0.01', '1e-30')


def first(w, eps):
  """n of 1 - t / w: the first j with (w - j)(w - j + 1) < eps w (w + 1)."""
  low, high = 0, w
  while high - low > 1:
    j = (low + high) // 2
    if (w - j) * (w - j + 1) < Fraction(eps) * w * (w + 1):
      high = j
    else:
      low = j
  return high


@pytest.mark.parametrize('w', WIDTHS)
@pytest.mark.parametrize(
  'text', ['log(max(0,1-t/{}))', 'log(max(0,(1-t/{})/3))+5']
)
def test_a_triangle_is_judged_at_every_width(text, w):
  (verdict,) = theory.verdict(text.format(w))
  assert verdict.verdict == 'converges'
  (brackets,) = theory.trf(text.format(w), eps=EPS)
  for b, eps in zip(brackets, EPS, strict=True):
    n = first(w, eps)
    assert b.low <= n <= b.high
    assert b.high - b.low <= w // 10**5


@pytest.mark.parametrize('w', [5, 6, 7, 8, 10, 64, 100])
def test_a_triangle_of_a_function(w):
  """In jnp, as a branch and as a clipped argument."""

  def branch(t):
    inside = t < w
    return jnp.where(inside, jnp.log(jnp.where(inside, 1 - t / w, 1)), -jnp.inf)

  def clipped(t):
    return jnp.log(jnp.maximum(0, 1 - t / w))

  def bare(t):  # NaN in the branch that is not selected
    return jnp.where(t < w, jnp.log(1 - t / w), -jnp.inf)

  for bias in (branch, clipped, bare):
    assert theory.verdict(bias)[0].verdict == 'converges'
    (brackets,) = theory.trf(bias, eps=EPS)
    assert [(b.low, b.high) for b in brackets] == [
      (first(w, e),) * 2 for e in EPS
    ]


def test_a_branch_counts_only_where_it_is_selected():
  """By residues, beyond 2^30 tokens, and never where it is selected."""

  def steps(t):
    return jnp.where(t % 2 == 0, -2 * jnp.log1p(t), jnp.log(-1.0 - t))

  def both(t):
    near = jnp.log(1 - t / 200)
    return jnp.where(t < 100, near, -jnp.log(t + 1) * 2)

  with pytest.raises(UndefinedWeight):
    theory.verdict(steps)
  assert theory.verdict(both)[0].verdict == 'converges'
  (brackets,) = theory.trf(both, eps=['0.001', '1e-12'])
  w = [1 - t / 200 if t < 100 else (t + 1.0) ** -2 for t in range(10**6)]
  total = sum(w) + 1e-6
  n = next(j for j in range(10**6) if sum(w[j:]) + 1e-6 < 0.001 * total)
  assert (brackets[0].low, brackets[0].high) == (n, n)
  assert brackets[1].sharp


@pytest.mark.parametrize('w', [6, 7, 10, 100])
def test_a_triangle_below_a_horizon(w):
  root = Formula(f'log(max(0,1-t/{w}))').read()
  seen = horizon(root, 300, w // 2, EPS)
  rest = w - w // 2
  exact = Fraction(rest * (rest + 1), w * (w + 1))
  assert seen.far_mass == pytest.approx(float(exact), rel=1e-10)
  assert seen.trf == [first(w, e) for e in EPS] and seen.note is None


def test_roots_of_squares_are_exact():
  """1 - sqrt(t) / 7 is 0 at t = 49, not a ball around it."""
  (brackets,) = theory.trf('log(max(0,1-sqrt(t)/7))', eps=['0.01'])
  weights = [1 - t**0.5 / 7 for t in range(50)]
  n = next(j for j in range(50) if sum(weights[j:]) < 0.01 * sum(weights))
  assert (brackets[0].low, brackets[0].high) == (n, n)


def test_a_weight_of_zero_alone_is_no_error():
  """(t - 3)^2 / (t + 1)^5 is 0 at t = 3 and positive elsewhere."""
  (brackets,) = theory.trf('log(abs(t-3)**2)-5*log(t+1)', eps=['0.001'])
  weights = [(t - 3) ** 2 / (t + 1) ** 5 for t in range(10**5)]
  total = sum(weights)
  n = next(j for j in range(10**5) if sum(weights[j:2000]) < 0.001 * total)
  assert brackets[0].low <= n <= brackets[0].high < n + 2
