"""Batches: windows of a token stream, where a position is one integer."""

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
) -> 'grain.MapDataset':
  """Endless shuffled batches; `batches(...)[k]` is batch k, [B, T + 1] int32.

  Inputs are [:, :-1], targets [:, 1:]. Batch k is a pure function of the
  arguments and k: no state besides k, and no reading of the batches before.
  Every window is read once an epoch, in another order each epoch. With
  several processes, each gets its B / process_count rows of the same batch.
  Raises ValueError if the text does not fill one batch.
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
  # Windows overlap by one token, so every token but the first is a target.
  windows = (len(tokens) - 1) // T
  if not windows:
    raise ValueError(
      f'T = {T} is longer than the text: {len(tokens)} tokens allow at most '
      f'T = {len(tokens) - 1}'
    )
  if windows < B:
    raise ValueError(
      f'a batch of B = {B} windows of T = {T} is more than the text: '
      f'{len(tokens)} tokens allow at most B = {windows}, or at this B at most '
      f'T = {(len(tokens) - 1) // B}'
    )
  import grain

  stream = np.asarray(tokens)  # still mapped; np.memmap is slow to index
  rows = B // process_count
  # Rows are cut from the global batch, so the process count changes nothing.
  mine = slice(process_index * rows, (process_index + 1) * rows)

  def read(batch: Int[np.ndarray, ' B']) -> Int32[np.ndarray, 'b t']:
    places = batch[mine, None] * T + np.arange(T + 1)
    return stream[places].astype(np.int32)

  order = grain.MapDataset.range(windows).seed(seed).shuffle().repeat()
  return order.batch(B, drop_remainder=True).map(read)
