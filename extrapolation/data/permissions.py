"""Who may read a copy: nobody who may not read what it was made of."""

import os
import pathlib
import stat
from collections.abc import Iterable

from extrapolation.data import folder_cache


def of_cached(folder: pathlib.Path, read: Iterable[pathlib.Path]) -> int:
  """The mode of what is made of these files in a cache, for `making`.

  For the user alone, unless the files are open to all, and the user opened the
  cache to others: the default one, a new one, and one in which anybody may
  write are not.
  """
  try:
    mode = folder.stat().st_mode
  except OSError:
    return folder_cache.PRIVATE
  anybody_writes = mode & (stat.S_ISVTX | stat.S_IWOTH)
  if anybody_writes or folder == folder_cache.root() or not open_to_all(read):
    return folder_cache.PRIVATE
  return folder_cache.PRIVATE | (mode & 0o055)


def readable(folder: pathlib.Path) -> None:
  """Raises OSError, with what to do, if another user has closed a folder."""
  if os.access(folder, os.R_OK | os.X_OK):
    return
  raise PermissionError(
    f'{folder} is for its owner alone (user {folder.stat().st_uid}), who may '
    'not share what not everybody may read: choose another data.cache, or open '
    'the source to all and have the owner remove that folder'
  )


def of_output(read: Iterable[pathlib.Path]) -> int:
  """The same of a folder that the user named: as any that he makes."""
  if not open_to_all(read):
    return folder_cache.PRIVATE
  mask = os.umask(0o077)
  os.umask(mask)
  return 0o755 & ~mask


def open_to_all(paths: Iterable[pathlib.Path]) -> bool:
  """Whether everybody may read these files, through all folders above them."""
  files = {p.resolve() if p.is_symlink() else p for p in paths}
  folders = {p for p in files if p.is_dir()}
  files |= {inside for folder in folders for inside in folder.iterdir()}
  folders |= {path.parent for path in files}
  folders = {folder.resolve() for folder in folders}
  folders |= {above for folder in folders for above in folder.parents}
  return all(p.stat().st_mode & stat.S_IXOTH for p in folders) and all(
    p.stat().st_mode & stat.S_IROTH for p in files
  )
