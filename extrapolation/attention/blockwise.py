"""Attention in O(T) memory on any backend, forward and backward.

Two forms of one algorithm: `rows` keeps whole rows of a block of queries,
`tiles` an online softmax over square tiles. The shorter the sequence, the more
the bookkeeping of the second costs.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.attention import (
  clocked,
  rows,
  scored,
  sequence,
  tiles,
)
from extrapolation.attention.kernel import Kernel
from extrapolation.attention.precision import wide
from extrapolation.attention.terms import Terms
from extrapolation.parallel import axes

ROWS = 512  # longest sequence for which `rows` wins (CPU, float32)
# XLA of jax 0.11 crashes on a CPU when it compiles the gradient of `rows` in a
# shard_map over batch axes (0.10.2 and 0.12.0 do not).
XLA_BUG_ROWS_GRADIENT = jax.__version__.startswith('0.11.')


def attend(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'],
  window: tuple[int, ...] | None = None,
  gather: bool = False,
  kernel: Callable | None = None,
  return_lse: bool = False,
) -> Float[Array, 'B T H K'] | tuple[Array, Array]:
  """`reference.attend` without its probabilities; gradients to all operands.

  Everything inside is float32, or wider if an operand is. A query that sees
  no key at all, because the table is -inf, gives 0.

  Args:
    q: queries; k: keys; v: values.
    bias: values by distance, n >= T.
    window: keys that each head attends to, None for all; what lies beyond is
      not computed.
    gather: under a mesh whose 'seq' axis spreads the tokens, hold all keys and
      values on every device instead of passing them around.
    kernel: `(q, k, v, table, windows) -> o` in place of both forms, for the
      tokens of one device.
    return_lse: return (o, ln sum exp(logit + bias) [B, T, H]) instead of o.
  """
  T, H = q.shape[1:3]
  window = tuple(min(w, T) for w in window or (T,) * H)
  table = bias[:, :T].astype(wide(q, bias))
  beyond = jnp.arange(T) >= jnp.asarray(window)[:, None]
  table = jnp.where(beyond, -jnp.inf, table)
  # CPUs have no short arithmetic: convert once, not tile by tile.
  on_cpu = jax.default_backend() == 'cpu' and kernel is None
  short = table.dtype if on_cpu else q.dtype

  batch, shards = axes.in_use()
  bug = batch and on_cpu and XLA_BUG_ROWS_GRADIENT

  def local(operands: tuple[Array, Array, Array], table: Array):
    q, k, v = operands
    if shards > 1:
      o, lse = sequence.attend(q, k, v, table, window, shards, gather)
    elif kernel is not None:
      return kernel(q, k, v, table, window)
    elif T <= ROWS and not return_lse and not bug:
      return rows.attend(q, k, v, table, max(window))
    else:
      o, lse = tiles.attend(q, k, v, table, window)
    return (o, lse) if return_lse else o

  operands = tuple(x.astype(short) for x in (q, k, v))
  if extra := sequence.padding(T, shards):
    table = jnp.pad(table, ((0, 0), (0, extra)), constant_values=-jnp.inf)
    operands = tuple(
      jnp.pad(x, ((0, 0), (0, extra), (0, 0), (0, 0))) for x in operands
    )
  out = sequence.spread(local, operands, table, batch, shards)
  if return_lse:
    return out[0][:, :T].astype(v.dtype), out[1][:, :T]
  return out[:, :T].astype(v.dtype)


def attend_terms(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  v: Float[Array, 'B T H K'],
  t: Terms,
  window: tuple[int, ...] | None = None,
) -> tuple[Float[Array, 'B T H K'], Float[Array, 'B T H']]:
  """o, and ln sum exp of the logits, where a table is not all there is.

  Under 'seq' every device holds all keys and values.

  Args:
    q: queries; k: keys; v: values.
    t: bias, clock, heat of the bias, documents, clock_window, score.
    window: keys that each head attends to, None for all.
  """
  T, H = q.shape[1:3]
  window = tuple(min(w, T) for w in window or (T,) * H)
  if not isinstance(t.bias, Kernel):
    table = t.bias[:, :T].astype(wide(q, t.bias))
    beyond = jnp.arange(T) >= jnp.asarray(window)[:, None]
    if t.scored is None:  # which may read what one head does not see
      table = jnp.where(beyond, -jnp.inf, table)
    t = dataclasses.replace(t, bias=table)
  on_cpu = jax.default_backend() == 'cpu'
  short = wide(q) if on_cpu else q.dtype  # once, as above
  operands = tuple(x.astype(short) for x in (q, k, v))
  by_token = jax.tree.map(
    lambda x: jnp.broadcast_to(x, (len(q), *x.shape[1:])), t.by_token()
  )
  batch, shards = axes.in_use()
  if extra := sequence.padding(T, shards):
    operands, by_token = jax.tree.map(
      lambda x: jnp.pad(x, ((0, 0), (0, extra), *[(0, 0)] * (x.ndim - 2)),
                        mode='edge'), (operands, by_token)
    )  # fmt: skip
    if not isinstance(t.bias, Kernel):
      far = ((0, 0), (0, extra))
      table = jnp.pad(t.bias, far, constant_values=-jnp.inf)
      t = dataclasses.replace(t, bias=table)

  def local(operands: tuple, shared: Terms):
    (q, k, v), by_query = operands
    by_key, start = by_query, 0
    if shards > 1:
      k, v, by_key = sequence.gathered((k, v, by_key))
      start = q.shape[1] * sequence.shard_index()
    form = clocked if t.scored is None else scored
    return form.attend(q, k, v, by_query, by_key, shared, window, start)

  shared = dataclasses.replace(
    t, clock=None, heat=None, documents=None, positions=None
  )
  o, lse = sequence.spread(local, (operands, by_token), shared, batch, shards)
  return o[:, :T].astype(v.dtype), lse[:, :T]
