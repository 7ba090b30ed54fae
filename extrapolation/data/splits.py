"""Splits: the documents of a corpus on disk, and which split has which."""

import array
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int

from extrapolation.data.corpora import Part
from extrapolation.data.reading import BLOCK, SPLITS, documents, size
from extrapolation.data.tokenizer import Cut, after_line, pieces

HELD_OUT = {'test': 0.05, 'valid': 0.05}


@dataclasses.dataclass(frozen=True)
class Text:
  """Documents of every split as byte ranges of one file.

  path: the text of all documents; spans: split -> [n, 2], first byte and end
  of each document in order; parts: split -> [n], the part each came from, of
  `weights` (their shares of training, all 0 for each text once).
  """

  path: pathlib.Path
  spans: dict[str, Int[np.ndarray, 'n 2']]
  parts: dict[str, Int[np.ndarray, ' n']]
  weights: tuple[float, ...] = (0.0,)

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
    length = np.diff(self.spans['train'])[:, 0]
    parts = np.bincount(self.parts['train'], length, len(self.weights))
    wanted = np.array(self.weights) * size
    if not any(self.weights):
      wanted = parts / parts.sum() * size
    share = np.minimum(1.0, wanted / np.maximum(parts, 1)).tolist()
    due = 0.0
    of = self.parts['train'].tolist()
    for part, document in zip(of, self.documents('train'), strict=True):
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
  parts: list[Part],
  path: pathlib.Path,
  advance: Callable[[int], None] = lambda n: None,
) -> Text:
  """Writes the text of all inputs to `path` and splits it by document.

  Splits that are given stay as they are. The others take 5 % each of a part's
  training documents: by the hash of a document's path (one document a file),
  or of its text (several in one, so that equal ones stay together). Too few
  documents for that are cut at line ends, the first 90 % to train.

  Parts follow each other in the train split; in the others their documents
  alternate, so that any beginning holds each in proportion.

  `advance` is told the number of bytes read from each input. Raises
  ValueError for a split without text and a separator that never occurs.
  """
  spans, of, marks = {}, {}, False
  with open(path, 'wb') as out:
    for k, part in enumerate(parts):
      found, marked = _gather(part, out, advance)
      marks |= marked or not part.separator
      if len(parts) == 1 and not marks:
        raise _no_separator(part)
      _check(part, found)
      for split, table in found.items():
        spans.setdefault(split, []).append(table)
        of.setdefault(split, []).append(np.full(len(table), k))
  if not marks:
    raise _no_separator(parts[0])
  weights = tuple(p.weight for p in parts)
  text = Text(path, {}, {}, weights)
  for split in (s for s in SPLITS if s in spans):
    order = slice(None) if split == 'train' else _alternate(spans[split])
    text.spans[split] = np.concatenate(spans[split])[order]
    text.parts[split] = np.concatenate(of[split])[order]
  return text


def _alternate(tables: list[np.ndarray]) -> Int[np.ndarray, ' m']:
  """The order in which documents of several tables end at equal shares."""
  ends = [np.cumsum(np.diff(t)[:, 0]) for t in tables]
  shares = [e / max(e[-1], 1) if len(e) else e for e in ends]
  return np.argsort(np.concatenate(shares), kind='stable')


def _gather(
  part: Part, out, advance: Callable[[int], None]
) -> tuple[dict[str, Int[np.ndarray, 'n 2']], bool]:
  """Documents of one part by split, and whether its separator occurs."""
  spans, splits, hashes = array.array('q'), bytearray(), array.array('d')
  marks, begin = 0, out.tell()
  end = begin
  for entry in part.inputs:
    by_text = bool(part.separator) or entry.many
    name = b'' if by_text else entry.name.encode()
    start, digest = end, hashlib.sha256(name)
    for block in documents(entry, part.separator):
      if block is not None:
        end += out.write(block)
        if by_text:
          digest.update(block)
        continue
      marks += 1
      if end > start:  # separators may follow each other
        spans.extend((start, end))
        splits.append(SPLITS.index(entry.split))
        hashes.append(int.from_bytes(digest.digest()[:8], 'big') / 2**64)
      start, digest = end, hashlib.sha256(name)
    advance(size(entry))
  if end == begin:
    many = f'{len(part.inputs)} files' if len(part.inputs) > 1 else 'a file'
    raise ValueError(f'{part.source} is empty: {many} without text')
  table = np.frombuffer(spans, np.int64).reshape(-1, 2)
  which = np.frombuffer(bytes(splits), np.int8)
  found = {s: table[which == k] for k, s in enumerate(SPLITS)}
  given = {i.split for i in part.inputs}
  if 'train' in given:
    missing = [s for s in HELD_OUT if s not in given | part.elsewhere]
    train = np.frombuffer(hashes)[which == 0]
    found |= _hold_out(out, found['train'], train, missing)
    given |= {*missing}
  return {s: found[s] for s in SPLITS if s in given}, marks > len(part.inputs)


def _no_separator(part: Part) -> ValueError:
  return ValueError(
    f'no line of {part.source} is the separator {part.separator!r}; '
    'correct data.separator, or leave it empty for one document a file'
  )


def _check(part: Part, found: dict[str, Int[np.ndarray, 'n 2']]) -> None:
  """Raises ValueError for a split without text."""
  for split, table in found.items():
    if not len(table):
      size = sum(int(np.diff(t).sum()) for t in found.values())
      count = sum(map(len, found.values()))
      raise ValueError(
        f'split {split!r} of {part.source} is empty: {size} bytes in {count} '
        f'documents; give more text, or a source of its own in data.{split}'
      )


def _hold_out(
  out,
  spans: Int[np.ndarray, 'n 2'],
  hashes: Float[np.ndarray, ' n'],
  missing: list[str],
) -> dict[str, Int[np.ndarray, 'm 2']]:
  if not missing:
    return {}
  if len(spans) <= len(missing):
    out.flush()
    return _cut(pathlib.Path(out.name), spans, missing)
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
  ahead = _read(path, start, min(end, start + BLOCK))
  newline = ahead.find(b'\n')
  if newline >= 0:
    return start + newline + 1
  # One long line: at least not inside a character.
  return start + len(ahead) - len(ahead.lstrip(bytes(range(0x80, 0xC0))))


def _read(path: pathlib.Path, start: int, end: int) -> bytes:
  with open(path, 'rb') as file:
    file.seek(start)
    return file.read(end - start)
