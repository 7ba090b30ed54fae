"""How much packed text may become: a few bytes can unpack to a full disk."""

import os
from collections.abc import Iterable

from extrapolation.data.sources.inputs import Input

RATIO = 100  # times its size on disk; text packs to a third, or a tenth
FREE = 256 << 20  # bytes besides, for small files that repeat themselves
VARIABLE = 'EXTRAPOLATION_MAX_TEXT_BYTES'


class Budget:
  """Bytes of text that these inputs may become, all together.

  256 MiB and a hundred times their size on disk, or as many as the environment
  variable EXTRAPOLATION_MAX_TEXT_BYTES says: it is the user's own, where a
  config may be anybody's.

  Raises:
    ValueError: the variable is no number of bytes.
  """

  def __init__(self, inputs: Iterable[Input]):
    given = os.environ.get(VARIABLE, '')
    if given and not (given.isascii() and given.isdecimal()):
      raise ValueError(f'{VARIABLE} = {given!r} must be a number of bytes')
    size = sum(entry.size() for entry in inputs)
    self.most = int(given) if given else FREE + RATIO * size
    self._left = self.most

  def take(self, entry: Input, count: int) -> None:
    """Raises ValueError once more than that has been unpacked."""
    self._left -= count
    if self._left < 0:
      raise ValueError(
        f'{entry.path} unpacks to more than {self.most:,} bytes of text, the '
        f'limit for its size; if it is meant to, set {VARIABLE} to as many as '
        'it may have'
      )
