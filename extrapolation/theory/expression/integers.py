"""Ranges of traced integers: what would wrap around is refused.

A model computes distances in 32 bits or fewer; the graph knows no wrapping.
"""

import math

import numpy as np

from extrapolation.theory.errors import UnreadableBias
from extrapolation.theory.expression.graph import Node, nodes

FARTHEST = 10**7  # tokens: no horizon is longer

Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)


def check(
  values: np.ndarray, dtype: np.dtype, known: dict[Node, Range]
) -> None:
  """Refuses integers that do not fit their type below FARTHEST tokens.

  Args:
    values: nodes, what an equation returns.
    dtype: their type in the traced program.
    known: ranges found so far, which are added to.

  Raises:
    UnreadableBias: one wraps around, or is not known not to.
  """
  info = np.iinfo(dtype)
  for node in {id(n): n for n in values.flat}.values():
    low, high = _range(node, known)
    if not (info.min <= low and high <= info.max):
      raise UnreadableBias(
        f'an integer of the bias may not fit {dtype}, which wraps around '
        f'below {FARTHEST} tokens; compute in floats: t.astype(jnp.float32)'
      )


def _range(root: Node, known: dict[Node, Range]) -> Range:
  """Least and largest value for 0 <= t <= FARTHEST, or a wider range."""
  for node in nodes(root):
    if node not in known:
      known[node] = _one(node, [known[a] for a in node.args])
  return known[root]


def _one(node: Node, args: list[Range]) -> Range:
  if node.op == 't':
    return 0.0, float(FARTHEST)
  if node.op == 'const':
    return (float(node.data),) * 2
  if node.op == 'add':
    shift, coefficients = node.data
    parts = [
      _product((float(c),) * 2, x)
      for c, x in zip(coefficients, args, strict=True)
    ]
    low, high = map(sum, zip(*parts, strict=True))
    return low + float(shift), high + float(shift)
  if node.op == 'mul':
    return _product(*args)
  if node.op in ('max', 'min'):
    pick = max if node.op == 'max' else min
    low, high = map(pick, zip(*args, strict=True))
    return low, high
  if node.op in ('select', 'table'):
    lows, highs = zip(*args[1:], strict=True)
    return min(lows), max(highs)
  if node.op in ('lt', 'le', 'eq', 'and', 'or', 'not'):
    return 0.0, 1.0
  if node.op in ('sin', 'cos', 'erf', 'sign'):
    return -1.0, 1.0
  return _function(node, *args)


def _product(x: Range, y: Range) -> Range:
  ends = [a * b if a and b else 0.0 for a in x for b in y]
  return min(ends), max(ends)


def _function(node: Node, x: Range, y: Range | None = None) -> Range:
  low, high = x
  if node.op == 'floor':
    if not all(map(math.isfinite, x)):
      return x
    return float(math.floor(low)), float(math.floor(high))
  if node.op == 'abs':
    near = 0.0 if low < 0 < high else min(abs(low), abs(high))
    return near, max(abs(low), abs(high))
  if node.op == 'log':
    return _log(low), _log(high)
  if node.op == 'exp':
    return _exp(low), _exp(high)
  if node.op == 'pow' and y is not None and y[0] == y[1] >= 0:
    if y[0] % 2 == 0 and low < 0:
      low, high = 0.0, max(-low, high)
    if low >= 0:
      return _exp(y[0] * _log(low)), _exp(y[0] * _log(high))
  return ANY


def _log(x: float) -> float:
  return math.log(x) if x > 0 else -math.inf


def _exp(x: float) -> float:
  return math.exp(x) if x < 700 else math.inf
