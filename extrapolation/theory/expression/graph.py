"""Exact scalar expressions in the distance: a shared, folded graph.

A formula is read once into nodes; every reading (sympy, balls, germs, floats)
is then a walk over the same nodes. Numbers are exact fractions, so a float32
slope is the rational that the model computes with.
"""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from extrapolation.theory.errors import TheoryError

# A folded power may not need more bits than this: 9**9**9 stays a power.
MAX_BITS = 4096
MAX_LOG = 1e5  # and no constant is larger than e^MAX_LOG
MAX_WRITTEN = 4300 * math.log(10)  # of a power: Python writes no more digits


class Node:
  """One operation; `data` holds what is not a node (number, name, ...)."""

  __slots__ = ('args', 'data', 'number', 'op')

  def __init__(self, op: str, args: tuple['Node', ...], data: Any, number: int):
    self.op, self.args, self.data, self.number = op, args, data, number


def value_missing(name: str) -> TheoryError:
  """What is wrong with numbers of a formula that has an open parameter."""
  return TheoryError(
    f'the parameter {name.lstrip("~")!r} has no value; give it one with '
    'params, or --set=NAME=VALUE'
  )


def _sorted(nodes: Iterable[Node]) -> list[Node]:
  """In the order in which they were made, whatever their addresses."""
  return sorted(nodes, key=lambda node: node.number)


