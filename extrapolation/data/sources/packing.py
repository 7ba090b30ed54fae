"""Packed files, told by their first bytes and not by their names."""

import bz2
import gzip
import io
import lzma
from typing import IO, Any

_PEEK = 512
_PACKED = {b'\x1f\x8b': 'gzip', b'\xfd7zXZ\0': 'xz', b'BZh': 'bzip2',
           b'\x28\xb5\x2f\xfd': 'zstd'}  # fmt: skip
_REFUSED = {
  b'7z\xbc\xaf\x27\x1c': '7-Zip',
  b'Rar!\x1a\x07': 'RAR',
  b'\x04\x22\x4d\x18': 'LZ4',
  b'LZIP': 'lzip',
  b'\x1f\x9d': 'compress',
  b'\x1f\xa0': 'compress',
  b'%PDF-': 'PDF',
  b'SQLite format 3\0': 'SQLite',
  b'\x89HDF\r\n\x1a\n': 'HDF5',
  b'\x93NUMPY': 'NumPy',
  b'Obj\x01': 'Avro',
  b'ORC': 'ORC',
  b'\x89PNG': 'PNG',
  b'\xff\xd8\xff': 'JPEG',
  b'GIF8': 'GIF',
  b'\x7fELF': 'a program',
  b'PK\x03\x04': 'ZIP inside another file',
  b'{\\rtf': 'RTF',
}
_UTF = {b'\xff\xfe': 'UTF-16', b'\xfe\xff': 'UTF-16'}
ZIP = (b'PK\x03\x04', b'PK\x05\x06')
PARQUET, ARROW = b'PAR1', b'ARROW1'
NAMES = 'plain, gzip, xz, bzip2, zstd or zip'


def peek(file: Any) -> bytes:
  """The first bytes of a file that was just opened, which stay unread."""
  return file.peek(_PEEK)[:_PEEK]


def unpacked(file: Any, where: str) -> IO[bytes]:
  """The text in a file that was just opened, of whatever packing.

  Raises:
    ValueError: a packing, or another kind of file, that is not known; by name.
  """
  packing = _starts(_PACKED, peek(file))
  if not packing:
    return _plain(file, where)
  opened: Any = {
    'gzip': lambda: gzip.GzipFile(fileobj=file),
    'xz': lambda: lzma.LZMAFile(file),  # noqa: SIM115
    'bzip2': lambda: bz2.BZ2File(file),
    'zstd': lambda: _zstd(file, where),
  }[packing]()
  inner = io.BufferedReader(opened)
  head = peek(inner)
  again = _starts(_PACKED, head) or ('ZIP' if head.startswith(ZIP) else '')
  if again:
    raise ValueError(
      f'{where} is packed twice, {again} inside {packing}; unpack it once'
    )
  return _plain(inner, where)


def _plain(file: Any, where: str) -> IO[bytes]:
  head = peek(file)
  kind = _starts(_REFUSED, head)
  if head[257:262] == b'ustar':
    kind = 'tar'
  if kind:
    raise ValueError(
      f'{where} is {kind}, which is not read; unpack it or convert it to text '
      f'({NAMES})'
    )
  if utf := _starts(_UTF, head):
    raise ValueError(
      f'{where} is {utf}; convert it with iconv -f {utf} -t UTF-8'
    )
  return file


def _starts(kinds: dict[bytes, str], head: bytes) -> str:
  return next((kinds[k] for k in kinds if head.startswith(k)), '')


class _Frames(io.RawIOBase):
  """zstd by pyarrow, as a file of Python."""

  def __init__(self, stream: Any):
    self.stream = stream

  def readable(self) -> bool:
    return True

  def readinto(self, buffer: Any) -> int:
    data = self.stream.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def _zstd(file: Any, where: str) -> io.RawIOBase:
  try:
    import pyarrow
  except ImportError:
    raise ValueError(
      f'{where} is packed with zstd, which needs the extra `hf`: pip install '
      "'extrapolation[hf]'; or unpack it"
    ) from None
  source = pyarrow.PythonFile(file, mode='r')
  return _Frames(pyarrow.CompressedInputStream(source, 'zstd'))
