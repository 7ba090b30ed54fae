r"""The grammar of formulas: text to a tree, with nothing evaluated.

  sum     := product (('+' | '-') product)*
  product := unary (('*' | '/') unary)*
  unary   := ('-' | '+') unary | power
  power   := atom (('**' | '^') unary)?
  atom    := number | name | name '(' sum (',' sum)* ')' | '(' sum ')'

The tree is made of tuples: ('t',), ('number', i), ('constant', 'pi' or 'e'),
('name', n), ('neg', x), ('+', x, y) and so on, ('call', f, x, ..). Imports
nothing heavy, so that a mistyped formula is reported at once.
"""

import math
import re
from fractions import Fraction
from typing import NoReturn

from extrapolation.theory.errors import FormulaError

LONGEST = 2000  # characters
DEEPEST = 60  # parentheses, signs and powers inside one another
SIGNS = {'+', '-', '*', '/', '^', '**'}
MOST = 200  # operations, each of which may hold all that came before it
DIGITS = 400  # of a number, and the size of its exponent
MAX_LOG = 1e5  # no constant is larger than e^MAX_LOG

# Functions by the number of arguments that they take: fewest, most.
NAMES = (
  'exp expm1 log log1p log2 log10 sqrt sin cos tanh sinh cosh sigmoid '
  'softplus erf erfc lgamma abs sign floor ceil'
)
FUNCTIONS = dict.fromkeys(NAMES.split(' '), (1, 1)) | dict.fromkeys(
  ('min', 'max'), (2, 8)
)
CONSTANTS = {'e': 1.0, 'pi': math.log(math.pi)}  # with their logarithms

TOKEN = re.compile(
  r'[ \t]*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)'
  r'|(?P<name>[A-Za-z][A-Za-z0-9_]*)'
  r'|(?P<sign>\*\*|[-+*/^(),]))'
)


def parse(text: str) -> tuple[tuple, list[Fraction]]:
  """The tree of a formula, and the numbers in it.

  Raises:
    FormulaError: anything that is not a formula, in one line.
  """
  numbers = []
  tree = _Parser(text, numbers).tree()
  _log_size(tree, numbers)
  return tree, numbers


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


def _small(exponent: str | None) -> bool:
  return not exponent or abs(int(exponent[1:])) <= DIGITS


def names(tree: tuple, wanted: str = 'name') -> set[str]:
  """The parameters in a tree, or its leaves of another kind."""
  kind, *rest = tree
  if kind == wanted:
    return {rest[0] if rest else kind}
  return set().union(*(names(x, wanted) for x in rest if isinstance(x, tuple)))


def _log_size(tree: tuple, numbers: list[Fraction]) -> float | None:
  """ln |value| of a constant, -inf for 0; None where t or a name comes in.

  Only to refuse towers of powers before anything tries to write them out.
  """
  kind, *rest = tree
  if kind == 'number':
    x = numbers[rest[0]]
    return math.log(x.numerator) - math.log(x.denominator) if x else -math.inf
  if kind == 'constant':
    return CONSTANTS[rest[0]]
  if kind in ('t', 'name'):
    return None
  sizes = []
  for x in rest:
    if isinstance(x, tuple):
      if (size := _log_size(x, numbers)) is None:
        return None
      sizes.append(size)
  if kind == '^':
    out = sizes[0] * math.exp(min(sizes[1], 700)) if sizes[0] else 0.0
  elif kind == 'call' and rest[0] in ('exp', 'sinh', 'cosh'):
    out = math.exp(min(sizes[0], 700))
  elif kind == 'call':
    out = max(sizes)
  else:
    out = {'*': sum(sizes), '/': abs(sizes[0]) + abs(sizes[-1])}.get(
      kind, max(sizes) + 1
    )
  if out == math.inf or (math.isfinite(out) and abs(out) > MAX_LOG):
    raise FormulaError('a constant too large to write out')
  return out


class _Parser:
  def __init__(self, text: str, numbers: list[Fraction]):
    if not isinstance(text, str) or not text.strip():
      raise FormulaError('an empty formula')
    if len(text) > LONGEST:
      raise FormulaError(
        f'a formula of {len(text)} characters; at most {LONGEST} are read'
      )
    self.text, self.numbers = text, numbers
    self.tokens, self.at, self.depth = self._split(text), 0, 0
    operations = sum(value in SIGNS for _, value in self.tokens)
    if operations > MOST:
      raise FormulaError(
        f'a formula of {operations} operations; at most {MOST} are read'
      )

  def _split(self, text: str) -> list[tuple[str, str]]:
    out, at = [], 0
    text = text.rstrip(' \t')
    while at < len(text):
      match = TOKEN.match(text, at)
      if not match:
        bad = text[at:].lstrip(' \t')[:1]
        raise FormulaError(
          f'{bad!a} at character {len(text) - len(text[at:].lstrip())}: '
          'a formula is made of numbers, names, + - * / ** ( ) and commas'
        )
      kind = match.lastgroup or ''
      out.append((kind, match.group(kind)))
      at = match.end()
    return [*out, ('end', 'the end')]

  def tree(self) -> tuple:
    out = self._sum()
    if self.tokens[self.at][0] != 'end':
      self._fail('an operator or the end')
    return out

  def _fail(self, wanted: str) -> NoReturn:
    token = self.tokens[self.at][1]
    before = ' '.join(x for _, x in self.tokens[max(self.at - 3, 0) : self.at])
    raise FormulaError(
      f'found {token[:40]!r} where {wanted} is needed, after {before[-40:]!r}'
    )

  def _take(self, *signs: str) -> str | None:
    kind, value = self.tokens[self.at]
    if kind == 'sign' and value in signs:
      self.at += 1
      return value
    return None

  def _deeper(self):
    self.depth += 1
    if self.depth > DEEPEST:
      raise FormulaError(f'nested more than {DEEPEST} deep')

  def _sum(self) -> tuple:
    self._deeper()
    out = self._product()
    while sign := self._take('+', '-'):
      out = (sign, out, self._product())
    self.depth -= 1
    return out

  def _product(self) -> tuple:
    out = self._unary()
    while sign := self._take('*', '/'):
      out = (sign, out, self._unary())
    return out

  def _unary(self) -> tuple:
    self._deeper()
    if sign := self._take('+', '-'):
      inner = self._unary()
      out = ('neg', inner) if sign == '-' else inner
    else:
      out = self._power()
    self.depth -= 1
    return out

  def _power(self) -> tuple:
    base = self._atom()
    return ('^', base, self._unary()) if self._take('**', '^') else base

  def _atom(self) -> tuple:
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

  def _named(self, name: str) -> tuple:
    if not self._take('('):
      if name in FUNCTIONS:
        self._fail(f"'(' of the function {name}")
      kind = 'constant' if name in CONSTANTS else 'name'
      return ('t',) if name == 't' else (kind, name)
    if name not in FUNCTIONS:
      raise FormulaError(
        f'no function {name[:40]!r}; there are: {", ".join(sorted(FUNCTIONS))}'
      )
    args = [self._sum()]
    while self._take(','):
      args.append(self._sum())
    if not self._take(')'):
      self._fail("',' or ')'")
    fewest, most = FUNCTIONS[name]
    if not fewest <= len(args) <= most:
      needs = str(fewest) if fewest == most else f'{fewest} to {most}'
      raise FormulaError(f'{name} takes {needs} arguments, not {len(args)}')
    return ('call', name, *args)
