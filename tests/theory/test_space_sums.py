"""Sums and receptive fields in spaces, against closed forms and mpmath."""

import math

import jax.numpy as jnp
import mpmath as mp
import pytest

from extrapolation import theory
from extrapolation.theory import subjects
from extrapolation.theory.bracket import Bracket
from extrapolation.theory.errors import NotProved


def middle(bounds):
  ((low, high),) = bounds
  assert low <= high <= low * (1 + 1e-9)
  return (low + high) / 2


SUMS = {
  'both': lambda q: (1 + q) / (1 - q),
  'grid:1': lambda q: (1 + q) / (1 - q),
  'grid': lambda q: ((1 + q) / (1 - q)) ** 2,  # coth^2(k/2)
  'grid:3': lambda q: ((1 + q) / (1 - q)) ** 3,
  'grid:norm=max': lambda q: 1 + 8 * q / (1 - q) ** 2,
  'tree': lambda q: 1 / (1 - 2 * q),
  'tree:3': lambda q: 1 / (1 - 3 * q),
  'tree:2:leaf': lambda q: (1 + q) / (1 - 2 * q * q),
  'tree:3:leaf': lambda q: (1 + q) / (1 - 3 * q * q),
  'tree:2:vertex': lambda q: (1 + q) / (1 - 2 * q),
  'tree:3:vertex': lambda q: (1 + q) / (1 - 3 * q),
}


@pytest.mark.parametrize('text', SUMS)
@pytest.mark.parametrize('k', ['1.2', '2.5'])
def test_sums_of_alibi(text, k):
  want = SUMS[text](math.exp(-float(k)))
  assert middle(theory.total(f'-{k}*t', geometry=text)) == pytest.approx(
    want, rel=1e-9
  )


@pytest.mark.parametrize(
  'k, text, golden',
  [
    ('0.5', 'grid', 16.670793),
    ('0.5', 'grid:norm=max', 32.341585),
    ('1', 'tree:2:vertex', 5.176634),
    ('1', 'tree:2:leaf', 1.875530),
    ('1', 'tree:3:leaf', 2.302850),
    ('1', 'tree', 3.784422),
  ],
)
def test_golden_sums(k, text, golden):
  assert middle(theory.total(f'-{k}*t', geometry=text)) == pytest.approx(
    golden, abs=1e-6
  )


@pytest.mark.parametrize(
  'formula',
  ['-t/2+sin(t)', '3-2.5*log(1+t/3)', '-floor(t/4)', 'log(max(0,1-t/9))',
   '-0.05*t**2', '1-abs(t-4)'],
)  # fmt: skip
def test_both_directions_are_a_line_and_its_mirror(formula):
  line = middle(theory.total(formula))
  own = float(jnp.exp(subjects.formula(formula)(jnp.arange(1.0))[0]))
  both = middle(theory.total(formula, geometry='both'))
  assert both == pytest.approx(2 * line - own, rel=1e-6)
  grid = theory.total(formula, geometry='grid:1')
  assert middle(grid) == pytest.approx(both, rel=1e-12)
  one, other = (
    theory.trf(formula, geometry=text) for text in ('both', 'grid:1')
  )
  assert one == other


def zeta_tail(p):
  """T_j of 4 t (t + 1)^-p in the plane."""
  return lambda j: 4 * (mp.zeta(p - 1, j + 1) - mp.zeta(p, j + 1)) + (j == 0)


def plain_tail(b, n):
  return lambda j: mp.fsum(
    (n(t) if t else 1) * mp.exp(b(t)) for t in range(j, 2000)
  )


