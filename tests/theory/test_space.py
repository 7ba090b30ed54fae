"""Verdicts in spaces with other counts of keys."""

import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

from extrapolation import rpe, theory
from extrapolation.geometry import base
from extrapolation.theory import convergence, space, subjects
from extrapolation.theory.errors import NotJudged
from tests.theory import symbolic

C, D = 'converges', 'diverges'
TREES = 'tree:2', 'tree:2:leaf', 'tree:3'
SPACES = 'line', 'both', 'grid:2', 'grid:3', *TREES
POWER = '(r2 == 1 and r1 > {0}) or r2 > 1'
OPEN = 'cope', 'dape', 'fire', 'rotary', 'sinusoidal', 'stick_breaking', 'xpos'
# Of the first of two heads, in each of SPACES; slope 1/16 where there is one.
TABLE = {
  'alibi': (C, C, C, C, D, D, D),
  'linear': (C, C, C, C, C, C, D),  # slope 1: ln 2 < 1 < ln 3
  'type2': (C, C, C, C, D, D, D),
  'exp_sqrt': (C, C, C, C, D, D, D),
  'log_power': (C, C, C, C, D, D, D),
  'power:exponent=0.5': (C, C, C, C, D, D, D),
  'power:exponent=1.5': (C,) * 7,
  'kerple_power': (
    *(C, C, C, C),
    *(POWER.format(x) for x in ('log(2)', 'log(2)/2', 'log(3)')),
  ),
  'window': (C,) * 7,
  'hard_alibi': (C,) * 7,
  'type1': (C, C, D, D, D, D, D),
  'log_over_square': (C, C, D, D, D, D, D),
  'bertrand': (C, C, D, D, D, D, D),
  'harmonic': (D,) * 7,
  'harmonic:exponent=1.5': (C, C, D, D, D, D, D),
  'harmonic:exponent=2': (C, C, D, D, D, D, D),
  'harmonic:exponent=2.5': (C, C, C, D, D, D, D),
  'harmonic:exponent=3.5': (C, C, C, C, D, D, D),
  'kerple_log': ('r1 > 1', 'r1 > 1', 'r1 > 2', 'r1 > 3', D, D, D),
  'log_harmonic': (D,) * 7,
  'alibi_floor': (D,) * 7,
  'none': (D,) * 7,
  't5': (D,) * 7,
  'sandwich': (D,) * 7,
}


def encoding(spec, H):
  name, hyper = rpe.parse(spec)
  return rpe.get(name, H, **rpe.typed(name, hyper, rpe.defaults(name)))


def said(verdict):
  return verdict.condition or verdict.verdict


@pytest.fixture(scope='module')
def verdicts():
  """{spec: what is said of its first head in each of SPACES}."""
  out = {}
  for spec in TABLE:
    head = subjects.heads(encoding(spec, 2))[0]
    spaces = [space.of(text) for text in SPACES]
    out[spec] = [
      said(convergence.judge(head) if s is None else s.judge(head))
      for s in spaces
    ]
  return out


@pytest.mark.parametrize('spec', TABLE)
def test_the_table(spec, verdicts):
  assert verdicts[spec] == [*TABLE[spec]]


def test_every_encoding_is_in_the_table():
  kinds = {rpe.parse(spec)[0] for spec in TABLE}
  assert kinds | {'bam', *OPEN} == set(rpe.names())


@pytest.mark.slow
@pytest.mark.parametrize('text', SPACES)
@pytest.mark.parametrize('spec', [spec for spec in TABLE if spec != 'alibi'])
def test_the_table_of_eight_heads(spec, text):
  """The verdict does not depend on the slope, or the head has no bias."""
  heads = theory.verdict(encoding(spec, 8), geometry=text)
  (wanted,) = (x for x, s in zip(TABLE[spec], SPACES, strict=True) if s == text)
  found = [said(head) for head in heads]
  if spec == 'hard_alibi':
    assert found == [C] * 4 + [D] * 4
  else:
    assert found == [wanted] * 8


def test_slopes_of_alibi_around_both_thresholds():
  """1/2 > ln(2)/2 > 1/4: one head from a leaf, none from the root."""
  alibi = rpe.get('alibi', 8)
  found = {
    text: [v.verdict for v in theory.verdict(alibi, geometry=text)]
    for text in ('tree', 'tree:2:leaf', 'tree:2:vertex')
  }
  assert found['tree:2:leaf'] == [C] + [D] * 7
  assert found['tree'] == found['tree:2:vertex'] == [D] * 8


def test_bam_grows_or_falls_by_its_exponent():
  at = {s: said(theory.verdict(rpe.get('bam', 1), geometry=s)[0])
        for s in ('both', 'grid', 'grid:3:max')}  # fmt: skip
  assert set(at.values()) == {'p > 0'}
  for a, p, wanted in ((0.0, 1.0, C), (-0.4, 1.0, D), (-9.0, 1.5, C),
                       (9.0, 0.5, D)):  # fmt: skip
    params = dict(a=np.float32([a]), p=np.float32([p]))
    (found,) = theory.verdict(rpe.get('bam', 1), params, 'tree')
    assert found.verdict == wanted  # at p = 1 iff e^a > ln 2 = e^-0.37


