"""Splits: the documents of a corpus on disk, and which split has which."""

import array
import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import numpy as np
from jaxtyping import Int

from extrapolation.data import held_out
from extrapolation.data.sources import (
  BLOCK,
  SPLITS,
  Budget,
  Part,
  documents,
)
from extrapolation.data.tokenizers.tokenizer import Cut, after_line, pieces

Spans = Int[np.ndarray, '_ 2']  # first byte and end of each document


@dataclasses.dataclass(frozen=True)
class Text:
  """Documents of every split as byte ranges of one file.

  path: the text of all documents; spans: split -> [n, 2], first byte and end
  of each document in order; parts: split -> [n], the part each came from, of
  `weights` (their shares of training, all 0 for each text once); skipped: why
  -> records that hold no text.
  """

  path: pathlib.Path
  spans: dict[str, Spans]
  parts: dict[str, Int[np.ndarray, ' n']]
  weights: tuple[float, ...] = (0.0,)
  skipped: dict[str, int] = dataclasses.field(default_factory=dict)

  def read(self, start: int, end: int) -> bytes:
    """Bytes [start, end) of the file; a mapping would count as memory."""
    return _read(self.path, start, end)

  def documents(
    self, split: str, cut: Cut = after_line
  ) -> Iterator[Iterator[str]]:
    """Each document of a split in order, cut into pieces."""
    for start, end in self.spans[split].tolist():
      yield pieces(self.read, start, end, cut)

  def sample(
    self, size: int, advance: Callable[[int], None] = lambda n: None
  ) -> Iterator[str]:
    """Pieces of the train split, evenly spread, about `size` bytes in all.

    Of a weighted mixture, each part by its weight.
    """
    lengths = np.diff(self.spans['train'])[:, 0]
    totals = np.bincount(self.parts['train'], lengths, len(self.weights))
    wanted = np.array(self.weights) * size
    if not any(self.weights):
      wanted = totals / totals.sum() * size
    share = np.minimum(1.0, wanted / np.maximum(totals, 1)).tolist()
    due = 0.0
    parts = self.parts['train'].tolist()
    for part, document in zip(parts, self.documents('train'), strict=True):
      for piece in document:
        length = len(piece.encode())
        advance(length)
        due += length * share[part]
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
      for block in range(start, end, BLOCK):
        digest.update(self.read(block, min(end, block + BLOCK)))
    return digest.hexdigest()


def gather(
  parts: Sequence[Part],
  path: pathlib.Path,
  advance: Callable[[int], None] = lambda n: None,
) -> Text:
  """Writes the text of all inputs to `path` and splits it by document.

  Splits that are given stay as they are. The others take 5 % each of a part's
  training documents, see `held_out`.

  Parts follow each other in the train split; in the others their documents
  are interleaved, so that any beginning holds each in proportion.

  `advance` takes the number of bytes read from each input.

  Raises:
    ValueError: a split without text, or a separator that never occurs.
  """
  spans: dict[str, list[Spans]] = {}
  part_of: dict[str, list[np.ndarray]] = {}
  separated, skipped = False, {}
  with open(path, 'wb') as out:
    for k, part in enumerate(parts):
      by_split, occurs = _gather(part, out, advance, skipped)
      separated |= occurs or not part.separator
      if len(parts) == 1 and not separated:
        raise _no_separator(part)
      _check(part, by_split)
      for split, rows in by_split.items():
        spans.setdefault(split, []).append(rows)
        part_of.setdefault(split, []).append(np.full(len(rows), k))
  if not separated:
    raise _no_separator(parts[0])
  weights = tuple(p.weight for p in parts)
  text = Text(path, {}, {}, weights, skipped)
  for split in (s for s in SPLITS if s in spans):
    order = slice(None) if split == 'train' else _interleaved(spans[split])
    text.spans[split] = np.concatenate(spans[split])[order]
    text.parts[split] = np.concatenate(part_of[split])[order]
  return text


def _interleaved(spans: Sequence[Spans]) -> Int[np.ndarray, ' m']:
  """The order in which documents of several parts end at equal shares."""
  ends = [np.cumsum(np.diff(rows)[:, 0]) for rows in spans]
  shares = [e / max(e[-1], 1) if len(e) else e for e in ends]
  return np.argsort(np.concatenate(shares), kind='stable')


def _gather(
  part: Part,
  out: IO[bytes],
  advance: Callable[[int], None],
  skipped: dict[str, int],
) -> tuple[dict[str, Spans], bool]:
  """Documents of one part by split, and whether its separator occurs."""
  spans, splits, hashes = array.array('q'), bytearray(), array.array('d')
  documents_ended, begin = 0, out.tell()
  end = begin
  budget = Budget(part.inputs)
  for entry in part.inputs:
    by_text = bool(part.separator) or entry.many
    name = b'' if by_text else os.fsencode(entry.name)
    start, digest = end, hashlib.sha256(name)
    for block in documents(entry, part.separator, budget, part.field, skipped):
      if block is not None:
        end += out.write(block)
        if by_text:
          digest.update(block)
        continue
      documents_ended += 1
      if end > start:  # separators may follow each other
        spans.extend((start, end))
        splits.append(SPLITS.index(entry.split))
        hashes.append(int.from_bytes(digest.digest()[:8], 'big') / 2**64)
      start, digest = end, hashlib.sha256(name)
    advance(entry.size())
  if end == begin:
    many = f'{len(part.inputs)} files' if len(part.inputs) > 1 else 'a file'
    why = ''.join(f'; {n:,} records {why}' for why, n in skipped.items())
    raise ValueError(f'{part.source} is empty: {many} without text{why}')
  rows = np.frombuffer(spans, np.int64).reshape(-1, 2)
  number = np.frombuffer(bytes(splits), np.int8)
  by_split = {s: rows[number == k] for k, s in enumerate(SPLITS)}
  given = {i.split for i in part.inputs}
  if 'train' in given:
    missing = [s for s in held_out.SHARES if s not in given | part.elsewhere]
    out.flush()
    read = functools.partial(_read, pathlib.Path(out.name))
    of_train = np.frombuffer(hashes)[number == 0]
    by_split |= held_out.split(by_split['train'], of_train, missing, read)
    given |= {*missing}
  return (
    {s: by_split[s] for s in SPLITS if s in given},
    documents_ended > len(part.inputs),
  )


def _no_separator(part: Part) -> ValueError:
  return ValueError(
    f'no line of {part.source} is the separator {part.separator!r}; '
    'correct data.separator, or leave it empty for one document per file'
  )


def _check(part: Part, by_split: dict[str, Spans]) -> None:
  """Raises ValueError for a split without text."""
  for split, rows in by_split.items():
    if not len(rows):
      size = sum(int(np.diff(r).sum()) for r in by_split.values())
      count = sum(map(len, by_split.values()))
      raise ValueError(
        f'split {split!r} of {part.source} is empty: {size} bytes in {count} '
        f'documents; give more text, or a source of its own in data.{split}'
      )


def _read(path: pathlib.Path, start: int, end: int) -> bytes:
  with open(path, 'rb') as file:
    file.seek(start)
    return file.read(end - start)
