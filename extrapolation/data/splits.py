"""Splits: the documents of a corpus on disk, and which split has which."""

import array
import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int

from extrapolation.data import corpora
from extrapolation.data.tokenizer import pieces

HELD_OUT = {'test': 0.05, 'valid': 0.05}


@dataclasses.dataclass(frozen=True)
class Text:
  """Documents of every split as byte ranges of one file.

  path: the text of all documents; spans: split -> [n, 2], first byte and end
  of each document in order.
  """

  path: pathlib.Path
  spans: dict[str, Int[np.ndarray, 'n 2']]

  def read(self, start: int, end: int) -> bytes:
    """Bytes [start, end) of the file; a mapping would count as memory."""
    return _read(self.path, start, end)

  def documents(self, split: str) -> Iterator[Iterator[str]]:
    """Each document of a split in order, cut into pieces."""
    for start, end in self.spans[split].tolist():
      yield pieces(self.read, start, end)

  def sample(
    self, size: int, advance: Callable[[int], None] = lambda n: None
  ) -> Iterator[str]:
    """Pieces of the train split, evenly spread, about `size` bytes in all."""
    share, due = min(1.0, size / self.bytes('train')), 0.0
    for piece in itertools.chain.from_iterable(self.documents('train')):
      length = len(piece.encode())
      advance(length)
      due += length * share
      if due > 0:
        due -= length
        yield piece

  def bytes(self, split: str) -> int:
    """Number of UTF-8 bytes in a split."""
    return int(np.diff(self.spans[split]).sum())

  def sha256(self, split: str) -> str:
    """Digest of the split's documents, one after another."""
    digest = hashlib.sha256()
    for start, end in self.spans[split].tolist():
      for block in range(start, end, corpora.BLOCK):
        digest.update(self.read(block, min(end, block + corpora.BLOCK)))
    return digest.hexdigest()


def gather(
  source: str,
  inputs: list[corpora.Input],
  separator: str,
  path: pathlib.Path,
  advance: Callable[[int], None] = lambda n: None,
) -> Text:
  """Writes the text of all inputs to `path` and splits it by document.

  Splits that are given stay as they are. The others take 5 % each of the
  training documents: by the hash of a document's path (one document a file),
  or of its text (separated documents, so that equal ones stay together). Too
  few documents for that are cut at line ends, the first 90 % to train.

  `advance` is told the number of bytes read from each input. Raises
  ValueError for a split without text and a separator that never occurs.
  """
  spans, splits, hashes = array.array('q'), bytearray(), array.array('d')
  marks, end = 0, 0
  with open(path, 'wb') as out:
    for entry in inputs:
      start, digest = end, _hash(entry, separator)
      for block in corpora.documents(entry.path, separator):
        if block is not None:
          end += out.write(block)
          if separator:
            digest.update(block)
          continue
        marks += 1
        if end > start:  # separators may follow each other
          spans.extend((start, end))
          splits.append(corpora.SPLITS.index(entry.split))
          hashes.append(int.from_bytes(digest.digest()[:8], 'big') / 2**64)
        start, digest = end, _hash(entry, separator)
      advance(entry.path.stat().st_size)
  if separator and marks == len(inputs):
    raise ValueError(
      f'no line of {source} is the separator {separator!r}; correct '
      'data.separator, or leave it empty for one document a file'
    )
  if not end:
    raise ValueError(f'{source} is empty: {len(inputs)} files without text')
  table = np.frombuffer(spans, np.int64).reshape(-1, 2)
  which = np.frombuffer(bytes(splits), np.int8)
  found = {s: table[which == k] for k, s in enumerate(corpora.SPLITS)}
  given = {i.split for i in inputs}
  if 'train' in given:
    missing = [s for s in HELD_OUT if s not in given]
    train = np.frombuffer(hashes)[which == 0]
    found |= _hold_out(path, found['train'], train, missing)
    given = set(corpora.SPLITS)
  for split in corpora.SPLITS:
    if split in given and not len(found[split]):
      raise ValueError(
        f'split {split!r} of {source} is empty: {end} bytes in {len(table)} '
        f'documents; give more text, or a source of its own in data.{split}'
      )
  return Text(path, {s: found[s] for s in corpora.SPLITS if s in given})


def _hash(entry: corpora.Input, separator: str):
  return hashlib.sha256(b'' if separator else entry.name.encode())


def _hold_out(
  path: pathlib.Path,
  spans: Int[np.ndarray, 'n 2'],
  hashes: Float[np.ndarray, ' n'],
  missing: list[str],
) -> dict[str, Int[np.ndarray, 'm 2']]:
  if not missing:
    return {}
  if len(spans) <= len(missing):
    return _cut(path, spans, missing)
  found, low = {}, 0.0
  free = np.ones(len(spans), bool)
  for split in missing:
    # A fixed threshold keeps a document in its split when others come or go.
    mine = free & (low <= hashes) & (hashes < low + HELD_OUT[split])
    low += HELD_OUT[split]
    if not mine.any():  # few documents: the nearest one
      mine = hashes == np.where(free, hashes, np.inf).min()
    free &= ~mine
    found[split] = spans[mine]
  return found | {'train': spans[free]}


def _cut(
  path: pathlib.Path, spans: Int[np.ndarray, 'n 2'], missing: list[str]
) -> dict[str, Int[np.ndarray, 'm 2']]:
  order = ('train', *reversed(missing))
  held = [HELD_OUT[s] for s in reversed(missing)]
  shares = np.cumsum([1 - sum(held), *held])
  found = {split: [] for split in order}
  for start, end in spans.tolist():
    cut = start
    for split, share in zip(order, shares, strict=True):
      stop = end
      if split != order[-1]:
        stop = _line_end(path, start + int((end - start) * share), end)
      if stop > cut:
        found[split].append((cut, stop))
        cut = stop
  return {s: np.array(v, np.int64).reshape(-1, 2) for s, v in found.items()}


def _line_end(path: pathlib.Path, start: int, end: int) -> int:
  ahead = _read(path, start, min(end, start + corpora.BLOCK))
  newline = ahead.find(b'\n')
  if newline >= 0:
    return start + newline + 1
  # One long line: at least not inside a character.
  return start + len(ahead) - len(ahead.lstrip(bytes(range(0x80, 0xC0))))


def _read(path: pathlib.Path, start: int, end: int) -> bytes:
  with open(path, 'rb') as file:
    file.seek(start)
    return file.read(end - start)
