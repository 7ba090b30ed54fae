"""A prepared corpus: token streams on disk, their tokenizer and origin."""

import dataclasses
import hashlib
import json
import pathlib
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64, UInt

from extrapolation.data import pipeline
from extrapolation.data import tokenizer as tokenizers

if TYPE_CHECKING:
  import grain

WINDOWS = ('contiguous', 'within')


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """A corpus as token streams, one a split, each document followed by eos.

  windows: how training reads it, 'contiguous' or 'within' documents.
  """

  folder: pathlib.Path
  manifest: dict
  tokenizer: tokenizers.Tokenizer
  windows: str = 'contiguous'

  def tokens(self, split: str) -> UInt[np.ndarray, ' n']:
    """Token ids of a split in order, uint16 or uint32, mapped from disk."""
    about = self._about(split)
    path = self.folder / f'{split}.{about["dtype"]}'
    return np.memmap(path, about['dtype'], mode='r', shape=(about['tokens'],))

  def offsets(self, split: str) -> Int64[np.ndarray, ' d']:
    """Document i is tokens[offsets[i]:offsets[i + 1]], its eos the last."""
    self._about(split)
    return np.load(self.folder / f'{split}.offsets.npy', mmap_mode='r')

  def batches(
    self,
    *,
    B: int,
    T: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
  ) -> 'grain.MapDataset':
    """`pipeline.batches` of the train split, as its windows and weights say."""
    parts = self.manifest['parts']
    weights = tuple(part['weight'] for part in parts)
    ends = np.cumsum([part['documents'] for part in parts])
    offsets = self.offsets('train')
    return pipeline.batches(
      self.tokens('train'),
      B=B,
      T=T,
      seed=seed,
      process_index=process_index,
      process_count=process_count,
      documents=offsets if self.windows == 'within' else None,
      parts=offsets[[0, *ends]] if any(weights) else None,
      weights=weights if any(weights) else None,
    )

  def bytes(self, split: str) -> int:
    """Number of UTF-8 bytes of text in a split."""
    return self._about(split)['bytes']

  def summary(self, T: int = 0) -> str:
    """What was read, one line a split; what windows of T leave out."""
    about, lines = self.manifest, []
    for split, of in about['splits'].items():
      lines.append(
        f'{split:5} {of["bytes"]:13,} bytes {of["documents"]:8,} documents '
        f'{of["tokens"]:13,} {self.tokenizer.name} tokens  '
        f'sha256 {of["sha256"][:12]}  {about["source"]}, '
        f'Python {about["python"]}'
      )
    parts = about['parts'] if len(about['parts']) > 1 else ()
    for i, part in enumerate(parts):
      name = (about['part_sources'] or [f'part {n + 1}' for n in range(99)])[i]
      share = f'{part["weight"]:.1%}' if part['weight'] else 'once an epoch'
      lines.append(
        f'      train of {name}: {part["documents"]:,} documents, '
        f'{part["tokens"]:,} tokens, read {share}'
      )
    if T and self.windows == 'within':
      short, lost, twice = pipeline.within(self.offsets('train'), T)
      share = lost / about['splits']['train']['tokens']
      lines.append(
        f'      windows of {T} within documents: {short:,} shorter documents '
        f'({share:.2%} of the tokens) left out, {twice:,} targets read twice'
      )
    return '\n'.join(lines)

  def _about(self, split: str) -> dict:
    if split not in self.manifest['splits']:
      has = ', '.join(self.manifest['splits'])
      raise ValueError(
        f'{self.manifest["source"]} has no split {split!r}, only {has}; give '
        f'it a source of its own in data.{split}'
      )
    return self.manifest['splits'][split]


def load(
  folder: pathlib.Path, source: str, windows: str, parts: tuple[str, ...] = ()
) -> Dataset:
  """The finished dataset in a folder; `source` and `parts` are what to call it.

  Raises ValueError if any of it is damaged.
  """
  try:
    manifest = json.loads((folder / 'manifest.json').read_text('utf-8'))
    named = {'source': source, 'part_sources': list(parts)}
    data = Dataset(
      folder,
      manifest | named,
      tokenizers.load(folder / 'tokenizer.json'),
      windows,
    )
    if data.tokenizer.name != manifest['tokenizer']['name']:
      raise ValueError('tokenizer.json is another')
    for split, about in manifest['splits'].items():
      path = folder / f'{split}.{about["dtype"]}'
      with open(path, 'rb') as file:
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
      if digest != about['tokens_sha256']:
        raise ValueError(f'{path.name} has changed')
      offsets = data.offsets(split)
      if len(offsets) != about['documents'] + 1 or (
        hashlib.sha256(offsets).hexdigest() != about['offsets_sha256']
      ):
        raise ValueError(f'{split}.offsets.npy has changed')
  except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
    raise ValueError(
      f'the prepared data in {folder} is damaged ({error}); delete that folder '
      'and run again'
    ) from None
  return data
