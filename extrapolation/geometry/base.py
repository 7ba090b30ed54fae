"""What a geometry is: positions, their distances, how many lie at each.

Sizes: T positions of a finite shape, c coordinates of each, d distances.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Num

Size = tuple[int, ...]
Count = Callable[[Num[Array, ' d']], Float[Array, ' d']]


def of_line(distance: Num[Array, ' d']) -> Float[Array, ' d']:
  """One key at every distance: ln 1."""
  return jnp.zeros(distance.shape, jnp.float32)


def last(size: Size) -> int:
  """The last position of a line."""
  return int(np.prod(size)) - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Geometry:
  """A space of positions, and the finite shapes that are cut out of it.

  Attributes:
    axes: names of the numbers that a size has: 16x32 is (height, width).
    places: `size -> [T, c]`, the coordinates of each position of a shape.
    key_places: the same of keys, where these are other positions; None where
      they are the queries.
    distance: `(query [.., c], key [.., c]) -> [..]`, >= 0 and broadcast; of a
      query and a key that it does not see, anything. Of arrays of NumPy it is
      one, and traced under `jit`.
    longest: `size -> ` the largest distance in it.
    sees: `(query [.., c], key [.., c]) -> bool [..]`; None where every query
      sees every key.
    signed: `(query, key) -> ` the difference that says on which side the key
      lies, > 0 of one before the query; None where there are no two sides.
    whole: whether distances are whole numbers, so that a table has them all.
    values: `n -> [n]`, the distances that the entries of a table are for.
    shift_invariant: whether distance and sees read `key - query` alone, so that
      two parts of a shape have the distances of any two that lie alike, and a
      rotation can turn by each coordinate.
    log_count: `distance [d] -> [d]`, ln of how many keys lie at each distance
      of a query in the whole space, exact and readable as a formula; None of a
      space that has no end of its own, such as one given graph.
    exact: whether these are the counts, and not those of an equivalent metric,
      which decide a sum only where the bias never rises.
    query: `size -> ` the position that theory looks from, and whose counts
      those of the whole space are.
    only: the size of the whole, of a space that is one given shape; smaller
      ones are parts of it.
    source: where it is from. name, label: of its file, with its
      hyperparameters.
  """

  axes: tuple[str, ...]
  places: Callable[[Size], Integer[np.ndarray, 'T c']]
  distance: Callable[..., Num[Array, '*t']]
  longest: Callable[[Size], float]
  key_places: Callable[[Size], Integer[np.ndarray, 'S c']] | None = None
  sees: Callable[..., Bool[Array, '*t']] | None = None
  signed: Callable[..., Num[Array, '*t']] | None = None
  whole: bool = True
  values: Callable[[int], Num[Array, ' n']] = jnp.arange
  shift_invariant: bool = False
  log_count: Count | None = of_line
  exact: bool = True
  query: Callable[[Size], int] = last
  only: Size | None = None
  source: str = ''
  name: str = ''
  label: str = ''

  def table_length(self, size: Size) -> int:
    """Values of a table that has every distance of a shape."""
    return int(self.longest(size)) + 1
