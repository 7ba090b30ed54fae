"""Where text comes from: a source string, read as a stream of documents."""

import codecs
import dataclasses
import glob
import gzip
import lzma
import os
import pathlib
import sysconfig
import zlib
from collections.abc import Iterator

SPLITS = ('train', 'valid', 'test')
FORMS = "'stdlib' or 'files:PATH' (a file, folder or glob; plain, .gz or .xz)"
BLOCK = 1 << 20

_STEMS = {
  'train': 'train',
  'valid': 'valid',
  'validation': 'valid',
  'val': 'valid',
  'dev': 'valid',
  'test': 'test',
}
# Some distributions ship the standard library without its tests, so leaving
# them out gives everybody the same text; `encodings` is tables of numbers, and
# `pydoc_data` one generated file that would be most of a held-out split.
_NOT_TEXT = {
  'test',
  'tests',
  'idle_test',
  'site-packages',
  'dist-packages',
  'encodings',
  'pydoc_data',
}
# Written when Python is built or installed, so they differ between machines.
_LOCAL = ('_sysconfigdata', 'sitecustomize', 'usercustomize')


@dataclasses.dataclass(frozen=True)
class Input:
  """One file of a source; `name` is its path inside the source."""

  name: str
  path: pathlib.Path
  split: str = 'train'


def inputs(source: str, valid: str = '', test: str = '') -> list[Input]:
  """Files of a source, each with the split it was given for.

  `valid` and `test` are sources of their own and replace what `source` has of
  that split. A split that no input is given for is held out later.
  """
  found = _inputs(source)
  for split, other in (('valid', valid), ('test', test)):
    if not other:
      continue
    theirs = _inputs(other)
    # Another corpus may have splits too, and then only this one is meant.
    own = [i for i in theirs if i.split == split] or theirs
    found = [i for i in found if i.split != split]
    found += [dataclasses.replace(i, split=split) for i in own]
  return found


def _inputs(source: str) -> list[Input]:
  if source == 'stdlib':
    return _stdlib()
  if not source.startswith('files:'):
    path = pathlib.Path(source).expanduser()
    hint = f'; did you mean files:{source}?' if path.exists() else ''
    raise ValueError(f'no text source {source!r}; write {FORMS}{hint}')
  where = source.removeprefix('files:')
  path = pathlib.Path(where).expanduser()
  if not where or '\0' in where:
    raise ValueError(f'{source!r} names no path; write {FORMS}')
  if path.is_file():
    return [Input(path.name, path)]
  if path.is_dir():
    return _folder(source, path)
  if glob.has_magic(where):
    return _glob(source, path)
  raise FileNotFoundError(f'{source}: no such file or folder')


def _stdlib() -> list[Input]:
  root = sysconfig.get_path('stdlib')
  found = [
    Input(name, path)
    for name, path in _walk(root, _NOT_TEXT)
    if name.endswith('.py') and not path.name.startswith(_LOCAL)
  ]
  if not found:
    raise FileNotFoundError(
      f'stdlib: no .py files under {root}; this Python comes without its '
      'source, so write files:PATH'
    )
  return found


def _folder(source: str, root: pathlib.Path) -> list[Input]:
  found = [Input(*entry) for entry in _walk(root)]
  if not found:
    raise FileNotFoundError(f'{source}: this folder has no files')
  top = [
    Input(i.name, i.path, _split(i.path)) for i in found if '/' not in i.name
  ]
  given = [i for i in top if i.split]
  # Two names make a corpus with its splits; one alone is any file called test.
  return given if len({i.split for i in given}) > 1 else found


def _walk(root, skip=frozenset()) -> list[tuple[str, pathlib.Path]]:
  """Names in a folder, with their paths, sorted; hidden ones left out."""
  found = []
  for folder, below, files in os.walk(root):
    below[:] = [n for n in below if n not in skip and not n.startswith('.')]
    for name in files:
      path = pathlib.Path(folder, name)
      if not name.startswith('.') and path.is_file():
        found.append((path.relative_to(root).as_posix(), path))
  return sorted(found)


def _glob(source: str, pattern: pathlib.Path) -> list[Input]:
  found = sorted(glob.glob(str(pattern), recursive=True))
  paths = [pathlib.Path(p) for p in found if pathlib.Path(p).is_file()]
  if not paths:
    raise FileNotFoundError(f'{source}: matches no file')
  plain = next(p for p in pattern.parents if not glob.has_magic(str(p)))
  given = [Input(p.relative_to(plain).as_posix(), p, _split(p)) for p in paths]
  if all(i.split for i in given) and len({i.split for i in given}) > 1:
    return given
  return [dataclasses.replace(i, split='train') for i in given]


def _split(path: pathlib.PurePath) -> str:
  return _STEMS.get(path.name.split('.')[0], '')


def documents(path: pathlib.Path, separator: str) -> Iterator[bytes | None]:
  """Text of one file in blocks of at most 1 MiB; None ends each document.

  With a `separator`, a line that is exactly it ends a document and belongs to
  none; without one, the file is one document. Raises ValueError for what is
  not UTF-8 text and for damaged .gz and .xz.
  """
  mark = separator.encode()
  decoder = codecs.getincrementaldecoder('utf-8')()
  offset, fresh = 0, True
  try:
    with _open(path) as file:
      take = file.readline if separator else file.read
      while block := take(BLOCK):
        _check(path, block, offset, decoder)
        offset += len(block)
        if separator and fresh and block.rstrip(b'\r\n') == mark:
          yield None
        else:
          yield block
        fresh = block.endswith(b'\n')
    _check(path, b'', offset, decoder)
    yield None
  except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
    raise ValueError(
      f'{path} is truncated or damaged after {offset} bytes of text '
      f'({error}); fetch or compress it again'
    ) from None


def _open(path: pathlib.Path):
  if path.suffix == '.xz':
    return lzma.open(path)
  return gzip.open(path) if path.suffix == '.gz' else open(path, 'rb')


def _check(path, block: bytes, offset: int, decoder) -> None:
  nul = block.find(b'\0')
  if nul >= 0:
    raise ValueError(
      f'{path} is not text: a NUL byte at byte {offset + nul}; give UTF-8 '
      'text, plain, .gz or .xz'
    )
  held = len(decoder.getstate()[0])
  try:
    decoder.decode(block, final=not block)
  except UnicodeDecodeError as error:
    raise ValueError(
      f'{path} is not UTF-8: {error.reason} at byte '
      f'{offset - held + error.start}; convert it with iconv -t UTF-8'
    ) from None
