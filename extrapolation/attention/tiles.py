"""Attention for long sequences: square tiles, one diagonal after another.

A tile of bias depends on its diagonal alone, so it is made once a diagonal and
serves every pair of blocks on it; what a diagonal adds goes into the running
softmax of all queries. Memory is that of the operands.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from extrapolation.attention import toeplitz
from extrapolation.attention.precision import FLOOR, dot

BLOCK = 256  # two tiles of 8 heads in the second cache of a CPU
BLOCKS = (1024, 512)  # of an accelerator, which wants few large products
SCORES = 1 << 26  # at once, on an accelerator


def block_size(B: int, H: int, T: int) -> int:
  """Tokens a side of a tile."""
  fits = [BLOCK]
  if jax.default_backend() != 'cpu':
    fits = [b for b in BLOCKS if B * H * b * b <= SCORES] + fits
  return min(fits[0], T)


def attend(q, k, v, table, windows: tuple[int, ...]):
  """o [B, T, H, K] and lse [B, T, H]; `table` [H, T] is masked already."""
  B, T, H, _ = q.shape
  block = block_size(B, H, T)
  N = -(-T // block)
  # The padding is where causality enters: a negative distance weighs nothing.
  pad = ((0, 0), (block - 1, N * block - T))
  u = jnp.pad(table, pad, constant_values=-jnp.inf)
  return partial(q, k, v, u, windows, block, 0)


def partial(q, k, v, u, windows, block, first, shift=0):
  """o and log of the softmax's denominator over these keys alone.

  Args:
    q, k, v: [B, T, H, K]; query i is at distance shift + i - j from key j.
    u: [H, .] values by i - j, from (first - 1) * block + 1 on; -inf if unseen.
    windows: one a head, in distances.
    block: tokens a side of a tile.
    first: lowest diagonal of tiles: 0 if causal, 1 - T / block for all keys.
    shift: distance of query 0 from key 0.
  """
  N = -(-q.shape[1] // block)
  # Diagonal d begins with i - j = (d - 1) * block + 1.
  last = [min(N, (w - shift + block - 2) // block + 1) for w in windows]
  if min(last) == max(last):
    return _partial(q, k, v, u, first, tuple(last), block)
  # Heads with the shortest windows drop out first: they come last.
  order = sorted(range(len(last)), key=lambda h: -last[h])
  back = jnp.asarray(sorted(range(len(last)), key=order.__getitem__))
  last = tuple(last[h] for h in order)
  order = jnp.asarray(order)
  q, k, v = (x[:, :, order] for x in (q, k, v))
  o, lse = _partial(q, k, v, u[order], first, last, block)
  return o[:, :, back], lse[:, :, back]


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _partial(q, k, v, u, first, last, block):
  return _forward(q, k, v, u, first, last, block)[0]


def _forward(q, k, v, u, first, last, block):
  T, H, K = q.shape[1:]
  scale = 1 / math.sqrt(K)

  def one(q, k, v):
    q, k, v = (_blocks(x, block) for x in (q, k, v))
    k = jnp.einsum('nhsk->nhks', k)
    N = len(q)

    def diagonal(d, state, heads):
      tile = toeplitz.by_query(_around(u[:heads], d - first, block), block)

      def step(i, state):
        top, total, acc = (_at(x, i, heads) for x in state)
        k_j, v_j = (_at(x, i - d, heads) for x in (k, v))
        s = scale * dot('hrk,hks->hrs', _at(q, i, heads), k_j) + tile
        new = jnp.maximum(top, jnp.max(s, -1, keepdims=True))
        p, shrink = jnp.exp(s - new), jnp.exp(top - new)
        total = total * shrink + jnp.sum(p, -1, keepdims=True)
        acc = acc * shrink + dot('hrs,hsk->hrk', p.astype(v.dtype), v_j)
        return _put(state, (new, total, acc), i)

      return lax.fori_loop(
        jnp.maximum(d, 0), jnp.minimum(N, N + d), step, state
      )

    state = tuple(
      jnp.full((N, H, block, size), value, u.dtype)
      for size, value in ((1, FLOOR), (1, 0), (K, 0))
    )
    top, total, acc = _over_diagonals(diagonal, state, first, last)
    total = jnp.where(total == 0, 1, total)
    lse = _tokens(top + jnp.log(total), T)[..., 0]
    return _tokens(acc / total, T), lse

  o, lse = _over_batch(one, q, k, v)
  return (o, lse), (q, k, v, u, o, lse)


def _backward(first, last, block, residuals, g):
  q, k, v, u, o, lse = residuals
  T, K = q.shape[1], q.shape[3]
  scale = 1 / math.sqrt(K)

  def one(q, k, v, o, lse, g, g_lse):
    # p and dlse / ds are one: the cotangent of lse joins that of the softmax.
    delta = jnp.sum(o * g, -1) - g_lse
    lse, delta = (
      jnp.einsum('nhrk->nhkr', _blocks(x[..., None], block))
      for x in (lse, delta)
    )
    q, k, v, g = (_blocks(x, block) for x in (q, k, v, g.astype(v.dtype)))
    qT, kT, gT = (jnp.einsum('nhtk->nhkt', x) for x in (q, k, g))
    N = len(q)

    # Keys are the rows here: with P^T and dS^T at hand no product below needs
    # a transposed operand of the size of the scores.
    def diagonal(d, state, heads):
      tile = toeplitz.by_key(_around(u[:heads], d - first, block), block)
      *grads, du = state

      def step(i, state):
        dq, dk, dv, dtile = state
        at_q, at_k = (
          functools.partial(_at, i=n, heads=heads) for n in (i, i - d)
        )
        s = scale * dot('hsk,hkr->hsr', at_k(k), at_q(qT)) + tile
        p = jnp.exp(s - at_q(lse))
        dp = dot('hsk,hkr->hsr', at_k(v), at_q(gT))
        ds = p * (dp - at_q(delta))
        p, low = p.astype(v.dtype), ds.astype(q.dtype)
        dv_j = at_k(dv) + dot('hsr,hrk->hsk', p, at_q(g))
        dk_j = at_k(dk) + dot('hsr,hrk->hsk', low, at_q(q))
        dq_i = at_q(dq) + dot('hks,hsr->hkr', at_k(kT), low)
        dk, dv = _put((dk, dv), (dk_j, dv_j), i - d)
        return *_put((dq,), (dq_i,), i), dk, dv, dtile + ds

      start, stop = jnp.maximum(d, 0), jnp.minimum(N, N + d)
      grads = (*grads, jnp.zeros_like(tile))
      *grads, dtile = lax.fori_loop(start, stop, step, grads)
      at = (0, (d - first) * block)
      along = toeplitz.unskew(dtile)
      along += lax.dynamic_slice(du, at, along.shape)
      return *grads, lax.dynamic_update_slice(du, along, at)

    zeros = (jnp.zeros(x.shape, u.dtype) for x in (qT, k, v, u))
    dq, dk, dv, du = _over_diagonals(diagonal, tuple(zeros), first, last)
    dq = scale * jnp.einsum('nhkt->nhtk', dq)
    return *(_tokens(x, T) for x in (dq, scale * dk, dv)), du

  dq, dk, dv, du = _over_batch(one, q, k, v, o, lse, *g)
  low = (x.astype(q.dtype) for x in (dq, dk, dv))
  return *low, du.sum(0)


_partial.defvjp(_forward, _backward)


def _over_diagonals(diagonal, state, first, last):
  """`diagonal(d, state, heads)` for every diagonal that a head can see."""
  for stop in sorted(set(last)):
    heads = sum(x >= stop for x in last)
    state = lax.fori_loop(
      first, stop, functools.partial(diagonal, heads=heads), state
    )
    first = max(first, stop)
  return state


def _over_batch(f, *arrays):
  """One sequence after another fits a cache; all at once fill a device."""
  if jax.default_backend() == 'cpu':
    return lax.map(lambda a: f(*a), arrays)
  return jax.vmap(f)(*arrays)


def _around(u, n, block):
  """Values by distance of the n-th diagonal of u."""
  return lax.dynamic_slice_in_dim(u, n * block, 2 * block - 1, 1)


def _blocks(x, block):
  """[T, H, K] -> [N, H, block, K], zeros after the end."""
  x = jnp.pad(x, ((0, -x.shape[0] % block), (0, 0), (0, 0)))
  return jnp.einsum('nthk->nhtk', x.reshape(-1, block, *x.shape[1:]))


def _tokens(x, T):
  """[N, H, block, K] -> [T, H, K]."""
  N, H, block, K = x.shape
  return jnp.einsum('nhtk->nthk', x).reshape(N * block, H, K)[:T]


def _at(x, i, heads):
  return lax.dynamic_slice(x, (i, 0, 0, 0), (1, heads, *x.shape[2:]))[0]


def _put(state, new, i):
  return tuple(
    lax.dynamic_update_slice(x, y[None], (i, 0, 0, 0))
    for x, y in zip(state, new, strict=True)
  )
