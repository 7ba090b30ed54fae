"""Files of text, read as a stream of documents."""

import codecs
import contextlib
import dataclasses
import gzip
import hashlib
import io
import lzma
import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterator

SPLITS = ('train', 'valid', 'test')
PACKINGS = 'plain, .gz, .xz, .zip or .parquet'
WIKITEXT = 'wikitext'  # a separator that stands for article titles
BLOCK = 1 << 20

# How a file or folder is called that holds a split: train.txt, wiki.valid.raw,
# validation-00000-of-00001.parquet, test/.
_SPLIT = re.compile(
  r'(?:wiki\.)?(train|valid|validation|val|dev|test)(?:-\d+-of-\d+)?(?:\.|$)'
)
_CALLED = {'validation': 'valid', 'val': 'valid', 'dev': 'valid'}
_TEXT = ('text', 'content', 'code', 'book_text')  # columns, the first there is
_TITLE = re.compile(rb' = [^=\n].* = \n')
_BLANK = b' \n'


@dataclasses.dataclass(frozen=True)
class Input:
  """One text of a source; `name` is its path inside the source.

  `member` is its name inside an archive, or the split inside a TFDS folder.
  """

  name: str
  path: pathlib.Path
  split: str = 'train'
  member: str = ''

  @property
  def many(self) -> bool:
    """Whether it is a table of documents: parquet, or a TFDS folder."""
    return self.path.suffix == '.parquet' or self.path.is_dir()


def split_of(name: str) -> str:
  """The split that a file or folder of this name holds, or ''."""
  found = _SPLIT.match(name)
  return _CALLED.get(found[1], found[1]) if found else ''


def size(entry: Input) -> int:
  """Bytes of an input on disk."""
  if entry.path.suffix == '.zip':
    with zipfile.ZipFile(entry.path) as archive:
      return archive.getinfo(entry.member).compress_size
  return sum(path.stat().st_size for path in _stored(entry))


def digest(entry: Input) -> dict:
  """Bytes and sha256 of the files that an input is read from."""
  total, found = 0, hashlib.sha256()
  for path in _stored(entry):
    with open(path, 'rb') as file:
      while block := file.read(BLOCK):
        found.update(block)
      total += file.tell()
  return {'bytes': total, 'sha256': found.hexdigest()}


def _stored(entry: Input) -> list[pathlib.Path]:
  if not entry.path.is_dir():
    return [entry.path]
  return sorted(entry.path.glob(f'*-{entry.member}.array_record-*'))


def documents(entry: Input, separator: str) -> Iterator[bytes | None]:
  """Text of one input in blocks of about 1 MiB; None ends each document.

  Without a separator a file is one document, and so is each row of a .parquet
  file and each record of TFDS. A line that is exactly `separator` ends a
  document and belongs to none; 'wikitext' starts one at every article, a line
  ` = Title = ` between blank ones.

  Raises ValueError for what is not UTF-8 text and for damaged archives.
  """
  blocks = _checked(entry, _raw(entry, separator))
  if separator == WIKITEXT:
    yield from _articles(_lines(blocks))
  elif separator:
    yield from _parted(_lines(blocks), separator.encode())
  else:
    yield from blocks


def _parted(lines: Iterator[bytes | None], mark: bytes):
  fresh = True
  for line in lines:
    is_mark = fresh and line and line.rstrip(b'\r\n') == mark
    yield None if is_mark else line
    fresh = line is None or line.endswith(b'\n')


def _articles(lines: Iterator[bytes | None]):
  start = (_BLANK.__eq__, _TITLE.fullmatch, _BLANK.__eq__)
  held = []
  for line in lines:
    if line is None:
      yield from held
      held = []
      yield None
      continue
    held.append(line)
    if len(held) == 3 and all(t(h) for t, h in zip(start, held, strict=True)):
      yield None
      yield from held[:2]
      del held[:2]
    while held and not all(t(h) for t, h in zip(start, held, strict=False)):
      yield held.pop(0)
  yield from held


def _lines(blocks: Iterator[bytes | None]) -> Iterator[bytes | None]:
  left = b''
  for block in blocks:
    if block is None:
      if left:
        yield left
      left = b''
      yield None
      continue
    lines = io.BytesIO(left + block).readlines()
    left = b''
    if not lines[-1].endswith(b'\n') and len(lines[-1]) < BLOCK:
      left = lines.pop()
    yield from lines
  if left:
    yield left


