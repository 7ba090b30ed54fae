"""Tiles whose logits a score makes, of all heads at once.

Loops and softmax are those of `tiles.py`, one diagonal of tiles after another:
for each query from the newest key leftwards, so that a sum of steps over the
keys passed is one number per row. Backwards the diagonals come in the other
order, and each takes from that number what it had added.
"""
# ruff: noqa: E741  (l is the field's name)

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from extrapolation.attention import blocks, scored_pair, tiles, toeplitz
from extrapolation.attention.online import absorb, at
from extrapolation.attention.pair import Plan
from extrapolation.attention.precision import FLOOR, dot, wide, width_sum
from extrapolation.attention.scored_pair import ScoredPair
from extrapolation.attention.terms import Terms

# Of blocks, of queries that see few and many keys. A score may need dozens of
# numbers for each query and key: less than for a bias alone fits anywhere.
SIZES_CPU, SIZES = (64, 128), (256, 512)


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
  """As `clocked.attend`, of logits that a score makes.

  The table of a bias has all its values: other heads may read what one head
  does not see. lse of heads without softmax is 0.
  """
  assert t.scored is not None
  sizes = SIZES_CPU if jax.default_backend() == 'cpu' else SIZES
  plan, tokens, shared, fixed = blocks.prepared(
    q, k, by_query, by_key, t, windows, start, sizes
  )
  plan = plan.with_score(t.scored.score)
  shared['score'] = t.scored.params
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
  assert plan.score is not None
  walks, softmax = plan.score.step is not None, _softmax(plan, H)

  def one(qkv: tuple, tokens: tuple[dict, dict]):
    q, k, v = qkv

    def diagonal(d: ArrayLike, state: tuple):
      table = blocks.table_tile(shared, plan, d, toeplitz.by_query)

      def step(i: ArrayLike, state: tuple):
        j = fixed['first'] + i - d
        pair = ScoredPair(plan, shared, fixed, tokens, (i, j), True, -1)
        here = _at(state, i)

        def seen():
          sums, carry = here
          z = scale * dot('hrk,hsk->hrs', at(q, i), at(k, j))
          x = pair.operands(z.astype(dtype), at(q, i), table, shared['score'])
          passed = None
          if walks:
            inside = pair.steps(x)
            passed = (carry[0] + carry[1]) + inside
            carry = scored_pair.add(carry, inside[..., :1])
          s = pair.scores(x, passed)
          return absorb(sums, s, at(v, j), softmax), carry

        return _written(state, pair.if_seen(seen, here), i)

      begin = jnp.maximum(d - fixed['first'], 0)
      return lax.fori_loop(begin, len(q), step, state)

    row = functools.partial(jnp.full, (len(q), H, plan.block, 1), dtype=dtype)
    sums = row(FLOOR), row(0), jnp.zeros((len(q), H, plan.block, K), dtype)
    state = sums, (row(0), row(0)) if walks else None
    (m, l, acc), carry = lax.fori_loop(0, plan.last, diagonal, state)
    l = jnp.where(softmax & (l != 0), l, 1)
    return (acc / l, jnp.where(softmax, m + jnp.log(l), 0)), carry

  def sequence(x: tuple):
    out, carry = one(*blocks.split(x, fixed, plan))
    return jax.tree.map(blocks.joined, out), carry

  (o, lse), carry = tiles.over(
    sequence, (qkv, blocks.with_documents(tokens, fixed))
  )
  o, lse = o[:, :T], lse[:, :T, :, 0]
  return (o, lse), (qkv, tokens, shared, fixed, o, lse, carry)


