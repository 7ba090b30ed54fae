"""Receptive fields against closed forms, the paper's table and plain sums."""

import math
import time
from fractions import Fraction

import flint
import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from extrapolation import rpe, theory
from extrapolation.theory import convergence, trf_bounds
from extrapolation.theory.enclosures import ball, sums, tail_bound
from extrapolation.theory.errors import NotProved, UndefinedTotal
from extrapolation.theory.expression.formula import Formula

EPS = [Fraction(1, 10), Fraction(1, 100), Fraction(1, 1000)]

# n(eps) at eps = 0.1, 0.01, 0.001 of the 8 heads, k = 2^-1 .. 2^-8, computed
# from closed forms with mpmath (geometric; digamma; erfc with Euler-Maclaurin).
TABLE = {
  'alibi': [
    (5, 10, 14), (10, 19, 28), (19, 37, 56), (37, 74, 111), (74, 148, 222),
    (148, 295, 443), (295, 590, 885), (590, 1179, 1769),
  ],
  'type1': [
    (12, 111, 1099), (24, 237, 2360), (50, 491, 4899), (100, 1000, 9988),
    (201, 2018, 20172), (403, 4055, 40543), (807, 8129, 81286),
    (1615, 16277, 162773),
  ],
  'type2': [
    (8, 19, 34), (17, 39, 68), (33, 77, 137), (65, 154, 275), (130, 308, 549),
    (260, 617, 1099), (520, 1234, 2198), (1039, 2467, 4397),
  ],
}  # fmt: skip

# The same for single formulas; floats are given to the digits that are known.
SINGLE = [
  ('-2*log(t+1)', (6, 61, 608)),
  ('-log(t+1)**2', (4, 9, 15)),
  ('-1.05*log(1+t)', (6e19, 6e39, 6e59)),
  ('-1.1*log(1+t)', (6e9, 6e19, 6e29)),
  ('-1.5*log(1+t)', (59, 5861, 586123)),
  ('-2*log(1+0.1*t)', (86, 942, 9500)),
  ('-2*log(1+0.01*t)', (896, 9851, 99402)),
  ('-4*log(1+t)', (1, 3, 7)),
  ('-0.5*t', (5, 10, 14)),
  ('-t**0.5', (13, 41, 80)),
  ('-0.1*t**0.5', (1511, 4404, 8521)),
  ('-t**0.25', (1936, 10017, 28773)),
  ('-0.5*t**0.2', (1.0e6, 6.7e6, 2.3e7)),
  ('-t**0.1', (3e11, 5e12, 4e13)),
]


@pytest.mark.parametrize('name', TABLE)
def test_the_table_of_the_encodings(name):
  for brackets, expected in zip(
    theory.trf(rpe.get(name, 8)), TABLE[name], strict=True
  ):
    assert [(b.low, b.high) for b in brackets] == [(n, n) for n in expected]


@pytest.mark.parametrize(('text', 'expected'), SINGLE)
def test_the_table_of_formulas(text, expected):
  (brackets,) = theory.trf(text)
  for b, n in zip(brackets, expected, strict=True):
    assert b.low <= b.high <= b.low * 1.001
    if isinstance(n, int):
      assert b.low == n == b.high
    else:  # rounded to the digits given
      digits = len(f'{n:g}'.split('e')[0].replace('.', ''))
      assert float(f'{b.low:.{digits - 1}e}') == n


def test_closed_forms_close_the_bracket_at_any_size():
  (brackets,) = theory.trf('-1.05*log(1+t)', eps=['0.1', '1e-3', '1e-6'])
  assert all(b.low == b.high for b in brackets)
  assert len(str(brackets[-1].low)) == 120


def test_a_field_too_large_to_bracket_is_bounded_below():
  (brackets,) = theory.trf('-1.0001*log(1+t)', eps=['0.001'])
  assert brackets[0].low > 10**999 and brackets[0].high is None


BRACKETED = [
  '-log(t+1)-2*log(log(t+3))', '-1.5*log(t+1)-log(log(t+3))',
  '-log(t+3)-log(t+3)**0.5', '-log(t+1)*log(log(t+3))',
  'max(-t,-2*log(t+1))', '-2*floor(log(t+1))', '-2*log(1+floor(t/8))',
  '-floor(t/8)', '-(t-2*floor(t/2)+1.5)*log(t+1)', '-2*log(t+1)+sin(t)',
  'log(exp(-t)+1/(t+1)**2)', 'log(1-tanh(t/100))', '-cosh(t)', '-exp(exp(t))',
  '-t/log(t+3)', '-1.01*log(1+t**2)', '-log(t+1)*(3+sin(log(t+1)))',
  '-2*log(abs(t-100)+1)', '-log(t+3)-2*log(log(t+3))-log(log(log(t+20)))',
  'min(-0.01*t,-2*log(t+1))', '-t+sin(t)', '-1.05*log(2+t)-1/(t+1)',
]  # fmt: skip