class Graph:
  """Builds nodes, one object for each distinct expression.

  Operations: t, const (Fraction or bool), inf (+1 or -1), nan, param (name),
  add (data: constant, coefficients), mul, pow, exp, log, sin, cos, erf, atan,
  lgamma, abs, floor, sign, max, min, lt, le, eq, and, or, not, select
  (condition, then, else), table (index, entries). lt, le and eq compare with
  0. Everything else is written in these.

  Attributes:
    rounds: whether a traced program that is read into it rounds its constants,
      as in float32 1 + 1e-9 = 1; numbers typed as text are exact.
    ranges: of the traced integers, by `integers.check`.
  """

  def __init__(self, rounds: bool = True):
    self.rounds, self.ranges = rounds, {}
    self._known = {}
    self.zero, self.one = self.const(0), self.const(1)
    self.true = self.make('const', (), True)
    self.false = self.make('const', (), False)
    self.nan = self.leaf('nan', None)  # an error where it is used
    self.t = self.leaf('t', 0)

  def make(self, op: str, args: Sequence[Node], data: Any = None) -> Node:
    """The node of an operation, the same one for the same arguments."""
    key = (op, tuple(map(id, args)), data, type(data))
    if key not in self._known:
      self._known[key] = Node(op, tuple(args), data, len(self._known))
    return self._known[key]

  def leaf(self, op: str, data: Any) -> Node:
    """A node without arguments."""
    return self.make(op, (), data)

  def const(self, value: Fraction | int | float) -> Node:
    """A real number exactly; floats become the rational they are."""
    if isinstance(value, bool):
      return self.true if value else self.false
    if isinstance(value, float):
      if value != value:
        return self.nan
      if value in (float('inf'), float('-inf')):
        return self.make('inf', (), 1 if value > 0 else -1)
    return self.make('const', (), Fraction(value))

  # Linear part: constant + sum coefficient * node, so that x - x is 0.

  def _linear(self, x: Node) -> tuple[Fraction, dict[Node, Fraction]]:
    if x.op == 'const':
      return Fraction(x.data), {}
    if x.op == 'add':
      return x.data[0], dict(zip(x.args, x.data[1], strict=True))
    return Fraction(0), {x: Fraction(1)}

  def total(self, terms: Sequence[tuple[Fraction | int, Node]]) -> Node:
    """sum of coefficient * node over `terms`."""
    constant, parts = Fraction(0), {}
    for c, x in terms:
      if x.op == 'inf':
        return self._infinite_sum(terms)
      c0, linear = self._linear(x)
      constant += c * c0
      for node, k in linear.items():
        parts[node] = parts.get(node, 0) + c * k
    parts = {n: k for n, k in parts.items() if k}
    if not parts:
      return self.const(constant)
    if not constant and len(parts) == 1:
      ((node, k),) = parts.items()
      if k == 1:
        return node
    order = _sorted(parts)
    return self.make('add', order, (constant, tuple(parts[n] for n in order)))

  def _infinite_sum(self, terms: Sequence[tuple[Fraction | int, Node]]) -> Node:
    signs = {
      (1 if c > 0 else -1) * x.data for c, x in terms if x.op == 'inf' and c
    }
    if len(signs) > 1:
      raise ValueError('the formula adds +inf and -inf')
    if not signs:
      raise ValueError('the formula multiplies 0 by an infinity')
    return self.make('inf', (), signs.pop())

  def add(self, x: Node, y: Node) -> Node:
    """x + y."""
    return self.total([(1, x), (1, y)])

  def sub(self, x: Node, y: Node) -> Node:
    """x - y."""
    return self.total([(1, x), (-1, y)])

  def neg(self, x: Node) -> Node:
    """-x."""
    return self.total([(-1, x)])

  def mul(self, x: Node, y: Node) -> Node:
    """x y."""
    if y.op == 'const':
      x, y = y, x
    if x.op == 'const':
      if y.op == 'inf' and not x.data:
        raise ValueError('the formula multiplies 0 by an infinity')
      return self.total([(Fraction(x.data), y)])
    if {x.op, y.op} == {'sin', 'cos'} and x.args == y.args:
      double = self.total([(2, x.args[0])])  # 2 sin x cos x = sin 2x
      return self.total([(Fraction(1, 2), self.unary('sin', double))])
    (a, x), (b, y) = self._scaled(x), self._scaled(y)
    if a * b != 1:
      return self.total([(a * b, self.mul(x, y))])
    (x, m), (y, n) = self._power(x), self._power(y)
    if x is y:
      return self.pow(x, self.const(m + n))
    x, y = (self.pow(z, self.const(k)) for z, k in ((x, m), (y, n)))
    return self.make('mul', _sorted((x, y)))

  def _scaled(self, x: Node) -> tuple[Fraction, Node]:
    """c and y of x = c y."""
    alone = x.op == 'add' and not x.data[0] and len(x.args) == 1
    return (x.data[1][0], x.args[0]) if alone else (Fraction(1), x)

  def _power(self, x: Node) -> tuple[Node, int]:
    """y and n of x = y^n, n a whole number > 0."""
    whole = x.op == 'pow' and x.args[1].op == 'const'
    n = x.args[1].data if whole else 0
    return (x.args[0], int(n)) if n > 0 and n.denominator == 1 else (x, 1)

  def div(self, x: Node, y: Node) -> Node:
    """x / y."""
    if y.op == 'const':
      if y.data == 0:
        raise ValueError('the formula divides by 0')
      return self.total([(1 / Fraction(y.data), x)])
    return self.mul(x, self.pow(y, self.const(-1)))

  def pow(self, x: Node, y: Node) -> Node:
    """x^y."""
    if y.op == 'const':
      if y.data == 0:
        return self.one
      if y.data == 1:
        return x
      if x.op == 'const' and Fraction(y.data).denominator == 1:
        if x.data == 0 and y.data < 0:
          raise ValueError('the formula divides by 0')
        bits = x.data.numerator.bit_length() + x.data.denominator.bit_length()
        if abs(y.data) * bits <= MAX_BITS:
          return self.const(Fraction(x.data) ** int(y.data))
      if x.op == 'const' and x.data > 0:
        log = math.log(x.data.numerator) - math.log(x.data.denominator)
        size = float(min(abs(y.data), 10**300)) * abs(log)
        self._guard(size, MAX_WRITTEN)
    if x is self.one:
      return x
    return self.make('pow', (x, y))

  @staticmethod
  def _guard(log_size: float, most: float = MAX_LOG):
    if log_size > most:
      raise ValueError('the formula holds a constant too large to write out')

  def unary(self, op: str, x: Node) -> Node:
    """A function of one argument, folded where its value is plain."""
    if x.op == 'inf':
      if op == 'exp':
        return x if x.data > 0 else self.zero
      if op in ('erf', 'sign'):
        return self.const(x.data)
      if op in ('abs', 'log', 'lgamma') and x.data > 0:
        return x
      raise ValueError(f'the formula takes {op} of an infinity')
    if x.op == 'const':
      v = Fraction(x.data)
      if op == 'log' and v <= 0:
        if v == 0:
          return self.make('inf', (), -1)
        raise ValueError(f'the formula takes log of {v}, a negative number')
      if op == 'abs':
        return self.const(abs(v))
      if op == 'floor':
        return self.const(v.__floor__())
      if op == 'sign':
        return self.const((v > 0) - (v < 0))
      if v == 0 and op in ('sin', 'erf', 'atan'):
        return self.zero
      if v == 0 and op in ('exp', 'cos'):
        return self.one
      if op == 'exp':
        self._guard(float(min(abs(v), 10**300)))
      if (v == 1 and op == 'log') or (v in (1, 2) and op == 'lgamma'):
        return self.zero
    if op == 'floor':
      if x.op in ('t', 'floor'):
        return x
      if x.op == 'add' and self._whole(x):
        constant, coefficients = x.data
        pairs = zip(coefficients, x.args, strict=True)
        return self.total([(constant.__floor__(), self.one), *pairs])
    if op == 'log' and x.op == 'exp':
      return x.args[0]
    if op == x.op == 'exp' and x.args[0].op == 'const':
      self._guard(math.exp(min(x.args[0].data, 700)))
    return self.make(op, (x,))

  def _whole(self, x: Node) -> bool:
    """Whether a sum is an integer plus its constant."""
    _, coefficients = x.data
    return all(
      c.denominator == 1 and a.op in ('t', 'floor')
      for c, a in zip(coefficients, x.args, strict=True)
    )

  def pick(self, op: str, x: Node, y: Node) -> Node:
    """max or min."""
    if x is y:
      return x
    if x.op == y.op == 'const':
      return self.const((max if op == 'max' else min)(x.data, y.data))
    for a, b in ((x, y), (y, x)):
      if a.op == 'inf':
        return a if (a.data > 0) == (op == 'max') else b
    return self.make(op, _sorted((x, y))[::-1])  # the last one made leads

  def compare(self, op: str, x: Node, y: Node) -> Node:
    """lt, le, eq; gt and ge are these with the arguments exchanged."""
    if x is y:
      return self.const(op != 'lt')
    d = self.sub(x, y) if 'inf' not in (x.op, y.op) else None
    if d is not None and d.op == 'const':
      v = d.data
      return self.const(
        bool(v < 0 if op == 'lt' else v <= 0 if op == 'le' else v == 0)
      )
    if d is None:  # every real number lies strictly between the infinities
      a, b = (2 * n.data if n.op == 'inf' else 0 for n in (x, y))
      return self.const(
        a < b if op == 'lt' else (a <= b and op == 'le') or a == b
      )
    return self.make(op, (d,))

  def logic(self, op: str, *args: Node) -> Node:
    """and, or, not of truth values."""
    if op == 'not':
      (x,) = args
      return self.const(not x.data) if x.op == 'const' else self.make(op, args)
    strong = op == 'or'
    rest = []
    for x in args:
      if x.op == 'const':
        if bool(x.data) == strong:
          return self.const(strong)
      elif x not in rest:
        rest.append(x)
    if not rest:
      return self.const(not strong)
    return rest[0] if len(rest) == 1 else self.make(op, rest)

  def select(self, condition: Node, then: Node, other: Node) -> Node:
    """`then` where the condition holds, `other` elsewhere."""
    if condition.op == 'const':
      return then if condition.data else other
    if then is other:
      return then
    return self.make('select', (condition, then, other))

  def table(self, index: Node, entries: Sequence[Node]) -> Node:
    """entries[index]; the index stays inside, by clamping."""
    if index.op == 'const':
      return entries[min(max(int(index.data), 0), len(entries) - 1)]
    if all(e is entries[0] for e in entries):
      return entries[0]
    return self.make('table', (index, *entries))


