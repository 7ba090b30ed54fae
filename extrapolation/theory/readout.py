"""What N layers can read of the nearest keys (docs/theory.md, theorem 20)."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Float, Int

from extrapolation.geometry import sizes
from extrapolation.geometry.base import Geometry
from extrapolation.theory.enclosures import finite_sum
from extrapolation.theory.expression.graph import Node
from extrapolation.theory.space import ROUNDED, Space

PLACES, LAYERS = 1 << 11, 64  # at most: T x T numbers are kept of each layer
SPENT = 1e-9  # of a norm: what rounding leaves of a matrix already spanned


@dataclasses.dataclass(frozen=True, eq=False)
class Readout:
  """The pairs of places of a finite shape, and how many layers read them.

  Attributes:
    layers: N.
    t: the distances there are.
    which: of them each pair has, by number.
    near: pairs of a query and a key nearest to it, at the least distance that
      the shape has.
    scored: pairs of two places, the query among those with the most near keys.
  """

  layers: int
  t: Float[np.ndarray, ' d']
  which: Int[np.ndarray, 'T T']
  near: Bool[np.ndarray, 'T T']
  scored: Bool[np.ndarray, 'T T']


def of(space: Space, train: str, layers: int) -> Readout:
  """The pairs of places of a size that is written as 16x32.

  Raises:
    ValueError: no such size, no two places, too many, or no whole number of
      layers.
  """
  if not 1 <= layers <= LAYERS:
    raise ValueError(f'--layers={layers}: needs 1 .. {LAYERS}')
  return _of(space.geometry, sizes.parse(train, space.geometry), layers)


@functools.lru_cache(maxsize=4)
def _of(g: Geometry, size: tuple[int, ...], layers: int) -> Readout:
  places = np.asarray(g.places(size))
  if not 1 < len(places) <= PLACES:
    raise ValueError(
      f'--layers reads the pairs of 2 .. {PLACES:,} places, and '
      f'--train={sizes.write(size)} has {len(places):,}'
    )
  distances = np.asarray(g.distance(places[:, None], places[None]), np.float64)
  t, of = np.unique(distances, return_inverse=True)
  near = distances == t[1]
  n = near.sum(1)
  scored = (n == n.max())[:, None] & (distances > 0)
  return Readout(layers, t, of.reshape(distances.shape), near, scored)


def unread(space: Space, shape: Readout, b: Node) -> float:
  """R_N: share of what the nearest keys say that N linear layers miss.

  The least |A - sum_i c_i P^i|^2 / |A|^2 over i = 1 .. N, A the nearest keys of
  each query, P the weights e^b with rows that sum to 1. In float64.

  Args:
    b: the log weight, without free parameters.

  Raises:
    UndefinedTotal: an infinite or undefined weight.
    NotProved: too many weights that float64 does not settle.
  """
  error = 0.0 if space.geometry.whole else ROUNDED
  low, high = finite_sum.log_weights(b, shape.t, error)
  logits = ((low + high) / 2)[shape.which]
  weights = np.exp(logits - logits.max(1, keepdims=True))
  P = weights / weights.sum(1, keepdims=True)
  A = shape.near[shape.scored].astype(np.float64)
  return left(P, A, shape.scored, shape.layers)


def left(
  P: Float[np.ndarray, 'T T'],
  A: Float[np.ndarray, ' n'],
  scored: Bool[np.ndarray, 'T T'],
  N: int,
) -> float:
  """The least |A - sum_i c_i P^i|^2 / |A|^2 over the scored pairs, i = 1 .. N.

  Arnoldi's method: each power is made orthogonal to those before, from which it
  would otherwise differ in its last digits alone.
  """
  whole, rest, basis = A @ A, A, []
  X = P
  for _ in range(N):
    size = np.linalg.norm(X[scored])
    for _ in range(2):  # once leaves what the first one rounded
      for Q in basis:
        X = X - (X[scored] @ Q[scored]) * Q
    norm = np.linalg.norm(X[scored])
    if norm <= SPENT * size:  # no further power adds anything
      break
    basis.append(X / norm)
    rest = rest - (rest @ basis[-1][scored]) * basis[-1][scored]
    X = basis[-1] @ P
  share = float(rest @ rest / whole)
  return share if share > SPENT**2 else 0.0
