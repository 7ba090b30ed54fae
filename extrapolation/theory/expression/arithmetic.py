"""Sums, products and powers of expressions, folded as they are built."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from extrapolation.theory.expression.node import Node

# A folded power may not need more bits than this: 9**9**9 stays a power.
MAX_BITS = 4096
MAX_LOG = 1e5  # and no constant is larger than e^MAX_LOG
MAX_WRITTEN = 4300 * math.log(10)  # of a power: Python writes no more digits


def in_order(nodes: Iterable[Node]) -> list[Node]:
  """In the order in which they were made, whatever their addresses."""
  return sorted(nodes, key=lambda node: node.number)


def guard(log_size: float, most: float = MAX_LOG) -> None:
  """Refuses a constant of which the logarithm is larger than `most`."""
  if log_size > most:
    raise ValueError('the formula holds a constant too large to write out')


class Arithmetic:
  """Numbers, the distance and what + - * / ** make of them.

  Attributes:
    rounds, ranges: see `Graph`.
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
    order = in_order(parts)
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
      return self.total([(Fraction(1, 2), self.make('sin', (double,)))])
    (a, x), (b, y) = self._scaled(x), self._scaled(y)
    if a * b != 1:
      return self.total([(a * b, self.mul(x, y))])
    (x, m), (y, n) = self._power(x), self._power(y)
    if x is y:
      return self.pow(x, self.const(m + n))
    x, y = (self.pow(z, self.const(k)) for z, k in ((x, m), (y, n)))
    return self.make('mul', in_order((x, y)))

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
        guard(size, MAX_WRITTEN)
    if x is self.one:
      return x
    return self.make('pow', (x, y))
