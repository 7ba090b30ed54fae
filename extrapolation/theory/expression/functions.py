"""Functions of exact expressions, written in the operations of the graph."""

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction

from extrapolation.theory.expression import grammar
from extrapolation.theory.expression.graph import Graph, Node

HALF = Fraction(1, 2)
Function = Callable[..., Node]  # of a graph and nodes

UNARY = (
  'exp', 'log', 'sin', 'cos', 'atan', 'erf', 'lgamma', 'abs', 'sign', 'floor'
)  # fmt: skip
OPERATORS: dict[str, Function] = {
  '+': Graph.add,
  '-': Graph.sub,
  '*': Graph.mul,
  '/': Graph.div,
  '^': Graph.pow,
  'neg': Graph.neg,
  'max': lambda g, x, y: g.pick('max', x, y),
  'min': lambda g, x, y: g.pick('min', x, y),
  '<': lambda g, x, y: g.compare('lt', x, y),
  '<=': lambda g, x, y: g.compare('le', x, y),
  'where': Graph.select,
  **{op: lambda g, x, op=op: g.unary(op, x) for op in UNARY},
}
# Of x, in the grammar of formulas.
WRITTEN = {
  'square': 'x^2',
  'sqrt': 'x^(1/2)',
  'rsqrt': 'x^(-1/2)',
  'cbrt': 'sign(x)*abs(x)^(1/3)',
  'exp2': '2^x',
  'expm1': 'exp(x) - 1',
  'log1p': 'log(x + 1)',
  'log2': 'log(x)/log(2)',
  'log10': 'log(x)/log(10)',
  'sigmoid': '1/(1 + exp(-x))',
  'softplus': 'max(x, 0) + log1p(exp(-abs(x)))',
  'erfc': '1 - erf(x)',
  'tan': 'sin(x)/cos(x)',
  'tanh': '1 - 2/(exp(2*x) + 1)',
  'sinh': '(exp(x) - exp(-x))/2',
  'cosh': '(exp(x) + exp(-x))/2',
  'asinh': 'log(x + sqrt(x*x + 1))',
  'acosh': 'log(x + sqrt(x*x - 1))',
  'atanh': 'log((1 + x)/(1 - x))/2',
  'ceil': '-floor(-x)',
  'round_away': 'sign(x)*floor(abs(x) + 1/2)',
}
FUNCTIONS = dict(OPERATORS)


def build(
  graph: Graph,
  tree: tuple,
  numbers: Sequence[Node],
  leaves: dict[str, Node],
) -> Node:
  """The node of a tree of `grammar.parse`, with nodes for its leaves."""

  def leaf(kind: str, data: str | int) -> Node:
    if kind == 'number':
      return numbers[int(data)]
    if data == 'pi' and kind == 'constant':
      return graph.total([(4, graph.unary('atan', graph.one))])
    if kind == 'constant':
      return graph.unary('exp', graph.one)
    return leaves[str(data)]

  return grammar.evaluate(
    tree, leaf, lambda name: functools.partial(FUNCTIONS[name], graph)
  )


def _written(text: str) -> Function:
  tree, numbers = grammar.parse(text)
  return lambda g, x: build(g, tree, [*map(g.const, numbers)], {'x': x})


FUNCTIONS |= {name: _written(text) for name, text in WRITTEN.items()}


def truncate(g: Graph, x: Node) -> Node:
  """Towards 0; skipped where the expression is visibly an integer."""
  whole = x.op == 'const' and Fraction(x.data).denominator == 1
  if whole or x.op in ('floor', 't'):
    return x
  up = FUNCTIONS['ceil'](g, x)
  return g.select(g.compare('lt', x, g.zero), up, g.unary('floor', x))


def floor_over(g: Graph, x: Node, n: int) -> Node:
  """floor(x / n)."""
  return g.unary('floor', g.div(x, g.const(n)))


def remainder(g: Graph, x: Node, y: Node) -> Node:
  """C's fmod: the sign of x."""
  return g.sub(x, g.mul(y, truncate(g, g.div(x, y))))


def round_to_even(g: Graph, x: Node) -> Node:
  """The nearest integer, the even one of two."""
  up = g.total([(1, x), (HALF, g.one)])
  near = g.unary('floor', up)
  odd = g.compare('lt', g.total([(2, floor_over(g, near, 2))]), near)
  tie = g.logic('and', g.compare('eq', up, near), odd)
  return g.select(tie, g.sub(near, g.one), near)
