"""Attention for long sequences: square tiles, one diagonal after another."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from extrapolation.attention import toeplitz

BLOCK = 256
FLOOR = -1e30  # a finite maximum for rows that see no key: exp gives 0, no NaN


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def attend(q, k, v, table, windows: tuple[int, ...], block: int):
  """o [B, T, H, K] in float32 or wider; `table` [H, T] is masked already.

  `windows` is non-increasing over the heads. Memory is that of the operands:
  the tile of bias is made once a diagonal and serves every pair of blocks on
  it, and what the diagonal adds goes into the state of all queries.
  """
  return _forward(q, k, v, table, windows, block)[0]


def _forward(q, k, v, table, windows, block):
  T, H, K = q.shape[1:]
  N = -(-T // block)
  u = _extended(table, N, block)

  def one(qkv):
    q, k, v = (_blocks(x, block) for x in qkv)
    q = q * K**-0.5
    k = jnp.einsum('nhsk->nhks', k)

    def diagonal(offset, state, heads):
      tile = toeplitz.by_query(_around(u[:heads], offset, block), block)

      def step(i, state):
        j = i - offset
        m, total, acc = (_at(x, i, heads) for x in state)
        s = jnp.einsum('hrk,hks->hrs', _at(q, i, heads), _at(k, j, heads))
        s += tile
        top = jnp.maximum(m, jnp.max(s, -1, keepdims=True))
        p = jnp.exp(s - top)
        shrink = jnp.exp(m - top)
        total = total * shrink + jnp.sum(p, -1, keepdims=True)
        add = jnp.einsum('hrs,hsk->hrk', p, _at(v, j, heads))
        new = top, total, acc * shrink + add
        return tuple(_put(x, y, i) for x, y in zip(state, new, strict=True))

      return lax.fori_loop(offset, N, step, state)

    state = (
      jnp.full((N, H, block, 1), FLOOR, q.dtype),
      jnp.zeros((N, H, block, 1), q.dtype),
      jnp.zeros((N, H, block, K), q.dtype),
    )
    m, total, acc = _over_diagonals(diagonal, state, windows, N, block)
    total = jnp.where(total == 0, 1, total)
    return _tokens(acc / total, T), _tokens(m + jnp.log(total), T)[..., 0]

  o, lse = lax.map(one, (q, k, v))
  return o, (q, k, v, table, o, lse)


def _backward(windows, block, residuals, g):
  q, k, v, table, o, lse = residuals
  T, K = q.shape[1], q.shape[3]
  N = -(-T // block)
  u = _extended(table, N, block)

  def one(args):
    q, k, v, o, lse, g = args
    delta = _blocks(jnp.sum(o * g, -1, keepdims=True), block)
    delta = jnp.einsum('nhrk->nhkr', delta)
    lse = jnp.einsum('nhrk->nhkr', _blocks(lse[..., None], block))
    q, k, v, g = (_blocks(x, block) for x in (q * K**-0.5, k, v, g))
    qT, kT, gT = (jnp.einsum('nhtk->nhkt', x) for x in (q, k, g))

    # Keys are the rows here: with P^T and dS^T at hand no product below needs
    # a transposed operand of the size of the scores.
    def diagonal(offset, state, heads):
      tile = toeplitz.by_key(_around(u[:heads], offset, block), block)
      *state, du = state

      def step(i, state):
        j = i - offset
        at_q, at_k = (functools.partial(_at, i=x, heads=heads) for x in (i, j))
        dq, dk, dv, dtile = state
        s = jnp.einsum('hsk,hkr->hsr', at_k(k), at_q(qT)) + tile
        p = jnp.exp(s - at_q(lse))
        dp = jnp.einsum('hsk,hkr->hsr', at_k(v), at_q(gT))
        ds = p * (dp - at_q(delta))
        dv_j = at_k(dv) + jnp.einsum('hsr,hrk->hsk', p, at_q(g))
        dk_j = at_k(dk) + jnp.einsum('hsr,hrk->hsk', ds, at_q(q))
        dq_i = at_q(dq) + jnp.einsum('hks,hsr->hkr', at_k(kT), ds)
        return (
          _put(dq, dq_i, i),
          _put(dk, dk_j, j),
          _put(dv, dv_j, j),
          dtile + ds,
        )

      state = (*state, jnp.zeros_like(tile))
      *state, dtile = lax.fori_loop(offset, N, step, state)
      at = (0, offset * block)
      along = toeplitz.unskew(dtile)
      along += lax.dynamic_slice(du, at, along.shape)
      return *state, lax.dynamic_update_slice(du, along, at)

    state = (*(jnp.zeros_like(x) for x in (qT, k, v)), jnp.zeros_like(u))
    dq, dk, dv, du = _over_diagonals(diagonal, state, windows, N, block)
    dq = jnp.einsum('nhkt->nhtk', dq) * K**-0.5
    return *(_tokens(x, T) for x in (dq, dk, dv)), du

  dq, dk, dv, du = lax.map(one, (q, k, v, o, lse, g))
  return dq, dk, dv, du.sum(0)[:, block - 1 : block - 1 + T]


attend.defvjp(_forward, _backward)


def _over_diagonals(diagonal, state, windows, N, block):
  """`diagonal(offset, state, heads)` for every diagonal that a head can see.

  Diagonal `offset` holds distances (offset - 1) * block + 1 and up. Heads with
  the shortest windows drop out first; they are the last ones.
  """
  last = [min(N, (w + block - 2) // block + 1) for w in windows]
  begin = 0
  for end in sorted(set(last)):
    heads = sum(x >= end for x in last)
    state = lax.fori_loop(
      begin, end, functools.partial(diagonal, heads=heads), state
    )
    begin = end
  return state


def _extended(table, N, block):
  """Values by distance from 1 - block on, up to the end of the last tile.

  The padding is where causality enters: a negative distance weighs nothing.
  """
  T = table.shape[1]
  pad = ((0, 0), (block - 1, N * block - T))
  return jnp.pad(table, pad, constant_values=-jnp.inf)


def _around(u, offset, block):
  return lax.dynamic_slice_in_dim(u, offset * block, 2 * block - 1, 1)


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


def _put(x, y, i):
  return lax.dynamic_update_slice(x, y[None], (i, 0, 0, 0))
