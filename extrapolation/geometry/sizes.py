"""The size of a finite shape, as it is written: 16x32."""

import math
from collections.abc import Sequence

from extrapolation.geometry.base import Geometry, Size

MOST = 1 << 26  # positions of a shape


def parse(text: str, geometry: Geometry, key: str = 'size') -> Size:
  """The size that a text names, in a geometry.

  >>> from extrapolation import geometry
  >>> parse('16x32', geometry.parse('grid'))
  (16, 32)

  Raises:
    ValueError: other numbers than the geometry has axes, or none >= 1.
  """
  cells = text.strip().lower().split('x')
  numbers = [int(c) if c.isascii() and c.isdigit() else 0 for c in cells]
  if len(numbers) != len(geometry.axes) or min(numbers) < 1:
    example = 'x'.join(str(16 << i) for i in range(len(geometry.axes)))
    raise ValueError(
      f'{key} = {text!r}: {geometry.label or geometry.name} has the axes '
      f'{" x ".join(geometry.axes)}; write whole numbers >= 1, such as '
      f'{example}'
    )
  if math.prod(numbers) > MOST:
    raise ValueError(f'{key} = {text!r}: at most {MOST:,} positions')
  return tuple(numbers)


def write(size: Sequence[int]) -> str:
  """The text of a size.

  >>> write((16, 32))
  '16x32'
  """
  return 'x'.join(map(str, size))
