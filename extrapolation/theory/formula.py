r"""A bias typed as text, read without evaluating any of it.

  sum     := product (('+' | '-') product)*
  product := unary (('*' | '/') unary)*
  unary   := ('-' | '+') unary | power
  power   := atom (('**' | '^') unary)?
  atom    := number | name | name '(' sum (',' sum)* ')' | '(' sum ')'

`t` is the distance 0, 1, 2, ...; the functions are those of `FUNCTIONS`; any
other name is a positive parameter. Numbers are exact: 0.1 is one tenth, for
they reach the trace as arguments and not as float32 constants.
"""

import re
from collections.abc import Callable
from fractions import Fraction

import jax.numpy as jnp

from extrapolation.theory import interpret
from extrapolation.theory.expression import Graph, Node

LONGEST = 2000  # characters
DEEPEST = 60  # parentheses, signs and powers inside one another
DIGITS = 400  # of a number, and the size of its exponent

FUNCTIONS = {
  'exp': (jnp.exp, 1, 1),
  'log': (jnp.log, 1, 1),
  'log1p': (jnp.log1p, 1, 1),
  'sqrt': (jnp.sqrt, 1, 1),
  'sin': (jnp.sin, 1, 1),
  'cos': (jnp.cos, 1, 1),
  'tanh': (jnp.tanh, 1, 1),
  'sinh': (jnp.sinh, 1, 1),
  'cosh': (jnp.cosh, 1, 1),
  'abs': (jnp.abs, 1, 1),
  'floor': (jnp.floor, 1, 1),
  'min': (jnp.minimum, 2, 8),
  'max': (jnp.maximum, 2, 8),
}

TOKEN = re.compile(
  r'[ \t]*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)'
  r'|(?P<name>[A-Za-z][A-Za-z0-9_]*)'
  r'|(?P<sign>\*\*|[-+*/^(),]))'
)


class FormulaError(ValueError):
  """Text that is not a formula; the message is one line."""


class Formula:
  """A formula: a callable `bias(distance, params)` and its exact reading.

  Attributes:
    text: as typed.
    parameters: names of its positive parameters, sorted.
  """

  def __init__(self, text: str):
    self.text = text
    self._numbers = []
    self._tree = _Parser(text, self._numbers).tree()
    self.parameters = sorted(_names(self._tree))

  def __call__(self, distance, params=None):
    """The bias in floating point, elementwise in `distance`."""
    numbers = [jnp.float32(float(x)) for x in self._numbers]
    return self._evaluate(distance, params or {}, numbers)

  def _evaluate(self, distance, params, numbers):
    t = distance.astype(jnp.float32)
    return jnp.broadcast_to(_apply(self._tree, t, params, numbers), t.shape)

  def read(self, values=None, graph: Graph | None = None) -> Node:
    """The exact expression; `values` sets parameters, the others stay names.

    Raises:
      FormulaError: a value for a name that the formula does not have, or not
        positive, or a constant part that has no value (log of -1, 1 / 0).
    """
    values = dict(values or {})
    for name, value in values.items():
      if name not in self.parameters:
        has = ', '.join(self.parameters) or 'none'
        raise FormulaError(f'no parameter {name!r}; the formula has: {has}')
      if value < 0:
        raise FormulaError(f'{name} = {value}: parameters are positive or 0')
    params = {n: values.get(n, n) for n in self.parameters}
    numbers = {f'{i:04d}': x for i, x in enumerate(self._numbers)}

    def bias(t, inputs):
      listed = [inputs['n'][k] for k in sorted(inputs['n'])]
      return self._evaluate(t, inputs['p'], listed)

    try:
      (node,) = interpret.read(bias, {'n': numbers, 'p': params}, graph)
    except FormulaError:
      raise
    except (ValueError, OverflowError) as e:
      raise FormulaError(f'formula {self.text!r}: {e}') from e
    return node


def number(text: str) -> Fraction:
  """A decimal number exactly.

  Raises:
    FormulaError: not a number, or one of hundreds of digits.
  """
  match = re.fullmatch(
    r'[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?', text.strip()
  )
  if not match or len(text) > DIGITS or not _small(match.group(2)):
    raise FormulaError(
      f'{text[:40]!r} is not a number of at most {DIGITS} digits'
    )
  return Fraction(text.strip())


def _small(exponent):
  return not exponent or abs(int(exponent[1:])) <= DIGITS


