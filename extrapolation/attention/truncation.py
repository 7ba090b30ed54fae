r"""Shrunken truncation: half the worst error at the same window.

(1 - p) o_w, p = s(m + ln T - ln Z), in place of o_w, the output of the nearest
w keys: over all functions of those keys nothing has a smaller worst error
(docs/theory.md, theorem 2). Where the share of the keys beyond the window is
far below its bound p, o_w itself is nearer.
"""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from extrapolation.attention.precision import FLOOR, wide
from extrapolation.attention.window_bound import dropped_seen, norm


def log_tails(
  bias: Float[Array, 'H n'], window: tuple[int, ...]
) -> Float[Array, 'H n']:
  """ln of the sum of e^bias over w <= t <= i, by i; FLOOR where i < w."""
  beyond = jnp.arange(bias.shape[1]) >= jnp.asarray(window)[:, None]
  bias = bias.astype(wide(bias))
  table = jnp.where(beyond & (bias > FLOOR), bias, FLOOR)
  return lax.cumlogsumexp(table, axis=1)


def shrunken(
  o: Float[Array, 'B T H K'],
  lse: Float[Array, 'B T H'],
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B T H K'],
  bias: Float[Array, 'H n'],
  window: tuple[int, ...],
) -> Float[Array, 'B T H K']:
  """(1 - p) o; p is 0 while every key is seen.

  m is ||q|| max ||k|| / sqrt K over the keys beyond the window alone, which
  is what a ring of keys can keep while they leave it.

  Args:
    o, lse: output, and ln Z, of attention within the window.
    q, k, bias, window: its operands.
  """
  T = q.shape[1]
  left = jnp.arange(T)[:, None] - jnp.asarray(window)
  most = lax.cummax(norm(k), axis=1)
  most = jnp.take_along_axis(most, jnp.maximum(left, 0)[None], axis=1)
  m = norm(q) * most / math.sqrt(q.shape[3])
  return scaled(o, lse, m, log_tails(bias[:, :T], window).T)


def scaled(
  o: Float[Array, '... k'],
  lse: Float[Array, '...'],
  m: Float[Array, '...'],
  log_tail: Float[Array, '...'],
) -> Float[Array, '... k']:
  """(1 - p) o for p = s(m + ln T - ln Z)."""
  p = dropped_seen(log_tail, lse, m)
  return ((1 - p)[..., None] * o.astype(p.dtype)).astype(o.dtype)
