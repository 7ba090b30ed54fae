import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from extrapolation.geometry import base

MOST = 1 << 24  # coordinates of all vertices


def make(r: int = 2, at: str = 'root') -> base.Geometry:
  r"""Vertices of a tree in which each has r children, at their path lengths.

  Keys at distance n: from the root r^n; from a leaf of a tree without end
  r^floor(n / 2); from a vertex of the regular tree, whose vertices have r + 1
  neighbours each, (r + 1) r^(n - 1) for n >= 1.

  A shape has a depth: depth 2 of r = 2 is a root, 2 and 4 vertices, numbered
  level by level. `at` is where theory stands: root | leaf | vertex, which in
  a shape is the first one of the middle level.
  """
  if not 1 <= r <= 64:
    raise ValueError(f'r = {r}: a tree has 1 to 64 children of each vertex')
  if at not in COUNTS:
    raise ValueError(f'at = {at!r}; there are: {", ".join(COUNTS)}')

  def places(size: base.Size) -> np.ndarray:
    """Ancestors [T, depth + 2]: the level, and the vertex above at each."""
    (depth,) = size
    _check(r, depth)
    levels = np.array([r**k for k in range(depth + 1)])
    level = np.repeat(np.arange(depth + 1), levels)
    within = np.concatenate([np.arange(n) for n in levels])
    up = level[:, None] - np.arange(depth + 1)
    above = within[:, None] // r ** np.maximum(up, 0)
    own = -1 - np.arange(len(level))  # below itself, like no other vertex
    above = np.where(up >= 0, above, own[:, None])
    return np.concatenate([level[:, None], above], -1)

  return base.Geometry(
    axes=('depth',),
    places=places,
    distance=path_length,
    longest=lambda size: 2 * size[0] if r > 1 else size[0],
    log_count=lambda distance: COUNTS[at](distance, r),
    query=lambda size: PLACES[at](r, size[0]),
    source='balanced and regular trees; growth by r^n',
  )


def _check(r: int, depth: int) -> None:
  """Raises ValueError for a tree whose coordinates are too many."""
  if depth > MOST or (r > 1 and depth > math.log2(MOST)):
    many = 'too many'
  else:
    n = vertices(r, depth)
    if n * (depth + 2) <= MOST:
      return
    many = f'{n:,}'
  raise ValueError(
    f'a tree of r = {r} and depth {depth:,} has {many} vertices, each with the '
    f'path to its root; at most {MOST:,} numbers are kept: take a smaller depth'
  )


def vertices(r: int, depth: int) -> int:
  """How many a balanced tree has."""
  return sum(r**k for k in range(depth + 1))


def last(r: int, depth: int) -> int:
  """The last leaf."""
  return vertices(r, depth) - 1


def path_length(
  query: Num[Array, '*q c'], key: Num[Array, '*k c']
) -> Num[Array, '*t']:
  """Edges between two vertices: up to where their paths to the root meet."""
  shared = (query[..., 1:] == key[..., 1:]).sum(-1)
  apart = query[..., 0] + key[..., 0] - 2 * (shared - 1)
  # A vertex shares with itself what lies below it as well, which is no level.
  return apart * (apart > 0)


def _root(t: Num[Array, ' d'], r: int) -> Float[Array, ' d']:
  return t * jnp.log(jnp.float32(r))


def _leaf(t: Num[Array, ' d'], r: int) -> Float[Array, ' d']:
  return jnp.floor(t.astype(jnp.float32) / 2) * jnp.log(jnp.float32(r))


def _vertex(t: Num[Array, ' d'], r: int) -> Float[Array, ' d']:
  far = jnp.log(jnp.float32(r + 1)) + (t - 1) * jnp.log(jnp.float32(r))
  return jnp.where(t > 0, far, 0.0)


COUNTS = dict(root=_root, leaf=_leaf, vertex=_vertex)
PLACES = dict(
  root=lambda r, depth: 0,
  leaf=last,
  vertex=lambda r, depth: vertices(r, depth // 2 - 1),
)