def _names(tree) -> set[str]:
  kind, *rest = tree
  if kind == 'name':
    return {rest[0]}
  return set().union(*(_names(x) for x in rest if isinstance(x, tuple)))


def _apply(tree, t, params, numbers) -> Callable:
  kind, *rest = tree
  if kind == 't':
    return t
  if kind == 'number':
    return numbers[rest[0]]
  if kind == 'name':
    return params[rest[0]]
  args = [_apply(x, t, params, numbers) for x in rest if isinstance(x, tuple)]
  if kind == 'call':
    f, out = FUNCTIONS[rest[0]][0], args[0]
    if len(args) == 1:
      return f(out)
    for x in args[1:]:
      out = f(out, x)
    return out
  return {
    '+': lambda a, b: a + b,
    '-': lambda a, b: a - b,
    '*': lambda a, b: a * b,
    '/': lambda a, b: a / b,
    '^': lambda a, b: jnp.power(a, b),
    'neg': lambda a: -a,
  }[kind](*args)


class _Parser:
  def __init__(self, text, numbers):
    if not isinstance(text, str) or not text.strip():
      raise FormulaError('an empty formula')
    if len(text) > LONGEST:
      raise FormulaError(
        f'a formula of {len(text)} characters; at most {LONGEST} are read'
      )
    self.text, self.numbers = text, numbers
    self.tokens, self.at, self.depth = self._split(text), 0, 0

  def _split(self, text):
    out, place = [], 0
    text = text.rstrip(' \t')
    while place < len(text):
      match = TOKEN.match(text, place)
      if not match:
        bad = text[place:].lstrip(' \t')[:1]
        raise FormulaError(
          f'{ascii(bad)} at character {len(text) - len(text[place:].lstrip())}: '
          'a formula is made of numbers, names, + - * / ** ( ) and commas'
        )
      out.append((match.lastgroup, match.group(match.lastgroup)))
      place = match.end()
    return [*out, ('end', 'the end')]

  def tree(self):
    out = self._sum()
    if self.tokens[self.at][0] != 'end':
      self._fail('an operator or the end')
    return out

  def _fail(self, wanted):
    found = self.tokens[self.at][1]
    before = ' '.join(x for _, x in self.tokens[max(self.at - 3, 0) : self.at])
    raise FormulaError(
      f'found {found[:40]!r} where {wanted} is needed, after {before[-40:]!r}'
    )

  def _take(self, *signs):
    kind, value = self.tokens[self.at]
    if kind == 'sign' and value in signs:
      self.at += 1
      return value
    return None

  def _deeper(self):
    self.depth += 1
    if self.depth > DEEPEST:
      raise FormulaError(f'nested more than {DEEPEST} deep')

  def _sum(self):
    self._deeper()
    out = self._product()
    while sign := self._take('+', '-'):
      out = (sign, out, self._product())
    self.depth -= 1
    return out

  def _product(self):
    out = self._unary()
    while sign := self._take('*', '/'):
      out = (sign, out, self._unary())
    return out

  def _unary(self):
    self._deeper()
    if sign := self._take('+', '-'):
      inner = self._unary()
      out = ('neg', inner) if sign == '-' else inner
    else:
      out = self._power()
    self.depth -= 1
    return out

  def _power(self):
    base = self._atom()
    return ('^', base, self._unary()) if self._take('**', '^') else base

  def _atom(self):
    kind, value = self.tokens[self.at]
    if self._take('('):
      out = self._sum()
      if not self._take(')'):
        self._fail("')'")
      return out
    if kind == 'number':
      self.at += 1
      self.numbers.append(number(value))
      return ('number', len(self.numbers) - 1)
    if kind == 'name':
      self.at += 1
      return self._named(value)
    return self._fail('a number, a name or a parenthesis')

  def _named(self, name):
    if not self._take('('):
      if name in FUNCTIONS:
        self._fail(f"'(' of the function {name}")
      return ('t',) if name == 't' else ('name', name)
    if name not in FUNCTIONS:
      raise FormulaError(
        f'no function {name[:40]!r}; there are: {", ".join(sorted(FUNCTIONS))}'
      )
    args = [self._sum()]
    while self._take(','):
      args.append(self._sum())
    if not self._take(')'):
      self._fail("',' or ')'")
    _, fewest, most = FUNCTIONS[name]
    if not fewest <= len(args) <= most:
      needs = str(fewest) if fewest == most else f'{fewest} to {most}'
      raise FormulaError(f'{name} takes {needs} arguments, not {len(args)}')
    return ('call', name, *args)
