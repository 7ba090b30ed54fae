"""Attention in O(T) memory on any backend, forward and backward.

Two forms of one algorithm: `rows` keeps whole rows of a block of queries,
`tiles` an online softmax over square tiles. The shorter the sequence, the more
the bookkeeping of the second costs.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.attention import rows, tiles
from extrapolation.attention.precision import wide

ROWS = 512  # longest sequence for which `rows` wins (CPU, float32)


def attend(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'],
  window: tuple[int, ...] | None = None,
) -> Float[Array, 'B T H K']:
  """`reference.attend` without its probabilities; gradients to all operands.

  Everything inside is float32, or wider if an operand is. A query that sees
  no key at all, because the table is -inf, gives 0.

  Args:
    q: queries; k: keys; v: values.
    bias: values by distance, n >= T.
    window: keys that each head attends to, None for all; what lies beyond is
      not computed.
  """
  T, H = q.shape[1:3]
  window = tuple(min(w, T) for w in window or (T,) * H)
  table = bias[:, :T].astype(wide(q, bias))
  beyond = jnp.arange(T) >= jnp.asarray(window)[:, None]
  table = jnp.where(beyond, -jnp.inf, table)
  # CPUs have no short arithmetic: convert once, not tile by tile.
  short = q.dtype if jax.default_backend() != 'cpu' else table.dtype
  operands = [x.astype(short) for x in (q, k, v)]
  if T <= ROWS:
    o = rows.attend(*operands, table, max(window))
  else:
    o, _ = tiles.attend(*operands, table, window)
  return o.astype(v.dtype)
