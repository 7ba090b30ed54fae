"""Attention for long sequences: square tiles, one diagonal after another.

A tile of bias depends on its diagonal alone, so one serves every pair of blocks
on it; what a diagonal adds goes into the running softmax of all queries, whose
names are FlashAttention's (arXiv 2205.14135): m the maximum of the logits s, l
the sum of exp(s - m), acc that of the values. Memory is that of the operands.
"""
# ruff: noqa: E741  (l is the field's name)

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from extrapolation.attention import toeplitz
from extrapolation.attention.online import absorb, at, pull, written
from extrapolation.attention.precision import FLOOR, dot, width_sum

# On a CPU a tile should fit the second cache; of many, larger ones keep more
# cores busy (two, 512 against 256: T = 8192 is 1.7 x as fast, 2048 1.6 x).
BLOCK, LONG_BLOCK, HEADS = 256, 512, 4
WIDE = 1024  # tokens that a query sees, from which there are many
BLOCKS = (1024, 512)  # on an accelerator, which wants few large products
SCORES = 1 << 26  # at once, on an accelerator


def block_size(B: int, H: int, T: int, window: int) -> int:
  """Tokens along a side of a tile."""
  if jax.default_backend() == 'cpu':
    return LONG_BLOCK if window >= WIDE else min(BLOCK, T)
  fits = [b for b in BLOCKS if B * H * b * b <= SCORES]
  return min((*fits, BLOCK)[0], T)


def heads_per_tile(H: int) -> int:
  """Heads that one tile has: few fit a cache, all fill a device."""
  if jax.default_backend() != 'cpu':
    return H
  return max(n for n in range(1, H + 1) if H % n == 0 and n <= HEADS)


def attend(
  q: Array, k: Array, v: Array, table: Array, windows: tuple[int, ...]
):
  """o [B, T, H, K] and lse [B, T, H]; `table` [H, T] is masked already."""
  u, block = _extended(q, table, max(windows))
  return partial(q, k, v, u, windows, block, 0)


