import numpy as np
from jaxtyping import Array, Bool, Num

from extrapolation.geometry import base


def make() -> base.Geometry:
  r"""A causal line: query i sees the keys j <= i, at distance i - j.

  One key lies at every distance.
  """

  def sees(
    query: Num[Array, '*q c'], key: Num[Array, '*k c']
  ) -> Bool[Array, '*t']:
    return key[..., 0] <= query[..., 0]

  return base.Geometry(
    axes=('length',),
    places=positions,
    distance=lambda query, key: query[..., 0] - key[..., 0],
    longest=lambda size: size[0] - 1,
    sees=sees,
    shift_invariant=True,
    source='a text that is read from left to right',
  )


def positions(size: base.Size) -> np.ndarray:
  """0 .. T - 1 as coordinates [T, 1]."""
  return np.arange(size[0])[:, None]
