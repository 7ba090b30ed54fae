"""Attention of the last queries of a text, with its probabilities at hand."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.attention import toeplitz

BLOCK, MOST = 256, 32  # queries at once; blocks a text is cut into


def probabilities(
  q: Float[Array, 'B R H K'],
  k: Float[Array, 'B S H K'],
  table: Float[Array, 'H n'],
) -> Float[Array, 'B H R S']:
  """p of `attention.reference` for the last R queries of S keys, n >= S."""
  R, S = q.shape[1], k.shape[1]
  wide = jnp.result_type(q.dtype, table.dtype, jnp.float32)
  # The padding is where causality enters: a negative distance weighs nothing.
  u = jnp.pad(
    table[:, :S].astype(wide), ((0, 0), (R - 1, 0)), constant_values=-jnp.inf
  )
  logits = jnp.einsum('bthk,bshk->bhts', q, k, preferred_element_type=wide)
  logits = logits / math.sqrt(q.shape[3]) + toeplitz.by_query(u, R)
  return jax.nn.softmax(logits, axis=-1)


def blocks(R: int, S: int):
  """(first, last) of runs of the last R queries of a text of S."""
  size = max(BLOCK, -(-R // MOST))
  for lo in range(0, R, size):
    hi = min(lo + size, R)
    yield S - R + lo, S - R + hi


def attend(q, k, v, table) -> Float[Array, 'B R H K']:
  """The output for the last R queries [B, R, H, K] of S keys."""
  R, S = q.shape[1], k.shape[1]
  out = []
  for lo, hi in blocks(R, S):
    p = probabilities(q[:, lo - S + R : hi - S + R], k[:, :hi], table)
    out.append(jnp.einsum('bhts,bshk->bthk', p.astype(v.dtype), v[:, :hi]))
  return jnp.concatenate(out, axis=1)


def pull(r, q, k, table) -> Float[Array, 'B S']:
  """r A for a row r [B, S], A the probabilities of all S queries, head mean."""
  S = k.shape[1]
  out = jnp.zeros_like(r)
  for lo, hi in blocks(S, S):
    p = probabilities(q[:, lo:hi], k[:, :hi], table)
    out = out.at[:, :hi].add(jnp.einsum('bt,bhts->bs', r[:, lo:hi], p))
  return out / q.shape[2]
