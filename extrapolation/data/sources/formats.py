"""Text out of its packing: plain, gzip, xz, zip, parquet, records of TFDS.

Text travels in blocks of at most `inputs.BLOCK` bytes, and None ends a
document.
"""

import codecs
import contextlib
import gzip
import io
import lzma
import pathlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from extrapolation.data.sources import archives, inputs, records
from extrapolation.data.sources.inputs import Input
from extrapolation.data.sources.unpacking import Budget
from extrapolation.output import plain_file

if TYPE_CHECKING:
  import pyarrow

PACKINGS = 'plain, .gz, .xz, .zip or .parquet'
BLANK = b' \n'  # how WikiText writes a blank line


def blocks(
  entry: Input, rows_are_lines: bool, budget: Budget | None = None
) -> Iterator[bytes | None]:
  """The text of an input, each file, row or record a document.

  rows_are_lines: the rows of a table are lines of one document instead, and an
    empty one was a blank line.
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
    for block in _unchecked(entry, rows_are_lines):
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
  where = f'{entry.path}{f"/{entry.member}" if entry.member else ""}'
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


def _unchecked(entry: Input, rows_are_lines: bool) -> Iterator[bytes | None]:
  if entry.path.is_dir():
    yield from records.documents(entry)
  elif entry.path.suffix == '.parquet':
    yield from _rows(entry.path, rows_are_lines)
  else:
    with contextlib.ExitStack() as stack:
      file = _open(entry, stack)
      while block := file.read(inputs.BLOCK):
        yield block
    yield None


def _open(entry: Input, stack: contextlib.ExitStack) -> io.BufferedIOBase:
  """The unpacked file of an input, closed with the stack."""
  if entry.path.suffix == '.zip':
    file = stack.enter_context(archives.member(entry.path, entry.member))
    suffix = pathlib.PurePath(entry.member).suffix
  else:
    file = stack.enter_context(open(entry.path, 'rb'))  # noqa: SIM115
    suffix = entry.path.suffix
  unpack = {'.xz': lzma.open, '.gz': gzip.open}.get(suffix)
  return stack.enter_context(unpack(file)) if unpack else file


def _rows(path: pathlib.Path, are_lines: bool) -> Iterator[bytes | None]:
  import pyarrow
  from pyarrow import parquet

  try:
    with parquet.ParquetFile(path, page_checksum_verification=True) as file:
      column = _text_column(path, file.schema_arrow)
      for batch in file.iter_batches(256, columns=[column]):
        for row in batch.column(0):
          text = (row.as_py() or '').encode()
          yield from inputs.in_blocks(text or BLANK if are_lines else text)
          if not are_lines:
            yield None
    if are_lines:
      yield None
  except (pyarrow.ArrowException, OSError) as error:
    if isinstance(error, OSError) and error.errno:
      raise
    raise EOFError(str(error).splitlines()[0]) from None


def _text_column(path: pathlib.Path, schema: 'pyarrow.Schema') -> str:
  """The column called as text is, or the only one of strings."""
  from pyarrow import types

  strings = [
    field.name
    for field in schema
    if types.is_string(field.type) or types.is_large_string(field.type)
  ]
  named = [name for name in inputs.COLUMNS if name in schema.names]
  columns = [name for name in named if name in strings] or strings
  if not columns or (len(columns) > 1 and not named):
    raise ValueError(
      f'{path} has no column of text called {", ".join(inputs.COLUMNS)}; '
      'it has: ' + ', '.join(schema.names)
    )
  return columns[0]
