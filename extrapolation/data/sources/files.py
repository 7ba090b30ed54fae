"""Sources on this disk: `stdlib`, and `files:` (a file, folder or glob)."""

import dataclasses
import glob
import os
import pathlib
import sysconfig
import zipfile
from collections.abc import Collection

from extrapolation.data.sources import archives
from extrapolation.data.sources.inputs import Input, split_of
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


def stdlib() -> list[Input]:
  """The source of Python's standard library."""
  root = sysconfig.get_path('stdlib')
  modules = [
    Input(name, path)
    for name, path in _walk(root, _NOT_TEXT)
    if name.endswith('.py') and not path.name.startswith(_LOCAL)
  ]
  if not modules:
    raise FileNotFoundError(
      f'stdlib: no .py files under {root}; this Python comes without its '
      'source, so write files:PATH'
    )
  return modules


def inputs(where: str) -> list[Input]:
  """What `files:where` reads.

  Files called train, valid or test (in a folder or archive, or as folders of
  their own) are these splits; other files beside them are left out.

  Raises:
    ValueError: not a path, a device or pipe, or an archive that cannot be read.
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
  return _with_splits(entries, path.is_dir())


def _with_splits(entries: list[Input], folder: bool) -> list[Input]:
  """The same with their splits, where names make them."""
  if folder:
    top = [i for i in entries if '/' not in i.name or i.member]
    given = [i for i in top if i.split] or _split_folders(entries)
  else:
    given = [i for i in entries if i.split]
    if len(given) < len(entries) and not entries[0].member:
      given = []
  # Two names make a corpus with its splits; one alone is any file called test.
  if len({i.split for i in given}) > 1:
    return given
  return [dataclasses.replace(i, split='train') for i in entries]


def _split_folders(entries: list[Input]) -> list[Input]:
  """The files in train/, valid/ and test/, if all folders are called so."""
  below = [i for i in entries if '/' in i.name]
  splits = [split_of(i.name.split('/')[0]) for i in below]
  if not all(splits):
    return []
  return [
    dataclasses.replace(i, split=split)
    for i, split in zip(below, splits, strict=True)
  ]


def _members(name: str, path: pathlib.Path) -> list[Input]:
  """The texts of a file: itself, or those in an archive."""
  if path.suffix != '.zip':
    return [Input(name, path, split_of(path.name))]
  try:
    files = [i for i in archives.opened(path).infolist() if not i.is_dir()]
  except (zipfile.BadZipFile, *plain_file.PARSE_ERRORS) as error:
    raise ValueError(
      f'{path} is truncated or damaged ({plain_file.brief(error)}); fetch it '
      'again'
    ) from None
  inside = sorted(
    i.filename
    for i in files
    if not any(p[:1] == '.' or p == '__MACOSX' for p in i.filename.split('/'))
  )
  twice = len({i.filename for i in files}) < len(files)
  if not inside or twice or any(i.flag_bits & 1 for i in files):
    why = 'is encrypted' if inside else 'holds no files'
    why = 'holds two files of one name' if twice else why
    raise ValueError(f'{path} {why}; give an archive of text')
  return [
    Input(f'{name}/{n}', path, split_of(n.rpartition('/')[2]), n)
    for n in inside
  ]


def _walk(
  root: str | os.PathLike, skip: Collection[str] = ()
) -> list[tuple[str, pathlib.Path]]:
  """Names in a folder, with their paths, sorted; hidden ones left out."""
  named = []
  for folder, below, files in os.walk(root):
    below[:] = [n for n in below if n not in skip and not n.startswith('.')]
    for name in files:
      path = pathlib.Path(folder, name)
      if not name.startswith('.') and path.exists():
        plain_file.check(path)
        named.append((path.relative_to(root).as_posix(), path))
  return sorted(named)


def _glob(where: str, pattern: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
  matches = map(pathlib.Path, sorted(glob.glob(str(pattern), recursive=True)))
  paths = [path for path in matches if path.exists() and not path.is_dir()]
  for path in paths:
    plain_file.check(path)
  if not paths:
    raise FileNotFoundError(f'files:{where}: matches no file')
  plain = next(p for p in pattern.parents if not glob.has_magic(str(p)))
  return [(p.relative_to(plain).as_posix(), p) for p in paths]