def tape(root: Node) -> list[tuple[str, tuple[int, ...], Any]]:
  """The nodes under `root`, arguments first: (op, positions of args, data)."""
  order = nodes(root)
  position = {node: i for i, node in enumerate(order)}
  return [(n.op, tuple(position[a] for a in n.args), n.data) for n in order]


def nodes(root: Node) -> list[Node]:
  """Every node under `root` once, arguments first."""
  seen, order, stack = set(), [], [(root, False)]
  while stack:
    node, ready = stack.pop()
    if ready:
      order.append(node)
    elif node not in seen:
      seen.add(node)
      stack.append((node, True))
      stack.extend((a, False) for a in node.args)
  return order


def rebuild(graph: Graph, root: Node, replace: dict[Node, Node]) -> Node:
  """`root` with nodes replaced, folded again; nan where there is no value."""
  new = dict(replace)
  for node in nodes(root):
    if node in new:
      continue
    args = [new[a] for a in node.args]
    try:
      new[node] = _fold(graph, node, args)
    except ValueError:  # an error only where no select leaves it out
      new[node] = graph.nan
  return new[root]


def _fold(graph: Graph, node: Node, args: list[Node]) -> Node:
  """The operation of a node on other arguments."""
  if all(a is b for a, b in zip(args, node.args, strict=True)):
    return graph.make(node.op, args, node.data)  # of this graph
  if node.op == 'add':
    constant, coefficients = node.data
    terms = zip(coefficients, args, strict=True)
    return graph.total([(constant, graph.one), *terms])
  if node.op in ('mul', 'pow', 'select'):
    return getattr(graph, node.op)(*args)
  if node.op in ('max', 'min'):
    return graph.pick(node.op, *args)
  if node.op in ('lt', 'le', 'eq'):
    return graph.compare(node.op, args[0], graph.zero)
  if node.op in ('and', 'or', 'not'):
    return graph.logic(node.op, *args)
  if node.op == 'table':
    return graph.table(args[0], args[1:])
  return graph.unary(node.op, *args)
