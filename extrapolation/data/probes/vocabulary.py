"""The symbols of a probe: one readable character for each id."""

import dataclasses
import string
from collections.abc import Mapping

import numpy as np
from immutabledict import immutabledict
from jaxtyping import Integer

MOST = 256  # symbols, so that a byte can hold an id
_DIGITS = string.digits + '!#$%&*+-/@^~:;,.|()[]{}'
_POOLS = (string.ascii_lowercase, string.ascii_uppercase, _DIGITS)
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


def build(marks: str = '', **groups: int | str) -> Vocabulary:
  """Groups of so many symbols, or of these, and an id for each of `marks`.

  A number of symbols is taken from the first of a-z, A-Z and digits (followed
  by punctuation) that no other group uses and that has enough, else from
  letters beyond ASCII.

  >>> build('?', filler=3, bits='01').symbols
  'abc01?'

  Raises:
    ValueError: a group without a symbol, or more than MOST symbols in all.
  """
  sizes = {k: g if isinstance(g, int) else len(g) for k, g in groups.items()}
  for name, n in sizes.items():
    if n < 1:
      raise ValueError(f'{name} = {n}: needs 1 or more')
  if (total := sum(sizes.values()) + len(marks)) > MOST:
    named = ' + '.join(f'{n} {name}' for name, n in sizes.items())
    raise ValueError(
      f'{named} + {len(marks)} marks are {total} symbols; at most {MOST}, so '
      'make one of these fewer'
    )
  symbols, ids, pools, wide = '', {}, list(_POOLS), 0
  for name, group in groups.items():
    n = sizes[name]
    ids[name] = range(len(symbols), len(symbols) + n)
    fits = [pool for pool in pools if len(pool) >= n]
    if isinstance(group, str):
      symbols += group
    elif fits:
      pools.remove(fits[0])
      symbols += fits[0][:n]
    else:
      symbols, wide = symbols + _WIDE[wide : wide + n], wide + n
  return Vocabulary(symbols + marks, immutabledict(ids))
