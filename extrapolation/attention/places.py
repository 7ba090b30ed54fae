"""Attention over places of a geometry: a line, a grid, a tree, a graph."""

import functools
import logging
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from extrapolation.attention import (
  places_checks,
  places_reference,
  places_tiles,
)
from extrapolation.attention.kernel import Kernel
from extrapolation.attention.places_bias import Tile
from extrapolation.geometry import Geometry

log = logging.getLogger(__name__)
# Below these one dense product is faster than blocks (on a CPU: measured).
DENSE_MAX, DENSE_MAX_CPU = 96, 48


def attend_places(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B S H K'],
  v: Float[Array, 'B S H K'],
  bias: Float[Array, 'H n'] | Kernel | None,
  geometry: Geometry,
  queries: Integer[Array, 'T c'] | Integer[np.ndarray, 'T c'],
  keys: Integer[Array, 'S c'] | Integer[np.ndarray, 'S c'],
  *,
  hidden: Bool[Array, 'B S'] | None = None,
  length: int | None = None,
  implementation: str = 'auto',
) -> Float[Array, 'B T H K']:
  """Attention over places with weight exp(q.k / sqrt(K) + bias(t)).

  t is the distance of the two places. A query that sees no key gives 0.

  Under a mesh (`jax.set_mesh`) whose axes 'data', 'fsdp' spread the batch every
  device computes its own part of the same result.

  Args:
    q: queries; k: keys; v: values.
    bias: the encoding's function, `Kernel(rpe.bias, params)`; where distances
      are whole, also its table `rpe.bias(arange(n), params)`; None for 0.
    geometry: which distance two places have, and whether one sees the other.
    queries: their places, `geometry.places(size)`; keys: theirs,
      `geometry.key_places(size)` where there is one. As arrays of NumPy they
      are cut into boxes of equal distances.
    hidden: keys of a sequence that none of its queries sees, as padding.
    length: distances that a table has, `geometry.table_length(size)`: needed
      where places have no values yet, being arguments of what is compiled.
    implementation: 'reference' is the dense definition, 'blockwise' takes O(T)
      memory; 'auto' is the first of short sequences.

  Raises:
    ValueError: shapes, dtypes, distances or implementation that do not fit.
  """
  bias, queries, keys = places_checks.operands(
    q, k, v, bias, geometry, queries, keys, hidden, length
  )
  if implementation == 'auto':
    implementation = choose(jax.default_backend(), q.shape[1], k.shape[1])
  if implementation not in IMPLEMENTATIONS:
    raise ValueError(
      f'no implementation {implementation!r} of attention over places; there '
      f'are: auto, {", ".join(IMPLEMENTATIONS)}'
    )
  tile, bias = _tile(bias, geometry, q.shape[2])
  attend = IMPLEMENTATIONS[implementation]
  return attend(q, k, v, bias, hidden, queries, keys, tile).astype(v.dtype)


def attend_places_with_weights(
  q: Float[Array, 'B T H K'],
  k: Float[Array, 'B S H K'],
  v: Float[Array, 'B S H K'],
  bias: Float[Array, 'H n'] | Kernel | None,
  geometry: Geometry,
  queries: Integer[Array, 'T c'] | Integer[np.ndarray, 'T c'],
  keys: Integer[Array, 'S c'] | Integer[np.ndarray, 'S c'],
  *,
  hidden: Bool[Array, 'B S'] | None = None,
  length: int | None = None,
) -> tuple[Float[Array, 'B T H K'], Float[Array, 'B H T S']]:
  """What `attend_places` gives, and its weights: dense, to look at."""
  bias, queries, keys = places_checks.operands(
    q, k, v, bias, geometry, queries, keys, hidden, length
  )
  tile, bias = _tile(bias, geometry, q.shape[2])
  return places_reference.attend(q, k, v, bias, hidden, queries, keys, tile)


def _tile(
  bias: Array | Kernel | None, geometry: Geometry, H: int
) -> tuple[Tile, Any]:
  """What makes a tile of bias, and its arrays."""
  if isinstance(bias, Kernel):
    return Tile(geometry, bias.bias, H), bias.params
  return Tile(geometry, None, H), bias


@functools.cache
def choose(backend: str, T: int, S: int) -> str:
  """What 'auto' is for T queries and S keys; logged once per choice."""
  dense = DENSE_MAX_CPU if backend == 'cpu' else DENSE_MAX
  chosen = 'reference' if T * S < dense**2 else 'blockwise'
  log.debug('attention over places: %s (%s, %d, %d)', chosen, backend, T, S)
  return chosen


IMPLEMENTATIONS = dict(
  reference=lambda *a: places_reference.attend(*a)[0],
  blockwise=places_tiles.attend,
)
