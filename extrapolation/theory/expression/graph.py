"""Exact scalar expressions in the distance: a shared, folded graph.

A formula is read once into nodes; every reading (sympy, balls, germs, floats)
is then a walk over the same nodes. Numbers are exact fractions, so a float32
slope is the rational that the model computes with.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

from extrapolation.theory.expression.arithmetic import (
  Arithmetic,
  guard,
  in_order,
)
from extrapolation.theory.expression.node import (
  Node,
  nodes,
  tape,
  value_missing,
)

__all__ = ['Graph', 'Node', 'nodes', 'rebuild', 'tape', 'value_missing']


class Graph(Arithmetic):
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
        guard(float(min(abs(v), 10**300)))
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
      guard(math.exp(min(x.args[0].data, 700)))
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
    return self.make(op, in_order((x, y))[::-1])  # the last one made leads

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
