"""Batches: windows of a token stream, where a position is one integer."""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, Int32, Integer

from extrapolation.data import packed

if TYPE_CHECKING:
  import grain


def batches(
  tokens: Integer[np.ndarray, ' n'],
  *,
  B: int,
  T: int,
  seed: int,
  process_index: int = 0,
  process_count: int = 1,
  documents: Integer[np.ndarray, ' d'] | None = None,
  pack: bool = False,
  parts: Integer[np.ndarray, ' p'] | None = None,
  weights: Sequence[float] | None = None,
) -> 'grain.MapDataset':
  """Endless shuffled batches; `batches(...)[k]` is batch k, [B, T + 1] int32.

  Inputs are [:, :-1], targets [:, 1:]. Batch k is a pure function of the
  arguments and k: no state besides k, and no reading of the batches before.
  Every window is read once per epoch, in another order each epoch. With
  several processes, each gets its B / process_count rows of the same batch.

  documents: offsets, as of `Dataset.offsets`: every window then lies within
    one document, so that attention cannot cross to another. The last window
    of a document reaches back to be full, so some of its targets are read
    twice per epoch, all others once; documents of T tokens or fewer, eos
    counted, are left out (`left_out` counts both).
  pack: put several documents into each window, see `packed.pack`: every target
    is read once per epoch, and a batch is a `packed.Batch`.
  parts, weights: part i is tokens[parts[i]:parts[i + 1]], and windows are
    taken from the parts by these shares, each endless with epochs of its own.

  Raises:
    ValueError: the text does not fill one batch, or sizes that do not fit.
  """
  for name, value in (('B', B), ('T', T), ('process_count', process_count)):
    if value < 1:
      raise ValueError(f'{name} = {value} must be at least 1')
  if B % process_count or not 0 <= process_index < process_count:
    raise ValueError(
      f'B = {B} must be a multiple of process_count = {process_count}, and '
      f'process_index = {process_index} less than it'
    )
  if not 0 <= seed < 2**32:
    raise ValueError(f'seed = {seed} must lie in [0, 2**32)')
  if len(tokens) < 2:
    raise ValueError(f'{len(tokens)} tokens are too few for a window')
  ends = np.array([0, len(tokens)]) if parts is None else np.asarray(parts)
  if pack and documents is None:
    raise ValueError('pack=True without documents: give their offsets')
  if documents is not None and pack:
    windows = packed.pack(documents, T, ends)
  else:
    spans = ends if documents is None else np.asarray(documents)
    windows = _Consecutive(spans, T, documents is not None, ends)
    _check_length(windows)
  if len(windows) < B:
    raise _too_few(len(windows), len(tokens), B, T, documents is not None)
  import grain

  stream = np.asarray(tokens)  # still mapped; np.memmap is slow to index
  rows = B // process_count
  # Rows are cut from the global batch, so the process count changes nothing.
  own = slice(process_index * rows, (process_index + 1) * rows)

  def read(
    batch: Int[np.ndarray, ' B'],
  ) -> Int32[np.ndarray, 'b T1'] | packed.Batch:
    return windows.read(stream, batch[own])

  def shuffled(*numbers: int) -> 'grain.MapDataset':
    return grain.MapDataset.range(*numbers).seed(seed).shuffle().repeat()

  if weights is None:
    order = shuffled(len(windows))
  else:
    numbers = windows.by_part.tolist()
    for i, (a, b) in enumerate(itertools.pairwise(numbers)):
      if a == b:
        raise ValueError(
          f'part {i + 1} of the mixture has no window of T = {T}: '
          f'{ends[i + 1] - ends[i]} tokens'
        )
    order = grain.MapDataset.mix(
      [shuffled(a, b) for a, b in itertools.pairwise(numbers)],
      list(weights),
    )
  return order.batch(B, drop_remainder=True).map(read)


@dataclasses.dataclass(frozen=True, eq=False)
class _Consecutive:
  """Windows that follow each other in spans of the text, each in one of them.

  spans: offsets; whole: the last window of a span reaches back to be full;
  parts: offsets of parts, each of whole spans.
  """

  spans: Integer[np.ndarray, ' d']
  T: int
  whole: bool
  parts: Integer[np.ndarray, ' q']

  @functools.cached_property
  def stop(self) -> Int[np.ndarray, ' d']:
    """Number of the first window of each span, and of all windows."""
    counts = _counts(self.spans, self.T, self.whole)
    return np.concatenate([[0], np.cumsum(counts)])

  @property
  def by_part(self) -> Int[np.ndarray, ' q']:
    # Windows are numbered by part, since documents lie in the order of parts.
    return self.stop[np.searchsorted(self.spans, self.parts)]

  def __len__(self) -> int:
    return int(self.stop[-1])

  def read(
    self, tokens: Integer[np.ndarray, ' n'], windows: Int[np.ndarray, ' b']
  ) -> Int32[np.ndarray, 'b T1']:
    span = np.searchsorted(self.stop, windows, side='right') - 1
    start = self.spans[span] + (windows - self.stop[span]) * self.T
    start = np.minimum(start, self.spans[span + 1] - self.T - 1)
    return tokens[start[:, None] + np.arange(self.T + 1)].astype(np.int32)


def _counts(
  spans: Integer[np.ndarray, ' d'], T: int, whole: bool
) -> Int[np.ndarray, ' s']:
  """Windows of each span; they overlap by one token, so all but the first
  token are targets. If `whole`, the last one reaches back, else it is left."""
  targets = np.diff(spans) - 1
  if not whole:
    return np.maximum(targets, 0) // T
  return np.where(targets >= T, -(-targets // T), 0)


def left_out(
  documents: Integer[np.ndarray, ' d'], T: int
) -> tuple[int, int, int]:
  """Documents too short for a window of T, their tokens, targets read twice."""
  length = np.diff(documents)
  counts = _counts(documents, T, True)
  short = counts == 0
  twice = (counts * T - (length - 1))[~short]
  return int(short.sum()), int(length[short].sum()), int(twice.sum())


def _check_length(w: _Consecutive) -> None:
  """Raises ValueError if T is more than every span has."""
  if len(w):
    return
  longest, n = int(np.diff(w.spans).max()) - 1, int(w.spans[-1] - w.spans[0])
  if w.whole:
    raise ValueError(
      f'T = {w.T} is longer than every document: the longest allows at most '
      f"T = {longest}; or put several into a window, data.windows = 'packed', "
      "or read across them, 'contiguous'"
    )
  raise ValueError(
    f'T = {w.T} is longer than the text: {n} tokens allow at most T = {longest}'
  )


def _too_few(windows: int, n: int, B: int, T: int, whole: bool) -> ValueError:
  at_most = f', or at this B at most T = {(n - 1) // B}' if not whole else ''
  return ValueError(
    f'a batch of B = {B} windows of T = {T} is more than the text: '
    f'{n} tokens allow at most B = {windows}{at_most}'
  )
