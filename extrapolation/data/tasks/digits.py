import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from extrapolation.data.probes import generator
from extrapolation.data.tasks import base, canvas, images

if TYPE_CHECKING:
  from extrapolation.geometry import Size

SIDE = 8  # pixels of a picture
MOST = 1024  # of a side
GREYS = 16  # values are 0 .. GREYS
CLASSES = 10
SHARES = dict(train=(0, 4), valid=(4, 5), test=(5, 6))  # in sixths


class Digits(NamedTuple):
  """Pictures of handwritten digits, and which ones they are."""

  pictures: Float[np.ndarray, 'n 8 8']
  classes: Int[np.ndarray, ' n']


def make() -> base.Task:
  r"""Which digit is it? Pictures of 8 x 8, read at any resolution.

  A picture of another size is interpolated linearly between the centres of the
  pixels, and rounded to 0 .. 16, which are the ids. Its optimum is not known.

  A fixed permutation of the 1,797 pictures gives 2/3 of them to training, 1/6
  to validation and 1/6 to the test. Those for training are drawn from the seed,
  with replacement; of the others, example n is picture n, and after the last
  one the first.
  """
  images.need('sklearn', 'digits')

  def check(size: 'Size', within: 'Size') -> None:
    base.check_sizes(
      'digits',
      canvas.AXES,
      size,
      within,
      least=(2, 2),
      most=(MOST, MOST),
      why=f'{MOST // SIDE} times that of a picture',
    )

  def draw(
    number: int, size: 'Size', *, within: 'Size', stream: str, seed: int
  ) -> base.Example:
    check(size, within)
    of = _digits(stream)
    n = len(of.classes)
    if stream == 'train':
      i = int(generator(seed, stream, number).integers(n))
    else:
      i = number % n
    return base.Example(
      resized(of.pictures[i], size).astype(np.int32).ravel(),
      of.classes[i : i + 1].astype(np.int32),
      np.ones(1, np.float32),
      np.full(1, np.nan, np.float32),
    )

  return base.Task(
    kind='classes',
    symbols=CLASSES,
    V=GREYS + 1,
    geometries=('grid',),
    check=check,
    draw=draw,
    source='Alpaydin and Kaynak 1998, optical recognition of digits, UCI',
  )


def resized(
  picture: Float[np.ndarray, '8 8'], size: 'Size'
) -> Float[np.ndarray, 'h w']:
  """Interpolated to another size, and rounded."""
  zoom = [n / SIDE for n in size]
  return np.rint(
    ndimage.zoom(picture, zoom, order=1, mode='nearest', grid_mode=True)
  )


@functools.lru_cache(maxsize=len(SHARES))
def _digits(stream: str) -> Digits:
  """Those that a split has."""
  if stream not in SHARES:
    raise ValueError(
      f'task digits has the splits {", ".join(SHARES)}, not {stream!r}'
    )
  all_ = images.need('sklearn.datasets', 'digits').load_digits()
  order = np.random.default_rng(0).permutation(len(all_.target))
  a, b = (len(order) * sixth // 6 for sixth in SHARES[stream])
  return Digits(all_.images[order[a:b]], all_.target[order[a:b]])
