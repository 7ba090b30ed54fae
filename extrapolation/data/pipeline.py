"""Batches: windows of a token stream, where a position is one integer."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32, UInt

if TYPE_CHECKING:
  import grain


@dataclasses.dataclass(frozen=True)
class Windows:
  """Windows of T + 1 tokens; each starts with the last token of the one before.

  So every token but the first is a target exactly once.
  """

  tokens: UInt[np.ndarray, ' n']
  T: int

  def __len__(self) -> int:
    return (len(self.tokens) - 1) // self.T

  def __getitem__(self, i: int) -> Int32[np.ndarray, ' t']:
    start = i * self.T
    return self.tokens[start : start + self.T + 1].astype(np.int32)


def batches(
  tokens: UInt[np.ndarray, ' n'],
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
  if len(tokens) < 2:
    raise ValueError(f'{len(tokens)} tokens are too few for a window')
  windows = Windows(tokens, T)
  if not len(windows):
    raise ValueError(
      f'T = {T} is longer than the text: {len(tokens)} tokens allow at most '
      f'T = {len(tokens) - 1}'
    )
  if len(windows) < B:
    raise ValueError(
      f'a batch of B = {B} windows of T = {T} is more than the text: '
      f'{len(tokens)} tokens allow at most B = {len(windows)}, or at this B '
      f'at most T = {(len(tokens) - 1) // B}'
    )
  import grain

  rows = B // process_count
  mine = slice(process_index * rows, (process_index + 1) * rows)
  # Rows are cut from the global batch, so the process count changes nothing.
  return (
    grain.MapDataset.source(windows)
    .seed(seed)
    .shuffle()
    .repeat()
    .batch(B, drop_remainder=True)
    .map(lambda batch: batch[mine])
  )
