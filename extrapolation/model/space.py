"""A finite shape as a stack of layers reads it: places, distances, keys."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Num

from extrapolation import attention, geometry
from extrapolation.geometry import Geometry, Size, derived

PAIRS = 1 << 22  # of places, looked at at once


@dataclasses.dataclass(frozen=True)
class Space:
  """A geometry with a size; equal ones are equal, and static under `jit`.

  Attributes:
    geometry: of queries and keys.
    size: of the keys, and of the queries if `queries` is None.
    queries: another size of the queries, of a decoder against an encoder.
  """

  geometry: Geometry
  size: Size
  queries: Size | None = None

  @functools.cached_property
  def places(self) -> Integer[np.ndarray, 'T c']:
    """Of the queries."""
    size = self.size if self.queries is None else self.queries
    return self.geometry.places(size)

  @functools.cached_property
  def keys(self) -> Integer[np.ndarray, 'S c']:
    """Of the keys."""
    of_keys = self.geometry.key_places or self.geometry.places
    return of_keys(self.size)

  @property
  def distances(self) -> Num[Array, ' n']:
    """What the entries of a table of this shape are for."""
    n = self.geometry.table_length(self.size)
    return self.geometry.values(n)

  @property
  def positions(self) -> Integer[np.ndarray, '*T']:
    """What a rotation turns by: [T], or [T, c] of several coordinates."""
    return self.places[:, 0] if len(self.geometry.axes) == 1 else self.places

  @functools.cached_property
  def visible(self) -> Integer[np.ndarray, ' T']:
    """How many keys each query sees."""
    sees, (T, S) = self.geometry.sees, (len(self.places), len(self.keys))
    if sees is None:
      return np.full(T, S)
    rows = max(1, PAIRS // S)
    parts = np.split(self.places, range(rows, T, rows))
    return np.concatenate(
      [np.asarray(sees(x[:, None], self.keys[None])).sum(1) for x in parts]
    )

  def attend(
    self,
    q: Float[Array, 'B T H K'],
    k: Float[Array, 'B S H K'],
    v: Float[Array, 'B S H K'],
    bias: Any,
    layer: Any = None,
  ) -> Float[Array, 'B T H K']:
    """Attention of every query over the keys that it sees."""
    del layer
    return attention.attend_places(
      q, k, v, bias, self.geometry, self.places, self.keys
    )


@functools.lru_cache(maxsize=256)
def make(
  text: str, size: Size, *, directed: bool = False, class_token: bool = False
) -> Space:
  """The space of a geometry's text: one object for equal arguments.

  Raises:
    ValueError: a geometry without two sides where distances are `directed`.
  """
  g = geometry.parse(text)
  if directed:
    g = derived.directed(g)
  if class_token:
    g = derived.with_class_token(g)
  return Space(g, size)


@functools.lru_cache(maxsize=256)
def across(clock: str, queries: int, keys: int) -> Space:
  """Queries of a decoder against the keys of an encoder, on a shared clock."""
  g = geometry.get('cross', clock=clock)
  return Space(g, (keys,), (queries,))


@functools.lru_cache(maxsize=64)
def axial(rotate: Callable, axes: int) -> Callable:
  """`rotate` by several coordinates: each turns an equal share of the width.

  Source: RoPE-ViT, arXiv 2403.13298, axial.
  """

  def turned(q: Array, k: Array, positions: Integer[Array, 'T c']):
    shares = [jnp.split(x, axes, axis=-1) for x in (q, k)]
    each = [
      rotate(a, b, positions[:, i])
      for i, (a, b) in enumerate(zip(*shares, strict=True))
    ]
    return tuple(jnp.concatenate(x, -1) for x in zip(*each, strict=True))

  return turned
