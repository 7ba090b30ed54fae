"""Verdicts against textbook answers, sympy and each other."""

import threading
import time

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import pytest
import sympy as sp

from extrapolation import rpe, theory
from extrapolation.theory import convergence
from extrapolation.theory.errors import UndefinedWeight
from extrapolation.theory.expression.formula import Formula
from extrapolation.theory.time_limit import limit
from tests import pace
from tests.theory import symbolic
from tests.theory.battery import (
  BATTERY,
  CONDITIONS,
  C,
  D,
  judge,
  judge_in_seconds,
)

FAST = {'alibi', 'exp_sqrt', 'kerple_power', 'linear', 'log_power', 'power',
        'type2', 'window'}  # fmt: skip
POWER = {'bertrand': 0, 'type1': 1, 'log_over_square': 1}  # margin p - 1
KEY = jax.random.key(0)


@pytest.mark.parametrize(('text', 'expected', 'why'), BATTERY)
def test_battery(text, expected, why):
  found = judge_in_seconds(text)
  assert found.verdict == expected, (why, found)


@pytest.mark.parametrize(('text', 'expected', 'why'), CONDITIONS)
def test_conditions(text, expected, why):
  found = judge_in_seconds(text)
  assert (found.condition or found.verdict) == expected, (why, found)


def test_an_argument_does_not_depend_on_addresses():
  kept = []  # graphs that are alive have other addresses
  for _ in range(20):
    kept.append(Formula('-min(a,2)*log(t+1)').read())
  assert len({convergence.judge(node).argument for node in kept}) == 1


def test_battery_is_large():
  assert len(BATTERY) + len(CONDITIONS) >= 150
  assert len({text for text, *_ in BATTERY}) == len(BATTERY)


SYMPY = [
  '-2*log(t+1)', '-log(t+1)', '-t', '-sqrt(t)', '-log(t+1)**2',
  '-log(t+2)-2*log(log(t+2))', '-log(t+2)-log(log(t+2))', '-3/2*log(2*t+5)',
  'log(log(t+2))-2*log(t+2)', '-0.001*t', '-log(t+1)-(t+1)**(-1)',
]  # fmt: skip


@pytest.mark.parametrize('text', SYMPY)
def test_sympy_agrees(text):
  """Expansion that sympy's own ladder of tests decides, decided the same."""
  n = sp.Symbol('n', integer=True, positive=True)
  b = symbolic.expression(Formula(text).read(), n)
  theirs = bool(sp.Sum(sp.exp(b), (n, 3, sp.oo)).is_convergent())
  assert judge(text).verdict == (C if theirs else D)


@pytest.mark.parametrize('name', rpe.names())
def test_every_encoding(name):
  """Closed-form knowledge of each formula (see their sources)."""
  encoding = rpe.get(name, 8)
  params = encoding.init(KEY)
  found = theory.verdict(encoding, params)
  assert len(found) == 8
  if name == 'kerple_log':
    expected = [C if r1 > 1 else D for r1 in params['r1']]
    margins = [float(v.margin) for v in found]
    assert margins == pytest.approx([float(r1) - 1 for r1 in params['r1']])
  elif not encoding.bias_only:
    expected = ['not judged'] * 8
  else:
    expected = [C if name in FAST or name in POWER else D] * 8
  if name == 'hard_alibi':  # half of its heads have a window
    expected[:4] = [C] * 4
  assert [v.verdict for v in found] == expected
  if name in POWER:
    assert all(v.margin == POWER[name] for v in found)
  assert all(v.argument for v in found)


def test_learned_parameters_stay_symbols():
  assert {v.condition for v in theory.verdict(rpe.get('kerple_log', 3))} == {
    'r1 > 1'
  }
  assert {v.verdict for v in theory.verdict(rpe.get('kerple_power', 3))} == {C}
  assert {v.verdict for v in theory.verdict(rpe.get('t5', 3))} == {D}


