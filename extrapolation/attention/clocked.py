"""Tiles whose bias is more than a table by i - j.

A kernel is evaluated in the tile, at p_i - p_j of a clock; a heat scales the
bias; keys of another document, or far by the clock, are not seen (`pair.py`).
Loops and softmax are those of `tiles.py`, one diagonal of tiles after another.
"""
# ruff: noqa: E741  (l is the field's name)

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from extrapolation.attention import blocks, tiles, toeplitz
from extrapolation.attention.online import absorb, at, pull, written
from extrapolation.attention.pair import Pair, Plan
from extrapolation.attention.precision import FLOOR, dot, wide, width_sum
from extrapolation.attention.terms import Terms

# All heads are in one tile, which is smaller for it (CPU, float32).
BLOCK, LONG_BLOCK = 128, 256


def attend(
  q: Array,
  k: Array,
  v: Array,
  by_query: dict[str, Array],
  by_key: dict[str, Array],
  t: Terms,
  windows: tuple[int, ...],
  start: ArrayLike = 0,
) -> tuple[Array, Array]:
  """o [B, T, H, K] and lse [B, T, H], of the nearest `windows` keys.

  Args:
    q: [B, T, H, K], the tokens from `start` on, of which k and v hold all.
    k, v: [B, S, H, K]; where S > T, tiles divide T.
    by_query, by_key: `Terms.by_token` of the same tokens.
    t: the other terms. A table holds -inf beyond the windows already.
    windows: one per head.
    start: a multiple of T.
  """
  sizes = (BLOCK, LONG_BLOCK) if jax.default_backend() == 'cpu' else None
  plan, tokens, shared, fixed = blocks.prepared(
    q, k, by_query, by_key, t, windows, start, sizes
  )
  return _attend((q, k, v), tokens, shared, fixed, plan)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _attend(
  qkv: tuple[Array, Array, Array],
  tokens: tuple[dict, dict],
  shared: dict,
  fixed: dict,
  plan: Plan,
) -> tuple[Array, Array]:
  return _forward(qkv, tokens, shared, fixed, plan)[0]


def _forward(
  qkv: tuple, tokens: tuple[dict, dict], shared: dict, fixed: dict, plan: Plan
):
  T, H, K = qkv[0].shape[1:]
  scale, dtype = 1 / math.sqrt(K), wide(*jax.tree.leaves((qkv, shared)))

  def one(qkv: tuple, tokens: tuple[dict, dict]):
    q, k, v = qkv
    k = jnp.einsum('nhsk->nhks', k)

    def diagonal(d: ArrayLike, state: tuple, causal: bool = False):
      tile = blocks.table_tile(shared, plan, d, toeplitz.by_query)

      def step(i: ArrayLike, state: tuple):
        j = fixed['first'] + i - d
        pair = Pair(plan, shared, fixed, tokens, (i, j), causal, -1)
        here = tuple(at(x, i) for x in state)

        def seen():
          z = scale * dot('hrk,hks->hrs', at(q, i), at(k, j))
          s = pair.logits(z, pair.bias(H) if tile is None else tile)
          return absorb(here, s, at(v, j))

        return written(state, pair.if_seen(seen, here), i)

      begin = jnp.maximum(d - fixed['first'], 0)
      return lax.fori_loop(begin, len(q), step, state)

    state = tuple(
      jnp.full((len(q), H, plan.block, size), value, dtype)
      for size, value in ((1, FLOOR), (1, 0), (K, 0))
    )
    state = diagonal(0, state, causal=True)
    m, l, acc = lax.fori_loop(1, plan.last, diagonal, state)
    l = jnp.where(l == 0, 1, l)
    return acc / l, m + jnp.log(l)

  def sequence(x: tuple):
    return jax.tree.map(blocks.joined, one(*blocks.split(x, fixed, plan)))

  o, lse = tiles.over(sequence, (qkv, blocks.with_documents(tokens, fixed)))
  o, lse = o[:, :T], lse[:, :T, :, 0]
  return (o, lse), (qkv, tokens, shared, fixed, o, lse)


