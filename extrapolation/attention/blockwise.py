"""Attention in O(T) memory on any backend, forward and backward.

Two forms of one algorithm: `rows` keeps whole rows of a block of queries,
`tiles` an online softmax over square tiles. The shorter the sequence, the more
the bookkeeping of the second costs.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.attention import rows, tiles

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
  wide = jnp.result_type(q.dtype, bias.dtype, jnp.float32)
  window = tuple(min(w, T) for w in window or (T,) * H)
  table = bias[:, :T].astype(wide)
  beyond = jnp.arange(T) >= jnp.asarray(window)[:, None]
  table = jnp.where(beyond, -jnp.inf, table)
  operands = [x.astype(wide) for x in (q, k, v)]
  if T <= ROWS:
    return rows.attend(*operands, table, max(window)).astype(v.dtype)
  if len(set(window)) == 1:
    return tiles.attend(*operands, table, window, tiles.BLOCK).astype(v.dtype)
  order = sorted(range(H), key=lambda h: -window[h])
  back = jnp.asarray(sorted(range(H), key=order.__getitem__))
  order = jnp.asarray(order)
  o = tiles.attend(
    *(x[:, :, order] for x in operands),
    table[order],
    tuple(sorted(window, reverse=True)),
    tiles.BLOCK,
  )
  return o[:, :, back].astype(v.dtype)
