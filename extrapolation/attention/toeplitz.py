"""Tiles of bias from a table of distances, by skewing; no gather."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


def skew(u: Array, rows: int):
  """[..., rows + C - 1] -> [..., rows, C]: entry r, c is u[c - r + rows - 1].

  The row is laid out again and again in rows of one element less, so that
  each starts one element earlier. Its transpose, which autodiff finds, is the
  sum along diagonals.
  """
  N = u.shape[-1] + 1  # rows + C
  lead = u.shape[:-1]
  blank = jnp.zeros((*lead, 1), u.dtype)
  v = jnp.concatenate([u[..., rows - 1 :], blank, u[..., : rows - 1]], axis=-1)
  v = jnp.broadcast_to(v[..., None, :], (*lead, rows, N))
  v = v.reshape(*lead, rows * N)[..., : rows * (N - 1)]
  return v.reshape(*lead, rows, N - 1)[..., : N - rows]


def unskew(tile: Array):
  """The transpose of `skew`, [..., R, C] -> [..., R + C - 1]: diagonal sums."""
  *lead, R, C = tile.shape
  N = R + C
  none = [(0, 0)] * len(lead)
  v = jnp.pad(tile, (*none, (0, 0), (0, R - 1))).reshape(*lead, R * (N - 1))
  v = jnp.pad(v, (*none, (0, R))).reshape(*lead, R, N).sum(axis=-2)
  return jnp.concatenate([v[..., C + 1 :], v[..., :C]], axis=-1)


def stored(u: Array, rows: int) -> Array:
  """`skew(u, rows)` of u [H, .], computed once and read from memory.

  XLA on a CPU fuses a skew into each of its readers, which then divide two
  integers for every score: 8 times as slow as reading the tile. It does not
  fuse a loop.
  """
  if jax.default_backend() != 'cpu':
    return skew(u, rows)
  cols = u.shape[-1] + 1 - rows

  def row(r: Array) -> Array:
    return lax.dynamic_slice_in_dim(u, rows - 1 - r, cols, -1)

  return jnp.moveaxis(lax.map(row, jnp.arange(rows)), 0, -2)


def by_query(u: Array, rows: int):
  """Tile [H, r, s] = u[r - s + cols - 1]: a row is one query."""
  return skew(jnp.flip(u, -1), rows)


def by_key(u: Array, rows: int):
  """Tile [H, s, r] = u[r - s + rows - 1]: a row is one key."""
  return skew(u, rows)
