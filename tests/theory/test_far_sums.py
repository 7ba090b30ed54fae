"""Sums and receptive fields beyond 2^30 tokens against closed forms."""

from fractions import Fraction

import flint
import pytest
from flint import arb

from extrapolation import theory
from extrapolation.theory.enclosures import sums
from extrapolation.theory.expression.formula import Formula

FAR = (2**30 - 1, 2**30, 2**30 + 1, 3 * 2**30, 2**33 + 5, 10**12, 10**40)


def holds(text, exact, places, k=0, width=1e-9):
  """Whether the enclosures of T_j hold its closed form, and are narrow."""
  found = sums.Sums(Formula(text).read(), k)
  for j in places:
    with flint.ctx.workprec(400):
      value, ball = exact(j), found.beyond(j)
      assert ball.overlaps(value), (j, ball, value)
      assert ball.rad() <= width * value.upper(), (j, ball)


def zeta(s, a):
  return arb(s).zeta(arb(a))


@pytest.mark.parametrize('width', [1, 2, 3])
@pytest.mark.parametrize('N', [2**31, 10**20])
def test_a_single_token_counts_once_wherever_it_lies(width, N):
  """A triangle narrower than a token: its integral is 1 / width, its sum 1."""
  pulse = f'log(max(0, 1-{width}*abs(t-{N}))+(t+1)**(-2))'
  exact = lambda j: zeta(2, j + 1) + (1 if j <= N else 0)  # noqa: E731
  holds(pulse, exact, [0, 100, *FAR, N - 1, N, N + 1])


def test_a_peak_of_a_few_tokens():
  """sum 1 / (|t - N| + 1)^2 beyond j is made of Hurwitz zetas."""
  N = 2**31

  def exact(j):
    if j > N:
      return zeta(2, j - N + 1)
    return 2 * zeta(2, 1) - 1 - zeta(2, N - j + 2)

  places = [0, *FAR, N - 10, N - 1, N, N + 1, N + 7]
  holds(f'-2*log(abs(t-{N})+1)', exact, places)


def test_a_cut_far_away_is_a_finite_sum():
  """1 / (t + 1)^2 below N = 2^33 + 3 and 0 from there on."""
  N = 2**33 + 3

  def exact(j):
    return zeta(2, j + 1) - zeta(2, N + 1) if j < N else arb(0)

  holds(f'log(max(0,min(1,{N}-t)))-2*log(t+1)', exact, [0, *FAR, N - 2, N - 1])


def test_a_geometric_sum_of_rate_two_to_the_minus_34():
  m = arb(2) ** -34
  exact = lambda j: (-m * j).exp() / (1 - (-m).exp())  # noqa: E731
  holds('-t/2**34', exact, [0, *FAR[:-2]])


@pytest.mark.parametrize('p', ['1.5', '2.25'])
def test_steps_of_eight_tokens(p):
  """Blocks of 8 equal weights: T_j = 8 zeta(p, s + 1) - r / (s + 1)^p."""

  def exact(j):
    s, r = divmod(j, 8)
    return 8 * zeta(p, s + 1) - r * arb(s + 1) ** -arb(p)

  (brackets,) = theory.trf(f'-{p}*log(1+floor(t/8))', eps=['1e-8', '1e-20'])
  for b, eps in zip(brackets, (10**8, 10**20), strict=True):
    with flint.ctx.workprec(800):
      assert (b.high - b.low) * 10**6 <= b.low
      assert exact(b.high) * eps < exact(0)
      assert exact(b.low - 1) * eps >= exact(0)


def test_bertrand_series_between_its_integrals():
  """1 / ln(j + 3) <= sum 1 / ((t + 3) ln^2 (t + 3)) <= the same + w(j)."""
  found = sums.Sums(Formula('-log(t+3)-2*log(log(t+3))').read(), 1)
  for j in (10, 1000, *FAR, 10**100, 10**300):
    with flint.ctx.workprec(1200):
      x = arb(j + 3)
      low, first = 1 / x.log(), 1 / (x * x.log() ** 2)
      ball = found.beyond(j)
      assert ball.upper() >= low and ball.lower() <= low + first
      assert ball.rad() <= 1e-8 * low


@pytest.mark.parametrize('exponent', [40, 120, 290])
def test_a_field_of_any_size_is_a_share_of_the_closed_form(exponent):
  """n(eps) of 1 / (t + 1)^2 with a wave: T_j <= e zeta(2, j + 1)."""
  eps = Fraction(1, 10**exponent)
  ((b,),) = theory.trf('-2*log(t+1)-1/(t+2)', eps=[eps])
  with flint.ctx.workprec(4000):
    low = zeta(2, b.low) * (-arb(1) / (b.low + 1)).exp()  # T_{low - 1}
    total = sums.Sums(Formula('-2*log(t+1)-1/(t+2)').read()).total
    assert low * 10**exponent >= total * (1 - arb(1e-15))
    assert zeta(2, b.high + 1) * 10**exponent < total * (1 + arb(1e-15))
  assert (b.high - b.low) * 1000 <= b.low