# Judged by hand: formula, space, verdict or condition, why.
BY_HAND = [
  ('-2*log(t+1)', 'grid', D, '4 t / t^2'),
  ('-2*log(t+1)-2*log(log(t+3))', 'grid', C, 'sum 4 / (t ln^2 t)'),
  ('-2*log(t+1)-log(log(t+3))', 'grid', D, 'sum 4 / (t ln t)'),
  ('-2*log(t+1)-a*log(log(t+3))', 'grid', 'a > 1', 'Bertrand'),
  (
    '-3*log(t+1)-log(log(t+3))-2*log(log(log(t+20)))',
    *('grid:3', C, 'sum 4 / (t ln t ln^2 ln t)'),
  ),
  ('-p*log(1+r*t)', 'grid:4', 'p > 4', 't^3 cells, 8/3 of them'),
  ('-p*log(1+r*t)', 'grid:6:max', 'p > 6', 't^5 cells'),
  ('-k*sqrt(t)', 'grid:6', C, 'faster than every power'),
  ('-log(t+1)**1.1', 'grid:6', C, 'faster than every power'),
  ('-6*log(t+1)*log(log(t+3))/log(log(t+9))', 'grid:6', D, 'exponent -> 6'),
  ('-log(t+1)*(2.1+cos(t))', 'grid', D, 't^-1.1 on a set of density, times t'),
  ('-log(t+1)*(3.1+cos(t))', 'grid', C, 'w <= t^-2.1, times t'),
  ('-log(t+1)*(3+cos(t))', 'grid', D, 'blocks of the line: sum k^(-1/2)'),
  ('sin(t)-2.5*log(t+1)', 'grid', C, 'w <= e t^-2.5'),
  ('-t+100*log(t+1)', 'grid:3', C, 'ratio test: 1/e'),
  ('max(-t,-40)', 'grid', D, 'a floor: terms grow'),
  ('max(-t,-2.5*log(t+1))', 'grid', C, 'the larger is t^-2.5, times t'),
  ('max(-t,-2.5*log(t+1))', 'tree', D, 't^-2.5 2^t'),
  ('where(t<100,0,-t)', 'tree', C, 'ratio 2/e from 100 on'),
  ('where(t<100,-t,0)', 'both', D, 'constant weights'),
  ('log(max(0,1-t/77))', 'tree:3', C, 'no weights from 77 on'),
  ('-k*t', 'tree:3', 'k > log(3)', 'ratio 3 e^-k'),
  ('-k*t', 'tree:5:leaf', 'k > log(5)/2', 'ratio 5 e^-2k of two steps'),
  ('-k*t', 'tree:3:vertex', 'k > log(3)', '4/3 of the root'),
  ('-k*t', 'tree:1', C, 'a line'),
  ('-log(2)*t', 'tree', D, 'a tie: every term is 1'),
  ('-log(2)*t', 'tree:2:vertex', D, 'a tie: every term is 3/2'),
  ('-log(2)/2*t', 'tree:2:leaf', D, 'a tie: terms are 1 and 2^-1/2'),
  ('-0.6931*t', 'tree', D, '0.6931 < ln 2'),
  ('-0.6932*t', 'tree', C, 'ln 2 < 0.6932'),
  ('-0.34657*t', 'tree:2:leaf', D, '0.34657 < ln(2)/2'),
  ('-0.34658*t', 'tree:2:leaf', C, 'ln(2)/2 < 0.34658'),
  ('-log(2)*t-log(t+1)', 'tree', D, 'a tie, and then harmonic'),
  ('-log(2)*t-a*log(t+1)', 'tree', 'a > 1', 'a tie, and then the p-series'),
  ('-log(3)*t-log(t+2)-a*log(log(t+2))', 'tree:3', 'a > 1', 'then Bertrand'),
  ('-log(2)*t-sqrt(t)', 'tree', C, 'a tie, and then e^-sqrt t'),
  ('-t*(log(2)+0.1)+sqrt(t)', 'tree', C, 'ratio e^-0.1'),
  ('-log(2)*2*floor(t/2)', 'tree', D, 'terms are 1 and 2'),
  ('-t*log(2)/2-log(2)*floor(t/2)', 'tree', D, 'terms are 1 and sqrt 2'),
  ('-log(2)*floor(t/2)-2*log(t+1)', 'tree:2:leaf', C, 't^-2 is left'),
  ('-log(2)*floor(t/2)-log(t+1)', 'tree:2:leaf', D, '1/t is left'),
  ('-t*(1.5+sin(t))', 'tree', D, 'e^(-t/2) 2^t on a set of density'),
  ('-t*(1.8+sin(t))', 'tree', C, 'w <= e^(-0.8 t)'),
  ('-k*t*log(t+1)', 'tree:64', C, 'faster than every e^-kt'),
  ('-k*t/log(t+3)', 'tree', D, 'slower than every e^-kt'),
  ('-a*t-b*t', 'tree', 'a + b > log(2)', 'one slope'),
  ('t', 'grid', D, 'terms grow'),
  ('-lgamma(t+1)', 'tree:64', C, 'e^64 = sum 64^t / t!'),
]


