"""Sources on this disk: `stdlib`, and `files:` (a file, folder or glob)."""

import dataclasses
import glob
import os
import pathlib
import sysconfig
import zipfile
from collections.abc import Collection

from extrapolation.data.sources import archives, record_files, split_names
from extrapolation.data.sources.inputs import Input
from extrapolation.output import plain_file

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

_SOUGHT = ('parquet', 'arrow')  # read from their ends

Named = list[tuple[str, pathlib.Path]]


@dataclasses.dataclass(frozen=True)
class Reading:
  """Which file goes to which split, and why.

  why: in a few words, of the splits; left_out: (name, why) of other files;
  separator: the line between its documents, if it has one of its own.
  """

  inputs: tuple[Input, ...]
  why: str
  left_out: tuple[tuple[str, str], ...] = ()
  separator: str = ''


def stdlib() -> Reading:
  """The source of Python's standard library."""
  root = sysconfig.get_path('stdlib')
  modules = [
    Input(name, path)
    for name, path in _walk(root, _NOT_TEXT)
    if name.endswith('.py') and not path.name.startswith(_LOCAL)
    if not any(part[:1] == '.' for part in pathlib.PurePath(name).parts)
  ]
  if not modules:
    raise FileNotFoundError(
      f'stdlib: no .py files under {root}; this Python comes without its '
      'source, so write files:PATH'
    )
  return Reading(tuple(modules), 'the modules of this Python')


def read(where: str, by_names: bool = True) -> Reading:
  """What `files:where` reads.

  Names make splits as `split_names.assign` says, unless not `by_names`. What
  is hidden, or about the data, is left out of a folder, an archive or a glob;
  a file that is named is read whatever it is called.

  Raises:
    ValueError: not a path, a device or pipe, an archive that cannot be read, or
      names that say splits for some files and not for others.
    FileNotFoundError: there are no such files.
  """
  path = pathlib.Path(where).expanduser()
  if not where or '\0' in where:
    raise ValueError(
      f"{f'files:{where}'!r} names no path; write 'files:PATH', a file, folder "
      'or glob'
    )
  if path.exists() and not path.is_dir():
    plain_file.check(path)
    named = [(path.name, path)]
  elif path.is_dir():
    named = _walk(path)
    if not named:
      raise FileNotFoundError(f'files:{where}: this folder has no files')
  elif glob.has_magic(where):
    named = _glob(where, path)
  else:
    raise FileNotFoundError(f'files:{where}: no such file or folder')
  entries = [entry for pair in named for entry in _members(*pair)]
  one = len(named) == 1 and named[0][1] == path
  why_not = [
    '' if one and not e.member else split_names.no_text(e.name) for e in entries
  ]
  left_out = [(e.name, w) for e, w in zip(entries, why_not, strict=True) if w]
  entries = [e for e, w in zip(entries, why_not, strict=True) if not w]
  if not entries:
    some = ', '.join(f'{name} ({why})' for name, why in left_out[:3])
    raise FileNotFoundError(
      f'files:{where}: no file is text: {some}; name one to read it'
    )
  if (one and len(entries) == 1) or not by_names:
    why = 'one file' if by_names else 'data.splits=none'
    splits = ['train'] * len(entries)
  else:
    splits, why = split_names.assign([e.name for e in entries], where)
  inputs = (
    dataclasses.replace(entry, split=split)
    for entry, split in zip(entries, splits, strict=True)
  )
  return Reading(tuple(inputs), why, tuple(left_out))


def _members(name: str, path: pathlib.Path) -> list[Input]:
  """The texts of a file: itself, or those in an archive."""
  if not archives.is_zip(path):
    return [Input(name, path, kind=record_files.format_of(path.name))]
  try:
    files = [i for i in archives.opened(path).infolist() if not i.is_dir()]
  except (zipfile.BadZipFile, *plain_file.PARSE_ERRORS) as error:
    raise ValueError(
      f'{path} is truncated or damaged ({plain_file.brief(error)}); fetch it '
      'again'
    ) from None
  inside = sorted(i.filename for i in files)
  twice = len({*inside}) < len(files)
  office = '[Content_Types].xml' in inside
  if not inside or twice or office or any(i.flag_bits & 1 for i in files):
    why = 'is encrypted' if inside else 'holds no files'
    why = 'holds two files of one name' if twice else why
    why = 'is an Office document' if office else why
    raise ValueError(f'{path} {why}; give an archive of text')
  made = [
    Input(f'{name}/{n}', path, member=n, kind=record_files.format_of(n))
    for n in inside
  ]
  if table := next((i.where for i in made if i.kind in _SOUGHT), ''):
    raise ValueError(
      f'{table} cannot be read inside an archive; unpack {path} and give its '
      'folder'
    )
  return made


def _walk(root: str | os.PathLike, skip: Collection[str] = ()) -> Named:
  """Names in a folder, with their paths, sorted; links followed once each."""
  named, seen = [], set()
  for folder, below, files in os.walk(root, followlinks=True):
    status = os.stat(folder)
    if (here := (status.st_dev, status.st_ino)) in seen:
      below[:] = []
      continue
    seen.add(here)
    below[:] = sorted(n for n in below if n not in skip and n[:1] != '.')
    for name in files:
      path = pathlib.Path(folder, name)
      if path.exists():
        if name[:1] != '.':
          plain_file.check(path)
        named.append((path.relative_to(root).as_posix(), path))
  return sorted(named)


def _glob(where: str, pattern: pathlib.Path) -> Named:
  """What a pattern matches, below the last folder that is there as it is."""
  plain = next(p for p in pattern.parents if p.is_dir())
  rest = str(pattern.relative_to(plain))
  # Not one of the files: brackets in the names of folders are no pattern.
  matches = (plain / p for p in glob.glob(rest, root_dir=plain, recursive=True))
  paths = sorted(p for p in matches if p.exists() and not p.is_dir())
  for path in paths:
    plain_file.check(path)
  if not paths:
    raise FileNotFoundError(f'files:{where}: matches no file')
  return [(p.relative_to(plain).as_posix(), p) for p in paths]