def _backward(plan: Plan, residuals: tuple, g: tuple[Array, Array]):
  qkv, learned, shared, fixed, o, lse = residuals
  T, H, K = qkv[0].shape[1:]
  scale, dtype = 1 / math.sqrt(K), o.dtype
  g, g_lse = g
  # p and dlse / ds are one: the cotangent of lse joins that of the softmax.
  delta = width_sum(o * g) - g_lse

  def one(qkv: tuple, by_query: tuple, tokens: tuple[dict, dict]):
    q, k, v = qkv
    lse, delta, g = by_query
    lse, delta, kT = (jnp.einsum('nhtk->nhkt', x) for x in (lse, delta, k))

    def diagonal(d: ArrayLike, state: tuple, causal: bool = False):
      tile = blocks.table_tile(shared, plan, d, toeplitz.by_key)

      def step(i: ArrayLike, state: tuple):
        (dq, dk, dv), (d_query, d_key), total = state
        j = fixed['first'] + i - d
        pair = Pair(plan, shared, fixed, tokens, (i, j), causal, -2)
        at_q, at_k = (functools.partial(at, i=n) for n in (i, j))
        grads = at_q(dq), at_k(dk), at_k(dv)

        def seen():
          z = scale * dot('hsk,hrk->hsr', at_k(k), at_q(q))
          b = pair.bias(H) if tile is None else tile
          query = tuple(map(at_q, (q, g, lse, delta)))
          s = pair.logits(z, b)
          new, ds = pull(s, query, (at_k(kT), at_k(v)), grads)
          return new, *pair.pull(ds, b, total)

        none = grads, *pair.nothing(total, dtype)
        new, along, total = pair.if_seen(seen, none)
        grads = *written((dq,), new[:1], i), *written((dk, dv), new[1:], j)
        along = _add(d_query, along[0], i), _add(d_key, along[1], j)
        return grads, along, total

      grads, along, (dparams, du) = state
      dtile = None if tile is None else jnp.zeros_like(tile)
      state = grads, along, (dparams, dtile)
      begin = jnp.maximum(d - fixed['first'], 0)
      state = lax.fori_loop(begin, len(q), step, state)
      grads, along, (dparams, dtile) = state
      if dtile is not None:
        du = tiles.add_along(du, dtile, d, plan.block)
      return grads, along, (dparams, du)

    zeros = functools.partial(jax.tree.map, lambda x: jnp.zeros(x.shape, dtype))
    along = tuple({n: x[n] for n in ('part', 'heat') if n in x} for x in tokens)
    sums = shared.get('params'), shared.get('u')
    operands = jnp.einsum('nhtk->nhkt', q), k, v
    state = zeros(operands), zeros(along), zeros(sums)
    state = diagonal(0, state, causal=True)
    state = lax.fori_loop(1, plan.last, diagonal, state)
    (dq, dk, dv), along, sums = state
    dq = jnp.einsum('nhkt->nhtk', dq)
    return (scale * dq, scale * dk, dv), along, sums

  def sequence(x: tuple):
    grads, along, sums = one(*blocks.split(x, fixed, plan))
    # A whole number of a clock has the cotangent of what is added to it.
    along = tuple(
      x | dict(whole=x['part']) if 'part' in x else x for x in along
    )
    return *jax.tree.map(blocks.joined, (grads, along)), sums

  # Rows that are padded weigh nothing, however large the bias.
  lse = jnp.pad(
    lse, ((0, 0), (0, -T % plan.block), (0, 0)), constant_values=-FLOOR
  )
  by_query = lse[..., None], delta[..., None], g.astype(qkv[2].dtype)
  grads, along, (dparams, du) = tiles.over(
    sequence, (qkv, by_query, blocks.with_documents(learned, fixed))
  )
  dshared = dict(params=dparams) if du is None else dict(u=du)
  dshared = jax.tree.map(lambda x: x.sum(0), dshared)
  grads, along = jax.tree.map(
    lambda d, x: d[:, : x.shape[1]], (grads, along), (qkv, learned)
  )
  new, given = (grads, along, dshared), (qkv, learned, shared)
  return *jax.tree.map(lambda d, x: d.astype(x.dtype), new, given), None


_attend.defvjp(_forward, _backward)


def _add(state: dict, new: dict, i: ArrayLike) -> dict:
  """state with x[i] larger by what is new."""
  names = list(new)
  sums = tuple(at(state[n], i) + new[n] for n in names)
  kept = written(tuple(state[n] for n in names), sums, i)
  return state | dict(zip(names, kept, strict=True))
