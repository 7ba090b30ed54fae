"""The symbols of a probe: one readable character for each id."""

import dataclasses
import string
from collections.abc import Mapping

import numpy as np
from immutabledict import immutabledict
from jaxtyping import Integer

MOST = 256  # symbols, so that a byte can hold an id
_POOLS = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
_WIDE = ''.join(map(chr, range(0x100, 0x100 + MOST)))  # all of them letters


@dataclasses.dataclass(frozen=True)
class Vocabulary:
  """Symbol of each id, and the ids of each group of symbols.

  Attributes:
    symbols: symbols[i] is the character that stands for id i.
    groups: name -> range of ids; that of `filler` may come before anything.
  """

  symbols: str
  groups: Mapping[str, range]

  def __len__(self) -> int:
    return len(self.symbols)

  def __getitem__(self, name: str) -> range:
    """The ids of a group."""
    return self.groups[name]

  def id(self, symbol: str) -> int:
    """The id of a symbol that there is."""
    return self.symbols.index(symbol)

  def text(self, ids: Integer[np.ndarray, ' n']) -> str:
    """Ids as their symbols."""
    return ''.join(self.symbols[i] for i in np.asarray(ids).tolist())


def build(marks: str = '', **sizes: int) -> Vocabulary:
  """Groups of so many symbols each, and one id for each character of `marks`.

  A group is written in the first of a-z, A-Z and 0-9 that no other uses and
  that has enough, else in letters beyond ASCII.

  >>> build('?', filler=3, values=2)
  Vocabulary(symbols='abcAB?', groups=immutabledict({'filler': range(0, 3), \
'values': range(3, 5)}))

  Raises:
    ValueError: a group without a symbol, or more than MOST symbols in all.
  """
  for name, n in sizes.items():
    if n < 1:
      raise ValueError(f'{name} = {n}: needs 1 or more')
  if (total := sum(sizes.values()) + len(marks)) > MOST:
    named = ' + '.join(f'{n} {name}' for name, n in sizes.items())
    raise ValueError(
      f'{named} + {len(marks)} marks are {total} symbols; at most {MOST}, so '
      'make one of these fewer'
    )
  symbols, groups, pools, wide = '', {}, list(_POOLS), 0
  for name, n in sizes.items():
    groups[name] = range(len(symbols), len(symbols) + n)
    fits = [pool for pool in pools if len(pool) >= n]
    if fits:
      pools.remove(fits[0])
      symbols += fits[0][:n]
    else:
      symbols, wide = symbols + _WIDE[wide : wide + n], wide + n
  return Vocabulary(symbols + marks, immutabledict(groups))
