import functools
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from extrapolation.data.probes import generator
from extrapolation.data.tasks import base, canvas, images

if TYPE_CHECKING:
  from extrapolation.geometry import Size

# What scikit-image has without a download, but for pictures that are mostly
# flat or very large.
PICTURES = (
  'astronaut', 'brick', 'camera', 'chelsea', 'coffee', 'coins', 'grass',
  'gravel', 'immunohistochemistry', 'moon', 'rocket',
)  # fmt: skip
ENDS = dict(train=(0, 2), valid=(2, 3), test=(3, 4))  # in quarters


def make(
  picture: str = 'brick', levels: int = 16, masked: float = 0.05
) -> base.Task:
  r"""Masked pixels of a picture in grey; their optimum is not known.

  picture: one of scikit-image: astronaut, brick, camera, chelsea, coffee,
  coins, grass, gravel, immunohistochemistry, moon, rocket. levels: a pixel is
  the number of k in 1 .. levels - 1 with its grey >= quantile k / levels of
  the picture. masked: share of all pixels; no two of them are neighbours.

  Along its longer axis, the first half of the picture is for training, the next
  quarter for validation, the last for the test. An example is a crop, anywhere
  in its part.
  """
  if picture not in PICTURES:
    raise ValueError(
      f'picture = {picture!r}: task texture has {", ".join(PICTURES)}'
    )
  base.check_count('texture', 'levels', levels, 2, 256)
  base.check_share('texture', masked)
  images.need('skimage', 'texture')

  def check(size: 'Size', within: 'Size') -> None:
    shapes = [_part(picture, levels, stream).shape for stream in ENDS]
    most = tuple(min(n) for n in zip(*shapes, strict=True))
    canvas.check_crop(
      'texture', size, within, most, f'as parts of the picture {picture} are'
    )

  def draw(
    number: int, size: 'Size', *, within: 'Size', stream: str, seed: int
  ) -> base.Example:
    check(size, within)
    ids = _part(picture, levels, stream)
    rng = generator(seed, stream, number)
    at = tuple(
      int(rng.integers(n - w + 1))
      for n, w in zip(ids.shape, within, strict=True)
    )
    odd = int(rng.integers(2))
    drawn = canvas.Canvas(
      ids=ids,
      order=canvas.order(rng, ids.shape, odd),
      nats=np.broadcast_to(np.float32(np.nan), ids.shape),
    )
    return drawn.crop(at, size, within, masked=masked, mask=levels)

  return base.Task(
    kind='masked',
    symbols=levels,
    V=levels + 1,
    mask=levels,
    geometries=('grid',),
    check=check,
    draw=draw,
    source='scikit-image, van der Walt et al. 2014, PeerJ 2:e453',
  )


@functools.lru_cache(maxsize=64)
def _part(picture: str, levels: int, stream: str) -> UInt8[np.ndarray, 'h w']:
  """The levels of the part of a picture that a split has."""
  if stream not in ENDS:
    raise ValueError(
      f'task texture has the splits {", ".join(ENDS)}, not {stream!r}'
    )
  pixels = getattr(images.need('skimage.data', 'texture'), picture)()
  if pixels.ndim == 3:
    pixels = images.need('skimage.color', 'texture').rgb2gray(pixels)
  cuts = np.quantile(pixels, np.arange(1, levels) / levels)
  ids = np.searchsorted(cuts, pixels, side='right').astype(np.uint8)
  along = int(np.argmax(ids.shape))
  a, b = (ids.shape[along] * quarter // 4 for quarter in ENDS[stream])
  part = ids.take(range(a, b), along)
  part.setflags(write=False)  # all examples read this one
  return part