def test_the_border_itself_diverges():
  encoding = rpe.get('kerple_log', 2)
  params = dict(r1=jnp.array([1.0, 1.0 + 2**-23]), r2=jnp.array([0.5, 0.5]))
  at, above = theory.verdict(encoding, params)
  assert (at.verdict, above.verdict) == (D, C)
  assert at.margin == 0


number = st.integers(-3, 3).map(lambda n: n / 2)


@hypothesis.given(number, number, number)
@hypothesis.settings(max_examples=40, deadline=None)
def test_logarithmic_scale(a, b, c):
  """1/(t^a ln^b t ln^c ln t) converges iff (a, b, c) > (1, 1, 1)."""
  text = f'-({a})*log(t+3)-({b})*log(log(t+3))-({c})*log(log(log(t+20)))'
  expected = (a, b, c) > (1, 1, 1)
  assert judge(text).verdict == (C if expected else D)


@hypothesis.given(
  st.sampled_from([f for f, *_ in BATTERY[:60]]), st.integers(1, 5)
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_a_thinner_sum_has_the_same_verdict(text, k):
  """Monotone weights: sum w(t) and sum w(k t) converge together."""
  thin = text.replace('exp', 'E').replace('t', f'({k}*t)').replace('E', 'exp')
  thin = thin.replace(f'sqr({k}*t)', 'sqrt')
  assert judge(thin).verdict == judge(text).verdict


@pytest.mark.parametrize(
  'text',
  [
    '-((1.5+sin(exp(t)))/log(t+3))**(-1)',  # between t^-0.4 and t^-2
    '((1.5+sin(exp(t)))/log(t+3))**(-1)-2.5*log(t+1)',
    '-log(t+1)*(1.5+sin(exp(t)))',
    '-log(t+1)*(1.5+sin(t)*cos(t**2))',
  ],
)
def test_what_no_rule_settles_is_unknown(text):
  found = judge(text)
  assert found.verdict == 'unknown' and 'no proof' in found.argument


@pytest.mark.parametrize(
  'text', ['-log(-t-1)', '(-t-1)**0.5', 'log(1/(t+2)-1/(t+1))']
)
def test_a_weight_that_is_no_number(text):
  with pytest.raises(UndefinedWeight):
    judge(text)


HARD = [
  '-t*cos(sin(exp(t)))', '-log(t+1)-log(log(t+3))*sin(exp(t))',
  pytest.param('(1+t)**(1+t)**(1+t)**(1+t)**sin(t)', marks=pytest.mark.slow),
  'sin(exp(exp(t)))*log(t+1)',
  '-exp(exp(exp(t)))+exp(exp(exp(t+1)))', '-(t+1)**0.123456789**t',
]  # fmt: skip


@pytest.mark.parametrize('text', HARD)
def test_hard_formulas_come_back(text):
  """In seconds, with whatever verdict."""

  def come_back():
    try:
      assert judge(text).verdict
    except ValueError as e:
      assert '\n' not in str(e)

  pace.within(convergence.SECONDS + 3, come_back)


def test_the_limit_stops_what_does_not_count_its_steps():
  start = time.process_time()
  with pytest.raises(TimeoutError), limit(0.05):
    while time.process_time() < start + 5:
      pass
  assert time.process_time() - start < 2


def test_a_busy_machine_takes_no_time_of_a_proof():
  with limit(0.05):
    time.sleep(0.2)


def test_work_of_another_thread_is_none_of_the_proof():
  stop = threading.Event()

  def work():
    while not stop.is_set():
      pass

  worker = threading.Thread(target=work)
  worker.start()
  try:
    with limit(0.2):
      time.sleep(0.5)
  finally:
    stop.set()
    worker.join()


def test_a_limit_within_another_leaves_it_running():
  start = time.process_time()
  with pytest.raises(TimeoutError), limit(0.2):
    with limit(5):
      pass
    while time.process_time() < start + 5:
      pass


def test_the_time_limit_gives_unknown():
  found = convergence.judge(Formula('-r1*log(1+r2*t)').read(), seconds=1e-4)
  assert found.verdict == 'unknown'
  assert 'no proof' in found.argument
