"""Attention for short sequences: whole rows of a causal block at once."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from extrapolation.attention import toeplitz
from extrapolation.attention.precision import FLOOR, dot, width_sum

BLOCK = 128
CACHE = 1 << 19  # scores that stay in cache while a block is worked on


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def attend(q: Array, k: Array, v: Array, table: Array, window: int):
  """o [B, T, H, K] in float32 or wider; `table` [H, T] is masked already."""
  return _forward(q, k, v, table, window)[0]


def _forward(q: Array, k: Array, v: Array, table: Array, window: int):
  T, H, K = q.shape[1:]
  scale = 1 / math.sqrt(K)
  block, last, u = _geometry(T, table)
  # One tile of distances last + r - s serves every block of queries.
  tile = toeplitz.stored(jnp.flip(u, -1), block)  # as by_query

  def group(q: Array, k: Array, v: Array):
    q = jnp.einsum('bthk->bhtk', q)
    k = jnp.einsum('bthk->bhtk', k)
    v = jnp.einsum('bthk->bhtk', v)
    o, lse = [], []
    for lo in range(0, T, block):
      hi = min(lo + block, T)
      first = max(0, lo - window + 1) // block * block
      s = scale * dot('bhrk,bhsk->bhrs', q[:, :, lo:hi], k[:, :, first:hi])
      s += tile[:, : hi - lo, last - lo + first : last - lo + hi]
      m = jnp.maximum(jnp.max(s, -1, keepdims=True), FLOOR)
      p = jnp.exp(s - m)
      total = jnp.sum(p, -1, keepdims=True)
      p = p.astype(v.dtype)
      total = jnp.where(total == 0, 1, total)
      o.append(dot('bhrs,bhsk->bhrk', p, v[:, :, first:hi]) / total)
      lse.append((m + jnp.log(total))[..., 0])
    o = jnp.einsum('bhtk->bthk', jnp.concatenate(o, axis=2))
    return o, jnp.concatenate(lse, axis=2)

  o, lse = _over_batch(group, H * block * T, q, k, v)
  return o, (q, k, v, table, o, lse)


def _backward(window: int, residuals: tuple, g: Array):
  q, k, v, table, o, lse = residuals
  T, H, K = q.shape[1:]
  scale = 1 / math.sqrt(K)
  block, _, u = _geometry(T, table)
  # Keys are the rows here: with P^T and dS^T at hand no product below needs
  # a transposed operand of the size of the scores.
  tile = toeplitz.stored(u, block)  # as by_key

  def group(q: Array, k: Array, v: Array, o: Array, lse: Array, g: Array):
    delta = jnp.einsum('bth->bht', width_sum(o * g))[:, :, None]
    lse = lse[:, :, None]
    g = g.astype(v.dtype)
    kT = jnp.einsum('bthk->bhkt', k)
    q, k, v, g = (jnp.einsum('bthk->bhtk', x) for x in (q, k, v, g))
    dq, dk, dv = jnp.zeros(kT.shape, u.dtype), [], []
    du = jnp.zeros_like(u)
    for lo in range(0, T, block):
      hi = min(lo + block, T)
      end = min(T, -(-(hi + window - 1) // block) * block)
      s = scale * dot('bhsk,bhrk->bhsr', k[:, :, lo:hi], q[:, :, lo:end])
      s += tile[:, : hi - lo, : end - lo]
      p = jnp.exp(s - lse[..., lo:end])
      dp = dot('bhsk,bhrk->bhsr', v[:, :, lo:hi], g[:, :, lo:end])
      ds = p * (dp - delta[..., lo:end])
      p, low = p.astype(v.dtype), ds.astype(q.dtype)
      dv.append(dot('bhsr,bhrk->bhsk', p, g[:, :, lo:end]))
      dk.append(dot('bhsr,bhrk->bhsk', low, q[:, :, lo:end]))
      dq = dq.at[..., lo:end].add(dot('bhks,bhsr->bhkr', kT[..., lo:hi], low))
      along = toeplitz.unskew(_sum(ds))
      start = block - (hi - lo)
      du = du.at[:, start : start + along.shape[-1]].add(along)
    dq = scale * jnp.einsum('bhkt->bthk', dq)
    dk = scale * jnp.einsum('bhtk->bthk', jnp.concatenate(dk, axis=2))
    dv = jnp.einsum('bhtk->bthk', jnp.concatenate(dv, axis=2))
    return dq, dk, dv, du[None]

  dq, dk, dv, du = _over_batch(group, H * block * T, q, k, v, o, lse, g)
  dq, dk, dv = (x.astype(q.dtype) for x in (dq, dk, dv))
  return dq, dk, dv, du.sum(0)[:, block - 1 : block - 1 + T]


attend.defvjp(_forward, _backward)


def _geometry(T: int, table: Array):
  """Block size, first row of the last block, values by distance from 1 - block.

  The padding is where causality enters: a negative distance weighs nothing.
  """
  block = min(BLOCK, T)
  end = -(-T // block) * block
  u = jnp.pad(table, ((0, 0), (block - 1, end - T)), constant_values=-jnp.inf)
  return block, end - block, u


def _sum(x: Array):
  """Over the leading axis; a few by hand, XLA's reduction is 4 x slower."""
  return sum(x[i] for i in range(len(x))) if len(x) <= 16 else x.sum(0)


def _over_batch(f: Callable, scores: int, *arrays: Array):
  """f over groups of sequences, as many as fit in cache at `scores` each."""
  B = arrays[0].shape[0]
  room = max(1, CACHE // scores) if jax.default_backend() == 'cpu' else B
  group = max(n for n in range(1, B + 1) if B % n == 0 and n <= room)
  if group == B:
    return f(*arrays)
  split = [a.reshape(B // group, group, *a.shape[1:]) for a in arrays]
  out = lax.map(lambda a: f(*a), tuple(split))
  return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), out)
