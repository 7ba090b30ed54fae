"""Far mass, n_half and reach against sums by fractions, mpmath and numpy."""

import csv
import io
import json
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from extrapolation import rpe
from extrapolation.theory import __main__ as main
from extrapolation.theory import far_share, subjects, witness
from extrapolation.theory.enclosures.prefix_sums import PrefixSums
from extrapolation.theory.errors import NotProved


def ask(capsys, *args):
  main.main([*args, '--format=json'])
  out = json.loads(capsys.readouterr().out)
  return [h['far'] for r in (out if isinstance(out, list) else [out])
          for h in r['heads']]  # fmt: skip


def by_fractions(w, n, L):
  """Mean of F_i and n_half of exact weights."""
  B, mean, half = Fraction(0), Fraction(0), None
  near = sum(map(w, range(L)))
  for i in range(1, n + 1):
    B += w(i - 1)
    if i > L:
      mean += 1 - near / B
    if half is None and B >= 2 * near:
      half = i
  return mean / n, half


@pytest.mark.parametrize(
  'text, w, L',
  [
    ('0*t', lambda t: Fraction(1), 40),
    ('-log(1+t)', lambda t: Fraction(1, 1 + t), 5),
    ('-2*log(1+t)', lambda t: Fraction(1, (1 + t) ** 2), 2),
    ('-t*log(2)', lambda t: Fraction(1, 2**t), 3),
    ('log(1+t)', lambda t: Fraction(1 + t), 10),
  ],
)
def test_numbers_are_those_of_exact_fractions(capsys, text, w, L):
  n = 400
  (far,) = ask(
    capsys, f'--formula={text}', f'--train_length={L}', f'--horizon={n}'
  )
  mean, half = by_fractions(w, n, L)
  assert far['mean'] == pytest.approx(float(mean), rel=1e-9)
  assert far['n_half'] == dict(low=half, high=half)
  total, first = sum(map(w, range(n))), sum(map(w, range(L)))
  for key, B, t in (
    ('trained', first, L - 1), ('at_train', total, L), ('at_end', total, n - 1)
  ):  # fmt: skip
    with mpmath.workdps(30):
      x = B / w(t)
      exact = mpmath.log(mpmath.mpf(x.numerator) / x.denominator)
    assert far['reach'][key] == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize(
  'spec, first, last',
  [
    ('none', 1024, 1024),
    ('harmonic', 172_769, 2_051),
    ('harmonic:exponent=1.05', 1_941_872, 2_203),
    ('alibi_floor', 2_542_519, 187_074_298),
    ('log_harmonic', 32_935_739_048_512, 1_939),
    ('alibi', None, None),
    ('type1', None, None),
    ('type2', None, None),
    ('window:width=512', None, None),
  ],
)
def test_where_half_of_the_weight_lies_beyond(capsys, spec, first, last):
  """n_half(512); those below 10^7 were found by summing in float64 as well."""
  far = ask(capsys, f'--rpe={spec}', '--heads=8')
  for head, n in ((far[0], first), (far[7], last)):
    assert head['n_half'] == dict(low=n, high=n)


def test_a_large_n_half_by_euler_and_maclaurin():
  """B_n = C + ln ln(3 + n) - f(n) / 2 + .. of f = 1 / ((3 + t) ln(3 + t)), C
  from a sum of 4,096 terms with its first correction, by f'(4096) / 12."""
  (root,) = subjects.heads('-log((3+t)*log(3+t))')
  bracket = witness.n_half(root, 512)
  assert bracket.high - bracket.low < 1e-9 * bracket.low
  with mpmath.workdps(40):
    f = lambda x: 1 / ((3 + x) * mpmath.log(3 + x))  # noqa: E731
    F = lambda x: mpmath.log(mpmath.log(3 + x))  # noqa: E731
    a, goal = 4096, 2 * mpmath.fsum(map(f, range(512)))
    C = mpmath.fsum(map(f, range(a))) - F(a) + f(a) / 2
    C -= mpmath.diff(f, a) / 12  # the next correction is below 1e-17
    n = mpmath.exp(mpmath.exp(goal - C)) - 3
    room = mpmath.mpf(10) ** -16 / f(n)  # tokens for an error of 1e-16 in B
  assert bracket.low - room <= n <= bracket.high + room