FIELDS = {  # formula, space: T_j
  ('-2.5*log(t+1)', 'grid'): zeta_tail(mp.mpf('2.5')),
  ('-4*log(t+1)', 'grid'): zeta_tail(4),
  ('-t/3+sin(t)', 'grid:norm=max'): plain_tail(
    lambda t: mp.sin(t) - mp.mpf(t) / 3, lambda t: 8 * t
  ),
  ('-t/20', 'grid:3'): plain_tail(
    lambda t: -mp.mpf(t) / 20, lambda t: 4 * t * t + 2
  ),
  ('-t*4/5', 'tree'): plain_tail(
    lambda t: -mp.mpf(4 * t) / 5, lambda t: mp.mpf(2) ** t
  ),
  ('-t*2/5', 'tree:2:leaf'): plain_tail(
    lambda t: -mp.mpf(2 * t) / 5, lambda t: mp.mpf(2) ** (t // 2)
  ),
}


@pytest.mark.parametrize('formula, text', FIELDS)
def test_receptive_fields_against_mpmath(formula, text):
  tail = FIELDS[formula, text]
  with mp.workdps(40):
    total = tail(0)
    assert middle(theory.total(formula, geometry=text)) == pytest.approx(
      float(total), rel=1e-9
    )
    (found,) = theory.trf(formula, eps=['0.1', '0.02'], geometry=text)
    for eps, bracket in zip(('0.1', '0.02'), found, strict=True):
      n = bracket.low
      assert bracket == Bracket(n, n)
      assert tail(n) < mp.mpf(eps) * total <= tail(n - 1)


def test_a_diverging_sum_has_no_end():
  assert theory.trf('-2*log(t+1)', geometry='grid') == [
    [Bracket(None, None)] * 3
  ]
  assert theory.total('-2*log(t+1)', geometry='grid') == [(math.inf, math.inf)]


def test_euclid_has_no_receptive_field():
  for ask in (theory.trf, theory.total):
    with pytest.raises(NotProved, match='counted in an equivalent metric'):
      ask('-t', geometry='grid:norm=l2')


def test_a_graph_is_finite(tmp_path):
  file = tmp_path / 'edges.txt'
  file.write_text('0 1\n1 2\n2 3\n3 4\n')
  text = f'graph:{file}'
  (found,) = theory.verdict('0*t', geometry=text)
  assert found.verdict == 'converges' and found.argument == (
    '5 keys at distances of at most 2 from its centre: a finite sum'
  )
  q = math.exp(-1)
  total = middle(theory.total('3-t', geometry=text))
  assert total == pytest.approx(math.exp(3) * (1 + 2 * q + 2 * q * q))
  shares = 2 * q * q / (1 + 2 * q + 2 * q * q)
  assert 0.13 < shares < 0.14
  (fields,) = theory.trf('3-t', eps=['0.6', '0.2', '0.1'], geometry=text)
  assert [b.low for b in fields] == [b.high for b in fields] == [1, 2, 3]


def test_a_graph_with_lengths_is_read_by_value(tmp_path):
  file = tmp_path / 'edges.txt'
  file.write_text('0 1 0.5\n1 2 2\n')
  total = middle(theory.total('-t', geometry=f'graph:{file}'))
  assert total == pytest.approx(1 + math.exp(-0.5) + math.exp(-2))


@pytest.mark.parametrize(
  'formula, text, excess',
  [
    ('-0.6932*t', 'tree', lambda: mp.mpf('0.6932') - mp.log(2)),
    ('-t*(log(3)+1/10**9)', 'tree:3', lambda: mp.mpf(10) ** -9),
    ('-0.7*t', 'tree', lambda: mp.mpf('0.7') - mp.log(2)),
    ('log(2)*t-0.6932*t', 'line', lambda: mp.mpf('0.6932') - mp.log(2)),
  ],
)
def test_near_a_threshold_it_is_a_geometric_series(formula, text, excess):
  """n(eps) is the first n with e^(-m n) < eps, m the excess over ln r."""
  with mp.workdps(60):
    m = excess()
    n = int(mp.floor(-mp.log(mp.mpf(1) / 100) / m)) + 1
    total = float(1 / (1 - mp.exp(-m)))
  assert theory.trf(formula, eps=['0.01'], geometry=text) == [[Bracket(n, n)]]
  assert middle(theory.total(formula, geometry=text)) == pytest.approx(
    total, rel=1e-9
  )


def test_near_the_threshold_of_a_leaf():
  (found,) = theory.trf('-0.347*t', eps=['0.01'], geometry='tree:2:leaf')
  q = mp.exp(mp.mpf('-0.347'))
  tail = lambda s: (2 * q * q) ** s  # noqa: E731 of T_2s / B
  s = int(mp.floor(mp.log(mp.mpf(1) / 100) / mp.log(2 * q * q))) + 1
  assert tail(s) < mp.mpf(1) / 100 <= tail(s - 1)
  (bracket,) = found
  assert bracket.low == bracket.high and 2 * s - 2 < bracket.high <= 2 * s
