"""Batches: windows of a token stream, where a position is one integer."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, Int32, Integer

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
  spans = ends if documents is None else np.asarray(documents)
  counts = _counts(spans, T, documents is not None)
  _check(spans, counts, B, T, documents is not None)
  stop = np.cumsum(counts)
  import grain

  stream = np.asarray(tokens)  # still mapped; np.memmap is slow to index
  rows = B // process_count
  # Rows are cut from the global batch, so the process count changes nothing.
  own = slice(process_index * rows, (process_index + 1) * rows)

  def read(batch: Int[np.ndarray, ' B']) -> Int32[np.ndarray, 'b t']:
    window = batch[own]
    span = np.searchsorted(stop, window, side='right')
    number = window - (stop - counts)[span]
    start = np.minimum(spans[span] + number * T, spans[span + 1] - T - 1)
    return stream[start[:, None] + np.arange(T + 1)].astype(np.int32)

  def shuffled(*numbers: int) -> 'grain.MapDataset':
    return grain.MapDataset.range(*numbers).seed(seed).shuffle().repeat()

  if weights is None:
    order = shuffled(int(stop[-1]))
  else:
    # Windows are numbered by part, since documents lie in the order of parts.
    first = np.searchsorted(spans, ends)
    numbers = np.concatenate([[0], stop])[first].tolist()
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


def _check(
  spans: Integer[np.ndarray, ' d'],
  counts: Int[np.ndarray, ' s'],
  B: int,
  T: int,
  whole: bool,
) -> None:
  windows, n = int(counts.sum()), int(spans[-1] - spans[0])
  longest = int(np.diff(spans).max()) - 1
  if not windows and whole:
    raise ValueError(
      f'T = {T} is longer than every document: the longest allows at most '
      f"T = {longest}; or read across them, data.windows = 'contiguous'"
    )
  if not windows:
    raise ValueError(
      f'T = {T} is longer than the text: {n} tokens allow at most T = {longest}'
    )
  if windows < B:
    at_most = f', or at this B at most T = {(n - 1) // B}' if not whole else ''
    raise ValueError(
      f'a batch of B = {B} windows of T = {T} is more than the text: '
      f'{n} tokens allow at most B = {windows}{at_most}'
    )