@pytest.mark.parametrize('formula, text, wanted, why', BY_HAND)
def test_judged_by_hand(formula, text, wanted, why):
  del why
  (found,) = theory.verdict(formula, geometry=text)
  assert said(found) == wanted


@pytest.mark.parametrize(
  'formula, text',
  [
    ('-2.5*log(t+1)', 'grid'),
    ('-2*log(t+1)', 'grid'),
    ('-2*log(t+1)-2*log(log(t+3))', 'grid'),
    ('-4*log(t+1)', 'grid:4'),
    ('-3*log(t**2+1)', 'grid:5'),
    ('-t/9', 'grid:3'),
    ('-t', 'tree'),
    ('-t/2', 'tree'),
  ],
)
def test_sympy_agrees(formula, text):
  """From t = 1 on, with the counts as a polynomial or a power."""
  (b,) = subjects.heads(formula)
  mass = symbolic.expression(space.of(text).mass(b), sp.Symbol(
    't', integer=True, positive=True))  # fmt: skip
  t = mass.free_symbols.pop()
  term = sp.simplify(sp.exp(mass))
  theirs = bool(sp.Sum(term, (t, 1, sp.oo)).is_convergent())
  (ours,) = theory.verdict(formula, geometry=text)
  assert ours.verdict == (C if theirs else D)


# What is not of a line, and what is.


@pytest.mark.parametrize(
  'spec', ['rotary', 'type1@forget', 'harmonic@forget*log_n:whole=true',
           'fire', 'sinusoidal']
)  # fmt: skip
def test_what_is_no_bias_of_distance_is_not_judged(spec):
  known = rpe.get(spec, 2)
  for found in (
    *theory.verdict(known, geometry='grid'),
    *theory.tight(known, geometry='grid'),
  ):
    assert found.verdict == 'not judged' and '\n' not in found.argument
    assert found.argument.endswith('in grid a bias of the distance alone is '
                                   'judged')  # fmt: skip
  with pytest.raises(NotJudged):
    theory.trf(known, geometry='grid')


def test_heads_side_by_side_are_judged_one_by_one():
  found = theory.tight(rpe.get('alibi+type1@forget', 2), geometry='grid')
  assert [x.verdict for x in found] == ['tight', 'not judged']


def test_a_line_by_name_is_no_other_space():
  assert space.of('line') is space.of(None) is None
  assert theory.trf('-t', geometry='line') == theory.trf('-t')


def test_a_record_of_ones_own_is_a_space():
  """Keys at the squares alone: sum of t^-p over squares, iff 2 p > 1."""
  own = base.Geometry(
    axes=('length',),
    places=lambda size: np.arange(size[0])[:, None] ** 2,
    distance=lambda q, k: abs(q[..., 0] - k[..., 0]),
    longest=lambda size: (size[0] - 1) ** 2,
    log_count=lambda t: jnp.log(1.0 + 2.0 * t),  # so many more from the middle
    label='own',
  )
  (found,) = theory.verdict('-p*log(1+t)', geometry=own)
  assert found.condition == 'p > 2'
  assert found.argument.startswith('2 t + 1 keys at distance t; with b + ln(2')


@pytest.mark.parametrize(
  'text, keys',
  [
    ('both', '2 keys'),
    ('cross', '2 keys'),
    ('tree:1', '1 key'),
    ('grid', '4 t keys'),
    ('grid:3', '4 t^2 + 2 keys'),
    ('grid:3:max', '24 t^2 + 2 keys'),
    ('tree', '2^t keys'),
    ('tree:3:leaf', '3^floor(t/2) keys'),
    ('tree:2:vertex', '3*2^(t - 1) keys'),
  ],
)
def test_an_argument_names_the_count(text, keys):
  (found,) = theory.verdict('-5*t', geometry=text)
  assert found.argument.startswith(f'{keys} at distance t')


@pytest.mark.parametrize(
  'text, error',
  [('gird', "no geometry 'gird'"), ('grid:norm=l3', "norm = 'l3'"),
   ('tree:0', 'r = 0')],
)  # fmt: skip
def test_a_bad_geometry_is_one_line(text, error):
  for ask in (theory.verdict, theory.tight, theory.trf, theory.total):
    with pytest.raises(ValueError, match=error) as e:
      ask('-t', geometry=text)
    assert '\n' not in str(e.value)