def _raw(entry: Input, separator: str) -> Iterator[bytes | None]:
  if entry.path.is_dir():
    yield from _records(entry)
  elif entry.path.suffix == '.parquet':
    yield from _rows(entry.path, as_lines=separator == WIKITEXT)
  else:
    with contextlib.ExitStack() as stack:
      file = _open(entry, stack)
      while block := file.read(BLOCK):
        yield block
    yield None


def _open(entry: Input, stack: contextlib.ExitStack):
  """The unpacked file of an input, closed with the stack."""
  if entry.path.suffix == '.zip':
    archive = stack.enter_context(zipfile.ZipFile(entry.path))
    file = stack.enter_context(archive.open(entry.member))
    suffix = pathlib.PurePath(entry.member).suffix
  else:
    file = stack.enter_context(open(entry.path, 'rb'))  # noqa: SIM115
    suffix = entry.path.suffix
  unpack = {'.xz': lzma.open, '.gz': gzip.open}.get(suffix)
  return stack.enter_context(unpack(file)) if unpack else file


def _rows(path: pathlib.Path, as_lines: bool) -> Iterator[bytes | None]:
  """Rows of a column of text; where they are lines, '' was a blank one."""
  import pyarrow
  from pyarrow import parquet

  try:
    with parquet.ParquetFile(path) as file:
      column = _column(path, file.schema_arrow, pyarrow.types)
      for batch in file.iter_batches(256, columns=[column]):
        for row in batch.column(0):
          text = (row.as_py() or '').encode()
          yield from _blocks(text or _BLANK if as_lines else text)
          if not as_lines:
            yield None
    if as_lines:
      yield None
  except (pyarrow.ArrowException, OSError) as error:
    if isinstance(error, OSError) and error.errno:
      raise
    raise EOFError(str(error).splitlines()[0]) from None


def _column(path: pathlib.Path, schema, types) -> str:
  named = [n for n in _TEXT if n in schema.names]
  strings = [
    field.name
    for field in schema
    if types.is_string(field.type) or types.is_large_string(field.type)
  ]
  found = [n for n in named if n in strings] or strings
  if not found or (len(found) > 1 and not named):
    raise ValueError(
      f'{path} has no column of text called {", ".join(_TEXT)}; it has: '
      + ', '.join(schema.names)
    )
  return found[0]


def _records(entry: Input) -> Iterator[bytes | None]:
  import tensorflow_datasets as tfds

  builder = tfds.builder_from_directory(str(entry.path))
  found = [k for k in _TEXT if k in builder.info.features]
  if not found:
    raise ValueError(
      f'{entry.path} has no feature of text called {", ".join(_TEXT)}; it has: '
      + ', '.join(builder.info.features)
    )
  try:
    source = builder.as_data_source(entry.member)
    for i in range(len(source)):
      text = source[i][found[0]]
      if text is None:
        raise EOFError(f'record {i} is empty')
      yield from _blocks(text)
      yield None
  except RuntimeError as error:  # of array_record
    raise EOFError(str(error).splitlines()[0]) from None


def _blocks(text: bytes) -> Iterator[bytes]:
  for start in range(0, len(text), BLOCK):
    yield text[start : start + BLOCK]


def _checked(entry: Input, blocks: Iterator) -> Iterator[bytes | None]:
  """The same blocks; ValueError, naming the place, for what is no text."""
  decoder, offset = codecs.getincrementaldecoder('utf-8')(), 0
  try:
    for block in blocks:
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


def _check(entry: Input, block: bytes, offset: int, decoder) -> None:
  where = f'{entry.path}{f"/{entry.member}" if entry.member else ""}'
  nul = block.find(b'\0')
  if nul >= 0:
    raise ValueError(
      f'{where} is not text: a NUL byte at byte {offset + nul}; give UTF-8 '
      f'text, {PACKINGS}'
    )
  held = len(decoder.getstate()[0])
  try:
    decoder.decode(block, final=not block)
  except UnicodeDecodeError as error:
    raise ValueError(
      f'{where} is not UTF-8: {error.reason} at byte '
      f'{offset - held + error.start}; convert it with iconv -t UTF-8'
    ) from None
