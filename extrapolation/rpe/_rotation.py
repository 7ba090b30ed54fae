"""Rotations of pairs of dimensions, for encodings that turn q and k."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from extrapolation.rpe import base

W = Float[Array, ' m']


def plain(base: float | Array, K: int) -> W:
  """base^(-2 m / K), radians per token.

  Raises:
    ValueError: an odd K.
  """
  if K % 2:
    raise ValueError(f'head width K = {K}: a rotation needs an even one')
  return base ** (-jnp.arange(0, K, 2, dtype=jnp.float32) / K)


def rotation(x: base.QK, positions: Num[Array, '...'], w: W):
  """x [B, T, H, K] turned by position * w_m, in float32.

  Positions are [T], or of a clock, [B, T] or [1 or B, T, 1 or H]. Dimension m
  is paired with m + K/2.
  """
  angle = positions.astype(jnp.float32)[..., None] * w
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  if positions.ndim < 3:  # all heads alike
    cos, sin = cos[..., None, :], sin[..., None, :]
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