def gradients(
  q: Array,
  k: Array,
  v: Array,
  table: Array,
  windows: tuple[int, ...],
  o: Array,
  lse: Array,
  g: Array,
):
  """Of q, k, v and table for the cotangent g of o, however o was computed."""
  u, block = _extended(q, table, max(windows))
  last = min(-(-q.shape[1] // block), (max(windows) + block - 2) // block + 1)
  g = g.astype(lse.dtype), jnp.zeros_like(lse)
  *grads, du = _backward(0, last, block, (q, k, v, u, o, lse), g)
  return *grads, du[:, block - 1 : block - 1 + q.shape[1]]


def _extended(q: Array, table: Array, window: int):
  """Values by distance from 1 - block to the last tile, and the block."""
  B, T, H, _ = q.shape
  block = block_size(B, H, T, window)
  # The padding is where causality enters: a negative distance weighs nothing.
  pad = ((0, 0), (block - 1, -T % block))
  return jnp.pad(table, pad, constant_values=-jnp.inf), block


def partial(
  q: Array,
  k: Array,
  v: Array,
  u: Array,
  windows: tuple[int, ...],
  block: int,
  first: int,
  shift: int = 0,
):
  """o and log of the softmax's denominator over these keys alone.

  Args:
    q, k, v: [B, T, H, K]; query i is at distance shift + i - j from key j.
    u: [H, .] values by i - j, from (first - 1) * block + 1 on; -inf if unseen.
    windows: one per head, in distances.
    block: tokens along a side of a tile.
    first: lowest diagonal of tiles: 0 if causal, 1 - T / block for all keys.
    shift: distance of query 0 from key 0.
  """
  N = -(-q.shape[1] // block)
  # Diagonal d begins with i - j = (d - 1) * block + 1.
  last = [min(N, (w - shift + block - 2) // block + 1) for w in windows]
  if min(last) == max(last):
    return _partial(q, k, v, u, first, last[0], block)
  # Heads that see equally far are computed together, then put back in order.
  order = sorted(range(len(last)), key=last.__getitem__)
  groups = [list(g) for _, g in itertools.groupby(order, last.__getitem__)]
  parts = []
  for heads in groups:
    stop, heads = last[heads[0]], jnp.asarray(heads)
    part = (x[:, :, heads] for x in (q, k, v))
    parts.append(_partial(*part, u[heads], first, stop, block))
  back = jnp.argsort(jnp.asarray(order))
  o, lse = zip(*parts, strict=True)
  return tuple(jnp.concatenate(x, axis=2)[:, :, back] for x in (o, lse))


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _partial(
  q: Array, k: Array, v: Array, u: Array, first: int, last: int, block: int
):
  return _forward(q, k, v, u, first, last, block)[0]


def _forward(
  q: Array, k: Array, v: Array, u: Array, first: int, last: int, block: int
):
  scale = 1 / math.sqrt(q.shape[3])

  def one(u: Array, q: Array, k: Array, v: Array):
    k = jnp.einsum('nhsk->nhks', k)
    N, heads = q.shape[:2]

    def diagonal(d: ArrayLike, state: tuple):
      tile = toeplitz.by_query(around(u, d - first, block), block)

      def step(i: ArrayLike, state: tuple):
        s = scale * dot('hrk,hks->hrs', at(q, i), at(k, i - d)) + tile
        here = tuple(at(x, i) for x in state)
        return written(state, absorb(here, s, at(v, i - d)), i)

      return lax.fori_loop(
        jnp.maximum(d, 0), jnp.minimum(N, N + d), step, state
      )

    state = tuple(
      jnp.full((N, heads, block, size), value, u.dtype)
      for size, value in ((1, FLOOR), (1, 0), (v.shape[3], 0))
    )
    m, l, acc = lax.fori_loop(first, last, diagonal, state)
    l = jnp.where(l == 0, 1, l)
    return acc / l, m + jnp.log(l)

  o, lse = _over_sequences(one, u, block, q, k, v)
  lse = lse[..., 0]
  return (o, lse), (q, k, v, u, o, lse)


def _backward(
  first: int, last: int, block: int, residuals: tuple, g: tuple[Array, Array]
):
  q, k, v, u, o, lse = residuals
  scale = 1 / math.sqrt(q.shape[3])

  g, g_lse = g
  # p and dlse / ds are one: the cotangent of lse joins that of the softmax.
  delta = width_sum(o * g) - g_lse

  def one(
    u: Array, q: Array, k: Array, v: Array, lse: Array, delta: Array, g: Array
  ):
    lse, delta, kT = (jnp.einsum('nhtk->nhkt', x) for x in (lse, delta, k))
    N = len(q)

    def diagonal(d: ArrayLike, state: tuple):
      tile = toeplitz.by_key(around(u, d - first, block), block)
      *grads, du = state

      def step(i: ArrayLike, state: tuple):
        dq, dk, dv, dtile = state
        at_q, at_k = (functools.partial(at, i=n) for n in (i, i - d))
        s = scale * dot('hsk,hrk->hsr', at_k(k), at_q(q)) + tile
        query = tuple(map(at_q, (q, g, lse, delta)))
        grads = at_q(dq), at_k(dk), at_k(dv)
        new, ds = pull(s, query, (at_k(kT), at_k(v)), grads)
        dk, dv = written((dk, dv), new[1:], i - d)
        return *written((dq,), new[:1], i), dk, dv, dtile + ds

      start, stop = jnp.maximum(d, 0), jnp.minimum(N, N + d)
      grads = (*grads, jnp.zeros_like(tile))
      *grads, dtile = lax.fori_loop(start, stop, step, grads)
      return *grads, add_along(du, dtile, d - first, block)

    zeros = (jnp.zeros(x.shape, u.dtype) for x in (kT, k, v, u))
    dq, dk, dv, du = lax.fori_loop(first, last, diagonal, tuple(zeros))
    dq = jnp.einsum('nhkt->nhtk', dq)
    return scale * dq, scale * dk, dv, du

  # Rows that are padded weigh nothing, however large the bias.
  lse = jnp.pad(
    lse, ((0, 0), (0, -q.shape[1] % block), (0, 0)), constant_values=-FLOOR
  )
  operands = q, k, v, lse[..., None], delta[..., None], g.astype(v.dtype)
  dq, dk, dv, du = _over_sequences(one, u, block, *operands)
  low = (x.astype(q.dtype) for x in (dq, dk, dv))
  return *low, du.sum(0)


_partial.defvjp(_forward, _backward)


def _over_sequences(f: Callable, u: Array, block: int, *arrays: Array):
  """f(u [h, .], [N, h, block, K] ...) for all sequences and groups of heads.

  `arrays` are [B, T, H, K]; so are those of what f returns, while what it
  returns for u is [B, H, .]. Few at a time fit a cache, all fill a device.
  """
  T, H = arrays[0].shape[1:3]
  h = heads_per_tile(H)

  def blocks(x: Array):
    x = jnp.pad(x, ((0, -len(x) % block), (0, 0), (0, 0)))
    x = x.reshape(-1, block, H // h, h, x.shape[2])
    return jnp.einsum('nsghk->gnhsk', x)

  def tokens(x: Array):
    if x.ndim == 3:
      return x.reshape(H, -1)
    return jnp.einsum('gnhsk->nsghk', x).reshape(-1, H, x.shape[-1])[:T]

  def sequence(arrays: tuple[Array, ...]):
    xs = u.reshape(H // h, h, -1), *map(blocks, arrays)
    return jax.tree.map(tokens, over(lambda x: f(*x), xs))

  return over(sequence, arrays)


def over(f: Callable, xs: Any) -> Any:
  """f of each: few at a time fit a cache, all fill a device."""
  if jax.default_backend() == 'cpu':
    return lax.map(f, xs)
  return jax.vmap(f)(xs)


def around(u: Array, n: ArrayLike, block: int) -> Array:
  """Values by distance of the n-th diagonal of u."""
  return lax.dynamic_slice_in_dim(u, n * block, 2 * block - 1, 1)


def add_along(du: Array, dtile: Array, n: ArrayLike, block: int) -> Array:
  """du with what a tile of the n-th diagonal adds, keys its rows."""
  along, start = toeplitz.unskew(dtile), (0, n * block)
  along += lax.dynamic_slice(du, start, along.shape)
  return lax.dynamic_update_slice(du, along, start)
