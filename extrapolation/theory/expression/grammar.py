r"""The grammar of formulas: text to a tree, with nothing evaluated.

Python's own operators and their precedence, with ^ for **, over numbers, names
and functions. The tree is made of tuples: ('t', 't'), ('number', i), ('name',
n), ('constant', 'pi' or 'e'); and ('+', x, y), ('neg', x), ('exp', x), ('<', x,
y), ('where', condition, x, y) and so on.
Imports nothing heavy, so that a mistyped formula is reported at once.
"""

import ast
import functools
import itertools
import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from extrapolation.theory.errors import FormulaError

LONGEST = 2000  # characters
DEEPEST = 60  # parentheses, signs and powers inside one another
MOST = 200  # operations, each of which may hold all that came before it
DIGITS = 400  # of a number, and the size of its exponent

# Functions by the number of arguments that they take: fewest, most.
NAMES = (
  'exp expm1 log log1p log2 log10 sqrt sin cos tanh sinh cosh sigmoid '
  'softplus erf erfc lgamma abs sign floor ceil'
)
FUNCTIONS = dict.fromkeys(NAMES.split(' '), (1, 1)) | dict.fromkeys(
  ('min', 'max'), (2, 8)
)
FUNCTIONS['where'] = 3, 3
LEAVES = 't', 'number', 'name', 'constant'
CONSTANTS = {'e': math.e, 'pi': math.pi}

WORDS = 'numbers, names, + - * / ** ^ ( ) and commas'
CONDITION = (
  'a comparison by <, <=, > or >= of two formulas is the first argument of '
  'where(condition, then, otherwise), and stands nowhere else'
)
CHARACTERS = re.compile(r'[0-9A-Za-z_.+*/^(), <>=\t-]*')
# A name ends in _ where Python reads it, so that no word of Python is one.
NAME = re.compile(
  r'((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)'
  r'|([A-Za-z][A-Za-z0-9_]*)'
)
OPERATORS: dict[type, str] = {
  ast.Add: '+', ast.Sub: '-', ast.Mult: '*', ast.Div: '/', ast.Pow: '^',
}  # fmt: skip
COMPARISONS: dict[type, str] = {
  ast.Lt: '<', ast.LtE: '<=', ast.Gt: '>', ast.GtE: '>=',
}  # fmt: skip


def parse(text: str) -> tuple[tuple, list[Fraction]]:
  """The tree of a formula, and the numbers in it.

  Raises:
    FormulaError: anything that is not a formula, in one line.
  """
  _check_size(text)
  code = text.strip(' \t').replace('^', '**')
  code = NAME.sub(lambda m: m[1] or m[2] + '_', code)
  try:
    root = ast.parse(code, mode='eval').body
  except (SyntaxError, ValueError) as e:
    at = max(getattr(e, 'offset', None) or 1, 1) - 1
    before, after = (_plain(x) for x in (code[max(at - 40, 0) : at], code[at:]))
    why = getattr(e, 'msg', 'no formula').replace("_'", "'")
    where = f'{after[:40]!r}' + f', after {before!r}' * bool(before)
    raise FormulaError(
      f'{why} at {where}: a formula is made of {WORDS}'
    ) from None
  numbers: list[Fraction] = []
  kinds = ast.operator | ast.unaryop
  if sum(isinstance(node, kinds) for node in ast.walk(root)) > MOST:
    raise FormulaError(f'a formula of more than {MOST} operations')
  if _depth(root) > DEEPEST:
    raise FormulaError(f'nested more than {DEEPEST} deep')
  return _tree(root, code, numbers), numbers