REACH = {  # least over heads: Delta_512(511), Delta_9216(512), Delta_9216(9215)
  'none': (6.24, 9.13, 9.13), 'harmonic': (6.74, 7.92, 10.44),
  'log_harmonic': (6.67, 7.78, 10.69), 'sandwich': (8.22, 8.64, 11.11),
  'harmonic:exponent=1.5': (7.02, 7.71, 11.48),
  'log_over_square': (6.97, 7.62, 11.85), 'exp_sqrt': (6.77, 7.55, 12.22),
  'type1': (7.25, 7.59, 13.15), 'alibi_floor': (7.40, 7.55, 14.75),
  'type2': (6.99, 7.34, 18.17), 'alibi': (7.40, 7.55, 41.54),
}  # fmt: skip


@pytest.mark.parametrize(
  'spec',
  [pytest.param(x, marks=[pytest.mark.slow] * (x == 'sandwich'))
   for x in REACH],
)  # fmt: skip
def test_reach_in_nats(capsys, spec):
  """The table was computed in float64 by another program."""
  heads = ask(capsys, f'--rpe={spec}', '--heads=8')
  for key, value in zip(heads[0]['reach'], REACH[spec], strict=True):
    least = min(h['reach'][key] for h in heads)
    assert least == pytest.approx(value, abs=0.0051), key


def test_a_hard_window_cannot_be_reached_beyond(capsys):
  (far,) = ask(capsys, '--rpe=window:width=128', '--heads=1')
  assert far['mean'] == 0
  assert far['reach'] == dict(trained=None, at_train=None, at_end=None)
  (far,) = ask(
    capsys, '--rpe=window:width=128', '--heads=1', '--train_length=64'
  )
  assert far['n_half'] == dict(low=128, high=128)  # equality counts


def test_the_interval_of_the_share(capsys):
  flags = '--rpe=none', '--heads=1', '--logit_bound=1.5'
  (far,) = ask(capsys, *flags)
  F = 8704 / 9216
  odds = F / (1 - F)
  want = [x / (1 + x) for x in (odds * np.exp(-3), odds * np.exp(3))]
  np.testing.assert_allclose(far['share'], want, rtol=1e-8)
  (far,) = ask(capsys, '--rpe=none', '--heads=1')
  assert far['share'] is None
  low, high = far_share.interval([0.0, 1.0, 0.3], [1.0, 1.0, 0.0])
  np.testing.assert_array_equal(low[:2], [0, 1])
  np.testing.assert_array_equal(low, high)


def test_what_is_open_or_too_much_work_is_no_number(capsys):
  main.main(['--formula=-a*log(1+t)', '--format=json'])
  assert json.loads(capsys.readouterr().out)['heads'][0]['far'] is None
  heads = subjects.heads(rpe.get('sandwich', 2))
  with pytest.raises(NotProved, match='one by one'):
    PrefixSums(heads[0])(10**6)
  bracket = witness.n_half(heads[0], 512)
  assert bracket.high is None and bracket.low <= 9217


def test_prefix_sums_are_exact_where_they_can_be():
  """sum_{t<n} 1/(1+t) is the harmonic number, psi(n + 1) + gamma."""
  (root,) = subjects.heads('-log(1+t)')
  prefix = PrefixSums(root)
  for n in (1, 31, 1000, 123_456, 10**9, 10**15, 10**30):
    with mpmath.workdps(50):
      exact = mpmath.psi(0, n + 1) + mpmath.euler
      ball = prefix(n)
      gap = abs(mpmath.mpf(ball.mid().str(40, radius=False)) - exact)
    assert gap <= float(ball.rad()) + 1e-38 and float(ball.rad()) < 1e-12


def test_the_columns_and_the_table(capsys):
  main.main(['--rpe=harmonic,alibi', '--heads=2', '--format=csv'])
  rows = [*csv.DictReader(io.StringIO(capsys.readouterr().out))]
  names = {'far_mean', 'n_half_low', 'reach_at_end', 'share_high'}
  assert names <= {*rows[0]}
  assert rows[0]['n_half_low'].isdigit() and rows[3]['n_half_low'] == 'inf'
  main.main(['--rpe=harmonic,alibi', '--heads=8', '--logit_bound=1'])
  out = capsys.readouterr().out
  assert '172,769' in out and 'never' in out and 'share, given M' in out
  rows = [line for line in out.splitlines() if 'comparison' not in line]
  assert max(map(len, rows)) <= 120
