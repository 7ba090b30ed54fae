"""Crops of a canvas: around the same targets, whatever their size."""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer

from extrapolation.data.tasks import base, masking

if TYPE_CHECKING:
  from extrapolation.geometry import Size

AXES = 'height', 'width'


class Canvas(NamedTuple):
  """A large picture, of which examples are crops.

  Attributes:
    ids: of the cells.
    order: as of `masking.example`; NEVER where the colour of the cell, that of
      a chessboard, is not the one of what is masked. So no two that are masked
      are neighbours.
    nats: -ln p(cell | its neighbours), or NaN.
    whole: per axis, whether its ends are borders that every crop has too.
    round: whether its ends meet, elsewhere.
  """

  ids: Integer[np.ndarray, 'h w']
  order: Float[np.ndarray, 'h w']
  nats: Float[np.ndarray, 'h w']
  whole: tuple[bool, bool] = (False, False)
  round: bool = False

  def crop(
    self,
    at: tuple[int, int],
    size: 'Size',
    within: 'Size',
    *,
    masked: float,
    mask: int,
  ) -> base.Example:
    """The crop of a size around the one of size `within` that begins at `at`.

    Scored are masked cells of the smaller crop all of whose neighbours it has.

    Args:
      masked: share of all cells.
      mask: id in their place.
    """
    starts = [
      first(at[i], size[i], within[i], 0 if self.round else self.ids.shape[i])
      for i in (0, 1)
    ]
    rows, columns = (
      np.arange(s, s + n) % m
      for s, n, m in zip(starts, size, self.ids.shape, strict=True)
    )
    there = np.ix_(rows, columns)
    inside = np.zeros(size, bool)
    (y, x), (h, w) = (a - s for a, s in zip(at, starts, strict=True)), within
    inside[y : y + h, x : x + w] = inner(within, self.whole)
    return masking.example(
      ids=self.ids[there].ravel(),
      order=self.order[there].ravel(),
      share=2 * masked,  # of one colour, which half of the cells have
      inside=inside.ravel(),
      nats=self.nats[there].ravel(),
      mask=mask,
    )


def first(at: int, size: int, within: int, length: int = 0) -> int:
  """Where a crop begins: in the middle of it is `within`, which begins at `at`.

  It is moved to lie in 0 .. length, if there is one; then, too, each crop is in
  all larger ones.
  """
  start = at - (size - within) // 2
  return min(max(start, 0), length - size) if length else start


def inner(within: 'Size', whole: tuple[bool, bool]) -> Bool[np.ndarray, 'h w']:
  """Cells of a crop that have all of their neighbours in it.

  whole: as of `Canvas`: no cell has a neighbour beyond such an end.
  """
  out = np.ones(within, bool)
  if not whole[0]:
    out[[0, -1]] = False
  if not whole[1]:
    out[:, [0, -1]] = False
  return out


def order(
  rng: np.random.Generator, shape: tuple[int, int], odd: int
) -> Float[np.ndarray, 'h w']:
  """Uniform in [0, 1) at cells (i, j) with i + j odd, or even; else NEVER."""
  i, j = np.ogrid[: shape[0], : shape[1]]
  numbers = rng.random(shape, np.float32)
  return np.where((i + j) % 2 == odd, numbers, np.float32(masking.NEVER))


def check_crop(
  task: str,
  size: 'Size',
  within: 'Size',
  most: 'Size',
  why: str,
  whole: tuple[bool, bool] = (False, False),
) -> None:
  """Raises ValueError unless crops of a canvas can have these sizes.

  Two neighbours at least can be masked and scored in the smaller one, one of
  each colour.
  """
  least = tuple(1 if x else 3 for x in whole)
  base.check_sizes(task, AXES, size, within, least=least, most=most, why=why)
  room = [n - (0 if x else 2) for n, x in zip(within, whole, strict=True)]
  if math.prod(room) < 2:
    raise ValueError(
      f'task {task}: size {base.written(within)} has one cell whose neighbours '
      'are all in it; make an axis larger by 1'
    )
