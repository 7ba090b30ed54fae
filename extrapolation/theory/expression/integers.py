"""Ranges of traced integers: what would wrap around is refused.

A model computes distances in 32 bits or fewer; the graph knows no wrapping.
"""

from collections.abc import Sequence

import numpy as np

from extrapolation.theory.errors import UnreadableBias
from extrapolation.theory.expression.float_intervals import Interval, Rules
from extrapolation.theory.expression.graph import Node, nodes

FARTHEST = 10**7  # tokens: no horizon is longer
RULES = Rules()


def check(
  values: np.ndarray, dtype: np.dtype, known: dict[Node, Interval]
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
    for x in nodes(node):
      if x not in known:
        known[x] = _one(x, [known[a] for a in x.args])
    low, high = known[node]
    if not (info.min <= low and high <= info.max):
      raise UnreadableBias(
        f'an integer of the bias may not fit {dtype}, which wraps around '
        f'below {FARTHEST} tokens; compute in floats: t.astype(jnp.float32)'
      )


def _one(node: Node, args: Sequence[Interval]) -> Interval:
  """Least and largest value for 0 <= t <= FARTHEST, or a wider range."""
  if node.op == 't':
    return 0.0, float(FARTHEST)
  return RULES(node.op, node.data, args)
