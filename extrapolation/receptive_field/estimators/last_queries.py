"""Attention of the last queries of a text, with its probabilities at hand."""

import math
from collections.abc import Iterator

import jax.numpy as jnp
from jaxtyping import Array, Float

from extrapolation.attention import toeplitz

BLOCK, MOST = 256, 32  # queries at once; blocks a text is cut into


def probabilities(
  q: Float[Array, 'B R H K'],
  k: Float[Array, 'B S H K'],
  bias: Float[Array, 'H n'],
) -> Float[Array, 'B H R S']:
  """p of `attention.reference` for the last R queries of S keys, n >= S."""
  e, total = weights(q, k, bias)
  return e / total


def weights(
  q: Float[Array, 'B R H K'],
  k: Float[Array, 'B S H K'],
  bias: Float[Array, 'H n'],
) -> tuple[Float[Array, 'B H R S'], Float[Array, 'B H R 1']]:
  """Numerators and denominators of `probabilities`.

  The largest numerator of a query is 1.
  """
  R, S = q.shape[1], k.shape[1]
  wide = jnp.result_type(q.dtype, bias.dtype, jnp.float32)
  # The padding is where causality enters: a negative distance weighs nothing.
  u = jnp.pad(
    bias[:, :S].astype(wide), ((0, 0), (R - 1, 0)), constant_values=-jnp.inf
  )
  logits = jnp.einsum('bthk,bshk->bhts', q, k, preferred_element_type=wide)
  logits = logits / math.sqrt(q.shape[3]) + toeplitz.by_query(u, R)
  e = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
  return e, jnp.sum(e, axis=-1, keepdims=True)


def oscillation(
  q: Float[Array, 'B R H K'], k: Float[Array, 'B S H K']
) -> Float[Array, 'B H']:
  """The most that two logits of one of the last R queries of S keys differ."""
  R, S = q.shape[1], k.shape[1]
  z = jnp.einsum('bthk,bshk->bhts', q, k) / math.sqrt(q.shape[3])
  seen = jnp.arange(S) <= jnp.arange(S - R, S)[:, None]
  top = jnp.max(z, -1, initial=-jnp.inf, where=seen)
  return (top - jnp.min(z, -1, initial=jnp.inf, where=seen)).max(-1)


def blocks(R: int, S: int) -> Iterator[tuple[int, int]]:
  """[first, last) of blocks of the last R queries of a text of S."""
  size = max(BLOCK, -(-R // MOST))
  for lo in range(0, R, size):
    hi = min(lo + size, R)
    yield S - R + lo, S - R + hi


def attend(
  q: Float[Array, 'B R H K'],
  k: Float[Array, 'B S H K'],
  v: Float[Array, 'B S H K'],
  bias: Float[Array, 'H n'],
) -> Float[Array, 'B R H K']:
  """The output for the last R queries of S keys."""
  R, S = q.shape[1], k.shape[1]
  out = []
  for lo, hi in blocks(R, S):
    e, total = weights(q[:, lo - S + R : hi - S + R], k[:, :hi], bias)
    o = jnp.einsum('bhts,bshk->bhtk', e.astype(v.dtype), v[:, :hi]) / total
    out.append(jnp.einsum('bhtk->bthk', o).astype(v.dtype))
  return jnp.concatenate(out, axis=1)


def row_times(
  r: Float[Array, 'B S'],
  q: Float[Array, 'B S H K'],
  k: Float[Array, 'B S H K'],
  bias: Float[Array, 'H n'],
) -> Float[Array, 'B S']:
  """The row r times A, the probabilities of all queries, mean over heads."""
  S = k.shape[1]
  out = jnp.zeros_like(r)
  for lo, hi in blocks(S, S):
    e, total = weights(q[:, lo:hi], k[:, :hi], bias)
    share = r[:, None, lo:hi, None] / total
    out = out.at[:, :hi].add(jnp.einsum('bhto,bhts->bs', share, e))
  return out / q.shape[2]