@pytest.mark.parametrize('text', BRACKETED)
def test_any_convergent_function_is_bracketed_within_a_thousandth(text):
  (brackets,) = theory.trf(text)
  for b in brackets:
    assert 1 <= b.low <= b.high
    assert (b.high - b.low) * 1000 <= b.low


N = 2 * 10**6
PLAIN = {
  '-2*log(1+t)': lambda t: -2 * np.log1p(t),
  '-1.05*log(1+t)': lambda t: -1.05 * np.log1p(t),
  '-log(t+1)-2*log(log(t+3))': lambda t: (
    -np.log1p(t) - 2 * np.log(np.log(t + 3))
  ),
  '-2*log(1+floor(t/8))': lambda t: -2 * np.log1p(np.floor(t / 8)),
  '-2*log(t+1)+sin(t)': lambda t: -2 * np.log1p(t) + np.sin(t),
  '-2*log(abs(t-100)+1)': lambda t: -2 * np.log1p(np.abs(t - 100)),
  '-3*log(1+floor(sqrt(t)))': lambda t: -3 * np.log1p(np.floor(np.sqrt(t))),
}


@pytest.mark.parametrize('text', PLAIN)
def test_against_a_sum_of_two_million_terms(text):
  """B - T_N is the plain sum, pairwise in float64."""
  root = Formula(text).read()
  log_depth = convergence.judge(root).log_depth
  (bracket,) = trf_bounds.trf(root, log_depth, [Fraction(1, 50)])
  w = np.exp(PLAIN[text](np.arange(N, dtype=np.float64)))
  plain = float(np.sum(w))
  found = trf_bounds.tails(root, log_depth, Fraction(1, 1000)).beyond
  with sums.precision():
    head = found(0) - found(N)
    assert abs(float(head.mid()) - plain) <= 1e-13 * plain + float(head.rad())
  rest = float(found(N).mid())
  tails = np.cumsum(w[::-1])[::-1] + rest
  j = int(np.argmax(tails < tails[0] / 50))
  if tails[-1] < tails[0] / 50:
    assert bracket.low <= j <= bracket.high


@hypothesis.given(st.floats(1.5, 6), st.floats(0.01, 1), st.integers(0, 2000))
@hypothesis.settings(max_examples=12, deadline=None)
def test_power_law_tails_against_scipy_zeta(p, r, j):
  """sum_{t>=j} (1 + r t)^-p = r^-p zeta(p, j + 1/r)."""
  root = Formula('-p*log(1+r*t)').read(dict(p=Fraction(p), r=Fraction(r)))
  found = sums.Sums(root).beyond(j)
  theirs = r**-p * scipy.special.zeta(p, j + 1 / r)
  assert float(found.mid()) == pytest.approx(theirs, rel=1e-12)
  # what is certified is a share of B, not of a tail that nobody asks for
  assert float(found.rad()) <= 1e-12 * (theirs + 1e-3)


def between(ball, low, high):
  """Whether a ball allows a value in [low, high], float64 of scipy allowed."""
  return not (ball < low * (1 - 1e-12) or ball > high * (1 + 1e-12))


@pytest.mark.parametrize('k', [0.5, 1 / 256])
def test_type2_tail_against_scipy_erfc(k):
  """I_j <= T_j <= I_j + b_j with I_j the integral of exp(-ln^2(3 + k t))."""
  root = Formula('-log(3+k*t)**2').read(dict(k=Fraction(k)))
  found = sums.Sums(root)
  for j in (0, 10, 1000, 20000):
    z = math.log(3 + k * j)
    integral = math.exp(0.25) * math.sqrt(math.pi) / (2 * k)
    integral *= scipy.special.erfc(z - 0.5)
    assert between(found.beyond(j), integral, integral + math.exp(-(z**2)))


@pytest.mark.parametrize(('r1', 'r2'), [(0.5, 0.2), (1, 0.5), (0.1, 0.5)])
def test_stretched_tail_against_scipy_gammaincc(r1, r2):
  """The integral of exp(-r1 t^r2) is an upper incomplete gamma function."""
  root = Formula('-a*t**b').read(dict(a=Fraction(r1), b=Fraction(r2)))
  found = sums.Sums(root)
  for j in (100, 10000):
    integral = scipy.special.gammaincc(1 / r2, r1 * j**r2)
    integral *= scipy.special.gamma(1 / r2) / (r2 * r1 ** (1 / r2))
    first = math.exp(-r1 * j**r2)
    assert between(found.beyond(j), integral, integral + first)


