"""Absurd sizes for theory and receptive fields: one line, within a second."""

import time

import pytest

from extrapolation import rpe, theory
from extrapolation.receptive_field import Settings
from extrapolation.theory import __main__ as command
from extrapolation.theory import trf_bounds
from extrapolation.theory.errors import FormulaError
from extrapolation.theory.expression import grammar
from extrapolation.theory.expression.formula import Formula

DIGITS = '9' * 5000


def refused(call, *args, kind: type = ValueError, **named) -> str:
  start = time.monotonic()
  with pytest.raises(kind) as e:
    call(*args, **named)
  assert time.monotonic() - start < 1
  text = str(e.value)
  assert text and '\n' not in text and len(text) < 1200
  return text


@pytest.mark.parametrize(
  'argv',
  [
    ['--rpe=alibi', '--heads=10000000'],
    ['--all', '--heads=1000000000'],
    ['--rpe=alibi', '--horizon=1000000000000'],
    ['--rpe=alibi', '--eps=1e-99999999999999'],
    ['--rpe=alibi', '--eps=1e99999999999999'],
    ['--rpe=alibi', '--eps=' + '0' * 10_000 + '.1'],
    ['--rpe=alibi', '--eps=' + ','.join(f'0.{i}' for i in range(1, 2000))],
    ['--rpe=' + ','.join(['alibi'] * 5000)],
    ['--rpe=t5:buckets=1000000000:max_distance=10000000000'],
    ['--rpe=sandwich:dbar=1000000000'],
    ['--rpe=window:width=1000000000000'],
    ['--rpe=alibi', '--rpe_args=H=3'],
    ['--rpe=alibi', '--window_error=1e-300', '--logit_bound=1e300'],
    ['--rpe=alibi', '--window_error=1', '--logit_bound=1', '--value_bound=inf'],
    ['--formula=-r*t', f'--set=r={DIGITS}'],
    ['--formula=-r*t', '--set=r=1e400'],
  ],
  ids=lambda v: ' '.join(v)[:50],
)
def test_absurd_flags_of_theory_are_refused(argv):
  rpe.get('alibi', 2)  # what loads JAX
  refused(command.run, command.parser().parse_args(argv), kind=(
    ValueError, OverflowError,
  ))  # fmt: skip


@pytest.mark.parametrize(
  'text',
  [
    '(' * 100_000 + 't' + ')' * 100_000,
    '-' * 100_000 + 't',
    '(' * 900 + 't' + ')' * 900,
    '-' * 1900 + 't',
    '-t' + '+t' * 900,
    '-t' + '*t' * 900,
    '-t' + '-1' * 900,
    '-t' + '**t' * 600,
    'exp(' * 300 + 't' + ')' * 300,
    'max(' + 't,' * 900 + 't)',
    '9**9**9',
    '9**9**9**9**9**9**9*t',
    '-t*(9**9**9)',
    '0.5**(-99999)*t',
    '1e400**250*t',
    '1e99999*t',
    DIGITS[:1900] + '*t',
    't' + ' ' * 100_000,
    't!',
    'factorial(99999)',
  ],
  ids=lambda v: v[:20],
)
def test_absurd_formulas_are_refused(text):
  def read():
    Formula(text).read()

  refused(read, kind=FormulaError)


@pytest.mark.parametrize(
  'text', ['-t-exp(-20000)*t', '-exp(exp(9.5))*t', '-3**(-9000)*t']
)
def test_a_constant_that_is_written_out_or_no_integer_is_read(text):
  (verdict,) = theory.verdict(text)
  assert verdict.verdict == 'converges'


def test_the_longest_formula_that_is_read_is_read():
  text = '-t' + '+r*t' * ((grammar.MOST - 1) // 2)
  assert Formula(text).parameters == ['r']
  Formula(text).read()
  grammar.parse('-t' + '*t' * (grammar.MOST - 1))
  nested = grammar.DEEPEST // 2 - 1
  Formula('(' * nested + 't' + ')' * nested).read()


@pytest.mark.parametrize(
  'name',
  ['length', 'tokens', 'queries', 'recomputed', 'batch_tokens', 'resamples',
   'seed'],
)  # fmt: skip
@pytest.mark.parametrize('value', [10**13, 10**400, -1, 0.5, float('nan')])
def test_absurd_settings_of_a_receptive_field_are_refused(name, value):
  text = refused(Settings, **(dict(length=64) | {name: value}))
  assert f'--{name}=' in text


def test_absurd_shares_are_refused():
  for eps in ('1e-99999999999', '1e-' + DIGITS, '1/' + DIGITS, '9' * 10**6):
    refused(trf_bounds.share, eps)
  refused(Settings, length=64, eps=('0.1',) * 1000)
