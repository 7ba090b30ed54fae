"""One operation of an expression, and walks over all that stand under one."""

from typing import Any

from extrapolation.theory.errors import TheoryError


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
