"""Forward attention as one TPU kernel; the tile of bias is a strided rotate.

Grid: sequence, head, block of queries, diagonal. Block i meets block i - d at
step d, so a window of w keys ends the last axis after w / block steps.
"""
# ruff: noqa: E741  (l is the field's name)

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array

from extrapolation.attention import tiles
from extrapolation.attention.precision import FLOOR, dot

BLOCK, UNIT = 512, 64  # the strided rotate needs blocks of whole UNITs


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def attend(
  q: Array,
  k: Array,
  v: Array,
  table: Array,
  windows: tuple[int, ...],
  interpret: bool = False,
):
  """o [B, T, H, K]; `table` [H, T] is float32 and masked already.

  The backward pass is that of `tiles`. `interpret` runs the kernel without a
  TPU, slowly.
  """
  return _forward(q, k, v, table, windows, interpret)[0]


def _forward(
  q: Array,
  k: Array,
  v: Array,
  table: Array,
  windows: tuple[int, ...],
  interpret: bool,
):
  B, T, H, K = q.shape
  block = block_size(T)
  N = -(-T // block)
  pad = ((0, 0), (0, N * block - T), (0, 0), (0, 0))
  q, k, v = (jnp.einsum('bthk->bhtk', jnp.pad(x, pad)) for x in (q, k, v))
  rows = _rows(table, N, block)
  # Diagonals that each head sees; the grid has as many as the widest window.
  last = [min(N, (w + block - 2) // block + 1) for w in windows]

  def of_query(b, h, i, d, last):
    del d, last
    return b, h, i, 0

  def of_key(b, h, i, d, last):
    # What is not computed repeats an index: it is not fetched again.
    return b, h, jnp.maximum(i - jnp.minimum(d, last[h] - 1), 0), 0

  def of_bias(b, h, i, d, last):
    del b, i
    return h, jnp.minimum(d, last[h] - 1), 0, 0

  tile = functools.partial(pl.BlockSpec, (1, 1, block, K))
  o, lse = pl.pallas_call(
    functools.partial(_step, scale=1 / math.sqrt(K)),
    grid_spec=pltpu.PrefetchScalarGridSpec(
      num_scalar_prefetch=1,
      grid=(B, H, N, max(last)),
      in_specs=[
        tile(of_query),
        tile(of_key),
        tile(of_key),
        pl.BlockSpec((1, 1, 1, 2 * block), of_bias),
      ],
      out_specs=[tile(of_query), pl.BlockSpec((1, 1, block, 1), of_query)],
      scratch_shapes=[
        pltpu.VMEM((block, size), jnp.float32) for size in (1, 1, K)
      ],
    ),
    out_shape=[
      jax.ShapeDtypeStruct(q.shape, q.dtype),
      jax.ShapeDtypeStruct((*q.shape[:3], 1), jnp.float32),
    ],
    compiler_params=pltpu.CompilerParams(
      dimension_semantics=('parallel', 'parallel', 'parallel', 'arbitrary')
    ),
    interpret=interpret,
  )(jnp.asarray(last, jnp.int32), q, k, v, rows)
  o = jnp.einsum('bhtk->bthk', o)[:, :T]
  return o, jnp.einsum('bhtk->bthk', lse)[:, :T, :, 0]


def block_size(T: int) -> int:
  """Tokens per block: T tokens in one, or as many as a core holds."""
  return min(BLOCK, -(-T // UNIT) * UNIT)


def _rows(table: Array, N: int, block: int):
  """[H, N, 1, 2 block]: y of diagonal d is distance (d + 1) block - 1 - y."""
  pad = ((0, 0), (block, N * block - table.shape[1]))
  u = jnp.pad(table, pad, constant_values=-jnp.inf)  # from distance -block on
  u = u.reshape(-1, N + 1, block)
  u = jnp.concatenate([u[:, :-1], u[:, 1:]], axis=-1)
  return jnp.flip(u, axis=-1)[:, :, None]


def _step(
  last: Any,
  q: Any,
  k: Any,
  v: Any,
  row: Any,
  o: Any,
  lse: Any,
  m: Any,
  l: Any,
  acc: Any,
  *,
  scale: float,
):
  """One tile; `m`, `l`, `acc` are the running softmax of the block."""
  h, i, d = (pl.program_id(n) for n in (1, 2, 3))

  @pl.when(d == 0)
  def _():
    m[...] = jnp.full_like(m, FLOOR)
    l[...] = jnp.zeros_like(l)
    acc[...] = jnp.zeros_like(acc)

  @pl.when((d <= i) & (d < last[h]))
  def _():
    block = q.shape[2]
    # Row r of the tile is the row of values, moved right by r.
    bias = jnp.broadcast_to(row[0, 0], (block, 2 * block))
    bias = pltpu.roll(bias, block + 1, 1, stride=1, stride_axis=0)[:, :block]
    s = scale * dot('rk,sk->rs', q[0, 0], k[0, 0]) + bias
    m_new = jnp.maximum(m[...], jnp.max(s, -1, keepdims=True))
    p, shrink = jnp.exp(s - m_new), jnp.exp(m[...] - m_new)
    l[...] = l[...] * shrink + jnp.sum(p, -1, keepdims=True)
    add = dot('rs,sk->rk', p.astype(v.dtype), v[0, 0])
    acc[...] = acc[...] * shrink + add
    m[...] = m_new

  @pl.when(d == pl.num_programs(3) - 1)
  def _():
    some = jnp.where(l[...] == 0, 1, l[...])
    o[0, 0] = (acc[...] / some).astype(o.dtype)
    lse[0, 0] = m[...] + jnp.log(some)


def _attend_fwd(
  q: Array,
  k: Array,
  v: Array,
  table: Array,
  windows: tuple[int, ...],
  interpret: bool,
):
  o, lse = _forward(q, k, v, table, windows, interpret)
  return o, (q, k, v, table, o, lse)


def _attend_bwd(
  windows: tuple[int, ...], interpret: bool, residuals: tuple, g: Array
):
  del interpret
  q, k, v, table, o, lse = residuals
  return tiles.gradients(q, k, v, table, windows, o, lse, g)


attend.defvjp(_attend_fwd, _attend_bwd)
