"""Blocks of tokens, and the pairs of them that have the same distances.

On a lattice a block is a box of places. Where distance reads the difference of
two places alone, two boxes have the distances of any two that lie alike: of
(n1 n2)^2 pairs of n1 x n2 boxes, (2 n1 - 1) (2 n2 - 1) differ.
"""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer

SPARSE = 2  # slots per token, above which boxes are too empty to pay
PAIR = 40  # slots: a pair of boxes costs as if it had so many more (CPU)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
  """T tokens in N blocks of b slots each.

  Attributes:
    places: of each slot, of an empty one too.
    token: which token is in a slot; T where it is empty.
    slot: where each token is.
    corner: the place of the first slot of a box; None of runs of tokens.
  """

  places: Integer[Array | np.ndarray, 'N b c']
  token: Integer[np.ndarray, 'N b']
  slot: Integer[np.ndarray, ' T']
  corner: Integer[np.ndarray, 'N c'] | None = None

  @property
  def full(self) -> bool:
    """Whether no slot is empty."""
    return self.token.size == self.slot.size


def of_runs(places: Integer[Array | np.ndarray, 'T c'], most: int) -> Blocks:
  """Blocks of `most` tokens that follow each other."""
  T = len(places)
  b = min(most, T)
  pad = ((0, -T % b), (0, 0))
  xp = np if isinstance(places, np.ndarray) else jnp
  padded = xp.pad(places, pad, mode='edge')
  token = np.minimum(np.arange(len(padded)), T).reshape(-1, b)
  return Blocks(
    places=padded.reshape(-1, b, places.shape[1]),
    token=token,
    slot=np.arange(T),
  )


def of_lattice(places: Integer[np.ndarray, 'T c'], most: int) -> Blocks | None:
  """Boxes of at most `most` places; None where many would be empty.

  That is so of places far apart, and of two tokens at one place.
  """
  T, low = len(places), places.min(0)
  extent = places.max(0) - low + 1
  side = _side(extent, most)
  parts = -(-extent // side)
  if math.prod(parts * side) > SPARSE * T:
    return None
  block, within = np.divmod(places - low, side)
  block, within = (
    np.ravel_multi_index(x.T, n) for x, n in ((block, parts), (within, side))
  )
  size = math.prod(side)
  slot = block * size + within
  token = np.full(math.prod(parts) * size, T)
  token[slot] = np.arange(T)
  if np.count_nonzero(token < T) < T:
    return None
  corner = low + side * _cells(parts)
  return Blocks(
    places=corner[:, None] + _cells(side),
    token=token.reshape(-1, size),
    slot=slot,
    corner=corner,
  )


def _side(extent: np.ndarray, most: int) -> np.ndarray:
  """The sides of boxes that are fastest: large ones, with few empty slots."""

  def sides(n: int) -> np.ndarray:
    """Those that give another number of boxes each."""
    return np.unique(-(-n // np.arange(1, n + 1)))

  axes = np.meshgrid(*map(sides, extent.tolist()), indexing='ij')
  side = np.stack(axes, -1).reshape(-1, len(extent))
  size = side.prod(1)
  slots = (-(-extent // side) * side).prod(1)
  cost = np.where(size <= most, (slots * 1.0) ** 2 * (1 + PAIR / size), np.inf)
  return side[cost.argmin()]


def _cells(size: np.ndarray) -> np.ndarray:
  """Coordinates of an array of this shape, [n, c]."""
  return np.stack(np.unravel_index(np.arange(math.prod(size)), size), -1)


def cut(
  queries: Integer[Array | np.ndarray, 'T c'],
  keys: Integer[Array | np.ndarray, 'S c'],
  most: int,
  shift_invariant: bool,
) -> tuple[Blocks, Blocks]:
  """Blocks of both: boxes where these share distances, else runs of tokens."""
  if (
    shift_invariant
    and isinstance(queries, np.ndarray)
    and isinstance(keys, np.ndarray)
  ):
    boxes = of_lattice(queries, most), of_lattice(keys, most)
    if boxes[0] is not None and boxes[1] is not None:
      return boxes[0], boxes[1]
  return of_runs(queries, most), of_runs(keys, most)


def alike(
  queries: Blocks, keys: Blocks
) -> tuple[Integer[np.ndarray, 'P 2'], Integer[np.ndarray, ' G']]:
  """All pairs (query block, key block), those of one distance together.

  Also the first pair of each of these groups, and, at the end, P.
  """
  N, M = len(queries.token), len(keys.token)
  pairs = np.stack(np.divmod(np.arange(N * M), M), -1)
  if queries.corner is None or keys.corner is None:
    return pairs, np.arange(N * M + 1)
  apart = queries.corner[pairs[:, 0]] - keys.corner[pairs[:, 1]]
  _, group, size = np.unique(
    apart, axis=0, return_inverse=True, return_counts=True
  )
  pairs = pairs[np.argsort(group.ravel(), kind='stable')]
  return pairs, np.concatenate([[0], np.cumsum(size)])
