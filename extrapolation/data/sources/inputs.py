"""The files that a source is read from, and the split each belongs to."""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Iterator

from extrapolation.data.sources import archives
from extrapolation.output import plain_file

SPLITS = ('train', 'valid', 'test')
BLOCK = 1 << 20  # bytes read at once
COLUMNS = ('text', 'content', 'code', 'book_text')  # the first there is

# What a file or folder is called that holds a split: train.txt, wiki.valid.raw,
# validation-00000-of-00001.parquet, test/.
_SPLIT = re.compile(
  r'(?:wiki\.)?(train|valid|validation|val|dev|test)(?:-\d+-of-\d+)?(?:\.|$)'
)
_SYNONYMS = {'validation': 'valid', 'val': 'valid', 'dev': 'valid'}


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

  def size(self) -> int:
    """Bytes on disk."""
    if self.path.suffix == '.zip':
      return archives.opened(self.path).getinfo(self.member).compress_size
    return sum(path.stat().st_size for path in self.files())

  def digest(self) -> dict:
    """Bytes and sha256 of the files that it is read from."""
    total, sha256 = 0, hashlib.sha256()
    for path in self.files():
      plain_file.check(path)
      with open(path, 'rb') as file:
        while block := file.read(BLOCK):
          sha256.update(block)
        total += file.tell()
    return {'bytes': total, 'sha256': sha256.hexdigest()}

  def files(self) -> list[pathlib.Path]:
    """The files that it is read from: itself, or shards of a TFDS folder."""
    if not self.path.is_dir():
      return [self.path]
    return sorted(self.path.glob(f'*-{self.member}.array_record-*'))


def split_of(name: str) -> str:
  """The split that a file or folder of this name holds, or ''."""
  match = _SPLIT.match(name)
  return _SYNONYMS.get(match[1], match[1]) if match else ''


def in_blocks(text: bytes) -> Iterator[bytes]:
  """The same in blocks of BLOCK bytes at most."""
  for start in range(0, len(text), BLOCK):
    yield text[start : start + BLOCK]
