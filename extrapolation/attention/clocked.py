"""Tiles whose bias is more than a table by i - j.

The bias of a tile is evaluated in it, at p_i - p_j of a clock; a heat scales
it; what another document or a far position holds is not seen. Loops and
softmax are those of `tiles.py`: one diagonal of tiles after another, and the
table, where there is no clock, once per diagonal.
"""
# ruff: noqa: E741  (l is the field's name)

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from extrapolation.attention import kernel, tiles, toeplitz
from extrapolation.attention.kernel import Kernel
from extrapolation.attention.online import absorb, at, pull, put
from extrapolation.attention.pair import Pair, Plan
from extrapolation.attention.precision import FLOOR, dot, wide, width_sum
from extrapolation.attention.terms import Terms

# All heads are in one tile, which is smaller for it (CPU, float32).
BLOCK = 256


def attend(
  q: Array, k: Array, v: Array, t: Terms, windows: tuple[int, ...]
) -> tuple[Array, Array]:
  """o [B, T, H, K] and lse [B, T, H], of the nearest `windows` keys.

  A table holds -inf beyond the windows already.
  """
  B, T, H, _ = q.shape
  is_kernel = isinstance(t.bias, Kernel)
  block = tiles.block_size(B, H, T, max(windows))
  if is_kernel and jax.default_backend() == 'cpu':
    block = min(block, BLOCK)
  learned = t.by_token()
  fixed = dict(
    documents=learned.pop('documents', None), clock_window=t.clock_window
  )
  if is_kernel:
    learned['params'] = t.bias.params
  else:
    pad = ((0, 0), (block - 1, -T % block))
    learned['u'] = jnp.pad(t.bias, pad, constant_values=-jnp.inf)
  plan = Plan(
    bias=t.bias.bias if is_kernel else None,
    at_once=is_kernel and kernel.broadcasts(t.bias.bias, t.bias.params, H),
    windows=windows if min(windows) < T else None,
    block=block,
    last=min(-(-T // block), (max(windows) + block - 2) // block + 1),
  )
  return _attend(q, k, v, learned, fixed, plan)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _attend(
  q: Array, k: Array, v: Array, learned: dict, fixed: dict, plan: Plan
) -> tuple[Array, Array]:
  return _forward(q, k, v, learned, fixed, plan)[0]


def _forward(
  q: Array, k: Array, v: Array, learned: dict, fixed: dict, plan: Plan
):
  scale = 1 / math.sqrt(q.shape[3])
  dtype = wide(q, *jax.tree.leaves(learned))

  def one(q: Array, k: Array, v: Array, tokens: dict):
    k = jnp.einsum('nhsk->nhks', k)
    N, H = q.shape[:2]

    def diagonal(d: ArrayLike, state: tuple, causal: bool = False):
      tile = _table(learned, plan, d, toeplitz.by_query)

      def step(i: ArrayLike, state: tuple):
        pair = Pair(plan, learned, fixed, tokens, (i, i - d), causal, -1)
        here = tuple(at(x, i) for x in state)

        def seen():
          z = scale * dot('hrk,hks->hrs', at(q, i), at(k, i - d))
          s = pair.logits(z, pair.bias(H) if tile is None else tile)
          return absorb(here, s, at(v, i - d))

        return put(state, pair.if_seen(seen, here), i)

      return lax.fori_loop(d, N, step, state)

    state = tuple(
      jnp.full((N, H, plan.block, size), value, dtype)
      for size, value in ((1, FLOOR), (1, 0), (v.shape[3], 0))
    )
    state = diagonal(0, state, causal=True)
    m, l, acc = lax.fori_loop(1, plan.last, diagonal, state)
    l = jnp.where(l == 0, 1, l)
    return acc / l, m + jnp.log(l)

  def sequence(x: tuple):
    return tuple(_by_token(y) for y in one(*_blocks(x, plan.block)))

  o, lse = tiles.over(sequence, (q, k, v, _tokens(learned, fixed)))
  o, lse = o[:, : q.shape[1]], lse[:, : q.shape[1], :, 0]
  return (o, lse), (q, k, v, learned, fixed, o, lse)


def _backward(plan: Plan, residuals: tuple, g: tuple[Array, Array]):
  q, k, v, learned, fixed, o, lse = residuals
  scale = 1 / math.sqrt(q.shape[3])
  g, g_lse = g
  # p and dlse / ds are one: the cotangent of lse joins that of the softmax.
  delta = width_sum(o * g) - g_lse
  dtype = o.dtype

  def one(q, k, v, lse, delta, g, tokens):
    lse, delta, kT = (jnp.einsum('nhtk->nhkt', x) for x in (lse, delta, k))
    N, H = q.shape[:2]

    def diagonal(d: ArrayLike, state: tuple, causal: bool = False):
      tile = _table(learned, plan, d, toeplitz.by_key)

      def step(i: ArrayLike, state: tuple):
        (dq, dk, dv), dtokens, total = state
        pair = Pair(plan, learned, fixed, tokens, (i, i - d), causal, -2)
        at_q, at_k = (functools.partial(at, i=n) for n in (i, i - d))
        grads = at_q(dq), at_k(dk), at_k(dv)

        def seen():
          z = scale * dot('hsk,hrk->hsr', at_k(k), at_q(q))
          b = pair.bias(H) if tile is None else tile
          query = tuple(map(at_q, (q, g, lse, delta)))
          new, ds = pull(pair.logits(z, b), query, (at_k(kT), at_k(v)), grads)
          return new, *pair.pull(ds, b, total)

        none = grads, *pair.nothing(total, dtype)
        new, along, total = pair.if_seen(seen, none)
        dk, dv = put((dk, dv), new[1:], i - d)
        dtokens = _add(_add(dtokens, along[0], i), along[1], i - d)
        return (*put((dq,), new[:1], i), dk, dv), dtokens, total

      grads, dtokens, (dparams, du) = state
      dtile = None if tile is None else jnp.zeros_like(tile)
      state = grads, dtokens, (dparams, dtile)
      state = lax.fori_loop(d, N, step, state)
      grads, dtokens, (dparams, dtile) = state
      if dtile is not None:
        du = tiles.add_along(du, dtile, d, plan.block)
      return grads, dtokens, (dparams, du)

    zeros = functools.partial(jax.tree.map, lambda x: jnp.zeros(x.shape, dtype))
    dtokens = {n: tokens[n] for n in ('part', 'heat') if n in tokens}
    sums = learned.get('params'), learned.get('u')
    state = zeros((kT, k, v)), zeros(dtokens), zeros(sums)
    state = diagonal(0, state, causal=True)
    state = lax.fori_loop(1, plan.last, diagonal, state)
    (dq, dk, dv), dtokens, sums = state
    dq = jnp.einsum('nhkt->nhtk', dq)
    return (scale * dq, scale * dk, dv), dtokens, sums

  def sequence(x: tuple):
    grads, dtokens, sums = one(*_blocks(x, plan.block))
    return *jax.tree.map(_by_token, (grads, dtokens)), sums

  # Rows that are padded weigh nothing, however large the bias.
  T = q.shape[1]
  lse = jnp.pad(
    lse, ((0, 0), (0, -T % plan.block), (0, 0)), constant_values=-FLOOR
  )
  operands = q, k, v, lse[..., None], delta[..., None], g.astype(v.dtype)
  operands = *operands, _tokens(learned, fixed)
  grads, dtokens, sums = tiles.over(sequence, operands)
  grads, dtokens = jax.tree.map(lambda x: x[:, :T], (grads, dtokens))
  dparams, du = jax.tree.map(lambda x: x.sum(0), sums)
  dlearned = dict(dtokens)
  if 'part' in dtokens:
    dlearned |= dict(whole=dtokens['part'], params=dparams)
  if du is not None:
    dlearned['u'] = du
  dlearned = jax.tree.map(lambda d, x: d.astype(x.dtype), dlearned, learned)
  return *(x.astype(q.dtype) for x in grads), dlearned, None


_attend.defvjp(_forward, _backward)


def _table(
  learned: dict, plan: Plan, d: ArrayLike, layout: Callable
) -> Array | None:
  """The tile of a table that a diagonal shares; None of a kernel."""
  if plan.bias is not None:
    return None
  return layout(tiles.around(learned['u'], d, plan.block), plan.block)


def _add(state: dict, new: dict, i: ArrayLike) -> dict:
  """state with x[i] larger by what is new."""
  names = list(new)
  sums = tuple(at(state[n], i) + new[n] for n in names)
  kept = put(tuple(state[n] for n in names), sums, i)
  return state | dict(zip(names, kept, strict=True))


def _tokens(learned: dict, fixed: dict) -> dict[str, Array]:
  """All that has a value per token, [B, T, h]."""
  found = {n: learned[n] for n in ('whole', 'part', 'heat') if n in learned}
  if fixed['documents'] is not None:
    found['documents'] = fixed['documents']
  return found


def _blocks(tree: Any, block: int) -> Any:
  """[T, h, ...] -> [N, h, block, ...]. Padding repeats the last token.

  So that clocks do not decrease there and a heat is positive.
  """

  def blocks(x: Array):
    pad = ((0, -len(x) % block), *[(0, 0)] * (x.ndim - 1))
    x = jnp.pad(x, pad, mode='edge')
    return jnp.moveaxis(x.reshape(-1, block, *x.shape[1:]), 2, 1)

  return jax.tree.map(blocks, tree)


def _by_token(x: Array) -> Array:
  """[N, h, block, ...] -> [N block, h, ...]."""
  x = jnp.moveaxis(x, 1, 2)
  return x.reshape(-1, *x.shape[2:])