@hypothesis.given(
  st.floats(1.1, 8), st.floats(-2, 2), st.floats(0.001, 2), st.integers(0, 3000)
)
@hypothesis.settings(max_examples=4, deadline=None)
def test_enclosures_hold_a_head_summed_at_random(p, q, r, j):
  """T_j - T_{j+n} is the sum of n weights, whatever the blocks."""
  text = '-p*log(1+r*t)-q*log(2+log(1+r*t))'
  if q < 0:
    text, q = text.replace('-q', '+q'), -q
  values = dict(p=Fraction(p), q=Fraction(q), r=Fraction(r))
  root, n = Formula(text).read(values), 200
  found = sums.Sums(root)
  with sums.precision():
    part = found.beyond(j) - found.beyond(j + n)
    plain = sum(
      (found.sum.log_weight(t).exp() for t in range(j, j + n)), flint.arb(0)
    )
    assert part.overlaps(plain)


def test_tail_bounds_hold_beyond_the_threshold():
  """The closed Hurwitz zeta lies inside the bounds, and near."""
  root = Formula('-1.5*log(7+t)').read()
  with sums.precision():
    found = tail_bound.beyond(root, flint.arb(2) ** 20, 0)
    for j in (2**20, 2**30, 10**15):
      b = ball.Program(root).at(j)
      bounds = found(b, flint.arb(j))
      exact = flint.arb('1.5').zeta(flint.arb(j) + 7)
      assert bounds.contains(exact)
      assert bounds.rad() < exact * 1e-4


@pytest.mark.parametrize('p', ['1.5', '3'])
def test_every_region_holds_the_hurwitz_zeta(p):
  """Points, blocks, integrals over ln t and the tail join without a gap."""
  found = sums.Sums(Formula(f'-{p}*log(7+t)').read())
  exponents = (0, 3, 6, 7, 12, 20, 29, 30, 31, 40, 59, 60, 61, 80)
  for j in sorted({0, *(2**i for i in exponents), 2**29 - 1, 10**9 + 7}):
    with sums.precision(200):
      exact = flint.arb(p).zeta(flint.arb(j) + 7)
      assert found.beyond(j).contains(exact), j


def test_the_definition_is_strict_at_a_tie():
  """A window of 100 equal weights: T_j = 100 - j < 10 first at j = 91."""
  (brackets,) = theory.trf(rpe.get('window', 1, width=100), eps=['0.1', '0.5'])
  assert [(b.low, b.high) for b in brackets] == [(91, 91), (51, 51)]
  _, fields = theory.coverage(np.ones(100), [0.1, 0.5])
  assert list(fields) == [91, 51]


def test_divergent_sums_have_no_field():
  for name in ('none', 'harmonic', 'sandwich', 'log_harmonic'):
    for brackets in theory.trf(rpe.get(name, 2)):
      assert all(b == trf_bounds.INFINITE for b in brackets)


def test_open_parameters_have_no_field():
  with pytest.raises(NotProved, match='conditional'):
    theory.trf('-a*log(t+1)')


def test_an_infinite_weight_has_no_field():
  with pytest.raises(UndefinedTotal, match=r'distance 0.*log\(t \+ 1\)'):
    theory.trf('-2*log(t)')


def test_no_weight_at_all_has_no_field():
  with pytest.raises(UndefinedTotal, match='every weight is 0'):
    theory.trf(lambda t: jnp.where(t < 0, 0.0, -jnp.inf))


@pytest.mark.parametrize('eps', ['0', '1', '-1', 'x', 'nan', '1/0', '2'])
def test_shares_are_checked(eps):
  with pytest.raises(ValueError, match='eps'):
    theory.trf('-t', eps=[eps])


@pytest.mark.parametrize('weights', [[-1.0, 2], [np.nan, 1], [0.0, 0]])
def test_coverage_refuses(weights):
  with pytest.raises(ValueError, match='weights'):
    theory.coverage(np.array(weights))


@hypothesis.given(
  st.lists(st.integers(0, 50), min_size=1, max_size=60).filter(sum),
  st.sampled_from([0.5, 0.25, 0.125]),
)
def test_coverage_is_its_definition(weights, eps):
  share, (found,) = theory.coverage(np.array(weights, float), [eps])
  total, expected = sum(weights), None
  for j in range(len(weights) + 1):
    if sum(weights[:j]) > (1 - eps) * total:
      expected = j
      break
  assert found == expected
  assert share[-1] == 1 and np.all(np.diff(share) >= 0)


def test_a_float32_parameter_is_the_number_it_is():
  """1.05 in float32 is 1.0499999523..: its field differs from decimal 1.05."""
  encoding = rpe.get('kerple_log', 1)
  params = dict(r1=jnp.array([1.05]), r2=jnp.array([1.0]))
  ((single,),) = theory.trf(encoding, params, ['0.1'])
  ((exact,),) = theory.trf('-1.05*log(1+t)', eps=['0.1'])
  assert single.low == single.high != exact.low
  assert abs(single.low / exact.low - 1) < 1e-4


@pytest.mark.parametrize('name', ['type2'])
def test_fields_of_eight_heads_are_fast(name):
  """Under a second on one core when quiet; five are allowed here."""
  heads = rpe.get(name, 8)
  theory.trf(heads)
  start = time.process_time()
  theory.trf(heads)
  assert time.process_time() - start < 5