def _check_size(text: str) -> None:
  if not isinstance(text, str) or not text.strip():
    raise FormulaError('an empty formula')
  if len(text) > LONGEST:
    raise FormulaError(
      f'a formula of {len(text)} characters; at most {LONGEST} are read'
    )
  known = CHARACTERS.match(text)
  if known and (at := known.end()) < len(text):
    raise FormulaError(
      f'{text[at]!a} at character {at}: a formula is made of {WORDS}'
    )
  depth = itertools.accumulate((c == '(') - (c == ')') for c in text)
  if max(depth) > DEEPEST:
    raise FormulaError(f'nested more than {DEEPEST} deep')


def _depth(node: ast.AST) -> int:
  """Signs and powers inside one another."""
  inner = max(map(_depth, ast.iter_child_nodes(node)), default=0)
  return inner + isinstance(getattr(node, 'op', None), ast.Pow | ast.unaryop)


def _tree(node: ast.expr, code: str, numbers: list[Fraction]) -> tuple:
  """The tuples of a node of Python's syntax."""
  source = ast.get_source_segment(code, node) or ''
  match node:
    case ast.Constant():
      numbers.append(number(source))
      return ('number', len(numbers) - 1)
    case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
      inner = _tree(node.operand, code, numbers)
      return ('neg', inner) if isinstance(node.op, ast.USub) else inner
    case ast.BinOp() if type(node.op) in OPERATORS:
      sides = (_tree(x, code, numbers) for x in (node.left, node.right))
      return (OPERATORS[type(node.op)], *sides)
    case ast.Name():
      return _leaf(node.id[:-1])
    case ast.Call(func=ast.Name(), keywords=[]):
      name = _function(node.func.id[:-1], len(node.args))
      read = [_tree] * len(node.args)
      if name == 'where':
        read[0] = _condition
      args = zip(read, node.args, strict=True)
      return (name, *(f(x, code, numbers) for f, x in args))
    case ast.Compare():
      raise FormulaError(f'{_plain(source)[:40]!r}: {CONDITION}')
  raise FormulaError(f'{_plain(source)[:40]!r}: a formula is made of {WORDS}')


def _condition(node: ast.expr, code: str, numbers: list[Fraction]) -> tuple:
  """('<', x, y) or ('<=', x, y)."""
  match node:
    case ast.Compare(ops=[op], comparators=[right]) if type(op) in COMPARISONS:
      x, y = (_tree(side, code, numbers) for side in (node.left, right))
      sign = COMPARISONS[type(op)]
      return (sign, x, y) if sign[0] == '<' else (sign.replace('>', '<'), y, x)
  source = _plain(ast.get_source_segment(code, node) or '')
  raise FormulaError(f'{source[:40]!r} is no condition: {CONDITION}')


def evaluate(tree: tuple, leaf: Callable, function: Callable) -> Any:
  """The value of a tree, from leaf(kind, data) and function(name)(*values)."""
  kind, *rest = tree
  if kind in LEAVES:
    return leaf(kind, *rest)
  f, args = function(kind), [evaluate(x, leaf, function) for x in rest]
  return functools.reduce(f, args) if kind in ('min', 'max') else f(*args)


def _plain(code: str) -> str:
  """What the user typed for a piece of what Python reads."""
  return re.sub(r'_(?![0-9A-Za-z_])', '', code)


def _leaf(name: str) -> tuple:
  if name in FUNCTIONS:
    raise FormulaError(f'the function {name} needs arguments: {name}(t)')
  kind = 'constant' if name in CONSTANTS else 'name'
  return ('t', 't') if name == 't' else (kind, name)


def _function(name: str, count: int) -> str:
  if name not in FUNCTIONS:
    raise FormulaError(
      f'no function {name[:40]!r}; there are: {", ".join(sorted(FUNCTIONS))}'
    )
  fewest, most = FUNCTIONS[name]
  if not fewest <= count <= most:
    needs = str(fewest) if fewest == most else f'{fewest} to {most}'
    raise FormulaError(f'{name} takes {needs} arguments, not {count}')
  return name


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
    return {rest[0]}
  return set().union(*(names(x, wanted) for x in rest if isinstance(x, tuple)))
