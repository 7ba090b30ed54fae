"""Attention over places in O(T) memory, forward and backward.

A tile of bias is computed once for all sequences, and for all pairs of blocks
that have its distances (boxes.py). Softmax and gradient are those of a tile of
`online.py`.
"""
# ruff: noqa: E741  (l is the field's name)

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from extrapolation.attention import boxes, layout, sequence, tiles
from extrapolation.attention.layout import Layout, Plan
from extrapolation.attention.online import absorb, at, pull, written
from extrapolation.attention.places_bias import Tile
from extrapolation.attention.precision import FLOOR, dot, wide, width_sum
from extrapolation.parallel import axes

# Tokens of a block on a CPU, where a tile should fit the second cache.
BLOCK = 256


def attend(
  q: Array,
  k: Array,
  v: Array,
  bias: Any,
  hidden: Array | None,
  queries: Array | np.ndarray,
  keys: Array | np.ndarray,
  tile: Tile,
) -> Array:
  """o [B, T, H, K], float32 or wider; as `places_reference.attend`.

  Args:
    q, k, v: queries, keys, values.
    bias: a table [H, n], parameters of a kernel, or None.
    hidden: [B, S], or None.
    queries, keys: their places.
    tile: what is added to the logits.
  """
  (B, T, H), S = q.shape[:3], k.shape[1]
  batch, _ = axes.in_use()
  on_cpu = jax.default_backend() == 'cpu'
  most = BLOCK if on_cpu else tiles.block_size(B, H, max(T, S), S)
  blocks = boxes.cut(queries, keys, most, tile.geometry.shift_invariant)
  if hidden is None and not blocks[1].full:
    hidden = jnp.zeros((B, S), bool)
  # CPUs have no short arithmetic: convert once, not tile by tile.
  qkv = tuple(x.astype(wide(x) if on_cpu else x.dtype) for x in (q, k, v))

  def local(operands: tuple, shared: tuple):
    (q, *_), _ = operands
    by_head = bias is None or isinstance(bias, jax.Array)
    plan = Plan(
      tile=tile,
      heads=tiles.heads_per_tile(H) if by_head else H,
      sequences=1 if on_cpu else len(q),
    )
    return _attend(*operands, *shared, plan)

  shared = bias, layout.arrays(*blocks)
  return sequence.spread(local, (qkv, hidden), shared, batch, 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _attend(
  qkv: tuple, hidden: Array | None, bias: Any, fixed: dict, plan: Plan
) -> Array:
  return _forward(qkv, hidden, bias, fixed, plan)[0]


def _forward(
  qkv: tuple, hidden: Array | None, bias: Any, fixed: dict, plan: Plan
):
  q, k, v = qkv
  scale = 1 / math.sqrt(q.shape[3])
  dtype = wide(*jax.tree.leaves((qkv, bias)))
  lay = Layout(fixed, hidden, plan, len(q))

  def of_heads(x: tuple):
    bias, q, k, v = x
    k = jnp.einsum('nhsk->nhks', k)

    def pair(n: ArrayLike, m: ArrayLike, tile: Array, state: tuple):
      here = tuple(at(x, n) for x in state)

      def seen(mask: Array | None):
        z = scale * dot('hrk,hks->hrs', at(q, n), at(k, m))
        return absorb(here, lay.logits(z, tile, mask), at(v, m))

      new = lay.of_keys_seen(m, -1, seen, lambda: here)
      return written(state, new, n)

    def group(tile: Callable, each: Callable, state: tuple):
      return each(pair, tile(bias, keys=-1), state)

    state = tuple(
      jnp.full((*q.shape[:3], size), value, dtype)
      for size, value in ((1, FLOOR), (1, 0), (v.shape[3], 0))
    )
    m, l, acc = lay.over_groups(group, state)
    l = jnp.where(l == 0, 1, l)
    return acc / l, m + jnp.log(l)

  x = lay.bias(bias), lay.queries(q), lay.keys(k), lay.keys(v)
  o, lse = map(lay.of_queries, tiles.over(of_heads, x))
  return o, (qkv, hidden, bias, fixed, o, lse)


def _backward(plan: Plan, residuals: tuple, g: Array):
  qkv, hidden, bias, fixed, o, lse = residuals
  q, k, v = qkv
  scale, dtype = 1 / math.sqrt(q.shape[3]), o.dtype
  lay = Layout(fixed, hidden, plan, len(q))
  delta = width_sum(o * g)[..., None]

  def of_heads(x: tuple):
    bias, q, k, v, lse, delta, g = x
    lse, delta, kT = (jnp.einsum('nhtk->nhkt', x) for x in (lse, delta, k))

    def pair(n: ArrayLike, m: ArrayLike, tile: Array, state: tuple):
      dq, dk, dv, dtile = state
      query = tuple(at(x, n) for x in (q, g, lse, delta))
      grads = at(dq, n), at(dk, m), at(dv, m)

      def seen(mask: Array | None):
        z = scale * dot('hsk,hrk->hsr', at(k, m), at(q, n))
        s = lay.logits(z, tile, mask)
        return pull(s, query, (at(kT, m), at(v, m)), grads)

      none = grads, jnp.zeros((*k.shape[1:3], q.shape[2]), dtype)
      new, ds = lay.of_keys_seen(m, -2, seen, lambda: none)
      dk, dv = written((dk, dv), new[1:], m)
      if bias is not None:
        dtile += ds.reshape(-1, *dtile.shape).sum(0)
      return *written((dq,), new[:1], n), dk, dv, dtile

    def group(tile: Callable, each: Callable, state: tuple):
      *grads, dbias = state
      b, back = jax.vjp(lambda bias: tile(bias, keys=-2).astype(dtype), bias)
      *grads, dtile = each(pair, b, (*grads, jnp.zeros_like(b)))
      return *grads, jax.tree.map(jnp.add, dbias, back(dtile)[0])

    zeros = (jnp.zeros(x.shape, dtype) for x in (jnp.moveaxis(q, 2, 3), k, v))
    state = *zeros, jax.tree.map(jnp.zeros_like, bias)
    dq, dk, dv, dbias = lay.over_groups(group, state)
    dq = jnp.einsum('nhkt->nhtk', dq)
    return scale * dq, scale * dk, dv, dbias

  # Slots without a query weigh nothing, however large the bias.
  by_query = (q,), (lse, -FLOOR), (delta,), (g.astype(v.dtype),)
  q, *more = (lay.queries(*x) for x in by_query)
  x = lay.bias(bias), q, lay.keys(k), lay.keys(v), *more
  dq, dk, dv, dbias = tiles.over(of_heads, x)
  grads = lay.of_queries(dq), lay.of_keys(dk), lay.of_keys(dv)
  new, given = (grads, dbias), (qkv, bias)
  dqkv, dbias = jax.tree.map(
    lambda d, x: d.reshape(x.shape).astype(x.dtype), new, given
  )
  return dqkv, None, dbias, None


_attend.defvjp(_forward, _backward)
