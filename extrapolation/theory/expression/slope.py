"""The slope of a log weight, where several of its terms are linear in t.

-0.7 t + t log 2 is read as t (log 2 - 0.7): over a block of distances the
bounds of the two terms, taken one by one, would be far apart.
"""

from extrapolation.theory.expression.graph import Graph, Node, nodes, rebuild


def collected(root: Node) -> Node:
  """The same log weight, with its slope as one factor of t."""
  graph = Graph(rounds=False)
  leaves = [node for node in nodes(root) if node.op == 't']
  root = rebuild(graph, root, dict.fromkeys(leaves, graph.t))
  if root.op == 'select':  # as of the query itself, and all else
    condition, *cases = root.args
    return graph.select(condition, *(_collected(graph, x) for x in cases))
  return _collected(graph, root)


def _collected(graph: Graph, root: Node) -> Node:
  if root.op != 'add':
    return root
  constant, coefficients = root.data
  slopes, rest = [], [(constant, graph.one)]
  for c, x in zip(coefficients, root.args, strict=True):
    slope = factor(x)
    (rest if slope is None else slopes).append((c, slope or x))
  if len(slopes) < 2:
    return root
  ones = [(c, graph.one if x.op == 't' else x) for c, x in slopes]
  return graph.total([*rest, (1, graph.mul(graph.t, graph.total(ones)))])


def factor(x: Node) -> Node | None:
  """a of x = a t, t itself for a = 1; None where x is not linear in t."""
  if x.op == 't':
    return x
  if x.op != 'mul' or 't' not in (a.op for a in x.args):
    return None
  (a, *more) = (a for a in x.args if a.op != 't')
  if more or any(node.op == 't' for node in nodes(a)):
    return None
  return a
