"""A prepared corpus: token streams on disk, their tokenizer and origin."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64, UInt

from extrapolation.data import integrity, packed, pipeline, tokenizers

if TYPE_CHECKING:
  import grain

  from extrapolation.data.cells import Cells
  from extrapolation.data.examples import Batch, Examples

BY_DOCUMENT = ('within', 'packed')  # each document is read by itself
WINDOWS = ('contiguous', *BY_DOCUMENT)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """A corpus as token streams, one per split, an eos after each document.

  windows: how training reads it: 'contiguous'; 'within' documents; or 'packed',
    several documents in a window, which do not see each other.
  """

  folder: pathlib.Path
  manifest: dict[str, Any]
  tokenizer: tokenizers.Tokenizer
  windows: str = 'contiguous'

  @classmethod
  def load(
    cls,
    folder: pathlib.Path,
    source: str,
    windows: str,
    part_sources: Sequence[str] = (),
  ) -> 'Dataset':
    """The finished dataset in a folder; the sources are what to call it.

    Raises:
      ValueError: any of it is damaged.
    """
    manifest, tokenizer = integrity.read(folder)
    manifest |= {'source': source, 'part_sources': list(part_sources)}
    return cls(folder, manifest, tokenizer, windows)

  def tokens(self, split: str) -> UInt[np.ndarray, ' n']:
    """Token ids of a split in order, uint16 or uint32, mapped from disk."""
    record, path = self._record(split), self._path(split)
    return np.memmap(path, record['dtype'], 'r', shape=(record['tokens'],))

  def offsets(self, split: str) -> Int64[np.ndarray, ' d']:
    """Document i is tokens[offsets[i]:offsets[i + 1]], its eos the last."""
    self._record(split)
    return integrity.offsets(self.folder / f'{split}.offsets.npy')

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
    weights = tuple(part['weight'] for part in self.manifest['parts'])
    offsets = self.offsets('train')
    return pipeline.batches(
      self.tokens('train'),
      B=B,
      T=T,
      seed=seed,
      process_index=process_index,
      process_count=process_count,
      documents=offsets if self.within else None,
      pack=self.windows == 'packed',
      parts=self._parts(),
      weights=weights if any(weights) else None,
    )

  def _parts(self) -> Int64[np.ndarray, ' p'] | None:
    """Offsets of the parts of a weighted mixture in the train split."""
    parts = self.manifest['parts']
    if not any(part['weight'] for part in parts):
      return None
    ends = np.cumsum([part['documents'] for part in parts])
    return self.offsets('train')[[0, *ends]]

  @property
  def examples(self) -> 'tuple[Examples, ...]':
    """Probes that sequences are drawn from; a text has none."""
    return ()

  @property
  def within(self) -> bool:
    """Whether no token is read with one of another document before it."""
    return self.windows in BY_DOCUMENT

  def beginning(
    self, split: str, T: int, targets: int
  ) -> 'UInt[np.ndarray, "b T1"] | packed.Batch | Batch | Cells':
    """The first targets of a split in windows of T, as training reads them.

    As many whole windows of the stream, maybe none; or, where training stays
    within documents, their targets once each, in packed windows.

    Raises:
      ValueError: no document has a target.
    """
    tokens = self.tokens(split)
    if self.within:
      some = packed.beginning(self.offsets(split), targets)
      windows = packed.pack(some, T)
      return windows.read(tokens, np.arange(len(windows)))
    rows = max(min(targets, len(tokens) - 1), 0) // T
    return tokens[np.arange(rows)[:, None] * T + np.arange(T + 1)]

  def bytes(self, split: str) -> int:
    """Number of UTF-8 bytes of text in a split."""
    return self._record(split)['bytes']

  def summary(self, T: int = 0) -> str:
    """What was read, one line per split; what windows of T leave out."""
    manifest, lines = self.manifest, []
    for split, record in manifest['splits'].items():
      lines.append(
        f'{split:5} {record["bytes"]:13,} bytes {record["documents"]:8,} '
        f'documents {record["tokens"]:13,} {self.tokenizer.name} tokens  '
        f'sha256 {record["sha256"][:12]}  {manifest["source"]}, '
        f'Python {manifest["python"]}'
      )
    if skipped := manifest.get('skipped'):
      why = ', '.join(f'{n:,} {why}' for why, n in skipped.items())
      lines.append(f'      not read: {why}')
    parts = manifest['parts'] if len(manifest['parts']) > 1 else []
    names = manifest['part_sources']
    names = names or [f'part {i + 1}' for i in range(len(parts))]
    for name, part in zip(names, parts, strict=False):
      share = f'{part["weight"]:.1%}' if part['weight'] else 'once an epoch'
      lines.append(
        f'      train of {name}: {part["documents"]:,} documents, '
        f'{part["tokens"]:,} tokens, read {share}'
      )
    if T and self.windows == 'within':
      short, lost, twice = pipeline.left_out(self.offsets('train'), T)
      share = lost / manifest['splits']['train']['tokens']
      lines.append(
        f'      windows of {T} within documents: {short:,} shorter documents '
        f'({share:.2%} of the tokens) left out, {twice:,} targets read twice'
      )
    if T and self.windows == 'packed':
      w = packed.pack(self.offsets('train'), T, self._parts())
      lines.append(
        f'      {len(w):,} packed windows of {T}: '
        f'{manifest["splits"]["train"]["documents"]:,} documents, {w.split:,} '
        f'longer ones split, {w.left_out:,} of one token left out, '
        f'{w.padding:.2%} padding'
      )
    return '\n'.join(lines)

  def _record(self, split: str) -> dict[str, Any]:
    """What the manifest says of a split."""
    if split not in self.manifest['splits']:
      splits = ', '.join(self.manifest['splits'])
      raise ValueError(
        f'{self.manifest["source"]} has no split {split!r}, only {splits}; '
        f'give it a source of its own in data.{split}'
      )
    return self.manifest['splits'][split]

  def _path(self, split: str) -> pathlib.Path:
    return self.folder / f'{split}.{self._record(split)["dtype"]}'
