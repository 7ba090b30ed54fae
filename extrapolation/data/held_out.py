"""Which training documents are held out for splits that are not given.

By the hash of a document's path (one document per file), or of its text
(several in one file, so that equal ones stay together). Too few documents for
that are cut at line ends, the first 90 % to train.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from extrapolation.data.sources import BLOCK

SHARES = {'test': 0.05, 'valid': 0.05}

Read = Callable[[int, int], bytes]  # bytes [start, end) of the text


def split(
  spans: Int[np.ndarray, 'n 2'],
  hashes: Float[np.ndarray, ' n'],
  missing: Sequence[str],
  read: Read,
) -> dict[str, Int[np.ndarray, 'm 2']]:
  """Documents with hashes in [0, 1), as those of 'train' and `missing`."""
  if not missing:
    return {}
  if len(spans) <= len(missing):
    return _cut(spans, missing, read)
  chosen, low = {}, 0.0
  free = np.ones(len(spans), bool)
  for name in missing:
    # A fixed threshold keeps a document in its split when others come or go.
    rows = free & (low <= hashes) & (hashes < low + SHARES[name])
    low += SHARES[name]
    if not rows.any():  # few documents: the nearest one
      rows = hashes == np.where(free, hashes, np.inf).min()
    free &= ~rows
    chosen[name] = spans[rows]
  return chosen | {'train': spans[free]}


def _cut(
  spans: Int[np.ndarray, 'n 2'], missing: Sequence[str], read: Read
) -> dict[str, Int[np.ndarray, 'm 2']]:
  """The same, each document cut in three."""
  order = ('train', *reversed(missing))
  shares = [SHARES[name] for name in order[1:]]
  ends = np.cumsum([1 - sum(shares), *shares])
  ranges = {name: [] for name in order}
  for start, end in spans.tolist():
    cut = start
    for name, share in zip(order, ends, strict=True):
      stop = end
      if name != order[-1]:
        stop = _line_end(read, start + int((end - start) * share), end)
      if stop > cut:
        ranges[name].append((cut, stop))
        cut = stop
  return {
    name: np.array(rows, np.int64).reshape(-1, 2)
    for name, rows in ranges.items()
  }


def _line_end(read: Read, start: int, end: int) -> int:
  ahead = read(start, min(end, start + BLOCK))
  newline = ahead.find(b'\n')
  if newline >= 0:
    return start + newline + 1
  # One long line: at least not inside a character.
  return start + len(ahead) - len(ahead.lstrip(bytes(range(0x80, 0xC0))))
