"""The files that a source is read from, and the split each belongs to."""

import codecs
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator

from extrapolation.data.sources import archives
from extrapolation.output import plain_file

SPLITS = ('train', 'valid', 'test')
BLOCK = 1 << 20  # bytes read at once
MARK = codecs.BOM_UTF8  # is no text, and is dropped
COLUMNS = ('text', 'content', 'code', 'book_text')  # the first there is


@dataclasses.dataclass(frozen=True)
class Input:
  """One text of a source; `name` is its path inside the source.

  `member` is its name inside an archive, or the split inside a TFDS folder;
  `kind` is 'text', or what its records are written in.
  """

  name: str
  path: pathlib.Path
  split: str = 'train'
  member: str = ''
  kind: str = 'text'

  @property
  def many(self) -> bool:
    """Whether its records are documents, or it is a TFDS folder."""
    return self.kind != 'text' or self.path.is_dir()

  @property
  def where(self) -> str:
    """Its path, and its name inside an archive."""
    return f'{self.path}{f"/{self.member}" if self.member else ""}'

  def size(self) -> int:
    """Bytes on disk."""
    if self.member and not self.path.is_dir():
      return archives.opened(self.path).getinfo(self.member).compress_size
    return sum(path.stat().st_size for path in self.files())

  def digest(self) -> dict:
    """Bytes and sha256 of the files that it is read from."""
    total, sha256, mark = 0, hashlib.sha256(), {}
    for path in self.files():
      plain_file.check(path)
      with open(path, 'rb') as file:
        while block := file.read(BLOCK):
          if file.tell() == len(block) and block.startswith(MARK):
            mark = {'mark': 'dropped'}
          sha256.update(block)
        total += file.tell()
    return {'bytes': total, 'sha256': sha256.hexdigest()} | mark

  def files(self) -> list[pathlib.Path]:
    """The files that it is read from: itself, or shards of a TFDS folder."""
    if not self.path.is_dir():
      return [self.path]
    return sorted(self.path.glob(f'*-{self.member}.array_record-*'))


def in_blocks(text: bytes) -> Iterator[bytes]:
  """The same in blocks of BLOCK bytes at most."""
  for start in range(0, len(text), BLOCK):
    yield text[start : start + BLOCK]
