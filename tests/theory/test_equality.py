"""Equal formulas have equal verdicts, in every order and every process."""

import json
import os
import pathlib
import random
import subprocess
import sys

import pytest

from extrapolation.theory import __main__ as main
from extrapolation.theory import convergence
from extrapolation.theory.expression import grammar
from extrapolation.theory.expression.formula import Formula
from tests.theory.battery import BATTERY, CONDITIONS, D

SLOW = pytest.mark.slow

# Differences of a function with itself, written in two ways: weights of 1.
ZERO = [
  ('exp(t**(sin(1)**2+cos(1)**2))', 'exp(t)', 'Pythagoras'),
  ('exp(t**((a**2+2*a*b+b**2)/(a+b)))', 'exp(t**(a+b))', '(a + b)^2'),
  ('exp(exp(t)*exp(t**2))', 'exp(exp(t**2+t))', 'e^x e^y = e^(x + y)'),
  ('exp(t**a*t**b)', 'exp(t**(a+b))', 'powers add'),
  ('exp(t**tanh(1))', 'exp(t**((exp(2)-1)/(exp(2)+1)))', 'tanh 1'),
  ('exp(exp(a)*exp(b)*t)', 'exp(exp(a+b)*t)', 'e^a e^b = e^(a + b)'),
  ('exp(log(t)**(cos(1)**2+sin(1)**2)*2)', 't**2', 'e^(2 ln t)'),
  ('exp(t*exp(log(2)*3))', 'exp(8*t)', '2^3'),
  ('exp(log(t+2)*log(t+2))', 'exp(log(t+2)**2)', 'x x = x^2'),
  ('exp(log(t+2)*(2*log(t+2)**2))', 'exp(2*log(t+2)**3)', 'x 2 x^2 = 2 x^3'),
]


@pytest.mark.parametrize(('left', 'right', 'why'), ZERO)
def test_a_difference_that_is_zero_diverges(left, right, why):
  for text in (f'{left}-{right}', f'{right}-{left}'):
    found = convergence.judge(Formula(text).read())
    assert found.verdict == D, (why, found)


@pytest.mark.parametrize(('left', 'right', 'why'), ZERO)
def test_what_is_zero_decides_nothing(left, right, why):
  """t^-2 and t^-1 beside a difference of 0; unknown is allowed."""
  for p, wanted in ((2, 'converges'), (1, D)):
    text = f'{left}-{p}*log(t+1)-{right}'
    found = convergence.judge(Formula(text).read())
    assert found.verdict in (wanted, 'unknown'), (why, found)


def test_a_parameter_at_which_there_is_no_weight_is_told():
  """The weights are 1 where a != b, and 0 / 0 stands in them where a = b."""
  text = 'exp(t**((a**2-b**2)/(a-b)))-exp(t**(a+b))'
  found = convergence.judge(Formula(text).read())
  assert found.verdict == 'unknown'
  assert 'where a == b there is no weight' in found.argument
  found = convergence.judge(Formula('log(a-b)-2*log(t+1)').read())
  assert found.verdict == 'unknown' and 'where a < b' in found.argument


def test_an_exponent_that_is_whole_without_showing_it():
  """(-t - 1)^1 is -t - 1: no fractional power of a negative number."""
  found = convergence.judge(Formula('(-t-1)**(sin(1)**2+cos(1)**2)').read())
  assert found.verdict == 'converges'


def shuffled(tree, texts, rng):
  """A tree as text, its sums and products in random order."""
  kind, *rest = tree
  if kind in ('t', 'name', 'constant'):
    return rest[0] if rest else 't'
  if kind == 'number':
    return f'({texts[rest[0]]})'
  if kind in '+-*/':
    first, second = ('+', '-') if kind in '+-' else ('*', '/')
    parts, stack = [], [(tree, first)]
    while stack:
      node, sign = stack.pop()
      if node[0] in (first, second):
        flip = {first: second, second: first}
        right = sign if node[0] == first else flip[sign]
        stack += [(node[1], sign), (node[2], right)]
      else:
        parts.append((sign, shuffled(node, texts, rng)))
    rng.shuffle(parts)
    unit = '0' if first == '+' else '1'
    if parts[0][0] == first:
      unit, parts[0] = '', ('', parts[0][1])
    return f'({unit}{"".join(sign + text for sign, text in parts)})'
  args = [shuffled(x, texts, rng) for x in rest if isinstance(x, tuple)]
  if kind in ('<', '<='):
    return f'{args[0]}{kind}{args[1]}'
  if kind in grammar.FUNCTIONS:
    if kind in ('min', 'max'):
      rng.shuffle(args)
    return f'{kind}({",".join(args)})'
  return f'(-{args[0]})' if kind == 'neg' else f'({args[0]}**{args[1]})'


@pytest.mark.parametrize(
  ('seed', 'step'), [(0, 3), *(pytest.param(i, 1, marks=SLOW) for i in (1, 2))]
)
def test_the_order_of_terms_and_factors_changes_nothing(seed, step):
  rng = random.Random(seed)
  for text, *_ in (BATTERY + CONDITIONS)[::step]:
    tree, numbers = grammar.parse(text)
    first, other = (
      convergence.judge(Formula(x).read())
      for x in (text, shuffled(tree, numbers, rng))
    )
    assert (first.verdict, first.condition) == (other.verdict, other.condition)


ASKED = [
  'exp(exp(t)*exp(t**2))-exp(exp(t**2+t))', '-a*log(t+1)/b-log(t+1)/(a+b)',
  '-min(a,2)*log(t+1)', '-log(t+1)*(2+cos(t))-0.6*log(log(t+3))',
  '-a*log(t+2)-b*log(log(t+2))', 'log(t**(-a)+t**(-b))',
]  # fmt: skip
CODE = """
import json, sys
from tests.theory.test_equality import told
print(told(json.loads(sys.argv[1])))
"""
ROOT = pathlib.Path(__file__).parents[2]


def told(texts: list[str]) -> str:
  """What the command says of each formula, but for the time it took."""
  lines = []
  for text in texts:
    records, _ = main.run(main.parser().parse_args([f'--formula={text}']))
    for head in records[0]['heads']:
      del head['seconds']
    lines.append(json.dumps(records))
  return '\n'.join(lines)


def answers(seed: int, texts: list[str]) -> str:
  env = os.environ | dict(PYTHONHASHSEED=str(seed))
  command = [sys.executable, '-c', CODE, json.dumps(texts)]
  return subprocess.run(
    command, cwd=ROOT, env=env, check=True, capture_output=True, text=True,
    timeout=600,
  ).stdout.strip()  # fmt: skip


def test_a_formula_has_the_same_bytes_in_every_process():
  """Here, after other formulas, and in a process that has other hashes."""
  assert told(ASKED) == answers(0, ASKED)


@SLOW
@pytest.mark.timeout(1200)
def test_fifty_processes_print_the_same_bytes():
  texts = ASKED + [text for text, *_ in CONDITIONS]
  assert len({answers(seed, texts) for seed in range(50)}) == 1
