"""How many keys lie at each distance of one query, in a finite shape."""

import numpy as np
from jaxtyping import Float, Int

from extrapolation.geometry.base import Geometry, Size


def distances(
  geometry: Geometry, size: Size, query: int | None = None
) -> Float[np.ndarray, ' S']:
  """The distance of every key that a query sees.

  query: a position; that of `Geometry.query` if None.
  """
  places = geometry.places(size)
  keys = geometry.key_places(size) if geometry.key_places else places
  at = places[geometry.query(size) if query is None else query]
  out = np.asarray(geometry.distance(at, keys))
  if geometry.sees is not None:
    out = out[np.asarray(geometry.sees(at, keys))]
  return out.astype(np.float64)


def of_query(
  geometry: Geometry, size: Size, query: int | None = None
) -> tuple[Float[np.ndarray, ' d'], Int[np.ndarray, ' d']]:
  """The distances there are, in order, and how many keys lie at each.

  >>> from extrapolation import geometry
  >>> t, n = of_query(geometry.parse('grid'), (3, 3))
  >>> t.tolist(), n.tolist()
  ([0.0, 1.0, 2.0], [1, 4, 4])
  """
  return np.unique(distances(geometry, size, query), return_counts=True)
