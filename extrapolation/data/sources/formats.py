"""Text out of its packing: plain or packed, records, TFDS.

Text travels in blocks of at most `inputs.BLOCK` bytes, and None ends a
document.
"""

import codecs
import contextlib
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from extrapolation.data.sources import (
  archives,
  inputs,
  packing,
  record_files,
  records,
)
from extrapolation.data.sources.inputs import Input
from extrapolation.data.sources.record_files import Skipped
from extrapolation.data.sources.unpacking import Budget
from extrapolation.output import plain_file

PACKINGS = (
  f'{packing.NAMES}, or records: .jsonl, .json, .csv, .tsv, .parquet, .arrow'
)
BLANK = b' \n'  # how WikiText writes a blank line


def blocks(
  entry: Input,
  rows_are_lines: bool,
  budget: Budget | None = None,
  field: str = '',
  skipped: Skipped | None = None,
) -> Iterator[bytes | None]:
  """The text of an input, each file, row or record a document.

  rows_are_lines: the rows of a table are lines of one document instead, and an
    empty one was a blank line.
  field: of the text in a record, see `record_files.texts`.
  skipped: counts records without text, and byte order marks, by why.
  budget: of all inputs that are read together; else of this one alone.

  Raises:
    ValueError: not UTF-8 text, a damaged archive, one that unpacks to far more
      than its size, or no plain file; names the place.
  """
  decoder, offset = codecs.getincrementaldecoder('utf-8')(), 0
  for path in entry.files():
    plain_file.check(path)
  budget = budget or Budget([entry])
  try:
    skipped = {} if skipped is None else skipped
    for block in _unchecked(entry, rows_are_lines, field, skipped):
      budget.take(entry, len(block or b''))
      _check(entry, block or b'', offset, decoder)
      offset += len(block or b'')
      yield block
  except (
    EOFError,
    NotImplementedError,  # a packing inside .zip that Python does not know
    gzip.BadGzipFile,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
  ) as error:
    raise ValueError(
      f'{entry.path} is truncated or damaged after {offset} bytes of text '
      f'({error}); fetch or compress it again'
    ) from None


def _check(
  entry: Input, block: bytes, offset: int, decoder: codecs.IncrementalDecoder
) -> None:
  """Raises ValueError where a block, `offset` bytes in, is no text."""
  where = entry.where
  nul = block.find(b'\0')
  if nul >= 0:
    raise ValueError(
      f'{where} is not text: a NUL byte at byte {offset + nul}; give UTF-8 '
      f'text, {PACKINGS}'
    )
  pending = len(decoder.getstate()[0])
  try:
    decoder.decode(block, final=not block)
  except UnicodeDecodeError as error:
    raise ValueError(
      f'{where} is not UTF-8: {error.reason} at byte '
      f'{offset - pending + error.start}; convert it with iconv -t UTF-8'
    ) from None


def _unchecked(
  entry: Input, rows_are_lines: bool, field: str, skipped: Skipped
) -> Iterator[bytes | None]:
  if entry.path.is_dir():
    yield from records.documents(entry)
  elif entry.kind in ('parquet', 'arrow'):
    yield from _table(entry, rows_are_lines, field, skipped)
  else:
    with contextlib.ExitStack() as stack:
      file = _open(entry, stack)
      if entry.kind == 'text':
        yield from _plain(file, skipped)
      else:
        yield from _records(file, entry, rows_are_lines, field, skipped)


def _plain(file: IO[bytes], skipped: Skipped) -> Iterator[bytes | None]:
  first = file.read(inputs.BLOCK)
  if first.startswith(inputs.MARK):
    first = first.removeprefix(inputs.MARK)
    name = 'byte order mark dropped'
    skipped[name] = skipped.get(name, 0) + 1
  if first:
    yield first
  while block := file.read(inputs.BLOCK):
    yield block
  yield None


def _open(entry: Input, stack: contextlib.ExitStack) -> IO[bytes]:
  """The unpacked file of an input, closed with the stack."""
  if entry.member:
    file = stack.enter_context(archives.member(entry.path, entry.member))
  else:
    file = stack.enter_context(open(entry.path, 'rb'))  # noqa: SIM115
  try:
    unpacked = packing.unpacked(file, entry.where)
  except OSError as error:  # what it begins with is not what follows
    if error.errno:
      raise
    raise EOFError(str(error)) from None
  return stack.enter_context(unpacked)


def _records(
  file: IO[bytes], entry: Input, are_lines: bool, field: str, skipped: Skipped
) -> Iterator[bytes | None]:
  texts = record_files.texts(file, entry.kind, entry.where, field, skipped)
  yield from _documents(texts, are_lines, skipped)


def _table(
  entry: Input, are_lines: bool, field: str, skipped: Skipped
) -> Iterator[bytes | None]:
  columns = record_files.table(entry.path, entry.kind, field)
  texts = (row.as_py() for column in columns for row in column)
  yield from _documents(texts, are_lines, skipped)


def _documents(
  texts: Iterator[str | None], are_lines: bool, skipped: Skipped
) -> Iterator[bytes | None]:
  for text in texts:
    if not text and not are_lines:
      skipped['empty'] = skipped.get('empty', 0) + 1
      continue
    try:
      data = (text or '').encode()
    except UnicodeEncodeError:
      skipped['with a lone surrogate'] = (
        skipped.get('with a lone surrogate', 0) + 1
      )
      continue
    yield from inputs.in_blocks(data or BLANK if are_lines else data)
    if not are_lines:
      yield None
  if are_lines:
    yield None