def _backward(plan: Plan, residuals: tuple, g: tuple[Array, Array]):
  qkv, learned, shared, fixed, o, lse, carry = residuals
  T, H, K = qkv[0].shape[1:]
  scale, dtype = 1 / math.sqrt(K), o.dtype
  g, g_lse = g
  # p and dlse / ds are one: the cotangent of lse joins that of the softmax.
  # Where there is none a weight is exp(s - 0), and no sum to change.
  delta = jnp.where(_softmax(plan, H)[:, 0, 0], width_sum(o * g) - g_lse, 0)

  def one(carry: Any, qkv: tuple, by_query: tuple, tokens: tuple[dict, dict]):
    q, k, v = qkv

    def diagonal(d: ArrayLike, state: tuple):
      table = blocks.table_tile(shared, plan, d, toeplitz.by_query)

      def step(i: ArrayLike, state: tuple):
        rows, keys, sums = state
        j = fixed['first'] + i - d
        pair = ScoredPair(plan, shared, fixed, tokens, (i, j), True, -1)
        here = _at(rows, i), _at(keys, j), sums

        def seen():
          row, key, (total, dscore) = here
          (q_i, k_j, v_j), (lse, delta, g) = (
            (at(q, i), at(k, j), at(v, j)), _at(by_query, i)
          )  # fmt: skip
          dv = []

          def weigh(s: Array) -> Array:
            p = jnp.exp(s - lse)
            dv.append(dot('hrs,hrk->hsk', p.astype(v.dtype), g))
            return p * (dot('hrk,hsk->hrs', g, v_j) - delta)

          z = scale * dot('hrk,hsk->hrs', q_i, k_j)
          x = pair.operands(z.astype(dtype), q_i, table, shared['score'])
          dx, carry, dcarry = scored_pair.step_backward(
            pair, x, row['carry'], row['dcarry'], weigh
          )
          dz = scale * dx['z'].astype(q.dtype)
          along, total = pair.pull_operands(dx, total)
          more = dict(q=dot('hrs,hsk->hrk', dz, k_j) + dx['q'])
          row = _plus(row, more | along[0])
          row |= dict(carry=carry, dcarry=dcarry)
          more = dict(k=dot('hrs,hrk->hsk', dz, q_i), v=dv[0])
          dscore = jax.tree.map(jnp.add, dscore, dx['params'])
          return row, _plus(key, more | along[1]), (total, dscore)

        rows_i, keys_j, sums = pair.if_seen(seen, here)
        return _written(rows, rows_i, i), _written(keys, keys_j, j), sums

      rows, keys, ((dparams, du), dscore) = state
      dtile = None if table is None else jnp.zeros_like(table)
      begin = jnp.maximum(d - fixed['first'], 0)
      rows, keys, ((dparams, dtile), dscore) = lax.fori_loop(
        begin, len(q), step, (rows, keys, ((dparams, dtile), dscore))
      )
      if dtile is not None:
        dtile = jnp.swapaxes(dtile, 1, 2)
        du = tiles.add_along(du, dtile, d, plan.block)
      return rows, keys, ((dparams, du), dscore)

    zeros = functools.partial(jax.tree.map, lambda x: jnp.zeros(x.shape, dtype))
    names = ('part', 'heat', 'position'), ('part',)
    rows, keys = (
      {n: x[n] for n in kept if n in x}
      for x, kept in zip(tokens, names, strict=True)
    )
    rows = zeros(rows | dict(q=q)) | dict(carry=carry, dcarry=None)
    if carry is not None:
      rows['dcarry'] = jnp.zeros_like(carry[0])
    sums = (shared.get('params'), shared.get('u')), shared['score']
    state = rows, zeros(keys | dict(k=k, v=v)), zeros(sums)
    rows, keys, sums = lax.fori_loop(
      0, plan.last, lambda n, x: diagonal(plan.last - 1 - n, x), state
    )
    return {n: rows[n] for n in rows if 'carry' not in n}, keys, sums

  def sequence(x: tuple):
    carry, x = x
    rows, keys, sums = one(carry, *blocks.split(x, fixed, plan))
    rows, keys = jax.tree.map(blocks.joined, (rows, keys))
    grads = rows.pop('q'), keys.pop('k'), keys.pop('v')
    # A whole number of a clock has the cotangent of what is added to it.
    along = tuple(
      x | dict(whole=x['part']) if 'part' in x else x for x in (rows, keys)
    )
    return grads, along, sums

  # Rows that are padded weigh nothing, however large the bias.
  lse = jnp.pad(
    lse, ((0, 0), (0, -T % plan.block), (0, 0)), constant_values=-FLOOR
  )
  by_query = lse[..., None], delta[..., None], g.astype(qkv[2].dtype)
  operands = qkv, by_query, blocks.with_documents(learned, fixed)
  grads, along, ((dparams, du), dscore) = tiles.over(
    sequence, (carry, operands)
  )
  dshared = dict(params=dparams) if du is None else dict(u=du)
  dshared = jax.tree.map(lambda x: x.sum(0), dshared | dict(score=dscore))
  # What only a query has is in the arrays by key too.
  along = tuple(
    {n: d.get(n, jnp.zeros_like(y)) for n, y in x.items()}
    for d, x in zip(along, learned, strict=True)
  )
  grads, along = jax.tree.map(
    lambda d, x: d[:, : x.shape[1]], (grads, along), (qkv, learned)
  )
  new, given = (grads, along, dshared), (qkv, learned, shared)
  return *jax.tree.map(lambda d, x: d.astype(x.dtype), new, given), None


_attend.defvjp(_forward, _backward)


def _softmax(plan: Plan, H: int) -> np.ndarray:
  """Whether the weights of a head are divided by their sum, [H, 1, 1]."""
  assert plan.score is not None
  return np.broadcast_to(np.asarray(plan.score.softmax), (H,))[:, None, None]


def _at(tree: Any, i: ArrayLike) -> Any:
  return jax.tree.map(lambda x: at(x, i), tree)


def _written(tree: Any, new: Any, i: ArrayLike) -> Any:
  return jax.tree.map(
    lambda x, y: lax.dynamic_update_index_in_dim(x, y, i, 0), tree, new
  )


def _plus(tree: dict, more: dict) -> dict:
  """The arrays of `tree`, those that `more` has larger by it."""
  return tree | {n: tree[n] + x for n, x in more.items()}
