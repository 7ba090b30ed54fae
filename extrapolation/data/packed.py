"""Several documents in one window, each as if it were alone.

Documents of up to T targets are never cut. Which of them share a window is
chosen by size, best-fit decreasing (Johnson 1974; for language models Ding et
al., arXiv 2404.10830): attention does not cross documents, so their order in
the text means nothing, and this leaves the least padding. Longer ones are cut
into pieces of T targets that overlap by one token, and what remains of them is
placed as a document is.
"""

import bisect
import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Int32, Integer

PADDING = -1  # number of the document that is none


class Batch(NamedTuple):
  """What a training step reads of packed windows.

  Attributes:
    tokens: inputs are [:, :-1], targets [:, 1:]; 0 after the last document.
    weights: 1 where input and target are of the same document, else 0.
    documents: of each input, counted in its window; PADDING after the last.
  """

  tokens: Int32[np.ndarray, 'b T1']
  weights: Float32[np.ndarray, 'b T']
  documents: Int32[np.ndarray, 'b T']


@dataclasses.dataclass(frozen=True, eq=False)
class PackedWindows:
  """Which piece of the text lies where.

  Attributes:
    T: targets of a full window, whose room is T + 1 tokens.
    start, size, offset: first token in the text, number of tokens, and offset
      in its window, of each piece, by window.
    first: the pieces of window w are first[w] .. first[w + 1] - 1.
    by_part: number of the first window of each part, and of all windows.
    split: documents that were cut.
    left_out: documents of one token, which have no target.
  """

  T: int
  start: Int[np.ndarray, ' p']
  size: Int[np.ndarray, ' p']
  offset: Int[np.ndarray, ' p']
  first: Int[np.ndarray, ' w1']
  by_part: Int[np.ndarray, ' q1']
  split: int
  left_out: int

  def __len__(self) -> int:
    return len(self.first) - 1

  @property
  def padding(self) -> float:
    """Share of all room that is empty."""
    return 1 - int(self.size.sum()) / (len(self) * (self.T + 1))

  def read(
    self,
    tokens: Integer[np.ndarray, ' n'],
    windows: Int[np.ndarray, ' b'],
  ) -> Batch:
    """The windows of these numbers."""
    b, room = len(windows), self.T + 1
    counts = self.first[windows + 1] - self.first[windows]
    piece = _ranges(self.first[windows], counts)
    row = np.repeat(np.arange(b), counts)
    size = self.size[piece]
    to = _ranges(row * room + self.offset[piece], size)
    text = np.zeros(b * room, np.int32)
    text[to] = tokens[_ranges(self.start[piece], size)]
    document = np.full(b * room, PADDING, np.int32)
    document[to] = np.repeat(piece - self.first[windows][row], size)
    text, document = (x.reshape(b, room) for x in (text, document))
    same = document[:, :-1] == document[:, 1:]
    weights = (same & (document[:, 1:] != PADDING)).astype(np.float32)
    return Batch(text, weights, np.ascontiguousarray(document[:, :-1]))


def pack(
  documents: Integer[np.ndarray, ' d'],
  T: int,
  parts: Integer[np.ndarray, ' q'] | None = None,
) -> PackedWindows:
  """Windows of T targets in which every token of a document is a target once.

  But for its first one, which follows nothing.

  Args:
    documents: offsets, as of `Dataset.offsets`.
    parts: offsets of parts that share no window, each of whole documents.

  Raises:
    ValueError: no document has a target.
  """
  documents = np.asarray(documents, np.int64)
  targets = np.diff(documents) - 1
  if not (targets > 0).any():
    raise ValueError(
      f'{len(targets)} documents of one token each have no target to learn; '
      'give more text, or another data.separator'
    )
  counts = -(-np.maximum(targets, 0) // T)
  number = _ranges(np.zeros_like(counts), counts)  # of a piece in its document
  start = documents[:-1].repeat(counts) + number * T
  size = np.minimum(targets.repeat(counts) - number * T, T) + 1
  ends = documents[[0, -1]] if parts is None else np.asarray(parts)
  window, by_part = np.empty_like(start), [0]
  for a, b in itertools.pairwise(np.searchsorted(start, ends)):
    window[a:b] = by_part[-1] + best_fit_decreasing(size[a:b], T + 1)
    by_part.append(int(window[a:b].max(initial=by_part[-1] - 1)) + 1)
  order = np.argsort(window, kind='stable')
  start, size, window = start[order], size[order], window[order]
  first = np.searchsorted(window, np.arange(by_part[-1] + 1))
  before = np.cumsum(size) - size
  return PackedWindows(
    T=T,
    start=start,
    size=size,
    offset=before - before[first[:-1]].repeat(np.diff(first)),
    first=first,
    by_part=np.asarray(by_part),
    split=int((targets > T).sum()),
    left_out=int((targets < 1).sum()),
  )


def beginning(
  documents: Integer[np.ndarray, ' d'], targets: int
) -> Int[np.ndarray, ' e']:
  """Offsets of the first documents of a text, of so many targets in all.

  The last one is cut; all of them where there are no more.

  >>> beginning(np.array([0, 4, 5, 9, 20]), 5)
  array([0, 4, 5, 8])
  """
  documents = np.asarray(documents, np.int64)
  before = documents - np.arange(len(documents)) - documents[0]
  n = int(np.searchsorted(before, targets))
  if n == len(documents):
    return documents
  return np.append(documents[:n], documents[n] - (before[n] - targets))


def best_fit_decreasing(
  size: Int[np.ndarray, ' p'], room: int
) -> Int[np.ndarray, ' p']:
  """The bin of each piece: the largest first, where the least room is left.

  All pieces of one size at once, so that the time is one of sizes, and the
  memory one of pieces.
  """
  out = np.empty(len(size), np.int64)
  order = np.argsort(-size, kind='stable')
  sizes, begin = np.unique(-size[order], return_index=True)
  # Bins by the room that is left in them, and those rooms in order.
  bins: dict[int, Int[np.ndarray, ' m']] = {}
  rooms: list[int] = []
  made = 0

  def give(left: int, some: Int[np.ndarray, ' m']) -> None:
    if left > 0 and len(some):
      if left not in bins:
        bisect.insort(rooms, left)
        bins[left] = some
      else:
        bins[left] = np.concatenate([bins[left], some])

  groups = np.split(order, begin[1:]) if len(order) else []
  for n, pieces in zip((-sizes).tolist(), groups, strict=True):
    while len(pieces):
      i = bisect.bisect_left(rooms, n)
      if i < len(rooms):
        left = rooms.pop(i)
        free = bins.pop(left)
      else:
        left, free = room, np.arange(made, made - (-len(pieces) // (room // n)))
        made += len(free)
      each = left // n
      used, last = divmod(len(pieces), each)
      chosen = np.repeat(free, each)[: len(pieces)]
      out[pieces[: len(chosen)]] = chosen
      pieces = pieces[len(chosen) :]
      give(left - each * n, free[:used])
      if last and used < len(free):
        give(left - last * n, free[used : used + 1])
        used += 1
      give(left, free[used:])
  return out


def _ranges(
  start: Int[np.ndarray, ' p'], size: Int[np.ndarray, ' p']
) -> Int[np.ndarray, ' n']:
  """arange(start, start + size) of each, one after another."""
  before = np.cumsum(size) - size
  return np.repeat(start - before, size) + np.arange(size.sum())
